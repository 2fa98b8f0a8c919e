"""What a training run leaves in a folder, all of it readable without this library.

config.json     the model's shape and variant, as `attention census --config` takes it
weights.npz     the model, as `load_model` reads it
tokenizer.json  the encoding, where it was trained here
history.jsonl   one line an evaluation
entropy.json    head entropies over training, and whether they may be published
entropy.png     the same as a picture
record.json     everything else: status, evaluation, recipe, corpus counts, seed, diagnosis, guarantee of a private run
"""

from __future__ import annotations

import json
import os
from io import BytesIO
from pathlib import Path

from mechanisms.json_ready import JsonValue
from mechanisms.whole_file import write_whole
from private_inference.heads.tracker import EntropyTracker
from private_inference.training.private_training import PrivateTrainingResult
from private_inference.training.result import TrainingResult
from private_inference.training.saved_model import save_model
from private_inference.training.tokenizer import BytePairTokenizer


def training_record(result: TrainingResult | PrivateTrainingResult) -> dict[str, JsonValue]:
    """Return the record of a run with the diagnosis of its heads, JSON-ready."""
    training = result.training if isinstance(result, PrivateTrainingResult) else result
    diagnosis = training.tracker.diagnose().to_dict() if len(training.tracker.steps) else None
    return {**result.to_dict(), "diagnosis": diagnosis}


def write_training_folder(
    result: TrainingResult | PrivateTrainingResult, folder: str | os.PathLike[str], *, tokenizer: BytePairTokenizer | None = None
) -> None:
    """Write all files of a run; a folder that is missing is made, files of an earlier run are replaced.

    Parameters
    ----------
    result : of `train_model` or `train_private`.
    folder : where to.
    tokenizer : what made the corpus's ids; None where they came from elsewhere.
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    training = result.training if isinstance(result, PrivateTrainingResult) else result
    _write_json(place / "config.json", training.config.to_dict())
    save_model(training.model, place / "weights.npz")
    if tokenizer is not None:
        write_whole(place / "tokenizer.json", tokenizer.json.encode())
    rows = "".join(json.dumps(row.to_dict(), allow_nan=False) + "\n" for row in training.history)
    write_whole(place / "history.jsonl", rows.encode())
    _write_json(place / "entropy.json", training.tracker.to_dict())
    if len(training.tracker.steps):
        write_whole(place / "entropy.png", _picture(training.tracker))
    _write_json(place / "record.json", training_record(result))


def _write_json(path: Path, record: dict[str, JsonValue]) -> None:
    write_whole(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())


def _picture(tracker: EntropyTracker) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    tracker.plot(figure.add_subplot())
    buffer = BytesIO()
    canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()
