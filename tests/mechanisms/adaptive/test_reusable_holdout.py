"""Reusable holdout: budget to the last firing, the laws of its noise, predicted error, ranges, threads, copies."""

from __future__ import annotations

import copy
import json
import math
import pickle
from fractions import Fraction
from threading import Thread

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest, laplace, norm

from mechanisms.accounting.zcdp import zcdp_epsilon
from mechanisms.adaptive.holdout_budget import holdout_budget
from mechanisms.adaptive.holdout_noise import GaussianHoldoutNoise, LaplaceHoldoutNoise
from mechanisms.adaptive.reusable_holdout import ReusableHoldout
from mechanisms.adaptive.whole_sums import UNITS
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.adaptive.holdouts import identity, made, seeded
from tests.mechanisms.noise.laws import FALSE_ALARM

# --- budget ---


def test_the_formal_guarantee():
    budget = holdout_budget(10_000, 0.01, "laplace", budget=50, epsilon=None)
    assert budget.epsilon == 1.0
    assert budget.rho == 0.005
    guarantee = made(np.zeros(10_000), np.zeros(10_000), budget=50).guarantee
    assert (guarantee.epsilon, guarantee.delta, guarantee.neighboring, guarantee.assumptions) == (1.0, 0.0, Neighboring.REPLACE, ())


@given(st.integers(1, 10**6), st.floats(1e-4, 1.0), st.integers(1, 10**4))
def test_budget_and_epsilon_are_each_other_s_inverse(n: int, sigma: float, firings: int):
    budget = holdout_budget(n, sigma, "laplace", budget=firings, epsilon=None)
    assert Fraction(repr(budget.epsilon)) >= 2 * firings / (Fraction(repr(sigma)) * n)
    assert budget.epsilon == pytest.approx(2 * firings / (sigma * n))
    for epsilon in (budget.epsilon, budget.epsilon * (1 + 0.4 / firings)):
        other = holdout_budget(n, sigma, "laplace", budget=None, epsilon=epsilon)
        assert (other.firings, other.epsilon) == (firings, budget.epsilon)


def test_guarantee_at_a_delta_is_the_better_one():
    many = holdout_budget(10_000, 0.01, "laplace", budget=250, epsilon=None)
    assert many.guarantee(1e-6, "record", ()).epsilon == zcdp_epsilon(0.025, 1e-6) < 1.2 < many.epsilon == 5.0
    assert holdout_budget(10_000, 0.01, "laplace", budget=1, epsilon=None).guarantee(1e-6, "record", ()).epsilon == 0.02


def test_firings_are_spent_one_by_one_and_then_every_query_is_refused(rng: np.random.Generator):
    holdout = made(np.zeros(1000), np.ones(1000), seeded(rng), budget=3, sigma=0.005, threshold=0.4)
    u = 1 / (0.005 * 1000)
    assert (holdout.epsilon_, holdout.ledger.entries) == (0.0, ())
    for firings in range(1, 4):
        quiet = holdout.answer(lambda records: np.zeros(len(records)))
        assert (quiet.fired, quiet.value) == (False, 0.0)
        assert holdout.epsilon_ == pytest.approx((2 * (firings - 1) + 0.5) * u)  # the threshold of a run costs when it is first used
        loud = holdout.answer(identity)
        assert loud.fired
        assert loud.value == pytest.approx(1.0, abs=0.2)
        assert loud.remaining == holdout.remaining_ == 3 - firings
        assert holdout.epsilon_ == pytest.approx(2 * firings * u)
        assert holdout.ledger.spent == pytest.approx(holdout.epsilon_)
    assert holdout.epsilon_ == holdout.guarantee.epsilon == 1.2
    seen: list[int] = []
    for refused in (lambda: holdout.answer(lambda records: seen.append(1)), lambda: holdout.answer_values(np.zeros(1000), np.zeros(1000))):
        with pytest.raises(BudgetExhaustedError, match="0 of 3 firings"):
            refused()
    assert not seen  # the query was not even computed
    assert (holdout.n_seen_, holdout.remaining_, holdout.epsilon_) == (6, 0, 1.2)
    ledger = json.loads(json.dumps(holdout.ledger.to_dict()))
    assert [entry["step"] for entry in ledger["entries"][:3]] == ["threshold from query 1", "query 2 fired", "answer to query 2"]
    assert len(ledger["entries"]) == 9


def test_unfired_queries_are_free_and_exact(rng: np.random.Generator):
    train = rng.random(5000)
    holdout = made(train, train, seeded(rng), budget=1, threshold=1.0)
    values = [holdout.answer(lambda x, t=t: x < t).value for t in rng.random(300)]
    assert holdout.remaining_ == 1
    assert holdout.epsilon_ == pytest.approx(0.5 / (0.01 * 5000))
    assert len(set(values)) > 250


