"""Answers with Laplace noise: the sample is protected by pure differential privacy.

Each of k answers gets discrete Laplace noise of scale b = 1 / (n epsilon_1), which costs epsilon_1, k epsilon_1 in all. By
`mechanisms.adaptive.posterior_gap` all answers are at once within

    width = b (ln(k / (beta - p)) + 1) + G + rounding      G = tanh(k epsilon_1 / 4) with p = 0, or theorem 3's with p > 0

of the population's value with probability 1 - beta. The first is the better one for a few queries, the second grows like sqrt(k) only.
Without a budget epsilon_1 is the one with the narrowest intervals; Gaussian noise has narrower ones from three queries on.

A budget of rho is turned into epsilon_1 = sqrt(2 rho / k), as an epsilon_1-DP step is (epsilon_1^2 / 2)-zCDP (Bun, Steinke 2016); one of
epsilon with delta into the larger of that and epsilon / k. The sampler is exact: no delta is added anywhere. Of a budget no more is spent
than makes the intervals narrowest. On a declared universe of few cells G may be the uniform gap of `mechanisms.adaptive.uniform_gap`
instead; then all of the budget is spent.

Symbols: k max_queries, epsilon_1 share of one answer, b scale, p share of beta for the gap. Cost: 10 to 50 ms to plan.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, Preserving Statistical Validity in Adaptive Data Analysis, STOC 2015. Bun, Steinke, TCC
2016.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from scipy.optimize import minimize_scalar

from mechanisms.accounting.zcdp import zcdp_epsilon, zcdp_rho
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan
from mechanisms.adaptive.noisy_means import MeanNoise, NoisyMeans, rounding_error
from mechanisms.adaptive.posterior_gap import composed_posterior_gap, pure_posterior_gap
from mechanisms.adaptive.query import Records
from mechanisms.adaptive.tail_mean import exponential_tail_mean
from mechanisms.adaptive.uniform_gap import uniform_gap
from mechanisms.adaptive.whole_sums import UNITS
from mechanisms.continual.counter_budget import REPORTED_DELTA
from mechanisms.continual.stream_budget import StreamBudget
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.noise.source import NoiseSource, noise_assumptions
from mechanisms.validation import positive

NAME = "laplace"
_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95)  # of beta for the gap; the width hardly depends on it
_ROUNDED_UP = 1 + 2.0**-40
_ROUNDED_DOWN = 1 - 2.0**-50
_LEAST_SCALE = 64.0  # in units of the sum
_LOG_RANGE = 6.0


def plan_laplace(task: AnswerTask) -> MethodPlan:
    """Return the plan; Laplace noise serves every task."""
    width, each = min(_settings(task))

    def start(records: Records, source: NoiseSource) -> NoisyMeans:
        return _started(task, each, min(width, 1.0), records, source)

    return MethodPlan(NAME, min(width, 1.0), start)


def laplace_width(n: int, max_queries: int, epsilon: float, beta: float) -> float:
    """Return the half-width of the intervals where each answer costs `epsilon`.

    Examples
    --------
    >>> round(laplace_width(100_000, 1_000, 0.003, 0.05), 4)
    0.1236
    """

    def composed(p: float) -> float:
        return _noise_bound(n, max_queries, epsilon, beta - p) + composed_posterior_gap(epsilon, max_queries, p)

    pure = _noise_bound(n, max_queries, epsilon, beta) + pure_posterior_gap(max_queries * epsilon)
    return min(pure, *(composed(share * beta) for share in _SHARES)) * _ROUNDED_UP + rounding_error(n)


def laplace_width_on_universe(n: int, max_queries: int, epsilon: float, beta: float, n_cells: int) -> float:
    """Return the half-width by the uniform gap of a universe of `n_cells` cells, for any epsilon of one answer.

    Examples
    --------
    >>> round(laplace_width_on_universe(100_000, 1_000, 0.003, 0.05, 64), 4)
    0.0544
    """
    widths = (_noise_bound(n, max_queries, epsilon, (1 - share) * beta) + uniform_gap(n, n_cells, share * beta) for share in _SHARES)
    return min(widths) * _ROUNDED_UP + rounding_error(n)


def best_laplace_epsilon(n: int, max_queries: int, beta: float) -> float:
    """Return the epsilon of one answer with the narrowest intervals.

    Examples
    --------
    >>> best = best_laplace_epsilon(100_000, 100, 0.05)
    >>> laplace_width(100_000, 100, best, 0.05) < laplace_width(100_000, 100, 1.1 * best, 0.05)
    True
    """
    rough = math.sqrt(exponential_tail_mean(beta, max_queries) / (n * math.sqrt(max_queries)))
    center = math.log(rough)
    bounds = (center - _LOG_RANGE, center + _LOG_RANGE)
    found = minimize_scalar(lambda x: laplace_width(n, max_queries, math.exp(x), beta), bounds=bounds, method="bounded")
    return math.exp(found.x)


def _settings(task: AnswerTask) -> Iterator[tuple[float, float]]:
    """Yield widths and the epsilon of one answer: no more of a budget than makes the intervals narrow."""
    n, k, beta = task.n, task.max_queries, task.beta
    limit = math.inf if task.budget is None else _budgeted(task.budget, k) * _ROUNDED_DOWN
    each = min(limit, best_laplace_epsilon(n, k, beta))
    yield laplace_width(n, k, each, beta), each
    if task.universe is not None and task.budget is not None:
        each = min(limit, UNITS / _LEAST_SCALE)
        yield laplace_width_on_universe(n, k, each, beta, task.universe.size), each


def _noise_bound(n: int, max_queries: int, epsilon: float, failure: float) -> float:
    return exponential_tail_mean(failure, max_queries) / (n * epsilon)


def _budgeted(budget: StreamBudget, max_queries: int) -> float:
    """Return the epsilon of one answer."""
    if budget.pure:
        return positive(epsilon=budget.epsilon) / max_queries
    if budget.epsilon is None or budget.delta is None:
        return math.sqrt(2 * positive(rho=budget.rho) / max_queries)
    return max(budget.epsilon / max_queries, math.sqrt(2 * zcdp_rho(budget.epsilon, budget.delta) / max_queries))


def _started(task: AnswerTask, each: float, width: float, records: Records, source: NoiseSource) -> NoisyMeans:
    scale = UNITS / Fraction(each)
    noise = MeanNoise(
        mechanism="discrete laplace",
        draw=lambda: exact_discrete_laplace(scale, source.words),
        scale=1 / (task.n * each),
        rho=each * each / 2,
        epsilon=each if task.budget is None or task.budget.pure else None,
    )
    return NoisyMeans(records, noise, max_queries=task.max_queries, width=width, guarantee=_guarantee(task, each, source))


def _guarantee(task: AnswerTask, each: float, source: NoiseSource) -> PrivacyGuarantee:
    pure = task.max_queries * each
    if task.budget is None or task.budget.pure:
        epsilon, delta = pure, 0.0
    else:
        delta = task.budget.delta or REPORTED_DELTA
        epsilon = min(pure, zcdp_epsilon(pure * each / 2, delta))
    mechanism = "discrete Laplace noise on means"
    return PrivacyGuarantee(epsilon, delta, Neighboring.REPLACE, task.privacy_unit, mechanism, noise_assumptions(source))
