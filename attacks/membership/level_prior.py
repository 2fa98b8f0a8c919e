"""What a record's references should look like, given how well models fit it in general: a prior learned from all audited records.

The level of a record is the mean of its two sides, (mean_IN + mean_OUT) / 2. A well-fitted record (high level) changes little when it
enters training, a badly fitted one changes a lot and scatters more; one gap and one variance for all records hide that. Here
    v    variance of the signal within a record, the same IN and OUT,
    g    gap mean_IN - mean_OUT,
are means over a window of records of similar level: `WINDOW_SHARE` of the records on each side, at least `WINDOW_LEAST`, joined by one
pseudo-record that has the value pooled over all records. Few records (about 25) therefore give nearly the pooled value.
Uses references only. Cost: O(K n + n log n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.membership.references import Floats, ReferenceStatistics
from mechanisms.errors import InsufficientEvidenceError

WINDOW_SHARE = 0.05
WINDOW_LEAST = 25


@dataclass(frozen=True, slots=True, eq=False)
class LevelPrior:
    """Values expected of each record; every array has shape (n,)."""

    variance: Floats
    gap: Floats


def level_prior(statistics: ReferenceStatistics, query: int) -> LevelPrior:
    """Return the prior of one query from both sides of every record.

    Raises
    ------
    InsufficientEvidenceError : no record has two references of one side, or all agree.
    """
    inside, outside = statistics.inside, statistics.outside
    filled_in, filled_out = statistics.filled_means()
    window = Window.of((filled_in[:, query] + filled_out[:, query]) / 2)
    both = inside.known & outside.known
    gap = np.where(both, inside.mean[:, query] - outside.mean[:, query], 0.0)
    squares = inside.sum_squares[:, query] + outside.sum_squares[:, query]
    return LevelPrior(_variance(window, squares, inside.freedom + outside.freedom), window.mean(gap, both.astype(np.float64)))


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Neighbors of each record in the order of level: positions `low` (inclusive) to `high` (exclusive) of `order`."""

    order: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, level: Floats) -> Window:
        """Return the windows of records with these levels, shape (n,)."""
        n = len(level)
        half = max(WINDOW_LEAST, int(WINDOW_SHARE * n))
        place = np.arange(n)
        return cls(np.argsort(level, kind="stable"), np.maximum(place - half, 0), np.minimum(place + half + 1, n))

    def mean(self, value: Floats, weight: Floats) -> Floats:
        """Return the weighted mean in each record's window, with one pseudo-record of the pooled mean."""
        pooled = float((value * weight).sum() / weight.sum())
        return (self.total(value * weight) + pooled) / (self.total(weight) + 1)

    def total(self, value: Floats) -> Floats:
        """Return the sum over each record's window."""
        running = np.concatenate([[0.0], np.cumsum(value[self.order])])
        result = np.empty(len(value))
        result[self.order] = running[self.high] - running[self.low]
        return result


def _variance(window: Window, squares: Floats, freedom: NDArray[np.int64]) -> Floats:
    """Return the within-record variance in each record's window, with one pseudo degree of freedom of the pooled variance."""
    if not freedom.any():
        raise InsufficientEvidenceError("no record has two references of one side, so their spread is unknown; add references")
    pooled = float(squares.sum() / freedom.sum())
    if not pooled > 0:
        raise InsufficientEvidenceError("all references of each record and side agree: their spread is 0; are they one model?")
    return np.asarray((np.maximum(window.total(squares), 0.0) + pooled) / (window.total(freedom.astype(np.float64)) + 1))
