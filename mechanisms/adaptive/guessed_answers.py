"""Answers by guess and check: one random half of the records guesses, the other half says whether the guess is right.

The width of an interval depends on how many guesses failed before it, and the least that can be promised in advance is for the worst case.
After at most k queries the checker may have answered in one of sum over f of C(k - 1, f) m^f = (1 + m)^(k - 1) ways, so that, with n / 2
check records, no interval of `GuessAndCheck` is wider than

    sqrt((ln(2 / beta) + (k - 1) ln(1 + m) + 3 ln k + ln(pi^2 / 6)) / n) + max(1 / (2 m), two standard deviations of both means).

That is about as wide as splitting's, and noise is narrower. But where an analyst seldom overfits, its intervals are by far the shortest of
all: they stay near sqrt(ln(k / beta) / n). No privacy is promised.

Symbols: k max_queries, m cells. Cost: two passes over half of the records a query.

References
----------
Rogers, Roth, Smith, Srebro, Thakkar, Woodworth, Guaranteed Validity for Empirical Approaches to Adaptive Data Analysis, AISTATS 2020.
"""

from __future__ import annotations

import math

import numpy as np

from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.answer_method import AnswerTask, MethodPlan, Unsuitable
from mechanisms.adaptive.guess_and_check import GuessAndCheck
from mechanisms.adaptive.query import Records, StatisticalQuery
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.source import NoiseSource

NAME = "guess_and_check"
_LEAST_RECORDS = 2
_ROUNDING = 2.0**-49  # of `mean_interval`
_ROUNDED_UP = 1 + 2.0**-40


def plan_guesses(task: AnswerTask) -> MethodPlan | Unsuitable:
    """Return the plan; unsuitable under a privacy budget and for a single record."""
    if task.budget is not None:
        return Unsuitable("releases rounded means, for which no privacy budget holds; leave rho, epsilon and delta out")
    if task.n < _LEAST_RECORDS:
        return Unsuitable("needs at least two records, one to guess and one to check")
    width = widest_guess(task.n, task.max_queries, task.beta)
    return MethodPlan(NAME, width, lambda records, source: GuessedAnswers(records, source, task))


def widest_guess(n: int, max_queries: int, beta: float) -> float:
    """Return what no interval's half-width exceeds, whatever fails.

    Examples
    --------
    >>> widest_guess(100_000, 100, 0.05) > math.sqrt(math.log(2 * 100 / 0.05) * 100 / 2e5)  # splitting
    True
    """
    n_guess = n // 2
    n_check = n - n_guess
    cells = math.isqrt(n_check)
    level = math.log(2 / beta) + (max_queries - 1) * math.log1p(cells) + 3 * math.log(max_queries) + math.log(math.pi**2 / 6)
    spread = 2 * math.sqrt((0.25 + 1 / n_guess) * (1 / n_check + 1 / n_guess))
    return min(1.0, (math.sqrt(level / (2 * n_check) + _ROUNDING) + max(0.5 / cells, spread)) * _ROUNDED_UP)


class GuessedAnswers:
    """A running method: `GuessAndCheck` on two random halves."""

    ledger = None

    def __init__(self, records: Records, source: NoiseSource, task: AnswerTask) -> None:
        halves = np.random.default_rng(source.words(4))
        self._checker = GuessAndCheck.split(records, beta=task.beta, max_queries=task.max_queries, rng=halves)
        self.guarantee = PrivacyGuarantee(math.inf, 0.0, Neighboring.REPLACE, task.privacy_unit, "guess and check")

    def answer(self, query: StatisticalQuery) -> Answer:
        """Return the checked guess, or the rounded mean of the check records."""
        return self._checker.answer(query)
