"""Many threshold attacks in four arrays: what the posterior takes when there are thousands of counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import AttackCounts
from mechanisms.validation import one_dimensional, same_length


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CountArrays:
    """Outcomes of many threshold attacks, elementwise.

    Parameters
    ----------
    tp, fp, tn, fn : whole numbers >= 0 (floats within 1e-9 of one are accepted), shape (n,).

    Raises
    ------
    ValueError : empty input, lengths that differ, a count that is negative, not whole or NaN, or a truth that was never tried.

    Notes
    -----
    The arrays are copies and read-only, also after copying or unpickling.
    """

    tp: NDArray[np.int64]
    fp: NDArray[np.int64]
    tn: NDArray[np.int64]
    fn: NDArray[np.int64]

    def __post_init__(self) -> None:
        arrays = {name: _whole_numbers(name, getattr(self, name)) for name in ("tp", "fp", "tn", "fn")}
        if same_length(**arrays) == 0:
            raise ValueError("counts must not be empty")
        untried = int(((arrays["tp"] + arrays["fn"] == 0) | (arrays["fp"] + arrays["tn"] == 0)).sum())
        if untried:
            raise ValueError(f"both truths need at least one trial, got none for one of them in {untried} of {len(arrays['tp'])} counts")
        for name, array in arrays.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, counts: AttackCounts | Sequence[AttackCounts]) -> CountArrays:
        """Return the arrays of one record or of several.

        Raises
        ------
        TypeError : something else than `AttackCounts` was given: bare numbers would leave open which count is which.
        """
        records = [counts] if isinstance(counts, AttackCounts) else list(counts)
        for record in records:
            if not isinstance(record, AttackCounts):
                raise TypeError(f"counts must be AttackCounts, a sequence of them or CountArrays, got {type(record).__name__}")
        tp, fp, tn, fn = ([getattr(record, name) for record in records] for name in ("tp", "fp", "tn", "fn"))
        return cls(tp=np.array(tp), fp=np.array(fp), tn=np.array(tn), fn=np.array(fn))

    def __len__(self) -> int:
        return len(self.tp)

    def __reduce__(self) -> tuple[object, tuple[NDArray[np.int64], ...]]:
        return _rebuild, (self.tp, self.fp, self.tn, self.fn)

    def __deepcopy__(self, memo: dict[int, object]) -> CountArrays:
        return _rebuild(self.tp, self.fp, self.tn, self.fn)

    def to_dict(self) -> dict[str, list[int]]:
        """Return the JSON-ready lists."""
        return {"tp": self.tp.tolist(), "fp": self.fp.tolist(), "tn": self.tn.tolist(), "fn": self.fn.tolist()}


def _rebuild(tp: NDArray[np.int64], fp: NDArray[np.int64], tn: NDArray[np.int64], fn: NDArray[np.int64]) -> CountArrays:
    return CountArrays(tp=tp, fp=fp, tn=tn, fn=fn)


def _whole_numbers(name: str, value: ArrayLike) -> NDArray[np.int64]:
    array = one_dimensional(**{name: value})
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold whole numbers >= 0, got dtype {array.dtype}")
    number = array.astype(np.float64)
    with np.errstate(invalid="ignore"):
        bad = ~np.isfinite(number) | (np.abs(number - np.rint(number)) > 1e-9) | (np.rint(number) < 0)
    if bad.any():
        raise ValueError(f"{name} must hold whole numbers >= 0, got {int(bad.sum())} others among {len(number)}")
    return np.rint(number).astype(np.int64)
