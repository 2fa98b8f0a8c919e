"""Private multiplicative weights: a public histogram learns from the data where it is wrong, and answers all other queries for nothing.

    w = uniform on the universe; for each query q:
        |q(D) - q(w)| + noise below 3 alpha / 4: answer q(w), which costs nothing
        else: answer y = q(D) + noise, and w_x <- w_x exp(s eta q(x)), normalized, s = sign(y - q(w)), eta = 2 alpha

Firings cost; c = ceil(2 ln N / alpha^2) of them are provided for, half of the budget for tests (`threshold_tests`), half for answers. Why
c suffice: KL(D || w) is at most ln N at first, and an update at a true gap g takes at least eta g - eta^2 / 8 from it (Hoeffding's lemma),
which is alpha^2 / 2 or more for g >= alpha / 2. Firings have such gaps as long as noise stays below alpha / 4. The sign is the noisy
answer's, never the data's.

Arithmetic. Values are rounded to multiples of 2^-20 and n q(D) to a whole number of records, halves upward, which keeps the sensitivity 1;
noise is exact and whole. Weights are kept as logarithms; they are a function of what was released, hence public.

Symbols: N cells, n records, D the data's histogram divided by n, w weights, alpha target error, c update limit. Cost: 0.1 ms + O(N) each.

References
----------
Hardt, Rothblum, A Multiplicative Weights Mechanism for Privacy-Preserving Data Analysis, FOCS 2010. Lyu, Su, Li, VLDB 2017.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import NoReturn, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.ledger import Ledger
from mechanisms.adaptive.finite_universe import FiniteUniverse, as_universe
from mechanisms.adaptive.query import StatisticalQuery, query_values
from mechanisms.adaptive.threshold_tests import ThresholdTests
from mechanisms.adaptive.whole_sums import UNITS, in_units, rounded_count
from mechanisms.continual.exact_budget import ExactBudget, exact_budget
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource, SecureNoise, noise_assumptions, noise_source
from mechanisms.validation import in_range, probability_level, whole_number

_TEST_SHARE = 0.5
_VALUE_ROUNDING = 0.5 / UNITS
UniverseQuery = StatisticalQuery | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class WeightsAnswer:
    """A query's answer in [0, 1]; `updated` says whether it was bought, by one update, or read off the weights for nothing."""

    value: float
    updated: bool


