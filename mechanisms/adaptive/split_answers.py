"""Sample splitting: every query gets records of its own, which no earlier answer has seen.

The k queries share the n records, m = floor(n / k) for each. A query is chosen before its records are looked at, so Hoeffding's inequality
holds for it, and with a union over the queries all answers are at once within

    sqrt(ln(2 k / beta) / (2 m))

of the population's value with probability 1 - beta. Nothing is added: answers are plain means, and the records have no privacy at all. For
a few queries nothing is narrower. Records are dealt out in random order, so that a sorted file does no harm.

Symbols: k max_queries, m records of a query. Cost: one pass over m records a query.

References
----------
Hoeffding, Probability Inequalities for Sums of Bounded Random Variables, JASA 1963.
"""

from __future__ import annotations

import math

import numpy as np

from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan, Unsuitable
from mechanisms.adaptive.query import Records, StatisticalQuery, query_values
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource

NAME = "split"
_ROUNDED_UP = 1 + 2.0**-40


def plan_split(task: AnswerTask) -> MethodPlan | Unsuitable:
    """Return the plan; unsuitable under a privacy budget and for more queries than records."""
    if task.budget is not None:
        return Unsuitable("releases plain means, for which no privacy budget holds; leave rho, epsilon and delta out")
    if task.max_queries > task.n:
        return Unsuitable(f"needs a record of its own for every query, got max_queries={task.max_queries} for {task.n} records")
    width = min(1.0, split_width(task.n, task.max_queries, task.beta))
    return MethodPlan(NAME, width, lambda records, source: SplitAnswers(records, source, task, width))


def split_width(n: int, max_queries: int, beta: float) -> float:
    """Return the half-width of the intervals.

    Examples
    --------
    >>> round(split_width(100_000, 1_000, 0.05), 4)
    0.2302
    """
    return math.sqrt(math.log(2 * max_queries / beta) / (2 * (n // max_queries))) * _ROUNDED_UP


class SplitAnswers:
    """A running method; see the head of this file."""

    ledger = None

    def __init__(self, records: Records, source: NoiseSource, task: AnswerTask, width: float) -> None:
        self._order = np.argsort(source.words(len(records)), kind="stable")
        self._records, self._width = records, width
        self._size, self._n_chunks, self._n_used = len(records) // task.max_queries, task.max_queries, 0
        self.guarantee = PrivacyGuarantee(math.inf, 0.0, Neighboring.REPLACE, task.privacy_unit, "plain means of separate records")

    def answer(self, query: StatisticalQuery) -> Answer:
        """Return the mean over records that were not used before; errors as `query_values`, which use no records up."""
        if self._n_used == self._n_chunks:
            raise BudgetExhaustedError(f"all {self._n_chunks} parts of the records are used; start anew with new records")
        start = self._n_used * self._size
        chunk = self._records[self._order[start : start + self._size]]
        chunk.flags.writeable = False
        value = float(query_values(query, chunk).mean())
        self._n_used += 1
        return Answer(value, max(value - self._width, 0.0), min(value + self._width, 1.0), self._size, 0.0)
