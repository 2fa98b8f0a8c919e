"""The model that the `attention` commands are asked about: a JSON file, or a shape and a variant."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from private_inference.config import PIGPTConfig

LayersOption = Annotated[int | None, typer.Option("--layers", help="Layers L; 12.")]
HeadsOption = Annotated[int | None, typer.Option("--heads", help="Heads per layer H; 12.")]
WidthOption = Annotated[int | None, typer.Option("--width", help="Width d, a multiple of H; 768.")]
VocabularyOption = Annotated[int | None, typer.Option("--vocabulary", help="Size of the vocabulary V; 50257.")]
VariantOption = Annotated[str | None, typer.Option("--variant", help="What a block has: sm_ln_gelu, sm_ln_relu, sm_scfuffn, ...")]
ConfigOption = Annotated[Path | None, typer.Option("--config", help="PIGPTConfig as JSON, in place of shape and variant.", metavar="FILE")]
ContextOption = Annotated[int, typer.Option("--context", help="Context length T.")]
FoldOption = Annotated[str, typer.Option("--fold", help="none, fused (one matrix an FFN) or full (no FFN left).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the record as JSON and nothing else.")]

_GPT2_SMALL = {"layers": 12, "heads": 12, "width": 768, "vocabulary": 50257, "variant": "sm_ln_gelu"}
_FIELDS = {"layers": "n_layer", "heads": "n_head", "width": "n_embd", "vocabulary": "vocab_size", "variant": "variant"}


def model_config(path: Path | None, context: int, **options: int | str | None) -> PIGPTConfig:
    """Return the config of a file, or of the options, whose defaults are GPT-2 small's.

    Raises
    ------
    ValueError : a file and options, a file that is no config, or values that no model has.
    """
    from mechanisms.validation import whole_number
    from private_inference.config import PIGPTConfig

    given = {name: value for name, value in options.items() if value is not None}
    if path is None:
        fields = {_FIELDS[name]: value for name, value in {**_GPT2_SMALL, **given}.items()}
        return PIGPTConfig.from_dict({**fields, "block_size": whole_number(1, context=context)})
    if given:
        raise ValueError(f"give --config or {', '.join(f'--{name}' for name in given)}, not both")
    return PIGPTConfig.from_dict(_record(path))


def _record(path: Path) -> dict[str, object]:
    import json

    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name} must be a PIGPTConfig in JSON: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{path.name} must be a PIGPTConfig in JSON, a table of its fields, got {type(record).__name__}")
    return record
