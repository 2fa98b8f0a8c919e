"""ShadowGroup: what the training of a few shadow models leaves behind.

Symbols: M models of the group, N records, Q queries (augmentations) of each record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False)
class ShadowGroup:
    """Signals and membership of a group of shadow models.

    Parameters
    ----------
    model_id : (M,) whole numbers >= 0, each once: the rows of the design that were trained.
    member : (M, N) bool, or 0 and 1: which records trained each model.
    signals : (M, N, Q), or (M, N) for one query: the signal of every record under every model; kept as float32.
    seed : (M,) whole numbers >= 0 below 2^64: what each training was seeded with; None where the experiment names one seed for all.
    weights : final weights by name, only where asked for; each array has M as its first axis.

    Raises
    ------
    ValueError : shapes that don't agree, repeated models, signals that are not finite in float32 (a training diverged).

    Notes
    -----
    The arrays are copies and read-only, also after copying or unpickling. The text form shows shapes, no signal.
    """

    model_id: NDArray[np.int64]
    member: NDArray[np.bool_]
    signals: NDArray[np.float32]
    seed: NDArray[np.uint64] | None
    weights: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)

    def __init__(
        self,
        *,
        model_id: ArrayLike,
        member: ArrayLike,
        signals: ArrayLike,
        seed: ArrayLike | None = None,
        weights: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        ids = _as_model_id(model_id)
        members = _as_members(member, len(ids))
        arrays = {"model_id": ids, "member": members, "signals": _as_signals(signals, members.shape)}
        for name, array in arrays.items():
            object.__setattr__(self, name, _read_only(array))
        object.__setattr__(self, "seed", None if seed is None else _read_only(_as_seed(seed, len(ids))))
        object.__setattr__(self, "weights", MappingProxyType(_as_weights(weights or {}, len(ids))))

    def __reduce__(self) -> tuple[object, ...]:
        values = {name: getattr(self, name) for name in ("model_id", "member", "signals", "seed")}
        return _rebuild, ({**values, "weights": dict(self.weights)},)

    def __deepcopy__(self, memo: dict[int, object]) -> ShadowGroup:
        return self

    def __repr__(self) -> str:
        n_models, n_records, n_queries = self.signals.shape
        return f"ShadowGroup(n_models={n_models}, n_records={n_records}, n_queries={n_queries}, n_weights={len(self.weights)})"

    def equals(self, other: ShadowGroup) -> bool:
        """Whether both groups hold the same bits."""
        if (self.seed is None) != (other.seed is None) or self.weights.keys() != other.weights.keys():
            return False
        pairs: list[tuple[NDArray[np.generic], NDArray[np.generic]]] = [
            (self.model_id, other.model_id),
            (self.member, other.member),
            (self.signals, other.signals),
            *((self.weights[name], other.weights[name]) for name in self.weights),
        ]
        if self.seed is not None and other.seed is not None:
            pairs.append((self.seed, other.seed))
        return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def _rebuild(values: dict[str, ArrayLike]) -> ShadowGroup:
    return ShadowGroup(**values)  # type: ignore[arg-type]


def _read_only(array: NDArray[np.generic]) -> NDArray[np.generic]:
    array.flags.writeable = False
    return array


def _as_model_id(value: ArrayLike) -> NDArray[np.int64]:
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu" or int(array.min()) < 0:
        raise ValueError(f"model_id must hold one or more whole numbers >= 0, got {array.dtype} of shape {array.shape}")
    if len(np.unique(array)) < len(array):
        raise ValueError(f"model_id must name each model once, got {len(array) - len(np.unique(array))} repeated")
    return np.array(array, dtype=np.int64)


def _as_members(value: ArrayLike, n_models: int) -> NDArray[np.bool_]:
    array = np.asarray(value)
    if array.ndim != 2 or len(array) != n_models or array.shape[1] == 0:
        raise ValueError(f"member must have shape (models, records) with {n_models} models, got {array.shape}")
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError("member must hold only true/false or 0/1")
    return np.array(array, dtype=np.bool_)


def _as_signals(value: ArrayLike, shape: tuple[int, ...]) -> NDArray[np.float32]:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"signals must hold numbers, got dtype {array.dtype}")
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or array.shape[:2] != shape or array.shape[2] == 0:
        raise ValueError(f"signals must have shape (models, records, queries) that begins with {shape}, got {array.shape}")
    with np.errstate(over="ignore"):  # what overflows is refused in the next line
        signals = np.array(array, dtype=np.float32, order="C")
    n_bad = int(signals.size - np.isfinite(signals).sum())
    if n_bad:
        raise ValueError(f"signals must be finite in float32, and {n_bad} of {signals.size} are not: a training diverged")
    return signals


def _as_seed(value: ArrayLike, n_models: int) -> NDArray[np.uint64]:
    array = np.asarray(value)
    if array.shape != (n_models,) or array.dtype.kind not in "iu" or int(array.min()) < 0:
        raise ValueError(f"seed must hold {n_models} whole numbers in [0, 2^64), got {array.dtype} of shape {array.shape}")
    return np.array(array, dtype=np.uint64)


def _as_weights(weights: Mapping[str, ArrayLike], n_models: int) -> dict[str, NDArray[np.generic]]:
    arrays = {name: np.array(value, order="C") for name, value in weights.items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub" or array.ndim == 0 or len(array) != n_models:
            raise ValueError(f"weights {name!r} must hold numbers, {n_models} models first, got {array.dtype} of shape {array.shape}")
        _read_only(array)
    return arrays