# --- laws of noise ---


def fits(draws: list[float], law: object) -> bool:
    return bool(kstest(draws, law.cdf).pvalue > FALSE_ALARM)


def test_laplace_noise_has_its_scales(rng: np.random.Generator):
    """1,500 draws each; false alarm 1e-6. Half the scale fails."""
    noise = LaplaceHoldoutNoise(1000, 0.0, 0.05, seeded(rng))
    unit = 1000 * UNITS
    gammas, answers, tests = [], [], []
    for _ in range(1500):
        noise.begin_run()
        gammas.append(int(noise.state()) / unit)
        answers.append(noise._draw(1) / unit)
        tests.append(noise._draw(4) / unit)
    for draws, scale in ((gammas, 0.1), (answers, 0.05), (tests, 0.2)):
        assert fits(draws, laplace(scale=scale))
        assert not fits(draws, laplace(scale=0.5 * scale))


@pytest.mark.parametrize("gap", [0.02, 0.05, 0.08])
def test_laplace_firing_odds(gap: float, rng: np.random.Generator):
    """P(gap > T + Lap(2 s) + Lap(4 s)) by the closed form of the sum; 2,000 runs within 5 standard deviations."""
    noise = LaplaceHoldoutNoise(1000, 0.04, 0.01, seeded(rng))
    x, b, c = gap - 0.04, 0.02, 0.04  # survival of Lap(b) + Lap(c)
    tail = (c**2 * math.exp(-abs(x) / c) - b**2 * math.exp(-abs(x) / b)) / (2 * (c**2 - b**2))
    expected = 1 - tail if x > 0 else tail
    means = noise.means(np.zeros(1000), np.full(1000, gap))
    fired = 0
    for _ in range(2000):
        noise.begin_run()
        fired += noise.fires(*means)
    assert abs(fired / 2000 - expected) < 5 * math.sqrt(expected * (1 - expected) / 2000)


def test_gaussian_law_is_the_published_one(rng: np.random.Generator):
    """False alarm 1e-6; a deviation of 0.6 fails."""
    noise = GaussianHoldoutNoise(0.04, 0.01, seeded(rng))
    _, mean = noise.means(np.zeros(10), np.full(10, -3.5))
    draws = [noise.noisy(mean) + 3.5 for _ in range(1500)]
    assert fits(draws, norm(scale=0.01))
    assert not fits(draws, norm(scale=0.006))
    means = noise.means(np.zeros(10), np.full(10, 0.05))
    fired = sum(noise.fires(*means) for _ in range(2000))
    assert abs(fired / 2000 - norm.cdf(1.0)) < 5 * math.sqrt(0.16 * 0.84 / 2000)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20), st.floats(0, 1), st.integers(0, 2**32))
def test_a_replaced_record_moves_the_mean_by_one_unit_at_most(values: list[float], other: float, seed: int):
    noise = LaplaceHoldoutNoise(len(values), 0.04, 0.01, SeededNoise(seed))
    train = np.full(7, 0.3)
    before, after = (noise.means(train, np.array(v)) for v in (values, [other, *values[1:]]))
    assert before[0] == after[0]
    assert abs(before[1] - after[1]) <= UNITS


# --- error ---


def test_error_stays_below_the_bound(rng: np.random.Generator):
    """150 sessions of 40 queries with gaps up to 1/2; the bound at beta = 0.01 fails in 12 or more with probability below 1e-7.

    A fifth of the bound fails often.
    """
    train, fresh, gaps = np.zeros(1000), np.ones(1000), np.linspace(0, 0.5, 40)
    worst = []
    for _ in range(150):
        holdout = made(train, fresh, seeded(rng), budget=40)
        worst.append(max(abs(holdout.answer(lambda x, gap=gap: gap * x).value - gap) for gap in gaps))
    bound = made(train, fresh, budget=40).error_bound(40, beta=0.01)
    assert sum(error > bound for error in worst) < 12
    assert sum(error > bound / 5 for error in worst) > 30


def test_error_bound_of_the_gaussian_law():
    gaussian = made(np.zeros(10), np.zeros(10), law="gaussian", budget=50)
    assert gaussian.error_bound(1, beta=0.05) == pytest.approx(0.04 + 0.01 * norm.isf(0.0125))


# --- ranges ---


def test_a_range_is_rescaled(rng: np.random.Generator):
    train, fresh = rng.uniform(-3, 5, 4000), rng.uniform(-3, 5, 4000)
    holdout = made(train, fresh, seeded(rng), threshold=0.5)
    answer = holdout.answer(identity, bounds=(-3, 5))
    assert not answer.fired
    assert answer.value == pytest.approx(train.mean(), abs=1e-5)
    far = made(np.full(4000, -3.0), fresh, seeded(rng), sigma=0.001).answer(identity, bounds=(-3, 5))
    assert far.fired
    assert far.value == pytest.approx(fresh.mean(), abs=8 * 0.02)


