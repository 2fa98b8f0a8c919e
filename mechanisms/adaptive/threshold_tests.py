"""Threshold tests of counts until c of them fired, at the least noise that a budget allows: which composition to use depends on the budget.

Pure epsilon: one sparse vector for all c firings; its threshold noise is paid for once.
zCDP: c sparse vectors of one firing each, one after the other. Each is epsilon_0-DP, hence (epsilon_0^2 / 2)-zCDP, and c of them compose to
rho with epsilon_0 = sqrt(2 rho / c). Their query noise is 2 sqrt(c / (2 rho)) up to the split, where a single sparse vector of epsilon
sqrt(2 rho) has 2 c / sqrt(2 rho): sqrt(c) times more.

Counts are whole numbers of sensitivity 1. Symbols: c max_firings. Cost: 0.1 ms a test.

References
----------
Lyu, Su, Li, Understanding the Sparse Vector Technique for Differential Privacy, VLDB 2017. Bun, Steinke, Concentrated DP, TCC 2016.
"""

from __future__ import annotations

import math

from mechanisms.continual.exact_budget import ExactBudget
from mechanisms.continual.recompute import laplace_tail
from mechanisms.errors import BudgetExhaustedError
from mechanisms.noise.bits import Words
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.selection.sparse_vector import sparse_vector_scales

_ROUNDED_DOWN = 1 - 2.0**-50


class ThresholdTests:
    """Say of each count whether it is at least the threshold, until `max_firings` were.

    Parameters
    ----------
    threshold : a whole number, public.
    budget : for all tests together.
    max_firings : c.
    words : the source of randomness.

    Guarantee
    ---------
    `budget`, for any number of adaptively chosen tests, under any relation that changes every count by at most 1; see the head of the file.
    """

    def __init__(self, threshold: int, budget: ExactBudget, max_firings: int, words: Words) -> None:
        self.threshold, self.max_firings, self.n_fired_ = threshold, max_firings, 0
        self._kept = budget.rho is None
        self._epsilon = budget.epsilon if budget.rho is None else math.sqrt(2 * budget.rho / max_firings) * _ROUNDED_DOWN
        self.scales = sparse_vector_scales(epsilon=self._epsilon, max_firings=max_firings if self._kept else 1)
        self._words = words
        self._level: int | None = None

    @property
    def remaining_(self) -> int:
        """Firings that are left."""
        return self.max_firings - self.n_fired_

    @property
    def starts_anew(self) -> bool:
        """Whether the next test draws a new threshold, which costs `start_cost` at once."""
        return self._level is None

    @property
    def start_cost(self) -> float:
        """Nats of the threshold (pure), or the rho of a whole run up to its firing."""
        return float(1 / self.scales.threshold) if self._kept else self._epsilon**2 / 2

    @property
    def firing_cost(self) -> float:
        """Nats of one firing; 0 where the run was paid for at its start."""
        return float(2 / self.scales.query) if self._kept else 0.0

    def ask(self, count: int) -> bool:
        """Test one count.

        Raises
        ------
        BudgetExhaustedError : all firings are spent.
        """
        if self.remaining_ == 0:
            raise BudgetExhaustedError(f"all {self.max_firings:,} firings are spent; start anew with a budget of its own")
        if self._level is None:
            self._level = self.threshold + exact_discrete_laplace(self.scales.threshold, self._words)
        fired = count + exact_discrete_laplace(self.scales.query, self._words) >= self._level
        self.n_fired_ += fired
        if fired and not self._kept:
            self._level = None
        return fired

    def tail(self, n_tests: int, beta: float) -> float:
        """Return what threshold and test noise together stay below in absolute value, in all of n tests, with probability 1 - beta."""
        n_thresholds = 1 if self._kept else min(n_tests, self.max_firings)
        threshold = laplace_tail(float(self.scales.threshold), beta / 3 / n_thresholds)
        return threshold + laplace_tail(float(self.scales.query), 2 * beta / 3 / n_tests)
