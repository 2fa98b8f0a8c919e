"""Training samples of many models as places in one table, and the pool and membership that lock-step training takes.

A place may stand several times in a sample (oversampling): a copy of a record is a row of the pool of its own, so membership stays bool.
Cost: O(models x rows of the pool) bools for the models trained together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.resample import Ids

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class TrainingSamples:
    """What each of M models is trained on.

    Parameters
    ----------
    inputs : (N, ...) table of records; labels : (N,) classes 0 to C - 1.
    ids : M arrays of places in the table.

    Raises
    ------
    ValueError : no model, an empty sample, or lengths that differ.
    """

    inputs: Array
    labels: NDArray[np.int64]
    ids: tuple[Ids, ...]

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels):
            raise ValueError(f"inputs and labels must have the same length, got {len(self.inputs)} and {len(self.labels)}")
        if not self.ids or min(len(ids) for ids in self.ids) == 0:
            raise ValueError(f"every model needs at least one record to train on, got {self.sizes.tolist()[:10]}")

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"TrainingSamples(models={len(self)}, records={self.sizes.min()} to {self.sizes.max()})"

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(M,) number of records that each model is trained on, copies counted."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)

    def of(self, k: int) -> tuple[Array, NDArray[np.int64]]:
        """Inputs and labels of model k."""
        return self.inputs[self.ids[k]], self.labels[self.ids[k]]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class PooledSamples:
    """Rows of the table that some models use, copies as rows of their own, and who trains on which: member (M, rows) bool."""

    rows: Ids
    member: NDArray[np.bool_]


def pooled(ids: Sequence[Ids], n_records: int) -> PooledSamples:
    """Return the pool of some samples; a record that a sample holds c times is c rows of its membership.

    Examples
    --------
    >>> pool = pooled([np.array([4, 2, 2]), np.array([2, 7])], 9)
    >>> pool.rows.tolist(), pool.member.astype(int).tolist()
    ([2, 2, 4, 7], [[1, 1, 1, 0], [1, 0, 0, 1]])
    """
    most = np.zeros(n_records, dtype=np.intp)
    for sample in ids:
        np.maximum(most, np.bincount(sample, minlength=n_records), out=most)
    rows = np.repeat(np.arange(n_records), most)
    copy = np.arange(len(rows)) - np.repeat(np.cumsum(most) - most, most)
    member = np.stack([np.bincount(sample, minlength=n_records)[rows] > copy for sample in ids])
    return PooledSamples(rows, member)
