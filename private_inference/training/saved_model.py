"""A trained model as one file: an ordinary .npz without pickle, its weights by name and its config as JSON text.

    save_model(model, "weights.npz");  model = load_model("weights.npz")

A file from elsewhere can hold wrong weights, but it can run nothing.
"""

from __future__ import annotations

import json
import os
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from mechanisms.whole_file import write_whole
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.training.checkpoint import load_module, module_arrays, under

_WEIGHTS = "model"


def save_model(model: PIGPT, path: str | os.PathLike[str]) -> None:
    """Write a model's config and weights; the file appears whole or not at all."""
    buffer = BytesIO()
    config = np.array(json.dumps(model.config.to_dict(), allow_nan=False))
    np.savez(buffer, allow_pickle=False, config=config, **module_arrays(_WEIGHTS, model))
    write_whole(path, buffer.getvalue())


def load_model(path: str | os.PathLike[str]) -> PIGPT:
    """Read what `save_model` wrote, ready for evaluation.

    Raises
    ------
    ValueError : no such file's content, or weights that don't fit its config.
    OSError : the file can't be read.
    """
    file = Path(path)
    try:
        with np.load(BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        config = PIGPTConfig.from_dict(json.loads(str(arrays.pop("config"))))
        model = PIGPT(config, rng=0).to(torch.from_numpy(next(iter(under(_WEIGHTS, arrays).values()))).dtype)
        load_module(_WEIGHTS, model, arrays)
    except (EOFError, ValueError, TypeError, KeyError, StopIteration, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file.name} must be a model that save_model wrote, got something else ({type(error).__name__})") from None
    return model.eval()
