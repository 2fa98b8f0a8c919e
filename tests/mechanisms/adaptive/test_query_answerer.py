"""Adaptive answers: noise scales, exact sums, coverage against analysts that overfit, the choice of a method, budgets and refusals."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import kstest, laplace, norm

from experiments.adaptive_analysts import ANALYSTS, CellSample
from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.accounting.zcdp import zcdp_rho
from mechanisms.adaptive.gaussian_answers import gaussian_width
from mechanisms.adaptive.laplace_answers import laplace_width
from mechanisms.adaptive.query import Records, StatisticalQuery
from mechanisms.adaptive.query_answerer import StatisticalQueryAnswerer, answer_widths
from mechanisms.adaptive.transfer import gaussian_transfer
from mechanisms.adaptive.uniform_gap import uniform_gap
from mechanisms.adaptive.whole_sums import UNITS
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, WeakEvidenceWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise

FALSE_ALARM = 1e-6
N, K = 1_000, 400
MANY = 20_000

pytestmark = [
    pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning"),
    pytest.mark.filterwarnings("ignore::mechanisms.errors.WeakEvidenceWarning"),
]


def half(records: Records) -> NDArray[np.generic]:
    """A query of mean 1/2 on `even`."""
    return np.asarray(records == 1)


def even(n: int = N) -> NDArray[np.int64]:
    return np.arange(n) % 2


def noise_of(method: str, scale: float, rng: np.random.Generator, **budget: float) -> NDArray[np.float64]:
    """Standardized noise of many answers; budgets are large enough for values not to be cut, and small enough to be spent."""
    answerer = StatisticalQueryAnswerer(even(MANY), max_queries=K, method=method, noise=SeededNoise(int(rng.integers(2**31))), **budget)
    return np.array([(answerer.answer(half).value - 0.5) / scale for _ in range(K)])


def test_gaussian_noise_has_the_scale_of_its_budget(rng: np.random.Generator):  # false alarm 1e-6
    rho = 0.002
    z = noise_of("gaussian", math.sqrt(K / (2 * rho)) / MANY, rng, rho=rho)
    assert kstest(z, norm.cdf).pvalue > FALSE_ALARM
    assert kstest(z / 2, norm.cdf).pvalue < FALSE_ALARM  # a twin with half of the noise


def test_laplace_noise_has_the_scale_of_its_budget(rng: np.random.Generator):  # false alarm 1e-6
    epsilon = 1.6
    z = noise_of("laplace", K / (MANY * epsilon), rng, epsilon=epsilon)
    assert kstest(z, laplace.cdf).pvalue > FALSE_ALARM
    assert kstest(z / 2, laplace.cdf).pvalue < FALSE_ALARM


def test_split_answers_are_means_of_all_records_once():
    seen = []

    def watched(records: Records) -> NDArray[np.generic]:
        seen.append(records.copy())
        return records / N

    answerer = StatisticalQueryAnswerer(np.arange(N), max_queries=3, method="split")
    answers = [answerer.answer(watched) for _ in range(3)]
    assert [answer.value for answer in answers] == [float((chunk / N).mean()) for chunk in seen]
    together = np.concatenate(seen)
    assert np.unique(together).size == together.size == 3 * (N // 3)
    assert (np.diff(seen[0]) < 0).any()  # dealt out in random order
    assert {answer.n_used for answer in answers} == {N // 3}
    assert answerer.ledger is None
    assert answerer.guarantee.epsilon == math.inf


@settings(max_examples=25)
@given(st.integers(1, 10**6), st.integers(1, 20_000), st.floats(1e-4, 0.5), st.none() | st.floats(1e-4, 10.0))
def test_auto_is_never_wider_than_any_method(n: int, k: int, beta: float, rho: float | None):
    widths = answer_widths(n, max_queries=k, beta=beta, rho=rho)
    assert next(iter(widths.values())) == min(widths.values())
    plain = {"split"} if k <= n else set()
    assert set(widths) == {"gaussian", "laplace"} | (plain | ({"guess_and_check"} if n > 1 else set()) if rho is None else set())
    assert max(widths.values()) <= 1


@pytest.mark.parametrize(("n", "k"), [(200, 3), (200, 10), (5_000, 9), (5_000, 200), (100_000, 50)])
def test_auto_takes_what_is_predicted(n: int, k: int):
    auto = StatisticalQueryAnswerer(even(n), max_queries=k)
    names = ("gaussian", "laplace", "split", "guess_and_check")
    alone = {name: StatisticalQueryAnswerer(even(n), max_queries=k, method=name).width_ for name in names}
    assert auto.widths_ == pytest.approx(alone)
    assert auto.width_ == min(alone.values())


@settings(max_examples=25)
@given(st.integers(10, 10**6), st.integers(1, 10**4), st.floats(1e-3, 0.5), st.floats(-2, 2))
def test_no_budget_is_narrower_than_the_chosen_one(n: int, k: int, beta: float, step: float):
    chosen = answer_widths(n, max_queries=k, beta=beta)["gaussian"]
    rho = 2 * math.sqrt(k) / n * math.exp(step)
    assert chosen <= min(1.0, gaussian_width(n, k, rho, beta)) * (1 + 1e-6)


@pytest.mark.parametrize(("k", "width"), [(100, 0.0317), (1_000, 0.0598), (10_000, 0.1114)])
def test_known_widths(k: int, width: float):
    """2 sqrt(A B) of the head of `gaussian_answers`, and less than half of what the transfer theorem gives."""
    found = answer_widths(100_000, max_queries=k)["gaussian"]
    assert found == pytest.approx(width, abs=1e-4)
    assert found < gaussian_transfer(100_000, k, beta=0.05).width / 2


@given(st.integers(1, 10**4), st.floats(1e-3, 0.5), st.floats(1e-3, 1.0))
def test_closed_form_of_the_pure_width(k: int, beta: float, epsilon: float):
    n = 10_000
    pure = k * (math.log(k / beta) + 1) / (n * epsilon) + math.tanh(epsilon / 4)
    assert laplace_width(n, k, epsilon / k, beta) <= pure * (1 + 1e-9) + 1 / UNITS
    if k == 1:
        assert laplace_width(n, 1, epsilon, beta) == pytest.approx(pure, abs=1 / UNITS)


def test_budgets_are_kept():
    records = even(10_000)
    by_rho = StatisticalQueryAnswerer(records, max_queries=10, rho=2e-4, method="gaussian")
    assert by_rho.guarantee.epsilon == pytest.approx(gaussian_epsilon(0.02, 1e-6), rel=1e-4)
    assert by_rho.guarantee.neighboring is Neighboring.REPLACE
    both = StatisticalQueryAnswerer(records, max_queries=10, epsilon=0.05, delta=1e-6)
    assert (both.method_, both.guarantee.delta) == ("gaussian", 1e-6)
    assert both.guarantee.epsilon == pytest.approx(0.05)
    assert both.guarantee.epsilon <= 0.05
    assert zcdp_rho(0.05, 1e-6) < both.ledger.rho
    pure = StatisticalQueryAnswerer(records, max_queries=10, epsilon=0.05)
    assert (pure.method_, pure.guarantee.delta) == ("laplace", 0.0)
    assert pure.guarantee.epsilon == pytest.approx(0.05)
    assert pure.guarantee.epsilon <= 0.05
    assert pure.ledger.epsilon == pytest.approx(0.05)
    laplace_by_rho = StatisticalQueryAnswerer(records, max_queries=10, rho=2e-4, method="laplace")
    assert laplace_by_rho.ledger.rho == pytest.approx(2e-4)
    assert laplace_by_rho.guarantee.delta == 1e-6
    chosen = StatisticalQueryAnswerer(records, max_queries=10, method="laplace", privacy_unit="user")
    assert (chosen.guarantee.delta, chosen.guarantee.privacy_unit) == (0.0, "user")


@pytest.mark.parametrize(("method", "budget"), [("gaussian", "rho"), ("laplace", "epsilon")])
def test_more_budget_is_never_wider(method: str, budget: str):
    unlimited = answer_widths(10_000, max_queries=50)[method]
    widths = [answer_widths(10_000, max_queries=50, **{budget: value})[method] for value in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e6)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == unlimited < 0.2
    spent = StatisticalQueryAnswerer(even(), max_queries=50, method=method, **{budget: 1e6})
    assert spent.guarantee.epsilon < 100


@pytest.mark.parametrize(("method", "budget"), [("gaussian", {"rho": 0.5}), ("laplace", {"epsilon": 20.0})])
def test_on_a_small_universe_more_budget_is_spent(method: str, budget: dict[str, float], rng: np.random.Generator):
    sample = CellSample(20_000, 2, rng=rng)
    known = StatisticalQueryAnswerer(sample.records, max_queries=50, method=method, universe=sample.universe, **budget)
    unknown = StatisticalQueryAnswerer(sample.records, max_queries=50, method=method, **budget)
    assert known.width_ < unknown.width_ / 2
    assert known.guarantee.epsilon > unknown.guarantee.epsilon
    assert known.width_ > uniform_gap(20_000, 4, 0.05)
    assert ANALYSTS["reconstruct"](sample, known.answer, 50).covered  # false alarm far below 0.05: a universe of 4 is never that far off


def test_ledger_adds_up_and_ends():
    answerer = StatisticalQueryAnswerer(even(), max_queries=7, rho=0.003, method="gaussian")
    spent = [answerer.answer(half).rho_spent for _ in range(7)]
    assert sum(spent) == pytest.approx(0.003)
    assert answerer.ledger.spent == pytest.approx(0.003)
    assert len(answerer.ledger.entries) == 7
    assert answerer.remaining_ == 0
    with pytest.raises(BudgetExhaustedError, match="all 7 queries"):
        answerer.answer(lambda records: pytest.fail("the query must not be called"))
    assert "remaining_=0" in repr(answerer)


@pytest.mark.parametrize("method", ["gaussian", "laplace", "split", "guess_and_check"])
@pytest.mark.parametrize(
    "query",
    [
        lambda records: records * 2.0,
        lambda records: records - 0.5,
        lambda records: np.full(len(records), np.nan),
        lambda records: records[:-1],
        lambda records: 0.5,
    ],
)
def test_bad_queries_cost_nothing(method: str, query: StatisticalQuery):
    answerer = StatisticalQueryAnswerer(even(), max_queries=2, method=method, noise=SeededNoise(1))
    with pytest.raises(ValueError, match="query must"):
        answerer.answer(query)
    assert answerer.remaining_ == 2
    assert answerer.ledger is None or answerer.ledger.spent == 0
    fresh = StatisticalQueryAnswerer(even(), max_queries=2, method=method, noise=SeededNoise(1))
    assert answerer.answer(half) == fresh.answer(half)  # no noise was drawn, no record used


def test_a_query_cannot_change_the_records():
    given_ = even()
    answerer = StatisticalQueryAnswerer(given_, max_queries=2)
    with pytest.raises(ValueError, match="read-only"):
        answerer.answer(lambda records: records.__setitem__(0, 1))
    given_[:] = 1  # nor can anybody else
    assert answerer.answer(half).low < 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"records": np.zeros(0)}, "records must be an array of 1"),
        ({"records": np.float64(1)}, "records must be an array of 1"),
        ({"max_queries": 0}, "max_queries must be"),
        ({"beta": 0.0}, "beta must be"),
        ({"method": "exact"}, "method must be one of"),
        ({"rho": 0.0}, "rho must be positive"),
        ({"epsilon": 0.0}, "epsilon must be positive"),
        ({"rho": 1.0, "epsilon": 1.0}, "either rho or epsilon"),
        ({"delta": 1e-6}, "either rho or epsilon"),
        ({"method": "gaussian", "epsilon": 1.0}, "never pure"),
        ({"method": "split", "rho": 1.0}, "no privacy budget"),
        ({"method": "split", "max_queries": N + 1}, "a record of its own"),
        ({"method": "guess_and_check", "rho": 1.0}, "no privacy budget"),
        ({"method": "guess_and_check", "records": np.zeros(1)}, "at least two records"),
        ({"method": "pmw"}, "declare all values"),
        ({"method": "pmw", "universe": np.array([3, 4])}, "cells of the universe"),
        ({"method": "gaussian", "universe": np.array([0, 2])}, "cells of the universe"),
    ],
)
def test_refused(arguments: dict[str, object], message: str):
    given_ = {"records": even(), "max_queries": 5} | arguments
    with pytest.raises(ValueError, match=message):
        StatisticalQueryAnswerer(given_.pop("records"), **given_)


def test_it_is_not_copied():
    answerer = StatisticalQueryAnswerer(even(), max_queries=2)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied"):
            copier(answerer)


def test_warnings():
    with pytest.warns(WeakEvidenceWarning, match="say nothing"):
        StatisticalQueryAnswerer(even(20), max_queries=1_000)
    with pytest.warns(InsecureNoiseWarning) as caught:
        answerer = StatisticalQueryAnswerer(even(), max_queries=20, noise=SeededNoise(3))
    assert caught[0].filename == __file__
    assert answerer.guarantee.assumptions


def test_values_and_ends_stay_in_the_unit_interval():
    answerer = StatisticalQueryAnswerer(even(), max_queries=20, rho=0.001, method="gaussian")
    for _ in range(20):
        answer = answerer.answer(lambda records: np.ones(len(records)))
        assert 0 <= answer.low <= answer.value <= answer.high <= 1
        assert answer.high == 1
        assert answer.rho_spent == pytest.approx(0.001 / 20)
        assert answer.n_used == N
