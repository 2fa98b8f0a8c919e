"""Means of a query over the sample, released with exact whole-number noise.

Each record's value is rounded to a multiple of 2^-20 by itself (`mechanisms.adaptive.whole_sums`), which makes another query with values in
[0, 1]; the sum S of the rounded values is a whole number of units 2^-20, and one replaced record changes it by at most 2^20 units. Released
is

    (S + Z) 2^-20 / n, cut to [0, 1],      Z whole-number noise from an exact sampler, drawn for each query afresh.

No float decides what is released: the sensitivity is that of the whole numbers. A planner adds `rounding_error(n)` to its widths: half a
unit for the rounded values, and one unit of the sum, because |Z| is below the absolute value of its continuous namesake plus 1 in the
stochastic order (for the Gaussian by Canonne, Kamath, Steinke 2020, proposition 25; for the Laplace 2 a^m / (1 + a) <= a^(m-1)).

Symbols: S sum, Z noise, n records. Cost: 0.2 ms for a query on 1e5 records, 0.05 ms for its noise.

References
----------
Mironov, On Significance of the Least Significant Bits for Differential Privacy, CCS 2012. Canonne, Kamath, Steinke, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.ledger import Ledger
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.query import Records, StatisticalQuery, query_values
from mechanisms.adaptive.whole_sums import UNITS, in_units
from mechanisms.guarantee import PrivacyGuarantee

MAX_RECORDS = 2**32
_BLOCK = 2**13


def grid_sum(values: NDArray[np.float64]) -> int:
    """Return the sum of values in [0, 1], each rounded to a multiple of 2^-20, in these units, exactly."""
    blocks = (values[start : start + _BLOCK] for start in range(0, values.size, _BLOCK))  # they stay in the cache: ten times as fast
    return sum(int(in_units(block).sum()) for block in blocks)


def rounding_error(n: int) -> float:
    """Return how much wider whole-number noise and rounded values make an interval."""
    return (0.5 + 1 / n) / UNITS


@dataclass(frozen=True, slots=True)
class MeanNoise:
    """The noise of one answer.

    Parameters
    ----------
    mechanism : its name in the ledger.
    draw : returns one whole number, in units of the sum.
    scale : its public scale, in units of the answer.
    rho : what one answer costs.
    epsilon : what it costs in pure privacy, where the budget is one of pure privacy.
    """

    mechanism: str
    draw: Callable[[], int]
    scale: float
    rho: float
    epsilon: float | None = None


class NoisyMeans:
    """A running method: every answer is the noisy mean over all records, with an interval of one half-width.

    Parameters
    ----------
    records : shape (n, ...).
    noise : of each answer.
    max_queries : how many answers the ledger has room for.
    width : half-width of the intervals.
    guarantee : for all answers together.
    """

    def __init__(self, records: Records, noise: MeanNoise, *, max_queries: int, width: float, guarantee: PrivacyGuarantee) -> None:
        self._records, self._noise, self._width = records, noise, width
        self.guarantee = guarantee
        self.ledger: Ledger | EpsilonLedger = (
            Ledger(noise.rho * max_queries) if noise.epsilon is None else EpsilonLedger(noise.epsilon * max_queries)
        )

    def answer(self, query: StatisticalQuery) -> Answer:
        """Return the noisy mean; errors as `query_values`, and BudgetExhaustedError, before anything is drawn."""
        n = len(self._records)
        total = grid_sum(query_values(query, self._records))
        self._spend(1 / n)
        noisy = float(Fraction(total + self._noise.draw(), UNITS * n))
        value = min(max(noisy, 0.0), 1.0)
        return Answer(value, max(value - self._width, 0.0), min(value + self._width, 1.0), n, self._noise.rho)

    def _spend(self, sensitivity: float) -> None:
        noise = self._noise
        if isinstance(self.ledger, Ledger):
            self.ledger.spend_rho("query", noise.mechanism, sensitivity=sensitivity, scale=noise.scale, rho=noise.rho)
        else:
            self.ledger.spend("query", noise.mechanism, sensitivity=sensitivity, scale=noise.scale, epsilon=noise.epsilon or 0.0)
