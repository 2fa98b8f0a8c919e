"""Answers to statistical queries that are chosen after looking at former answers, with intervals that hold for the population.

To ask the sample itself again and again is to overfit: after k adaptive queries the sample's answer can be off by about sqrt(k / n), and an
interval for one query says nothing. Here all of at most k intervals, of one half-width known in advance, hold together with probability 1 -
beta:

    gaussian   noise on means, rho-zCDP               about k^(1/4) (ln(k / beta))^(1/4) / sqrt(n)
    laplace    noise on means, pure epsilon-DP        wider but for a few queries
    split      records of its own for every query     sqrt(k ln(2 k / beta) / (2 n)), no privacy; the narrowest up to about nine queries
    pmw        a histogram that learns                hardly grows with k, needs a finite universe; for very many queries
    guess_and_check   one half guesses, one checks    mostly far below what is promised, no privacy

"auto" takes the narrowest, from public parameters alone. The records must be independent draws from the population, and whoever asks must
know nothing of them but the answers; queries may be chosen in any way from these.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, Preserving Statistical Validity in Adaptive Data Analysis, STOC 2015. Bassily, Nissim,
Smith, Steinke, Stemmer, Ullman, STOC 2016. Jung, Ligett, Neel, Roth, Sharifi-Malvajerdi, Shenfeld, ITCS 2020.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from threading import Lock
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.ledger import Ledger
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.answer_method import AnswerTask
from mechanisms.adaptive.answer_methods import METHODS, answer_plan, answer_plans
from mechanisms.adaptive.finite_universe import FiniteUniverse, as_universe
from mechanisms.adaptive.noisy_means import MAX_RECORDS
from mechanisms.adaptive.query import Records, StatisticalQuery
from mechanisms.continual.stream_budget import stream_budget
from mechanisms.errors import BudgetExhaustedError, WeakEvidenceWarning
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource, noise_source
from mechanisms.validation import in_range, one_of, whole_number


class StatisticalQueryAnswerer:
    """Answers up to `max_queries` adaptively chosen statistical queries on a sample.

    Parameters
    ----------
    records : (n, ...) array, one record a row; independent draws from the population.
    max_queries : k >= 1.
    rho : zCDP budget of all answers together, under replacement of one record.
    epsilon, delta : budget instead of rho; epsilon alone is pure. A budget is a limit: no more of it is spent than makes the intervals
        narrowest. Without any budget just that is spent.
    method : "auto" or one of "gaussian", "laplace", "split", "pmw", "guess_and_check".
    beta : probability that some interval may miss.
    universe : all values that a record may have: a `FiniteUniverse`, an array of cells, or a tuple of sizes. Declared, not read off the
        data. "pmw" needs it, and calls queries with cells in the place of records; noise on means has narrower intervals if it is small.
    privacy_unit : what one record stands for.
    noise : where the noise comes from; None is the operating system.

    Raises
    ------
    ValueError, TypeError : no records, a parameter out of its range, a method that can't serve, or a record outside the universe.

    Warns
    -----
    WeakEvidenceWarning : the intervals say nothing: too many queries, too few records or too small a budget.

    Guarantee
    ---------
    With probability at least 1 - beta over records and noise, q(P) is in the interval of every answer, whatever the analyst does with the
    answers. Replacement of one record, sensitivity 1 / n: `guarantee` for all answers together, adaptively chosen. Proofs: the heads of
    `mechanisms.adaptive.posterior_gap` and of the methods' files. A query must be a pure function of each
    record: one that keeps or sends records away undoes everything.
    That a call raises for values outside [0, 1] depends on the data: clip first.

    Attributes
    ----------
    method_ : the method that answers.
    width_ : half-width of every interval, before it is cut to [0, 1]; for guess_and_check the largest one that there can be.
    widths_ : predicted half-width of every method that was compared, narrowest first.
    remaining_ : queries that are left.

    Notes
    -----
    The object can't be copied or pickled: two copies would answer twice as many queries as were paid for.

    Examples
    --------
    >>> ages = np.random.default_rng(0).integers(18, 90, size=100_000)
    >>> answerer = StatisticalQueryAnswerer(ages, max_queries=1_000)
    >>> answer = answerer.answer(lambda age: age > 40)
    >>> answerer.method_, round(answerer.width_, 3), answer.low < 49 / 72 < answer.high
    ('gaussian', 0.06, True)
    """

    def __init__(
        self,
        records: ArrayLike,
        *,
        max_queries: int,
        rho: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        method: str = "auto",
        beta: float = 0.05,
        universe: FiniteUniverse | ArrayLike | tuple[int, ...] | None = None,
        privacy_unit: str = "record",
        noise: NoiseSource | None = None,
    ) -> None:
        kept = _kept(records)
        task = replace(
            _task(len(kept), max_queries, rho=rho, epsilon=epsilon, delta=delta, beta=beta, universe=universe), privacy_unit=privacy_unit
        )
        if task.universe is not None:
            task.universe.counts(kept)  # raises for records that are in no cell
        named = one_of(METHODS, method=method)
        plans = answer_plans(task) if named == "auto" else {named: answer_plan(task, named)}
        self.method_ = next(iter(plans))
        self.width_ = plans[self.method_].width
        if self.width_ >= 1:
            warnings.warn(f"intervals for {task.max_queries} queries on {task.n} records say nothing", WeakEvidenceWarning, stacklevel=2)
        self.widths_ = {name: plan.width for name, plan in plans.items()}
        self.max_queries = task.max_queries
        self.n_answered_ = 0
        self._lock = Lock()
        self._method = plans[self.method_].start(kept, noise_source(noise))

    @property
    def remaining_(self) -> int:
        """Queries that are left."""
        return self.max_queries - self.n_answered_

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What is promised to the records for all answers together; epsilon is infinite where answers are plain means."""
        return self._method.guarantee

    @property
    def ledger(self) -> Ledger | EpsilonLedger | None:
        """What was spent, answer by answer; None where nothing private is promised."""
        return self._method.ledger

    def answer(self, query: StatisticalQuery) -> Answer:
        """Answer one query.

        Parameters
        ----------
        query : vectorized callable: records -> one value in [0, 1], or a bool, for each.

        Raises
        ------
        BudgetExhaustedError : `max_queries` were answered; the query is not even called.
        ValueError, TypeError : the query's values are not of that kind; nothing is spent.
        """
        with self._lock:
            if self.remaining_ == 0:
                raise BudgetExhaustedError(f"all {self.max_queries} queries are answered; more would need new records or a wider promise")
            answer = self._method.answer(query)
            self.n_answered_ += 1
            return answer

    def __repr__(self) -> str:
        return f"StatisticalQueryAnswerer(method_={self.method_!r}, width_={self.width_:.4g}, remaining_={self.remaining_})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a StatisticalQueryAnswerer can't be copied or pickled: two copies would spend its budget twice")


