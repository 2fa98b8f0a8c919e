"""Multiplicative weights and guess and check behind the answerer: widths, coverage, uniform gaps, what is spent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.adaptive_analysts import ANALYSTS, CellSample, CoinSample
from mechanisms.adaptive.guessed_answers import widest_guess
from mechanisms.adaptive.multiplicative_weights import PrivateMultiplicativeWeights, weights_error_bound
from mechanisms.adaptive.query_answerer import StatisticalQueryAnswerer, answer_widths
from mechanisms.adaptive.uniform_gap import uniform_gap
from mechanisms.continual.exact_budget import exact_budget
from mechanisms.noise.source import SeededNoise

pytestmark = [
    pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning"),
    pytest.mark.filterwarnings("ignore::mechanisms.errors.WeakEvidenceWarning"),
]


@pytest.mark.parametrize("budget", [{"rho": 2.0}, {"epsilon": 3.0}, {"epsilon": 3.0, "delta": 1e-6}])
def test_error_is_known_before_there_are_records(budget: dict[str, float]):
    asked = {"rho": None, "epsilon": None, "delta": None} | budget
    started = PrivateMultiplicativeWeights.from_counts([50_000, 50_000, 0], np.arange(3), alpha=0.2, **asked)
    planned = weights_error_bound(100_000, 3, 500, alpha=0.2, budget=exact_budget(**asked), beta=0.01)
    assert started.error_bound(500, beta=0.01) == planned < 0.25


def test_uniform_gap_holds_for_the_query_that_fits_best(rng: np.random.Generator):
    """False alarm below 1e-8: 2,000 samples, more than 160 beyond a gap of failure probability 0.05. A third of the gap is caught."""
    n, n_cells = 400, 20
    counts = rng.multinomial(n, np.full(n_cells, 1 / n_cells), size=2_000)
    variation = np.abs(counts / n - 1 / n_cells).sum(axis=1) / 2
    assert (variation > uniform_gap(n, n_cells, 0.05)).sum() <= 160
    assert (variation > uniform_gap(n, n_cells, 0.05) / 3).sum() > 1_000


def test_weights_hold_against_analysts_on_their_universe(rng: np.random.Generator):
    """False alarm 2e-6: 5 or 6 of 6 runs miss with probability at most 0.05 each."""
    missed = 0
    for child in rng.spawn(3):
        for analyst in ANALYSTS.values():
            sample = CellSample(60_000, 4, rng=child)
            noise = SeededNoise(int(child.integers(2**31)))
            answerer = StatisticalQueryAnswerer(sample.records, max_queries=60, method="pmw", universe=sample.universe, noise=noise)
            assert answerer.width_ < 0.2
            missed += not analyst(sample, answerer.answer, 60).covered
    assert missed <= 4


def test_weights_spend_their_budget_only(rng: np.random.Generator):
    sample = CellSample(60_000, 4, rng=rng)
    answerer = StatisticalQueryAnswerer(sample.records, max_queries=200, method="pmw", universe=sample.universe, rho=0.5)
    spent = sum(answerer.answer(sample.agreement(sample.coin(number))).rho_spent for number in range(200))
    assert spent == pytest.approx(answerer.ledger.spent)
    assert spent <= 0.5
    assert answerer.guarantee.epsilon < math.inf
    assert answerer.remaining_ == 0


@pytest.mark.parametrize("budget", [{}, {"rho": 0.5}, {"epsilon": 1.0, "delta": 1e-6}])
def test_weights_are_for_very_many_queries(budget: dict[str, float]):
    few = answer_widths(1_000_000, max_queries=100, universe=(64,), **budget)
    many = answer_widths(1_000_000, max_queries=100_000_000, universe=(64,), **budget)
    assert next(iter(few)) != "pmw"
    assert next(iter(many)) == "pmw"
    assert many["pmw"] < 1.5 * few["pmw"]


def test_more_budget_is_never_wider():
    widths = [answer_widths(100_000, max_queries=10_000, universe=(64,), rho=rho)["pmw"] for rho in (0.01, 0.1, 1.0, 10.0)]
    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("analyst", ANALYSTS)
def test_no_checked_guess_is_wider_than_promised(analyst: str, rng: np.random.Generator):
    sample = CoinSample(300, rng=rng)
    answerer = StatisticalQueryAnswerer(sample.records, max_queries=5, method="guess_and_check", noise=SeededNoise(1))
    answers = []
    ANALYSTS[analyst](sample, lambda query: answers.append(answerer.answer(query)) or answers[-1], 5)
    assert max(answer.width for answer in answers) <= answerer.width_ == widest_guess(300, 5, 0.05) < 1
    assert answerer.guarantee.epsilon == math.inf


def test_failed_guesses_are_within_the_promise():
    """Records whose halves disagree by construction of the query: every guess fails."""
    records = np.arange(4_000)
    answerer = StatisticalQueryAnswerer(records, max_queries=20, method="guess_and_check")
    calls = []

    def changing(part: np.ndarray) -> np.ndarray:
        calls.append(len(part))
        return np.full(len(part), len(calls) % 2, dtype=np.float64)  # 1 when it guesses, 0 when it checks

    widths = [answerer.answer(changing).width for _ in range(20)]
    assert answerer._method._checker.n_failures_ == 20
    assert max(widths) <= answerer.width_
