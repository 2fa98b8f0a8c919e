"""Answers with Gaussian noise: the noise hides what the sample has of its own, and the intervals hold for the population.

Each of k answers gets discrete Gaussian noise of standard deviation sigma = sqrt(k / (2 rho)) / n. By `mechanisms.adaptive.posterior_gap`,
theorem 1, all of them are at once within

    width(p) = sigma T_{(beta - p) / (2 k)}(N) + sqrt(rho T_p(N^2) / 8) + rounding

of the population's value with probability 1 - beta, for every p in (0, beta). With A = sqrt(k T_p(N^2)) / (4 n) and B the first tail mean
this is sigma B + A / sigma, least at sigma = sqrt(A / B): where no budget is asked for, that one is taken, and the width is 2 sqrt(A B),
about k^(1/4) (ln(k / beta))^(1/4) / sqrt(n). At n = 1e5, beta = 0.05: 0.032, 0.060, 0.111 for k = 100, 1,000, 10,000; splitting has 0.064,
0.230, 0.803, and the transfer theorem of Jung et al. (2020) 0.073, 0.135, 0.248. A larger budget is not spent: it would widen the second
term.

On a declared universe of few cells the second term may be the uniform gap of `mechanisms.adaptive.uniform_gap` instead, which hardly
depends on p and not on rho; then all of the budget is spent.

Whole-number noise. A discrete Gaussian of scale s units is, within a factor exp(-+ kappa) of every probability, a random rounding of a
Gaussian of variance s^2 - 16 (`mechanisms.accounting.discrete_curve` with r = 4, where kappa < 1e-136). Rounding is post-processing, which
only averages the posterior: theorem 1 holds with rho s^2 / (s^2 - 16) and a failure probability exp(2 k kappa) times as large.

Symbols: k max_queries, p share of beta for the gap, sigma noise, T tail mean. Cost: 1 ms to plan.

References
----------
Bassily, Nissim, Smith, Steinke, Stemmer, Ullman, Algorithmic Stability for Adaptive Data Analysis, STOC 2016. Jung et al., ITCS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction

from scipy.optimize import minimize_scalar
from scipy.special import expit

from mechanisms.accounting.discrete_curve import discrete_gaussian_epsilon, discrete_gaussian_rho
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan, Unsuitable
from mechanisms.adaptive.noisy_means import MeanNoise, NoisyMeans, rounding_error
from mechanisms.adaptive.posterior_gap import gaussian_posterior_gap
from mechanisms.adaptive.query import Records
from mechanisms.adaptive.tail_mean import chi_square_tail_mean, normal_tail_mean
from mechanisms.adaptive.uniform_gap import uniform_gap
from mechanisms.adaptive.whole_sums import UNITS
from mechanisms.continual.counter_budget import REPORTED_DELTA
from mechanisms.continual.stream_budget import StreamBudget
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.discrete_gaussian import exact_discrete_gaussian
from mechanisms.noise.source import NoiseSource, noise_assumptions
from mechanisms.validation import positive

NAME = "gaussian"
_ROUNDING_VARIANCE = 16  # r^2, in units of the sum
_LEAST_SCALE = 64.0  # in units of the sum; less would be finer than values are measured
_ROUNDED_UP = 1 + 2.0**-40  # floats, and exp(2 k kappa)
_LOG_ODDS = 20.0


def plan_gaussian(task: AnswerTask) -> MethodPlan | Unsuitable:
    """Return the plan; unsuitable where pure privacy is asked for."""
    if task.budget is not None and task.budget.pure:
        return Unsuitable("adds Gaussian noise, which is never pure; give a delta with epsilon, or rho")
    width, rho = min(_settings(task))

    def start(records: Records, source: NoiseSource) -> NoisyMeans:
        return _started(task, rho, min(width, 1.0), records, source)

    return MethodPlan(NAME, min(width, 1.0), start)


def gaussian_width(n: int, max_queries: int, rho: float, beta: float) -> float:
    """Return the half-width of the intervals where rho is spent; what is not known of p costs width, never validity.

    Examples
    --------
    >>> round(gaussian_width(100_000, 1_000, 0.001, 0.05), 4)
    0.0599
    """
    effective = rho / (1 - _ROUNDING_VARIANCE / _scale(max_queries, rho) ** 2)
    return _width(n, max_queries, rho, beta, lambda p: gaussian_posterior_gap(effective, p))


def gaussian_width_on_universe(n: int, max_queries: int, rho: float, beta: float, n_cells: int) -> float:
    """Return the half-width by the uniform gap of a universe of `n_cells` cells, for any rho.

    Examples
    --------
    >>> round(gaussian_width_on_universe(100_000, 1_000, 0.5, 0.05, 64), 4)
    0.018
    """
    return _width(n, max_queries, rho, beta, lambda p: uniform_gap(n, n_cells, p))


def best_gaussian_rho(n: int, max_queries: int, beta: float) -> float:
    """Return the budget with the narrowest intervals.

    Examples
    --------
    >>> best = best_gaussian_rho(100_000, 1_000, 0.05)
    >>> round(best, 5), round(gaussian_width(100_000, 1_000, best, 0.05), 4)
    (0.00118, 0.0598)
    """

    def product(p: float) -> float:
        return normal_tail_mean((beta - p) / (2 * max_queries)) * math.sqrt(chi_square_tail_mean(p))

    p = _best_share(product, beta)
    ratio = normal_tail_mean((beta - p) / (2 * max_queries)) / math.sqrt(chi_square_tail_mean(p))
    return 2 * math.sqrt(max_queries) / n * ratio


def _settings(task: AnswerTask) -> Iterator[tuple[float, float]]:
    """Yield widths and what they spend: no more of a budget than makes the intervals narrow."""
    n, k, beta = task.n, task.max_queries, task.beta
    limit = math.inf if task.budget is None else _budgeted_rho(task.budget, k)
    rho = min(limit, best_gaussian_rho(n, k, beta))
    yield gaussian_width(n, k, rho, beta), rho
    if task.universe is not None and task.budget is not None:
        rho = min(limit, k * (UNITS / _LEAST_SCALE) ** 2 / 2)
        yield gaussian_width_on_universe(n, k, rho, beta, task.universe.size), rho


def _width(n: int, max_queries: int, rho: float, beta: float, gap: Callable[[float], float]) -> float:
    sigma = _scale(max_queries, rho) / UNITS / n

    def width(p: float) -> float:
        return sigma * normal_tail_mean((beta - p) / (2 * max_queries)) + gap(p)

    return width(_best_share(width, beta)) * _ROUNDED_UP + rounding_error(n)


def _best_share(width: Callable[[float], float], beta: float) -> float:
    """Return the p in (0, beta) that makes a function of it small."""
    found = minimize_scalar(lambda odds: width(beta * float(expit(odds))), bounds=(-_LOG_ODDS, _LOG_ODDS), method="bounded")
    return beta * float(expit(found.x))


def _scale(max_queries: int, rho: float) -> float:
    """Return the noise's scale in units of the sum."""
    return UNITS * math.sqrt(max_queries / (2 * rho))