def test_queries_without_a_finite_range_are_refused_or_unproved(rng: np.random.Generator):
    x = rng.normal(size=500)
    proved, published = made(x, x, threshold=1.0), made(x, x, law="gaussian", threshold=1.0)
    with pytest.raises(ValueError, match="no finite sensitivity"):
        proved.answer(identity, bounds=None)
    for bounds in ((0.0, math.inf), (1.0, 1.0), (math.nan, 1.0)):
        with pytest.raises(ValueError, match="bounds"):
            proved.answer(identity, bounds=bounds)
    with pytest.raises(ValueError, match="clip it or widen"):
        proved.answer(identity, bounds=(-1, 1))
    assert proved.answer(identity, bounds=(-1, 1), clip=True).value == pytest.approx(np.clip(x, -1, 1).mean(), abs=1e-5)
    assert published.answer(identity, bounds=None).value == x.mean()


def test_the_published_law_claims_nothing():
    published = made(np.zeros(100), np.ones(100), law="gaussian", budget=2)
    assert not published.formal_guarantee_
    assert made(np.zeros(100), np.ones(100)).formal_guarantee_
    assert (published.epsilon_, published.guarantee.epsilon) == (0.0, math.inf)
    assert "no guarantee" in published.guarantee.assumptions[0]
    assert published.answer(identity).fired
    assert published.epsilon_ == published.ledger.spent == published.guarantee_at(1e-6).epsilon == math.inf
    published.answer(identity)
    with pytest.raises(BudgetExhaustedError):
        published.answer(identity)
    with pytest.raises(ValueError, match="proves nothing"):
        made(np.zeros(100), np.ones(100), law="gaussian", epsilon=1.0)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (lambda x: x + 31337.0, ValueError),
        (lambda x: np.full(len(x), np.nan), ValueError),
        (lambda x: x[:3], ValueError),
        (lambda x: x.astype(str), TypeError),
        (3, TypeError),
    ],
)
def test_bad_queries_spend_nothing_and_tell_no_value(query: object, error: type[Exception]):
    holdout = made(np.zeros(100), np.zeros(100))
    with pytest.raises(error) as raised:
        holdout.answer(query)
    assert "31337" not in str(raised.value)
    assert (holdout.n_seen_, holdout.epsilon_) == (0, 0.0)


# --- records, parameters, copies ---


def test_records_are_copies():
    train, fresh = np.zeros(1000), np.zeros(1000)
    holdout = made(train, fresh, threshold=0.5)
    train += 1
    fresh += 1
    answer = holdout.answer(identity)
    assert answer.value == 0.0
    with pytest.raises(ValueError, match="read-only"):
        holdout.train.arrays[0][0] = 1.0


@pytest.mark.parametrize(
    "options",
    [{"budget": 0}, {"sigma": 0.0}, {"threshold": -0.1}, {"epsilon": 1e-9}, {"law": "cauchy"}, {"budget": 1, "epsilon": 1.0}],
)
def test_bad_parameters(options: dict[str, object]):
    with pytest.raises(ValueError, match=list(options)[-1]):
        made(np.zeros(100), np.zeros(100), **options)
    with pytest.raises(ValueError, match="budget"):
        ReusableHoldout(np.zeros(100), np.zeros(100))
    with pytest.raises(ValueError, match="lengths"):
        made((np.zeros(3), np.zeros(2)), np.zeros(3))
    with pytest.raises(ValueError, match="at least one record"):
        made(np.zeros(0), np.zeros(3))


def test_threads_spend_one_budget(rng: np.random.Generator):
    holdout = made(np.zeros(200), np.ones(200), seeded(rng), budget=40)
    fired: list[bool] = []

    def ask() -> None:
        try:
            while True:
                fired.append(holdout.answer(identity).fired)
        except BudgetExhaustedError:
            return

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fired) == 40
    assert len(fired) == holdout.n_seen_
    assert holdout.epsilon_ == holdout.guarantee.epsilon


def test_no_second_copy_one_warning_and_no_secret_in_sight():
    with pytest.warns(InsecureNoiseWarning) as caught:
        holdout = ReusableHoldout(np.zeros(100), np.ones(100), budget=1, noise=SeededNoise(3))
    assert [warning.filename for warning in caught] == [__file__]
    assert holdout.guarantee.assumptions
    assert repr(holdout) == "ReusableHoldout(100 records, law='laplace', n_seen_=0, remaining_=1)"
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="SharedHoldout"):
            spread(holdout)
    question = holdout.question(identity)
    assert str(question.holdout) not in repr(question)
