"""SparseValidate: transcripts against enumeration, the union bound against an analyst, a twin without a budget, refusals."""

from __future__ import annotations

import itertools
import math
import pickle
from threading import Thread

import numpy as np
import pytest

from mechanisms.adaptive.sparse_validate import SparseValidate, n_validations, p_value_bound
from mechanisms.errors import BudgetExhaustedError


@pytest.mark.parametrize(("k", "budget"), [(1, 1), (6, 2), (7, 9), (0, 3)])
def test_transcripts_are_counted_exactly(k: int, budget: int):
    assert n_validations(k, budget) == sum(sum(t) <= budget for t in itertools.product((0, 1), repeat=k))


@pytest.mark.parametrize(("k", "budget"), [(1, 1), (9, 2), (12, 12)])
def test_the_union_over_all_tests_is_within_the_count(k: int, budget: int):
    """Test i is fixed by the answers before it, of which fewer than B were True."""
    union = sum(math.comb(i - 1, j) for i in range(1, k + 1) for j in range(budget))
    assert union == n_validations(k, budget) - 1


def test_bound():
    assert p_value_bound(0.05, 10, 2) == 0.05 / 56  # 1 + 10 + 45
    assert SparseValidate(np.zeros(3), budget=2).p_value_bound(0.05, 10) == p_value_bound(0.05, 10, 2)
    assert not p_value_bound(0.05, 10**6, 1000)
    for beta in (0.0, 1.5):
        with pytest.raises(ValueError, match="level"):
            p_value_bound(beta, 10, 2)


def fooled(p: float, k: int, budget: int, rng: np.random.Generator, n_runs: int) -> int:
    """Runs in which some test said True by mistake; the analyst picks the next test by all former answers.

    The holdout is one uniform number and a test of p-value p is an interval of that length: intervals that were False are not tried
    again, so that the analyst searches for the number.
    """
    count = 0
    for number in rng.random(n_runs):
        validator = SparseValidate(np.array([number]), budget=budget)
        count += any(validator.validate(lambda x, i=i: bool(i * p <= x[0] < (i + 1) * p)) for i in range(k) if validator.remaining_)
    return count


def test_the_analyst_is_fooled_with_the_probability_that_the_bound_allows(rng: np.random.Generator):
    """Binomial(4000, <= 0.05 10/11): above 280 with probability below 1e-8, below 100 never. Uncorrected p-values fool in half the runs."""
    assert 100 < fooled(p_value_bound(0.05, 10, 1), 10, 1, rng, 4000) < 280
    assert fooled(0.05, 10, 1, rng, 400) > 130


def test_budget_ends_all_tests():
    seen: list[int] = []
    validator = SparseValidate((np.zeros(4), np.ones(4)), budget=2)
    assert not validator.validate(lambda X, y: bool((y == X).any()))
    assert validator.validate(lambda X, y: (y > X).all())
    assert validator.validate(lambda X, y: True)
    assert (validator.n_asked_, validator.n_true_, validator.remaining_) == (3, 2, 0)
    with pytest.raises(BudgetExhaustedError, match="all 2 tests"):
        validator.validate(lambda X, y: bool(seen.append(1)))
    assert not seen
    assert repr(validator) == "SparseValidate(4 records, n_asked_=3, remaining_=0)"


@pytest.mark.parametrize("test", [lambda x: x > 0, lambda x: 1, lambda x: None, 7])
def test_what_is_no_yes_or_no_is_refused(test: object):
    validator = SparseValidate(np.ones(4), budget=2)
    with pytest.raises(TypeError, match="test must"):
        validator.validate(test)
    assert (validator.n_asked_, validator.remaining_) == (0, 2)
    with pytest.raises(TypeError, match="copied"):
        pickle.dumps(validator)
    with pytest.raises(ValueError, match="budget"):
        SparseValidate(np.ones(4), budget=0)


def test_threads_share_the_budget():
    validator, said = SparseValidate(np.ones(4), budget=500), []

    def ask() -> None:
        try:
            while True:
                said.append(validator.validate(lambda x: True))
        except BudgetExhaustedError:
            return

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 500
