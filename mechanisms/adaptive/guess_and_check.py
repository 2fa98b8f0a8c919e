"""Guess and check: a guess of a query's value becomes an interval with a proof, from records that say little more than "right" or "wrong".

The analyst guesses q(P) in guess -+ width, by whatever means, from other records. The check records confirm it if an interval around
q(check) lies within; then the guess is the answer, and nothing but "confirmed" was learned of them. Else q(check) is answered, rounded to
one of m cells. What the analyst may have seen before query i is one of

    C(i - 1, f) m^f        transcripts with f failures: which queries failed, and with which cells

so intervals at level beta c_i d_f / (C(i - 1, f) m^f) hold all at once with probability 1 - beta: a fixed transcript fixes query i, whose
interval misses with that probability; sum over the transcripts of each f, over f < i (d_f sums to 1) and over i (c_i sums to 1). A
confirmed guess costs next to nothing, a failure ln m + ln(i / f) nats of every later interval.

    c_i = 1 / k for k queries announced, else 6 / (pi i)^2;   d_f proportional to 1 / (f + 1)^2

The factor d_f is needed: with beta c_i / (C(i - 1, f) m^f) alone the sum over f is i times too large.

Symbols: i number of the query, f failures before it, m cells, beta failure probability. Cost: a pass over the records and 0.1 ms.

References
----------
Rogers, Roth, Smith, Srebro, Thakkar, Woodworth, Guaranteed Validity for Empirical Approaches to Adaptive Data Analysis, AISTATS 2020.
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, Generalization in Adaptive Data Analysis and Holdout Reuse, NeurIPS 2015 (transcripts).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from threading import Lock
from typing import NoReturn, Self

import numpy as np
from scipy.special import zeta

from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.mean_interval import half_width, mean_interval
from mechanisms.adaptive.query import Records, StatisticalQuery, query_values
from mechanisms.errors import BudgetExhaustedError
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, non_negative, probability_level, whole_number

_GUESS_SHARE = 0.5
_WIDTH_IN_DEVIATIONS = 2.0


class GuessAndCheck:
    """Turn guesses into intervals that hold for all queries at once, however the queries were chosen.

    Parameters
    ----------
    records : the check records, (n, ...), independent draws that nothing was learned from before.
    guess_records : other draws, from which `answer` guesses; None where guesses come from elsewhere, by `check`.
    beta : probability that any interval is wrong.
    max_queries : k, if known: intervals are shorter, and query k + 1 is refused. None is any number.
    n_cells : m >= 1, what an answer is rounded to after a failure; None takes sqrt(n), a rounding of about a standard deviation.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range, or no records.

    Guarantee
    ---------
    With probability 1 - beta all intervals contain their q(P). No privacy: answers after a failure are exact up to rounding. The proof is
    at the head of the file; it needs that the check records are independent draws from P and are used here only.

    Examples
    --------
    >>> ages = np.random.default_rng(1).integers(18, 98, 20_000)
    >>> checker = GuessAndCheck(ages, beta=0.05)
    >>> answer = checker.check(lambda age: age < 58, 0.5, 0.03)
    >>> answer.value, round(answer.low, 2), round(answer.high, 2), checker.n_failures_
    (0.5, 0.47, 0.53, 0)
    """

    def __init__(
        self,
        records: Records,
        *,
        guess_records: Records | None = None,
        beta: float = 0.05,
        max_queries: int | None = None,
        n_cells: int | None = None,
    ) -> None:
        self._records, self._guesses = _kept(records), None if guess_records is None else _kept(guess_records)
        self.beta = probability_level(beta)
        self.max_queries = None if max_queries is None else whole_number(1, max_queries=max_queries)
        self.n_cells = math.isqrt(len(self._records)) if n_cells is None else whole_number(1, n_cells=n_cells)
        self.n_queries_ = 0
        self.n_failures_ = 0
        self._lock = Lock()

    @classmethod
    def split(
        cls,
        records: Records,
        *,
        beta: float = 0.05,
        max_queries: int | None = None,
        n_cells: int | None = None,
        rng: RngLike = None,
    ) -> Self:
        """Return a checker of one random half of the records, which guesses from the other half."""
        given = _kept(records)
        order = as_generator(rng).permutation(len(given))
        n_guess = whole_number(1, n_guess_records=int(_GUESS_SHARE * len(given)))
        guesses, checks = given[order[:n_guess]], given[order[n_guess:]]
        return cls(checks, guess_records=guesses, beta=beta, max_queries=max_queries, n_cells=n_cells)

    @property
    def n_records(self) -> int:
        """Check records."""
        return len(self._records)

    @property
    def remaining_(self) -> int | None:
        """Queries that are left; None where their number isn't limited."""
        return None if self.max_queries is None else self.max_queries - self.n_queries_

    @property
    def log_inverse_level(self) -> float:
        """ln(1 / level) of the next query's interval; public."""
        return log_inverse_level(self.n_queries_ + 1, self.n_failures_, self.n_cells, beta=self.beta, max_queries=self.max_queries)

    @property
    def half_width(self) -> float:
        """The least width that the next guess can be confirmed with, if it is right in the middle and not near 0 or 1; public."""
        return half_width(self.n_records, self.log_inverse_level)

    def check(self, query: StatisticalQuery, guess: float, width: float) -> Answer:
        """Confirm that q(P) is in guess -+ width, or answer from the check records.

        Parameters
        ----------
        query : takes the records and returns a value in [0, 1] for each.
        guess, width : in [0, 1] and >= 0; from anything but the check records, former answers included.

        Returns
        -------
        The guess with its interval; after a failure the middle of q(check)'s cell and an interval around the cell.

        Raises
        ------
        BudgetExhaustedError : all of `max_queries` were asked.
        ValueError, TypeError : a bad guess, or a value outside [0, 1]; nothing was learned from the check records but that.
        """
        guess, width = in_range(0, 1, closed="both", guess=guess), non_negative(width=width)
        self._require_left()
        mean = float(query_values(query, self._records).mean())
        with self._lock:
            return self._checked(min(mean, 1.0), lambda: (guess, width))

    def answer(self, query: StatisticalQuery) -> Answer:
        """Check the guess q(guess records), with two standard deviations of both means on top of the least width that can be confirmed.

        Raises
        ------
        ValueError : there are no guess records.
        BudgetExhaustedError, TypeError : as `check`.
        """
        if self._guesses is None:
            raise ValueError(
                "guess_records must be given for answers without a guess; use check(query, guess, width), or GuessAndCheck.split"
            )
        self._require_left()
        guess = min(float(query_values(query, self._guesses).mean()), 1.0)
        mean = float(query_values(query, self._records).mean())
        n, m = self.n_records, len(self._guesses)
        spread = _WIDTH_IN_DEVIATIONS * math.sqrt((guess * (1 - guess) + 1 / m) * (1 / n + 1 / m))
        with self._lock:
            return self._checked(min(mean, 1.0), lambda: (guess, self._least_width(guess) + spread))

    def __repr__(self) -> str:
        return f"GuessAndCheck({self.n_records:,} records, n_queries_={self.n_queries_:,}, n_failures_={self.n_failures_:,})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a checker can't be copied or pickled: its copy would not count the transcripts of this one")

    def _checked(self, mean: float, guessed: Callable[[], tuple[float, float]]) -> Answer:
        self._require_left()
        level, (guess, width) = self.log_inverse_level, guessed()
        low, high = mean_interval(mean, self.n_records, level)
        self.n_queries_ += 1
        if guess - width <= low and high <= guess + width:
            return Answer(guess, max(guess - width, 0.0), min(guess + width, 1.0), self.n_records, 0.0)
        self.n_failures_ += 1
        cell = min(int(mean * self.n_cells), self.n_cells - 1)
        low, _ = mean_interval(cell / self.n_cells, self.n_records, level)
        _, high = mean_interval((cell + 1) / self.n_cells, self.n_records, level)
        return Answer((cell + 0.5) / self.n_cells, low, high, self.n_records, 0.0)

    def _least_width(self, guess: float) -> float:
        low, high = mean_interval(guess, self.n_records, self.log_inverse_level)
        return max(guess - low, high - guess)

    def _require_left(self) -> None:
        if self.max_queries is not None and self.n_queries_ >= self.max_queries:
            raise BudgetExhaustedError(f"all {self.max_queries:,} queries were asked; announce more, or use new records")


