"""Trained shadow models: their weights with a leading axis K, and what they say about records.

Cost of asking: as `outputs` for a module that has a lock-step form, otherwise one model after the other.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from attacks.shadow.layers.recognize import obstacle_of
from attacks.shadow.outputs import stacked_activations, stacked_logits
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
        if obstacle_of(self.architecture) is None:
            return stacked_logits(self.architecture, self.weights, records).numpy()
        parts = [records[start : start + _RECORDS_AT_ONCE] for start in range(0, len(records), _RECORDS_AT_ONCE)]
        with torch.no_grad():
            rows = [torch.cat([module(part) for part in parts]) for module in map(self.module, range(len(self)))]
        return torch.stack(rows).numpy()

    def activations(self, inputs: ArrayLike | Tensor) -> tuple[NDArray[np.floating], ...]:
        """Return what every Linear and Conv2d layer of every model says about every record, after its nonlinearity.

        Parameters
        ----------
        inputs : (n, ...) records, as in training.

        Returns
        -------
        One (K, n, units) array per Linear or Conv2d layer, in the order they run: the layer's output after the activations and
        normalizations that directly follow it, and before any pooling or reshaping. If none follows, as after the last layer, the output
        itself. Channels and places of an image, or places and features of a sequence, are flattened in PyTorch's order.

        Raises
        ------
        ValueError : no record, NaN or infinite values, or a module without a lock-step form.
        """
        records = as_inputs(inputs, self.architecture)
        obstacle = obstacle_of(self.architecture)
        if obstacle is not None:
            raise ValueError(
                f"activations need a module of known layers, got {obstacle.layer} at {obstacle.place}, which {obstacle.reason}; "
                "put hooks on module(k) instead"
            )
        return tuple(found.numpy() for found in stacked_activations(self.architecture, self.weights, records))

    def select(self, places: ArrayLike) -> ShadowModels:
        """Return some of the models, with copies of their weights.

        Parameters
        ----------
        places : whole numbers from 0 to K - 1 in the order wanted, or (K,) bool.

        Raises
        ------
        ValueError : no place, or a mask of another length.
        IndexError : a place out of range.
        """
        chosen = np.atleast_1d(np.asarray(places))
        if chosen.ndim != 1 or chosen.dtype.kind not in "iub" or (chosen.dtype.kind == "b" and len(chosen) != len(self)):
            raise ValueError(f"places must be whole numbers or {len(self)} booleans, got {chosen.dtype} of shape {chosen.shape}")
        if chosen.dtype.kind == "b":
            chosen = np.flatnonzero(chosen)
        if not len(chosen):
            raise ValueError("places must choose at least one model, got none")
        order = [self._place(int(k)) for k in chosen]
        weights = {name: stack[torch.tensor(order)] for name, stack in self.weights.items()}
        return ShadowModels(weights, tuple(self.model_ids[k] for k in order), self.architecture)

    def _place(self, k: int) -> int:
        if not 0 <= k < len(self):
            raise IndexError(f"k must be from 0 to {len(self) - 1}, got {k}")
        return k


def concatenate(ensembles: Sequence[ShadowModels]) -> ShadowModels:
    """Put the models of several ensembles of one architecture one after the other.

    Parameters
    ----------
    ensembles : at least one; model numbers are kept, so two models of different seeds may have the same.

    Raises
    ------
    ValueError : no ensemble, or architectures that differ in a layer, or in name, shape or precision of a weight.
    """
    if not ensembles:
        raise ValueError("ensembles must hold at least one ensemble, got none")
    kinds = {_kind(models) for models in ensembles}
    if len(kinds) > 1:
        raise ValueError(f"ensembles must have one architecture, got {len(kinds)} different ones in {len(ensembles)} ensembles")
    first = ensembles[0]
    weights = {name: torch.cat([models.weights[name] for models in ensembles]) for name in first.weights}
    return ShadowModels(weights, tuple(number for models in ensembles for number in models.model_ids), first.architecture)


def _kind(models: ShadowModels) -> tuple[str, tuple[tuple[str, torch.Size, torch.dtype], ...]]:
    return str(models.architecture), tuple((name, stack.shape[1:], stack.dtype) for name, stack in models.weights.items())
