"""What final weights alone say of noise and sampling rate (membership_inference.md 4.7, view V0).

F_j = sum_t O_tj is all that plain SGD with a constant learning rate leaves of canary j. OUT: N(0, T sigma^2). IN: the number k of steps
that the canary entered is Binomial(T, q), and F is N(k, T sigma^2). The clipped length is not identified and stays 1.

symbols: T = steps, theta = (log sigma, logit q, log c) as in `canary_mixture`, the last one ignored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]

BINS = 240  # about 0.03 standard deviations wide: the variance grows by 1e-4, far below what totals can tell
_REACH = 7.0  # standard deviations of k that are summed over


@dataclass(frozen=True, slots=True, eq=False)
class FinalWeights:
    """Sufficient statistics of OUT totals and (binned, if many) IN totals.

    Parameters
    ----------
    n_out, square_out : number of OUT totals and the sum of their squares.
    center, count : IN totals and how often each occurs.
    steps : number of steps.
    sampled : False where every record enters every step.
    """

    n_out: int
    square_out: float
    center: Floats
    count: Floats
    steps: int
    sampled: bool

    @classmethod
    def from_totals(cls, out: Floats, inside: Floats, *, steps: int, sampled: bool) -> FinalWeights:
        """Take totals over steps, one per canary; more than BINS IN totals are counted in BINS equal bins."""
        center, count = inside, np.ones(inside.size)
        if inside.size > BINS:
            filled, edges = np.histogram(inside, bins=BINS)
            center, count = ((edges[:-1] + edges[1:]) / 2)[filled > 0], filled[filled > 0].astype(np.float64)
        return cls(out.size, float(np.sum(out**2)), center, count, steps, sampled)

    def start(self) -> Floats:
        """Return theta by moments: sigma from OUT, q from the mean of IN."""
        rate = float(self.count @ self.center) / float(self.count.sum()) / self.steps
        return np.array([math.log(self.square_out / self.n_out / self.steps) / 2, special.logit(min(max(rate, 1e-4), 1 - 1e-4)), 0.0])

    def negative_log_likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Return -log L and its gradient in theta; the gradient in log c is 0."""
        variance = self.steps * math.exp(2 * theta[0])
        entered, log_weight = self._entries(float(theta[1]))
        log_part = log_weight - (self.center[:, None] - entered) ** 2 / (2 * variance)
        top = log_part.max(axis=1)
        part = np.exp(log_part - top[:, None])
        total, first, second = (part @ np.column_stack([np.ones_like(entered), entered, entered**2])).T
        n, share = self.n_out + float(self.count.sum()), self.count / total
        value = n * theta[0] + self.square_out / (2 * variance) - float(self.count @ (top + np.log(total)))
        squares = self.square_out + float(share @ (self.center**2 * total - 2 * self.center * first + second))
        d_sigma = n - squares / variance
        d_rate = float(self.count.sum()) * self.steps * float(special.expit(theta[1])) - float(share @ first) if self.sampled else 0.0
        return value, np.array([d_sigma, d_rate, 0.0])

    def _entries(self, logit: float) -> tuple[Floats, Floats]:
        """Return the numbers of steps entered that matter, and their log probabilities."""
        steps = self.steps
        if not self.sampled:
            return np.array([float(steps)]), np.zeros(1)
        q = float(special.expit(logit))
        reach = _REACH * math.sqrt(steps * q * (1 - q)) + _REACH
        k = np.arange(max(0, math.floor(steps * q - reach)), min(steps, math.ceil(steps * q + reach)) + 1, dtype=np.float64)
        ways = special.gammaln(steps + 1) - special.gammaln(k + 1) - special.gammaln(steps - k + 1)
        return k, ways + k * special.log_expit(logit) + (steps - k) * special.log_expit(-logit)
