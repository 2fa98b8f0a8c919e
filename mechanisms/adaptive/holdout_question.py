"""What goes into a reusable holdout and what comes out, and both as rows of numbers, which files hold and compare."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mechanisms.continual.continual_release import Rows, Steps


@dataclass(frozen=True, slots=True)
class HoldoutAnswer:
    """One answer.

    Parameters
    ----------
    value : q(train) where the holdout confirmed it, else a noisy q(holdout).
    fired : whether it came from the holdout and took one from the budget.
    remaining : firings that were left after it.
    """

    value: float
    fired: bool
    remaining: int

    @property
    def row(self) -> tuple[float, float, float]:
        """Value, fired, remaining."""
        return self.value, float(self.fired), float(self.remaining)

    @classmethod
    def from_row(cls, row: Rows) -> HoldoutAnswer:
        """Return the answer of a row."""
        return cls(float(row[0]), bool(row[1]), int(row[2]))


@dataclass(frozen=True, slots=True)
class HoldoutQuestion:
    """A query's means on both sets, as whole numbers of the law of noise, and its range. Secret: the repr shows no mean."""

    train: int = field(repr=False)
    holdout: int = field(repr=False)
    low: float
    high: float

    @property
    def step(self) -> Steps:
        """Means and the bits of the range, shape (4,)."""
        return np.array([self.train, self.holdout, *np.array([self.low, self.high]).view(np.int64)], dtype=np.int64)

    @classmethod
    def from_step(cls, step: Steps) -> HoldoutQuestion:
        """Return the question of a step."""
        low, high = np.ascontiguousarray(step[2:]).view(np.float64).tolist()
        return cls(int(step[0]), int(step[1]), low, high)

    def in_range(self, value: float) -> float:
        """Return a number, cut to [0, 1], in the query's range; unchanged for a query without bounds."""
        return self.low + (self.high - self.low) * min(max(value, 0.0), 1.0) if math.isfinite(self.low) else value