def _budgeted_rho(budget: StreamBudget, max_queries: int) -> float:
    if budget.epsilon is None or budget.delta is None:
        return positive(rho=budget.rho)
    return discrete_gaussian_rho(budget.epsilon, budget.delta, sensitivities=[UNITS * math.sqrt(max_queries)], shares=[1.0])


def _started(task: AnswerTask, rho: float, width: float, records: Records, source: NoiseSource) -> NoisyMeans:
    k = task.max_queries
    variance = Fraction(k * UNITS**2) / (2 * Fraction(rho))
    noise = MeanNoise(
        mechanism="discrete gaussian",
        draw=lambda: exact_discrete_gaussian(variance, source.words),
        scale=_scale(k, rho) / UNITS / task.n,
        rho=rho / k,
    )
    return NoisyMeans(records, noise, max_queries=k, width=width, guarantee=_guarantee(task, rho, source))


def _guarantee(task: AnswerTask, rho: float, source: NoiseSource) -> PrivacyGuarantee:
    asked = None if task.budget is None else task.budget.epsilon
    delta = (task.budget and task.budget.delta) or REPORTED_DELTA
    spent = discrete_gaussian_epsilon([UNITS * math.sqrt(task.max_queries)], [_scale(task.max_queries, rho)], delta)
    epsilon = spent if asked is None else min(asked, spent)
    mechanism = "discrete Gaussian noise on means"
    return PrivacyGuarantee(epsilon, delta, Neighboring.REPLACE, task.privacy_unit, mechanism, noise_assumptions(source))
