"""What a record's references should look like, given how well models fit it in general: a prior learned from all audited records.

The level of a record is the mean of its two sides, (mean_IN + mean_OUT) / 2. A well-fitted record (high level) changes little when it
enters training, a badly fitted one changes a lot and scatters more without it; one gap and one variance for all records hide that. Here
    v_in, v_out   variance of the signal within a record and side,
    g             gap mean_IN - mean_OUT,
    tau^2         variance of a record's true gap around g: E (gap - g)^2 - v_in / n_in - v_out / n_out, at least 0,
are means over a window of records of similar level: `WINDOW_SHARE` of the records on each side, at least `WINDOW_LEAST`, joined by one
pseudo-record that has the value pooled over all records. Few records (about 25) therefore give nearly the pooled value.
Uses references only. Cost: O(K n + n log n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.membership.references import Floats, ReferenceStatistics, SideStatistics

WINDOW_SHARE = 0.05
WINDOW_LEAST = 25


@dataclass(frozen=True, slots=True, eq=False)
class LevelPrior:
    """Values expected of each record; every array has shape (n,)."""

    variance_in: Floats
    variance_out: Floats
    gap: Floats
    gap_variance: Floats


def level_prior(statistics: ReferenceStatistics, query: int) -> LevelPrior:
    """Return the prior of one query from both sides of every record.

    Raises
    ------
    InsufficientEvidenceError : no record has two references of a side, or all agree.
    """
    inside, outside = statistics.inside, statistics.outside
    mean_in, mean_out = inside.mean[:, query], outside.mean[:, query]
    filled_in, filled_out = statistics.filled_means()
    window = Window.of((filled_in[:, query] + filled_out[:, query]) / 2)
    v_in, v_out = window.variance(inside, query), window.variance(outside, query)
    both = inside.known & outside.known
    gap = np.where(both, mean_in - mean_out, 0.0)
    expected = window.mean(gap, both.astype(np.float64))
    noise = v_in / np.maximum(inside.count, 1) + v_out / np.maximum(outside.count, 1)
    excess = window.mean(np.where(both, (gap - expected) ** 2 - noise, 0.0), both.astype(np.float64))
    return LevelPrior(v_in, v_out, expected, np.maximum(excess, 0.0))


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
        return (self._sum(value * weight) + pooled) / (self._sum(weight) + 1)

    def variance(self, side: SideStatistics, query: int) -> Floats:
        """Return the within-record variance in each record's window, with one pseudo degree of freedom of the pooled variance."""
        pooled = side.pooled_variance()[query]
        total = np.maximum(self._sum(side.sum_squares[:, query]), 0.0)
        return np.asarray((total + pooled) / (self._sum(side.freedom.astype(np.float64)) + 1))

    def _sum(self, value: Floats) -> Floats:
        running = np.concatenate([[0.0], np.cumsum(value[self.order])])
        result = np.empty(len(value))
        result[self.order] = running[self.high] - running[self.low]
        return result