def answer_widths(
    n: int,
    *,
    max_queries: int,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    beta: float = 0.05,
    universe: FiniteUniverse | ArrayLike | tuple[int, ...] | None = None,
) -> dict[str, float]:
    """Return the half-width that each method would promise, narrowest first, before any record is seen; parameters as the answerer's.

    Examples
    --------
    >>> list(answer_widths(100_000, max_queries=5)), list(answer_widths(100_000, max_queries=100))
    (['split', 'gaussian', 'laplace', 'guess_and_check'], ['gaussian', 'laplace', 'split', 'guess_and_check'])
    """
    task = _task(n, max_queries, rho=rho, epsilon=epsilon, delta=delta, beta=beta, universe=universe)
    return {name: plan.width for name, plan in answer_plans(task).items()}


def _kept(records: ArrayLike) -> Records:
    kept = np.array(records)
    if kept.ndim == 0 or not 1 <= len(kept) <= MAX_RECORDS:
        raise ValueError(f"records must be an array of 1 to 2^32 records, got shape {kept.shape}")
    kept.flags.writeable = False
    return kept


def _task(
    n: int,
    max_queries: int,
    *,
    rho: float | None,
    epsilon: float | None,
    delta: float | None,
    beta: float,
    universe: FiniteUniverse | ArrayLike | tuple[int, ...] | None,
) -> AnswerTask:
    unlimited = rho is None and epsilon is None and delta is None
    return AnswerTask(
        n=whole_number(1, n=n),
        max_queries=whole_number(1, max_queries=max_queries),
        beta=in_range(0, 1, beta=beta),
        budget=None if unlimited else stream_budget(rho=rho, epsilon=epsilon, delta=delta),
        universe=None if universe is None else as_universe(universe),
    )