def n_transcripts(query: int, failures: int, n_cells: int) -> int:
    """Return C(i - 1, f) m^f, exactly: what may have been answered before query i with f failures.

    Examples
    --------
    >>> n_transcripts(5, 2, 10)
    600
    """
    f = whole_number(0, failures=failures)
    which: int = math.comb(whole_number(1, query=query) - 1, f)
    cells: int = whole_number(1, n_cells=n_cells) ** f
    return which * cells


def log_inverse_level(query: int, failures: int, n_cells: int, *, beta: float, max_queries: int | None = None) -> float:
    """Return ln(1 / level) of query i after f failures: ln(n_transcripts / (beta c_i d_f)).

    Examples
    --------
    >>> round(math.exp(-log_inverse_level(1, 0, 10, beta=0.05, max_queries=1)), 12)  # one query, nothing seen before
    0.05
    """
    by_query = math.log(max_queries) if max_queries is not None else _log_inverse_share(query, None)
    by_failures = _log_inverse_share(failures + 1, query)
    return math.log(n_transcripts(query, failures, n_cells)) + by_query + by_failures - math.log(beta)


def _log_inverse_share(i: int, n: int | None) -> float:
    """Return -ln of share i, proportional to 1 / i^2; the shares of 1, ..., n sum to 1, of all whole numbers for None."""
    rest = 0.0 if n is None else float(zeta(2.0, n + 1.0))
    return 2 * math.log(i) + math.log(math.pi**2 / 6 - rest)


def _kept(records: Records) -> Records:
    kept = np.array(records)
    if not kept.ndim or not len(kept):
        raise ValueError("records must have at least one row")
    kept.flags.writeable = False
    return kept