class PrivateMultiplicativeWeights:
    """Answer any number of queries within alpha of the sample's value, as long as updates are left.

    Parameters
    ----------
    records : (n,) or (n, k) cells of the universe.
    universe : a `FiniteUniverse`, an array of N cells, or a tuple of sizes: all rows of codes below them. Declared, not read off the data.
    alpha : target error in (0, 1).
    rho, epsilon, delta : the budget: rho, epsilon alone (pure, Laplace), or epsilon with delta (Gaussian answers).
    noise : where the noise comes from; None is the operating system.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range, or a record that is no cell of the universe; the latter depends on the data.

    Guarantee
    ---------
    The budget for all answers together, under REPLACE of one record (n is public), for queries chosen adaptively. Proof: a replaced record
    changes n q(D) and |n q(D) - n q(w)| by at most 1, w being public; tests and answers each spend half, composed (`threshold_tests`).

    Notes
    -----
    It can't be copied or pickled: two copies would spend one budget twice. After the last update every query is refused.

    Examples
    --------
    >>> answerer = PrivateMultiplicativeWeights.from_counts([900_000, 100_000], np.array([0, 1]), alpha=0.1, epsilon=1.0)
    >>> answer = answerer.answer(np.array([0.0, 1.0]))
    >>> answer.updated, round(answer.value, 2), answerer.remaining_ == answerer.update_limit - 1
    (True, 0.1, True)
    """

    def __init__(
        self,
        records: ArrayLike,
        universe: FiniteUniverse | ArrayLike | tuple[int, ...],
        *,
        alpha: float,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        noise: NoiseSource | None = None,
    ) -> None:
        declared = as_universe(universe)
        budget = exact_budget(rho=rho, epsilon=epsilon, delta=delta)
        self._start(declared.counts(records), declared, alpha, budget, noise_source(noise))

    @classmethod
    def from_counts(
        cls,
        counts: ArrayLike,
        universe: FiniteUniverse | ArrayLike | tuple[int, ...],
        *,
        alpha: float,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        noise: NoiseSource | None = None,
    ) -> Self:
        """Return an answerer of data that is given as the number of records in each cell, shape (N,)."""
        declared = as_universe(universe)
        answerer = cls.__new__(cls)
        budget = exact_budget(rho=rho, epsilon=epsilon, delta=delta)
        answerer._start(_valid_counts(counts, declared.size), declared, alpha, budget, noise_source(noise))
        return answerer

    def _start(self, counts: NDArray[np.int64], universe: FiniteUniverse, alpha: float, budget: ExactBudget, noise: NoiseSource) -> None:
        self.alpha = in_range(0, 1, alpha=alpha)
        self.universe, self.n_records = universe, int(counts.sum())
        self.update_limit = update_limit(universe.size, alpha)
        self.n_queries_ = 0
        self._counts, self._budget, self._noise = counts, budget, noise
        self._log_weight = np.full(universe.size, -math.log(universe.size))
        self._answers = budget.share(1 - _TEST_SHARE)
        threshold = math.ceil(0.75 * alpha * self.n_records)
        self._tests = ThresholdTests(threshold, budget.share(_TEST_SHARE), self.update_limit, noise.words)
        self.ledger: Ledger | EpsilonLedger = EpsilonLedger(budget.epsilon) if budget.rho is None else Ledger(budget.rho)
        self._lock = Lock()

    @property
    def remaining_(self) -> int:
        """Updates that are left."""
        return self._tests.remaining_

    @property
    def weights_(self) -> NDArray[np.float64]:
        """The public histogram, shape (N,): what unfired queries are answered from."""
        return np.asarray(np.exp(self._log_weight), dtype=np.float64)

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all answers together; for a rho the epsilon at delta = 1e-6."""
        stated = self._budget.guarantee(Neighboring.REPLACE, "private multiplicative weights", None)
        return replace(stated, privacy_unit="record", assumptions=noise_assumptions(self._noise))

    def answer(self, query: UniverseQuery) -> WeightsAnswer:
        """Answer one query.

        Parameters
        ----------
        query : its values on the cells, shape (N,), or a callable that takes the cells and returns them; in [0, 1].

        Raises
        ------
        BudgetExhaustedError : all updates are spent; nothing of the data is used.
        ValueError, TypeError : values outside [0, 1]; nothing is spent, and it doesn't depend on the data.
        """
        values = self._values(query)
        units = in_units(values)
        with self._lock:
            if self.remaining_ == 0:
                raise BudgetExhaustedError(f"all {self.update_limit:,} updates are spent; a new answerer needs a budget of its own")
            self._charge_start()
            learned = min(max(float(self.weights_ @ values), 0.0), 1.0)
            count, expected = rounded_count(int(self._counts @ units)), round(self.n_records * learned)
            if not self._tests.ask(abs(count - expected)):
                return WeightsAnswer(learned, False)
            noisy = count + self._answers.draw(self.update_limit, self._noise.words)
            self._charge_update()
            self._learn(values, 1 if noisy >= expected else -1)
            return WeightsAnswer(min(max(noisy / self.n_records, 0.0), 1.0), True)

    def error_bound(self, n_queries: int, beta: float = 0.05) -> float:
        """Return what the answers of the first n queries are within of q(D), all at once, with probability 1 - beta.

        It is at most alpha where the records suffice for alpha, and 1 where updates may run out: noise of tests above alpha / 4, or of
        answers so large that a sign may be wrong.
        """
        return weights_error_bound(self.n_records, self.universe.size, n_queries, alpha=self.alpha, budget=self._budget, beta=beta)

    def __repr__(self) -> str:
        return f"PrivateMultiplicativeWeights({self.universe.size:,} cells, alpha={self.alpha:g}, remaining_={self.remaining_:,})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("multiplicative weights can't be copied or pickled: two copies would spend one budget twice")

    def _values(self, query: UniverseQuery) -> NDArray[np.float64]:
        asked: Callable[..., NDArray[np.generic]] = (lambda _: query) if isinstance(query, np.ndarray) else query
        return query_values(asked, self.universe.records)

    def _learn(self, values: NDArray[np.float64], sign: int) -> None:
        log_weight = self._log_weight + sign * 2 * self.alpha * values
        self._log_weight = log_weight - logsumexp(log_weight)

    def _charge_start(self) -> None:
        self.n_queries_ += 1
        if self._tests.starts_anew:
            scale = float(self._tests.scales.threshold)
            self._spend(f"tests from query {self.n_queries_:,}", "above threshold", scale, self._tests.start_cost)

    def _charge_update(self) -> None:
        if self._tests.firing_cost:
            scale = float(self._tests.scales.query)
            self._spend(f"query {self.n_queries_:,} fired", "above threshold", scale, self._tests.firing_cost)
        c, budget = self.update_limit, self._answers
        law, scale, cost = (
            ("discrete laplace", c / budget.epsilon, budget.epsilon / c)
            if budget.rho is None
            else ("discrete gaussian", math.sqrt(c / (2 * budget.rho)), budget.rho / c)
        )
        self._spend(f"answer to query {self.n_queries_:,}", law, scale, cost)

    def _spend(self, step: str, mechanism: str, scale: float, cost: float) -> None:
        if isinstance(self.ledger, Ledger):
            self.ledger.spend_rho(step, mechanism, sensitivity=1.0, scale=scale, rho=cost)
        else:
            self.ledger.spend(step, mechanism, sensitivity=1.0, scale=scale, epsilon=cost)


def update_limit(n_cells: int, alpha: float) -> int:
    """Return c = ceil(2 ln N / alpha^2), the most updates that can be needed.

    Examples
    --------
    >>> update_limit(512, 0.1)
    1248
    """
    return math.ceil(2 * math.log(whole_number(2, n_cells=n_cells)) / in_range(0, 1, alpha=alpha) ** 2)


def weights_error_bound(n_records: int, n_cells: int, n_queries: int, *, alpha: float, budget: ExactBudget, beta: float) -> float:
    """Return `PrivateMultiplicativeWeights.error_bound` from public parameters, before there are any records.

    Examples
    --------
    >>> round(weights_error_bound(1_000_000, 512, 10_000, alpha=0.1, budget=exact_budget(rho=0.5, epsilon=None, delta=None), beta=0.05), 3)
    0.079
    """
    number, n, limit = whole_number(1, n_queries=n_queries), whole_number(1, n_records=n_records), update_limit(n_cells, alpha)
    probability_level(beta)
    share = ThresholdTests(0, budget.share(_TEST_SHARE), limit, SecureNoise().words)
    tests = (share.tail(number, 0.75 * beta) + 2) / n + _VALUE_ROUNDING  # both counts are rounded, and so is the threshold
    answers = (budget.share(1 - _TEST_SHARE).tail(limit, beta / 4) + 1) / n + _VALUE_ROUNDING
    if tests > alpha / 4 or answers > alpha / 2:
        return 1.0
    return max(0.75 * alpha + tests, answers)


def _valid_counts(counts: ArrayLike, size: int) -> NDArray[np.int64]:
    given = np.asarray(counts)
    if given.dtype.kind not in "iu" or given.shape != (size,):
        raise ValueError(f"counts must be whole numbers, one a cell, shape ({size},), got {given.dtype} of shape {given.shape}")
    whole = given.astype(np.int64)
    if (whole < 0).any() or not 0 < int(whole.sum()) < 2**42:
        raise ValueError("counts must not be negative, and their sum must be in 1 to 2^42")
    return whole
