"""Which of d running counts is the largest, told after every step.

    recompute         exponential mechanism at every r-th step, error r - 1 + ln(d m / beta) / e (replace: twice the logarithm)
    per_coordinate    the first of the largest noisy counts, error twice a counter's
    trivial           always index 0, error at most T

e = sqrt(8 rho / m) or epsilon / m: the exponential mechanism has bounded range e, so it spends e^2 / 8 of a rho. Zeroing a step moves all
counts the same way (weights exp(e S_j)); replacing one can raise some and lower others (weights exp(e S_j / 2)).

Symbols: S_j(t) counts, r interval, m = floor(T / r). Cost: O(d) a step.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023. McSherry, Talwar,
FOCS 2007. Cesar, Rogers, Bounding, Concentrating, and Truncating, ALT 2021.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from mechanisms.continual.continual_release import Rows
from mechanisms.continual.counted_release import Choice, CountedRelease, Counts
from mechanisms.continual.counter_design import CounterDesign
from mechanisms.continual.exact_budget import ExactBudget
from mechanisms.continual.maximum_methods import CounterMethod, DataFree, largest_and_place
from mechanisms.continual.per_coordinate import CountQuestion
from mechanisms.continual.recompute import RecomputeSchedule, best_schedule
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource
from mechanisms.selection.exponential import draw_exponential
from mechanisms.selection.utilities import exponent_factor, exponents
from mechanisms.validation import whole_number


class SumSelect(CountedRelease[int]):
    """Releases the index of a count near the largest one.

    Parameters
    ----------
    horizon, dim, rho, epsilon, delta, beta, neighboring, one_hot, on_violation, noise : as for `MaxSum`.
    method : "auto" or one of "recompute", "per_coordinate", "trivial".

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    As `MaxSum`: recompute composes m exponential mechanisms adaptively, each e-DP and (e^2 / 8)-zCDP (Cesar, Rogers 2021), sampled exactly;
    per_coordinate is post-processing of a counter.

    Notes
    -----
    The error of index j at step t is max_i S_i(t) - S_j(t).

    Examples
    --------
    >>> release = SumSelect(1000, 50, rho=0.5)
    >>> 0 <= release.update([0] * 50) < 50
    True
    """

    kind = "index of the largest count"
    _n_counter_errors = 2  # the chosen one may be high, the best one low

    def shown(self, row: Rows) -> int:
        """Return the answer that a row of `advance` stands for."""
        return int(row[0])

    def _simple_choices(self, asked: CountQuestion) -> dict[str, Choice[int]]:
        budget, T, d, relation = asked.budget(), asked.horizon, asked.dim, asked.neighboring
        schedule = best_schedule(T, drift=lambda r: r - 1, noise=lambda m: selection_error(m, d, budget, relation, asked.beta))
        return {
            "recompute": Choice(schedule.bound, lambda source: RecomputedSelection(schedule, d, budget, relation, source)),
            "trivial": Choice(float(T), lambda _: FirstIndex(T, relation)),
        }

    def _per_coordinate(self, design: CounterDesign, source: NoiseSource) -> SelectionPerCoordinate:
        return SelectionPerCoordinate(design, source)


class RecomputedSelection:
    """The exponential mechanism at every r-th step, its choice repeated between."""

    name = "recompute"

    def __init__(self, schedule: RecomputeSchedule, dim: int, budget: ExactBudget, neighboring: Neighboring, source: NoiseSource) -> None:
        self.schedule, self._dim, self._budget, self._neighboring, self._source = schedule, dim, budget, neighboring, source
        self.epsilon = budget.selection_epsilon(schedule.n_recomputations)
        self._factor = exponent_factor(
            epsilon=self.epsilon, sensitivity=1.0, neighboring=neighboring, monotone=neighboring is Neighboring.ZERO_OUT
        )
        self._last = 0

    def release(self, sums: Counts, step: Counts, t: int) -> int:  # noqa: ARG002
        """Return the last choice."""
        if self.schedule.is_due(t):
            self._last = draw_exponential(exponents(sums.astype(float), self._factor), self._source.words)
        return self._last

    def bound(self, beta: float) -> float:
        """Drift and the mechanism's own error, all times at once."""
        return (
            self.schedule.interval - 1 + selection_error(self.schedule.n_recomputations, self._dim, self._budget, self._neighboring, beta)
        )

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:
        """Composition of m exponential mechanisms."""
        return self._budget.guarantee(self._neighboring, "index of the largest count, recomputed", delta)

    def state(self) -> dict[str, JsonValue]:
        """The last choice."""
        return {"last": self._last}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a state."""
        last = whole_number(0, last=state["last"])
        if last >= self._dim:
            raise ValueError("state is damaged: no such coordinate")
        self._last = last


class SelectionPerCoordinate(CounterMethod):
    """The first of the largest noisy counts."""

    def release(self, sums: Counts, step: Counts, t: int) -> int:  # noqa: ARG002
        """Return the place of the largest release of the counter."""
        return largest_and_place(self._counter, step)[1]

    def bound(self, beta: float) -> float:
        """Twice the counter's: the chosen one may be high, the best one low."""
        return 2 * self._counter.error_bound(beta)


class FirstIndex(DataFree):
    """Index 0 whatever the data."""

    mechanism = "a constant"

    def release(self, sums: Counts, step: Counts, t: int) -> int:  # noqa: ARG002
        """Return 0."""
        return 0

    def bound(self, beta: float) -> float:  # noqa: ARG002
        """T, always."""
        return float(self._horizon)


def selection_error(n_recomputations: int, dim: int, budget: ExactBudget, neighboring: Neighboring, beta: float) -> float:
    """Return what the errors of m exponential mechanisms over d counts stay below with probability 1 - beta.

    A count x below the best has a weight of at most exp(-e x) of the best one's; the others are d - 1.
    """
    if dim == 1:
        return 0.0
    rate = budget.selection_epsilon(n_recomputations) / (1 if neighboring is Neighboring.ZERO_OUT else 2)
    return max(0.0, math.log((dim - 1) * n_recomputations / beta) / rate)
