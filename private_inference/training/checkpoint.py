"""A training run on disk: one .npz without pickle, replaced whole or not at all, from which the run goes on bit for bit.

Inside: arrays `model/NAME`, `penalty/NAME`, `moments/I/NAME` of the optimizer's parameter I, `losses`; and `record`, JSON text: what
the run is (model, recipe, penalty, corpus digest, seed), steps taken, history, entropies. The place in the data is the number of steps.

The file is locked while a run writes it and readable by its owner only: weights are about their training data.

References
----------
Pillai et al., All File Systems Are Not Created Equal, OSDI 2014 (why it is written beside its place and then renamed).
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mechanisms.continual.durable_file import DurableFile
from mechanisms.errors import StateError, StoreMismatch
from mechanisms.json_ready import JsonValue

Arrays = dict[str, NDArray[np.generic]]
_MOMENTS = "moments"
_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What one checkpoint holds.

    Parameters
    ----------
    identity : what the run is, by parts, JSON-ready.
    record : how far it came, JSON-ready.
    arrays : weights, moments and losses, by name.
    """

    identity: dict[str, JsonValue]
    record: dict[str, JsonValue]
    arrays: Arrays


class Checkpoint:
    """One checkpoint file, held open by one run.

    Parameters
    ----------
    path : the .npz file; `path.lock` is made beside it.

    Raises
    ------
    StateError : another live run holds the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = DurableFile(path)

    def load(self, identity: Mapping[str, JsonValue]) -> Saved | None:
        """Return what is stored, None where there is no file.

        Parameters
        ----------
        identity : what the run is, by parts; a file in which one of them differs is refused.

        Raises
        ------
        StateError : the file is damaged.
        StoreMismatch : it belongs to another run; the message names the parts that differ.
        """
        data = self._file.read()
        if data is None:
            return None
        saved = _unpack(data, self._file.path.name)
        differing = [name for name, value in identity.items() if saved.identity.get(name) != value]
        if differing:
            raise StoreMismatch(
                f"{self._file.path.name} holds another run; what differs: {', '.join(differing)}; "
                "give another file, the settings it was made with, or begin anew without resuming"
            )
        return saved

    def save(self, saved: Saved) -> None:
        """Replace the content; it is durable when this returns."""
        text = json.dumps({"format": _FORMAT, "identity": saved.identity, "record": saved.record}, allow_nan=False)
        buffer = BytesIO()
        np.savez(buffer, allow_pickle=False, record=np.array(text), **saved.arrays)
        self._file.write(buffer.getvalue())

    def close(self) -> None:
        """Let another run have the file."""
        self._file.close()


def module_arrays(prefix: str, module: nn.Module) -> Arrays:
    """Return a module's state as arrays named `prefix/NAME`."""
    return {f"{prefix}/{name}": value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, arrays: Arrays) -> None:
    """Load what `module_arrays` returned."""
    module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in under(prefix, arrays).items()})


def optimizer_arrays(optimizer: torch.optim.Optimizer) -> Arrays:
    """Return an optimizer's moments and step counts, by the number of the parameter."""
    state = optimizer.state_dict()["state"]
    return {f"{_MOMENTS}/{i}/{name}": value.cpu().numpy().copy() for i, moments in state.items() for name, value in moments.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, arrays: Arrays) -> None:
    """Load what `optimizer_arrays` returned; rates and decays stay those of the groups."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in under(_MOMENTS, arrays).items():
        number, moment = name.split("/")
        state.setdefault(int(number), {})[moment] = torch.from_numpy(value.copy())
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def under(prefix: str, arrays: Arrays) -> Arrays:
    """Return the arrays named `prefix/NAME`, by NAME."""
    return {name.removeprefix(f"{prefix}/"): value for name, value in arrays.items() if name.startswith(f"{prefix}/")}


def _unpack(data: bytes, name: str) -> Saved:
    try:
        with np.load(BytesIO(data), allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in stored.files}
        content = json.loads(str(arrays.pop("record")))
        if content["format"] != _FORMAT:
            raise ValueError
        saved = Saved(dict(content["identity"]), dict(content["record"]), arrays)
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        raise StateError(f"{name} is damaged, or no checkpoint; remove it to begin anew") from None
    return saved
