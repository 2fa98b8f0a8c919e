"""Answers from private multiplicative weights: for more queries than noise on means can bear, on a finite universe.

The answers are within E of the sample's value, E from `PrivateMultiplicativeWeights.error_bound`, which grows with ln k only. From there to
the population there are three ways, and the narrowest is taken, p + b = beta being the failure probabilities:

    uniform      E_b + sqrt((N - 1) / (4 n)) + sqrt(ln(1 / p) / (2 n))         `mechanisms.adaptive.uniform_gap`
    pure         E_b + b / beta + tanh(epsilon / 4)                            theorem 2 of `posterior_gap`; b / beta is c of `transfer`
    zCDP         the transfer theorem at the best (epsilon, delta) of rho      `mechanisms.adaptive.transfer`

The target error alpha is the best of a grid. Without a budget, pure epsilon is the best up to 10: where the universe is small against n,
more budget would always be narrower, and nothing be protected.

Symbols: N cells, n records, E error on the sample. Cost: 0.1 to 1 s to plan.

References
----------
Hardt, Rothblum, A Multiplicative Weights Mechanism for Privacy-Preserving Data Analysis, FOCS 2010.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.ledger import Ledger
from mechanisms.accounting.zcdp import zcdp_delta
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan, Unsuitable
from mechanisms.adaptive.finite_universe import FiniteUniverse
from mechanisms.adaptive.multiplicative_weights import PrivateMultiplicativeWeights, weights_error_bound
from mechanisms.adaptive.posterior_gap import pure_posterior_gap
from mechanisms.adaptive.query import Records, StatisticalQuery
from mechanisms.adaptive.transfer import best_transfer
from mechanisms.adaptive.uniform_gap import uniform_gap
from mechanisms.continual.exact_budget import ExactBudget, exact_budget
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource

NAME = "pmw"
_ALPHAS = np.geomspace(0.002, 0.9, 60)
_EPSILONS = np.geomspace(0.1, 10, 12)
_ZCDP_EPSILONS = np.geomspace(1e-3, 3, 24)
_SHARES = (1e-4, 1e-2, 0.5)  # b / beta
_ROUNDED_UP = 1 + 2.0**-40


@dataclass(frozen=True, slots=True)
class WeightsBudget:
    """A budget as `PrivateMultiplicativeWeights` takes it."""

    rho: float | None = None
    epsilon: float | None = None
    delta: float | None = None

    def exact(self) -> ExactBudget:
        """Return what is spent."""
        return exact_budget(rho=self.rho, epsilon=self.epsilon, delta=self.delta)


@dataclass(frozen=True, slots=True)
class WeightsSetting:
    """Target error and budget, with the half-width of the intervals that they give."""

    width: float
    alpha: float
    budget: WeightsBudget


def plan_weights(task: AnswerTask) -> MethodPlan | Unsuitable:
    """Return the plan; unsuitable where no finite universe is declared."""
    universe = task.universe
    if universe is None:
        return Unsuitable("needs a finite universe: declare all values that a record may have by universe=")
    setting = min((weights_setting(task, universe.size, budget) for budget in _budgets(task)), key=lambda found: found.width)

    def start(records: Records, source: NoiseSource) -> WeightsAnswers:
        return WeightsAnswers(records, universe, setting, task.privacy_unit, source)

    return MethodPlan(NAME, min(1.0, setting.width), start)


def weights_setting(task: AnswerTask, n_cells: int, budget: WeightsBudget) -> WeightsSetting:
    """Return the target error with the narrowest intervals at a budget."""
    exact = budget.exact()
    curve = _privacy_curve(exact)
    best = WeightsSetting(math.inf, float(_ALPHAS[-1]), budget)
    for alpha in _ALPHAS.tolist():
        for share in _SHARES:
            failure = share * task.beta
            error = weights_error_bound(task.n, n_cells, task.max_queries, alpha=alpha, budget=exact, beta=failure)
            if error < 1:
                gap = min(uniform_gap(task.n, n_cells, task.beta - failure), _posterior_gap(failure, task.beta, exact, curve))
                best = min(best, WeightsSetting((error + gap) * _ROUNDED_UP, alpha, budget), key=lambda setting: setting.width)
    return best


class WeightsAnswers:
    """A running method: `PrivateMultiplicativeWeights` with intervals for the population."""

    def __init__(self, records: Records, universe: FiniteUniverse, setting: WeightsSetting, privacy_unit: str, source: NoiseSource) -> None:
        asked = setting.budget
        with warnings.catch_warnings():  # of the source: whoever made it was warned already
            warnings.simplefilter("ignore", InsecureNoiseWarning)
            self._weights = PrivateMultiplicativeWeights(
                records, universe, alpha=setting.alpha, rho=asked.rho, epsilon=asked.epsilon, delta=asked.delta, noise=source
            )
        self._width, self._n, self._privacy_unit = min(1.0, setting.width), len(records), privacy_unit

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What is promised to the records for all answers together."""
        return replace(self._weights.guarantee, privacy_unit=self._privacy_unit)

    @property
    def ledger(self) -> Ledger | EpsilonLedger:
        """What was spent."""
        return self._weights.ledger

    def answer(self, query: StatisticalQuery) -> Answer:
        """Return the weights' answer; the query is called with the universe's cells, never with records."""
        before = self.ledger.spent
        value = self._weights.answer(query).value
        spent = self.ledger.spent - before
        rho = spent if isinstance(self.ledger, Ledger) else spent * spent / 2
        return Answer(value, max(value - self._width, 0.0), min(value + self._width, 1.0), self._n, rho)


def _budgets(task: AnswerTask) -> Iterator[WeightsBudget]:
    asked = task.budget
    if asked is None:
        yield from (WeightsBudget(epsilon=epsilon) for epsilon in _EPSILONS.tolist())
    elif asked.epsilon is None:
        yield WeightsBudget(rho=asked.rho)
    else:
        yield WeightsBudget(epsilon=asked.epsilon, delta=asked.delta or None)


def _posterior_gap(failure: float, beta: float, budget: ExactBudget, curve: tuple[tuple[float, float], ...]) -> float:
    """Return what the posterior adds to an error on the sample that is exceeded with probability `failure`."""
    if budget.pure:
        return failure / beta + pure_posterior_gap(budget.epsilon)
    return min(best_transfer(0.0, failure, epsilon, delta, beta=beta).width for epsilon, delta in curve)


def _privacy_curve(budget: ExactBudget) -> tuple[tuple[float, float], ...]:
    """Return points (epsilon, delta) of a rho; none for pure privacy, which has a better theorem."""
    if budget.rho is None:
        return ()
    return tuple((epsilon, zcdp_delta(budget.rho, epsilon)) for epsilon in _ZCDP_EPSILONS.tolist())
