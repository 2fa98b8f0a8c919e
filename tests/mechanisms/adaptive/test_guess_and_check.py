"""Guess and check: transcripts counted against enumeration, coverage under an analyst who overfits, twins that must be caught."""

from __future__ import annotations

import copy
import itertools
import math

import numpy as np
import pytest

from mechanisms.adaptive import guess_and_check
from mechanisms.adaptive.answer import Answer
from mechanisms.adaptive.guess_and_check import GuessAndCheck, log_inverse_level, n_transcripts
from mechanisms.errors import BudgetExhaustedError


def match(j: int):
    """Whether attribute j agrees with the label; the label is the last column."""
    return lambda rows: rows[:, j] == rows[:, -1]


def coins(rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    return rng.choice([-1, 1], (n, d + 1))


# --- counting ---


@pytest.mark.parametrize(("i", "m"), [(1, 3), (4, 2), (5, 3)])
def test_transcripts_are_counted_exactly(i: int, m: int):
    """Outcomes of a query: confirmed (-1) or one of m cells."""
    seen = [sum(outcome >= 0 for outcome in path) for path in itertools.product(range(-1, m), repeat=i - 1)]
    for f in range(i + 1):
        assert n_transcripts(i, f, m) == seen.count(f)


@pytest.mark.parametrize("max_queries", [None, 200])
def test_levels_of_all_transcripts_sum_to_beta(max_queries: int | None):
    total = sum(
        n_transcripts(i, f, 3) * math.exp(-log_inverse_level(i, f, 3, beta=0.05, max_queries=max_queries))
        for i in range(1, 201)
        for f in range(i)
    )
    assert 0.0497 < total <= 0.05 * (1 + 1e-9)


def test_without_the_share_of_failures_the_sum_is_far_above_beta():
    """The formula with beta c_i / (C(i - 1, f) m^f) only: each of the i numbers of failures takes the whole of beta c_i."""
    total = sum(0.05 * 6 / (math.pi * i) ** 2 for i in range(1, 201) for _ in range(i))
    assert total > 3 * 0.05


# --- coverage ---


def overfit(checker: GuessAndCheck, d: int) -> tuple[list[Answer], Answer]:
    """Ask for every attribute, with guesses that can't be confirmed, then for the majority vote of what was answered."""
    answers = [checker.check(match(j), 0.5, 0.0) for j in range(d)]
    signs = np.sign([answer.value - 0.5 for answer in answers])
    return answers, checker.check(lambda rows: np.sign(rows[:, :-1] @ signs) == rows[:, -1], 0.5, 0.0)


def test_intervals_hold_against_an_analyst_who_overfits(rng: np.random.Generator):
    """No run of 10 misses; each may with probability 0.05, in fact far less: false alarm below 1e-6 by the slack of transcripts."""
    for child in rng.spawn(10):
        answers, last = overfit(GuessAndCheck(coins(child, 201, 201)), 201)
        assert all(answer.low <= 0.5 <= answer.high for answer in (*answers, last))
        assert last.value > 0.6


def test_negative_control_uncounted_transcripts_are_caught(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    """The same intervals at level beta / k, as if the queries had been fixed in advance."""
    monkeypatch.setattr(guess_and_check, "log_inverse_level", lambda *_, **__: math.log(202 / 0.05))
    missed = 0
    for child in rng.spawn(10):
        _, last = overfit(GuessAndCheck(coins(child, 201, 201), max_queries=202), 201)
        missed += not last.low <= 0.5 <= last.high
    assert missed >= 9


def test_guesses_of_an_overfitted_half_fail_and_honest_ones_pass(rng: np.random.Generator):
    rows = coins(rng, 4000, 400)
    checker = GuessAndCheck.split(rows, max_queries=1000, rng=rng)
    honest = [checker.answer(match(j)) for j in range(100)]
    assert checker.n_failures_ <= 5
    assert all(answer.low <= 0.5 <= answer.high for answer in honest)
    train = checker._guesses
    signs = np.sign(train[:, :-1].T @ train[:, -1])
    before = checker.n_failures_
    answer = checker.answer(lambda records: np.sign(records[:, :-1] @ signs + 0.5) == records[:, -1])
    assert checker.n_failures_ == before + 1
    assert answer.low <= 0.5 <= answer.high
    assert answer.value < 0.6 < float((np.sign(train[:, :-1] @ signs + 0.5) == train[:, -1]).mean())


def test_confirmed_guesses_stay_narrow_where_splitting_is_useless(rng: np.random.Generator):
    """1,000 queries of 100,000 records: the spec's figure for splitting is a half width of 0.23."""
    records = rng.random(100_000)
    checker = GuessAndCheck(records, max_queries=1000)
    for t in rng.random(1000):
        answer = checker.check(lambda x, t=t: x < t, float(t), 0.02)
        assert (answer.value, answer.width) == (pytest.approx(t), pytest.approx(min(0.02, max(t, 1 - t))))
    assert checker.n_failures_ == 0
    assert checker.remaining_ == 0
    assert 0.0 < answer.n_used == 100_000


# --- failures ---


def test_a_failure_costs_its_bits_and_a_confirmation_next_to_nothing():
    start = log_inverse_level(1, 0, 100, beta=0.05)
    assert log_inverse_level(1001, 1, 100, beta=0.05) - log_inverse_level(1001, 0, 100, beta=0.05) == pytest.approx(
        math.log(100) + math.log(1000) + 2 * math.log(2)
    )
    assert log_inverse_level(1001, 0, 100, beta=0.05, max_queries=2000) - start < 8


def test_answers_after_failures_are_cells_and_hold_the_mean(rng: np.random.Generator):
    records = rng.random(1000)
    checker = GuessAndCheck(records, n_cells=10)
    for t in (0.0, 0.33, 1.0):
        answer = checker.check(lambda x, t=t: x < t, 1 - t, 0.0)
        mean = float((records < t).mean())
        assert answer.value * 10 - 0.5 == pytest.approx(min(int(mean * 10), 9))
        assert answer.low <= mean <= answer.high
        assert answer.rho_spent == 0.0
    assert checker.n_failures_ == 3


# --- inputs ---


def test_refusals_change_nothing(rng: np.random.Generator):
    checker = GuessAndCheck(rng.random(100), max_queries=1)
    for query, guess, width in (
        (lambda x: x, 1.5, 0.1),
        (lambda x: x, 0.5, -0.1),
        (lambda x: 2 * x, 0.5, 0.1),
        (lambda x: x[:3], 0.5, 0.1),
    ):
        with pytest.raises(ValueError, match=r"guess|width|query"):
            checker.check(query, guess, width)
    with pytest.raises(ValueError, match="guess_records"):
        checker.answer(lambda x: x)
    assert checker.n_queries_ == 0
    checker.check(lambda x: x, 0.5, 0.3)
    with pytest.raises(BudgetExhaustedError, match="all 1 queries"):
        checker.check(lambda x: x, 0.5, 0.3)
    with pytest.raises(TypeError, match="copied"):
        copy.deepcopy(checker)
    assert repr(checker) == "GuessAndCheck(100 records, n_queries_=1, n_failures_=0)"
    for options in ({"beta": 0.0}, {"max_queries": 0}, {"n_cells": 0}):
        with pytest.raises(ValueError, match=next(iter(options)) if "beta" not in options else "level"):
            GuessAndCheck(rng.random(10), **options)
    with pytest.raises(ValueError, match="at least one row"):
        GuessAndCheck(np.empty(0))
