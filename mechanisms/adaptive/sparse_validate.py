"""SparseValidate: adaptively chosen yes/no tests of a holdout that stay valid because few of them may say yes.

A test takes the holdout and returns True or False, for example "is the model's accuracy here more than tau below that on the train set?".
All answers are exact. At most B may be True, then every test is refused. Before test i the analyst can have seen one of

    sum over j < B of C(i - 1, j)        transcripts, which fix the test

so, if each test, fixed in advance, says True by mistake with probability at most p, any of k adaptively chosen ones does with probability
at most p times the sum of these over i <= k, which is sum_{1 <= i <= B} C(k, i). For a total of beta each test may have

    p = beta / sum_{0 <= i <= B} C(k, i)        (the empty transcript is counted, too: looser by one part in the sum)

A test of a mean over n records against a bound tau away, by Hoeffding, has p = exp(-2 n tau^2): n grows with B ln k, not with k.

Symbols: k tests, B budget, beta failure probability. Cost: the test itself.

References
----------
Dwork, Feldman, Hardt, Pitassi, Reingold, Roth, Generalization in Adaptive Data Analysis and Holdout Reuse, NeurIPS 2015, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from threading import Lock
from typing import NoReturn, TypeAlias

import numpy as np

from mechanisms.adaptive.holdout_records import GivenRecords, HoldoutRecords, holdout_records
from mechanisms.errors import BudgetExhaustedError
from mechanisms.validation import probability_level, whole_number

HoldoutTest: TypeAlias = Callable[..., bool | np.bool_]


class SparseValidate:
    """Answer yes/no tests of a holdout exactly, until `budget` of them said yes.

    Parameters
    ----------
    holdout : an array of records, or a tuple such as (X, y); a test is called with the arrays. They are copied.
    budget : B >= 1, the most tests that may be True.

    Raises
    ------
    ValueError : a budget below 1, or no records.

    Guarantee
    ---------
    If every test, chosen without the holdout, is True by mistake with probability at most `p_value_bound(beta, k)`, then with probability
    1 - beta none of the first k adaptively chosen ones is. A union over transcripts; no privacy, answers are exact.

    Examples
    --------
    >>> holdout = np.random.default_rng(1).random(1000)
    >>> validator = SparseValidate(holdout, budget=1)
    >>> [validator.validate(lambda x, t=t: x.mean() > t) for t in (0.9, 0.4)], validator.remaining_
    ([False, True], 0)
    """

    def __init__(self, holdout: GivenRecords | HoldoutRecords, *, budget: int) -> None:
        self.holdout = holdout_records("holdout", holdout)
        self.budget = whole_number(1, budget=budget)
        self.n_asked_ = 0
        self.n_true_ = 0
        self._lock = Lock()

    @property
    def remaining_(self) -> int:
        """Tests that may still be True."""
        return self.budget - self.n_true_

    def validate(self, test: HoldoutTest) -> bool:
        """Return what the test says of the holdout.

        Raises
        ------
        BudgetExhaustedError : `budget` tests were True; the holdout is not looked at.
        TypeError : the test is not callable, or doesn't return a bool; its answer is not told and counts as none.
        """
        if not callable(test):
            raise TypeError(f"test must be callable with the holdout, got {type(test).__name__}")
        with self._lock:
            if self.remaining_ == 0:
                used = f"all {self.budget:,} tests that may be True were"
                raise BudgetExhaustedError(f"{used}; the holdout is not used any further: a new one must be drawn from the population")
            says = test(*self.holdout.arrays)
            if not isinstance(says, bool | np.bool_):
                raise TypeError(f"test must return a bool, got {type(says).__name__}; an array of values needs .all() or .any()")
            self.n_asked_ += 1
            self.n_true_ += bool(says)
            return bool(says)

    def p_value_bound(self, beta: float, k: int) -> float:
        """Return the p-value that a test may have so that all of k adaptively chosen ones hold with probability 1 - beta."""
        return p_value_bound(beta, k, self.budget)

    def __repr__(self) -> str:
        return f"SparseValidate({self.holdout.n:,} records, n_asked_={self.n_asked_:,}, remaining_={self.remaining_:,})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a validator can't be copied or pickled: its copy would not count the answers of this one")


def n_validations(k: int, budget: int) -> int:
    """Return sum_{i <= B} C(k, i), exactly: transcripts of k tests of which at most B are True.

    Examples
    --------
    >>> n_validations(10, 2)
    56
    """
    tests = whole_number(0, k=k)
    return sum(math.comb(tests, i) for i in range(min(whole_number(1, budget=budget), tests) + 1))


def p_value_bound(beta: float, k: int, budget: int) -> float:
    """Return beta / sum_{i <= B} C(k, i), 0 where that is below what floats hold.

    Examples
    --------
    >>> p_value_bound(0.056, 10, 2)
    0.001
    """
    return float(Fraction(probability_level(beta)) / n_validations(k, budget))
