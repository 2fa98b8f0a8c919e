"""Records of a train or holdout set as a query sees them: one array, or several of equal length, such as (X, y).

A query is called with the arrays and returns one value a record. Its declared bounds make it a statistical query: values are rescaled from
[low, high] to [0, 1], each by itself. Without bounds replacing a record can move the mean by anything, so only a law of noise that proves
nothing takes that. Values of records never reach a message; that a call raises for a value out of bounds does depend on the data, so
prefer `clip` where that matters.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bounds: TypeAlias = tuple[float, float] | None
HoldoutQuery: TypeAlias = Callable[..., ArrayLike]
_PLAIN = (str, bytes, bool, int, float, type(None), np.generic)


@runtime_checkable
class Rows(Protocol):
    """What has a row for each record: a numpy array, a data frame, a sparse matrix."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows first."""
        ...

    def copy(self) -> Rows:
        """Return rows of its own."""
        ...


GivenRecords: TypeAlias = Rows | Sequence[object] | tuple[Rows | Sequence[object], ...]


class HoldoutRecords:
    """Copies of the arrays, which nothing outside can change.

    Parameters
    ----------
    name : what to call them in messages, "train" or "holdout".
    given : an array or list of records, or a tuple of those.

    Raises
    ------
    ValueError : no records, or arrays of different lengths.
    """

    def __init__(self, name: str, given: GivenRecords) -> None:
        parts = given if isinstance(given, tuple) else (given,)
        self.name, self.arrays = name, tuple(_kept(part) for part in parts)
        lengths = {array.shape[0] if array.shape else 0 for array in self.arrays}
        if len(lengths) != 1 or 0 in lengths:
            raise ValueError(f"{name} must have at least one record, and arrays of one length, got lengths {sorted(lengths)}")
        self.n: int = lengths.pop()

    def values(self, query: HoldoutQuery, bounds: Bounds, *, clip: bool) -> NDArray[np.float64]:
        """Return the query's values, rescaled to [0, 1]; see `scaled_values`."""
        if not callable(query):
            raise TypeError(f"query must be callable with the records, got {type(query).__name__}")
        return scaled_values(query(*self.arrays), self.n, bounds, clip=clip, name=self.name)

    def __reduce__(self) -> tuple[type[HoldoutRecords], tuple[str, GivenRecords]]:
        return HoldoutRecords, (self.name, self.arrays)  # by the constructor, which makes arrays read-only again

    def same_as(self, X: Rows, y: Rows) -> bool:
        """Whether these are the two arrays held here."""
        return len(self.arrays) == 2 and all(
            _equal(_plain_array(mine), _plain_array(other)) for mine, other in zip(self.arrays, (X, y), strict=True)
        )

    @cached_property
    def digest(self) -> str:
        """Return a hash of the values, to tell whether a stored budget is of these records.

        Raises
        ------
        TypeError : values that are no numbers or words.
        """
        digest = hashlib.blake2b(digest_size=32)
        for array in self.arrays:
            plain = _plain_array(array)
            digest.update(f"{plain.dtype.str if plain.dtype.kind != 'O' else 'O'} {plain.shape};".encode())
            digest.update(_object_bytes(plain, self.name) if plain.dtype.kind == "O" else np.ascontiguousarray(plain).tobytes())
        return digest.hexdigest()


def holdout_records(name: str, given: GivenRecords | HoldoutRecords) -> HoldoutRecords:
    """Return the records of a set; those that are kept already aren't copied again."""
    return given if isinstance(given, HoldoutRecords) else HoldoutRecords(name, given)


def valid_bounds(bounds: Bounds) -> Bounds:
    """Return the bounds as floats, None as it is, or raise ValueError."""
    if bounds is None:
        return None
    low, high = (float(end) for end in bounds)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ValueError(f"bounds must be finite and low < high, got {bounds}; declare what the values are clipped to")
    return low, high


def scaled_values(given: ArrayLike, n: int, bounds: Bounds, *, clip: bool, name: str) -> NDArray[np.float64]:
    """Return n values in [low, high] as numbers in [0, 1]; without bounds as they are.

    Raises
    ------
    TypeError : not numeric.
    ValueError : not one value a record, NaN, or a value out of bounds that is not to be clipped.
    """
    values = np.asarray(given)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"query must return numbers, got dtype {values.dtype}")
    if values.shape != (n,):
        raise ValueError(f"query must return one value a record, shape ({n},) for {name}, got shape {values.shape}")
    numbers = values.astype(np.float64)
    if bounds is None:
        if not np.isfinite(numbers).all():
            raise ValueError(f"query must return finite values, on {name} at least one is not; nothing was spent")
        return numbers
    low, high = bounds
    if clip:
        numbers = np.clip(numbers, low, high)
    if not ((numbers >= low) & (numbers <= high)).all():  # NaN fails both
        raise ValueError(f"query must have values in [{low:g}, {high:g}], on {name} at least one is not; clip it or widen the bounds")
    return np.asarray(np.clip((numbers - low) / (high - low), 0.0, 1.0), dtype=np.float64)


def _kept(part: Rows | Sequence[object]) -> Rows:
    if isinstance(part, np.ndarray) or not isinstance(part, Rows):
        kept = np.array(part)
        kept.flags.writeable = False
        return kept
    return part.copy()


def _plain_array(array: Rows) -> NDArray[np.generic]:
    toarray = getattr(array, "toarray", None)  # a sparse matrix
    return np.asarray(toarray() if callable(toarray) else array)


def _equal(first: NDArray[np.generic], second: NDArray[np.generic]) -> bool:
    return first.shape == second.shape and bool(((first == second) | ((first != first) & (second != second))).all())


def _object_bytes(array: NDArray[np.generic], name: str) -> bytes:
    items = array.ravel().tolist()
    if not all(isinstance(item, _PLAIN) for item in items):
        raise TypeError(
            f"{name} must hold numbers and words only where its budget is kept in a file, so that the file can tell its records"
        )
    return "\x00".join(f"{type(item).__name__}:{item!r}" for item in items).encode()
