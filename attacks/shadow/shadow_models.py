"""Trained shadow models: their weights with a leading axis K, and what they say about records."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from attacks.shadow.pool import as_inputs

_RECORDS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ShadowModels:
    """K trained models of one architecture; `k` is the place among them, 0 to K - 1, not the model number.

    Parameters
    ----------
    weights : state_dict entries by name, each (K, ...), weights and buffers.
    model_ids : number of each model in the ensemble.
    architecture : a module whose own weights mean nothing.
    """

    weights: Mapping[str, Tensor]
    model_ids: tuple[int, ...]
    architecture: nn.Module

    def __len__(self) -> int:
        return len(self.model_ids)

    def __repr__(self) -> str:
        return f"ShadowModels(n_models={len(self)}, architecture={type(self.architecture).__name__})"

    def state_dict(self, k: int) -> dict[str, Tensor]:
        """Return a copy of the state of model k, as `load_state_dict` takes it."""
        place = self._place(k)
        return {name: stack[place].clone() for name, stack in self.weights.items()}

    def module(self, k: int) -> nn.Module:
        """Return model k as a module of its own, in evaluation mode."""
        module = copy.deepcopy(self.architecture)
        module.load_state_dict(self.state_dict(k))
        return module.eval()

    def logits(self, inputs: ArrayLike | Tensor) -> NDArray[np.floating]:
        """Return every model's outputs for every record, in the models' precision.

        Parameters
        ----------
        inputs : (n, ...) records, as in training.

        Returns
        -------
        (K, n, C) array.

        Raises
        ------
        ValueError : no record, or NaN or infinite values.
        """
        records = as_inputs(inputs, self.architecture)
        parts = [records[start : start + _RECORDS_AT_ONCE] for start in range(0, len(records), _RECORDS_AT_ONCE)]
        with torch.no_grad():
            rows = [torch.cat([module(part) for part in parts]) for module in map(self.module, range(len(self)))]
        return torch.stack(rows).numpy()

    def _place(self, k: int) -> int:
        if not 0 <= k < len(self):
            raise IndexError(f"k must be from 0 to {len(self) - 1}, got {k}")
        return k
