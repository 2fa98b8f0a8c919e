"""Recompute every r steps: how often it is worth to look at the stream again.

A statistic that changes by at most 1 a step is computed afresh at steps r, 2 r, ..., m r, m = floor(T / r), each time with the m-th part of
the budget (a record takes part in every later recomputation, so all m compose), and repeated between.

    error(r) = drift(r) + noise(m)        drift r - 1, or (r - 1)/2 where the release is moved to the middle of what can happen meanwhile

With Gaussian noise, noise(m) = sqrt(m / (2 rho)) Phi^-1(1 - beta / (2 m)): the best r is about (T L / rho)^(1/3), L = ln(2 m / beta). The
search is exhaustive: for each m the smallest r with floor(T / r) = m is the best one, and m takes at most 2 sqrt(T) values.

Symbols: T horizon, r interval, m recomputations, beta failure probability. Cost: 2 sqrt(T) evaluations.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023 (section 3). Canonne,
Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020 (proposition 25: its tail).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scipy.special import ndtri

from mechanisms.validation import in_range, positive, whole_number


@dataclass(frozen=True, slots=True)
class RecomputeSchedule:
    """When to recompute.

    Parameters
    ----------
    horizon : T.
    interval : r in 1 to T.
    bound : predicted error, drift and noise together.
    """

    horizon: int
    interval: int
    bound: float

    @property
    def n_recomputations(self) -> int:
        """m."""
        return self.horizon // self.interval

    def is_due(self, step: int) -> bool:
        """Whether step `step` (from 1) is a recomputation."""
        return step % self.interval == 0


def best_schedule(horizon: int, *, drift: Callable[[int], float], noise: Callable[[int], float]) -> RecomputeSchedule:
    """Return the schedule with the least drift(r) + noise(m).

    Parameters
    ----------
    horizon : T >= 1.
    drift : non-decreasing error of repeating for r steps.
    noise : error of the noise of m recomputations.

    Examples
    --------
    >>> best_schedule(100, drift=lambda r: r, noise=lambda m: 2 * m).bound
    27
    """
    T = whole_number(1, horizon=horizon)
    return min((RecomputeSchedule(T, r, drift(r) + noise(T // r)) for r in shortest_intervals(T)), key=lambda schedule: schedule.bound)


def shortest_intervals(horizon: int) -> Iterator[int]:
    """Yield, for each value of floor(T / r), the smallest r that has it."""
    r = 1
    while r <= horizon:
        yield r
        r = horizon // (horizon // r) + 1


def gaussian_tail(sigma: float, tail: float) -> float:
    """Return a whole number that |X| exceeds with probability at most `tail`, X a discrete Gaussian.

    P(|X| > n) = 2 P(X >= n + 1) <= 2 P(N(0, sigma^2) >= n) (Canonne, Kamath, Steinke 2020, proposition 25).

    Examples
    --------
    >>> gaussian_tail(10.0, 0.05)
    20
    """
    return math.ceil(positive(sigma=sigma) * -float(ndtri(in_range(0, 1, tail=tail) / 2)))


def laplace_tail(scale: float, tail: float) -> float:
    """Return the smallest whole number that |X| exceeds with probability at most `tail`, X a discrete Laplace of this scale.

    P(|X| > n) = 2 a^(n+1) / (1 + a), a = exp(-1 / scale).

    Examples
    --------
    >>> laplace_tail(10.0, 0.05)
    30
    """
    b, decay = positive(scale=scale), math.exp(-1 / scale)
    return max(0, math.ceil(b * math.log(2 / ((1 + decay) * in_range(0, 1, tail=tail)))) - 1)
