"""Counts of one threshold attack, model by model: what estimators need that don't take the guesses within a model for independent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import AttackCounts
from mechanisms.validation import one_dimensional, same_length
from privacy_audit.estimate.rates.count_arrays import CountArrays

_NAMES = ("tp", "fp", "tn", "fn")
_LARGEST = 10**12  # float64 keeps the digits of a likelihood up to here

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ModelCounts:
    """Outcomes of a threshold attack on several models, one entry per model.

    Parameters
    ----------
    tp, fp, tn, fn : whole numbers >= 0 (floats within 1e-9 of one are accepted), at most 1e12, shape (n_models,). A model may have
        challenge points on one side only (members or non-members), as long as each side was tried in some model.

    Raises
    ------
    ValueError : empty input, lengths that differ, a count that is negative, too large, not whole or NaN, a model without any challenge
        point, or a truth that was never tried.

    Notes
    -----
    The arrays are copies and read-only, also after copying or unpickling.
    """

    tp: IntArray
    fp: IntArray
    tn: IntArray
    fn: IntArray

    def __post_init__(self) -> None:
        arrays = {name: _whole_numbers(name, getattr(self, name)) for name in _NAMES}
        n_models = same_length(**arrays)
        if n_models == 0:
            raise ValueError("counts_per_model must not be empty")
        empty = int((arrays["tp"] + arrays["fp"] + arrays["tn"] + arrays["fn"] == 0).sum())
        if empty:
            raise ValueError(f"each model needs at least one challenge point, got none in {empty} of {n_models} models; leave those out")
        n_members, n_non_members = arrays["tp"].sum() + arrays["fn"].sum(), arrays["fp"].sum() + arrays["tn"].sum()
        if n_members == 0 or n_non_members == 0:
            raise ValueError(f"both truths need at least one trial, got {n_members} members and {n_non_members} non-members")
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, counts: Sequence[AttackCounts] | CountArrays | ModelCounts) -> ModelCounts:
        """Return the counts of a sequence of `AttackCounts`, of `CountArrays` or of `ModelCounts`.

        Raises
        ------
        TypeError : something else was given, a single `AttackCounts` included: it doesn't say which guess belongs to which model.
        """
        if isinstance(counts, ModelCounts):
            return counts
        if isinstance(counts, AttackCounts):
            raise TypeError("counts_per_model must hold one entry per model, got a single AttackCounts; use EpsilonPosterior for it")
        if not isinstance(counts, CountArrays):
            records = list(counts)
            if not records:
                raise ValueError("counts_per_model must not be empty")
            counts = CountArrays.of(records)
        return cls(tp=counts.tp, fp=counts.fp, tn=counts.tn, fn=counts.fn)

    def __len__(self) -> int:
        return len(self.tp)

    def __reduce__(self) -> tuple[object, tuple[IntArray, ...]]:
        return _rebuild, (self.tp, self.fp, self.tn, self.fn)

    def __deepcopy__(self, memo: dict[int, object]) -> ModelCounts:
        return _rebuild(self.tp, self.fp, self.tn, self.fn)

    @property
    def n_members(self) -> IntArray:
        """Members tried in each model, tp + fn."""
        return self.tp + self.fn

    @property
    def n_non_members(self) -> IntArray:
        """Non-members tried in each model, fp + tn."""
        return self.fp + self.tn

    @property
    def is_one_per_model(self) -> bool:
        """Whether no model has two challenge points on one side, so that nothing within a model can be correlated on a side."""
        return bool(self.n_members.max() <= 1 and self.n_non_members.max() <= 1)

    def pooled(self) -> AttackCounts:
        """Return the sums over the models."""
        return AttackCounts(tp=int(self.tp.sum()), fp=int(self.fp.sum()), tn=int(self.tn.sum()), fn=int(self.fn.sum()))

    def to_dict(self) -> dict[str, list[int]]:
        """Return the JSON-ready lists."""
        return {name: getattr(self, name).tolist() for name in _NAMES}


def _rebuild(tp: IntArray, fp: IntArray, tn: IntArray, fn: IntArray) -> ModelCounts:
    return ModelCounts(tp=tp, fp=fp, tn=tn, fn=fn)


def _whole_numbers(name: str, value: ArrayLike) -> IntArray:
    array = one_dimensional(**{name: value})
    if array.size == 0:
        return np.zeros(0, dtype=np.int64)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold whole numbers >= 0, got dtype {array.dtype}")
    number = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(number) | (np.abs(number - np.rint(number)) > 1e-9) | (np.rint(number) < 0) | (number > _LARGEST)
    if bad.any():
        raise ValueError(f"{name} must hold whole numbers from 0 to 1e12, got {int(bad.sum())} others among {len(number)}")
    return np.rint(number).astype(np.int64)
