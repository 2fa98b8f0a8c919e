"""The continual counter: covariance of its noise, batches, predicted errors, bad input, states."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_design import design_counter
from mechanisms.continual.counter_error import draw_variance
from mechanisms.continual.factorization import left_matrix
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, StateError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SecureNoise, SeededNoise
from tests.mechanisms.continual.counters import GAUSSIAN, PURE, many_runs, quiet, seeded

EVERY = [*((name, {"rho": 0.5}) for name in GAUSSIAN), *((name, {"epsilon": 2.0}) for name in PURE)]
every = pytest.mark.parametrize(("name", "budget"), EVERY, ids=[f"{name}, {next(iter(budget))}" for name, budget in EVERY])
STANDARD_ERRORS = 6.0  # false alarm below 2e-9 an entry, below 4e-6 for all tests with it


class CountingNoise(NoiseSource):
    """Secure noise that knows how often it was asked."""

    secure = True

    def __init__(self) -> None:
        self.n_calls = 0

    def words(self, n: int) -> NDArray[np.uint64]:
        self.n_calls += 1
        return SecureNoise().words(n)


def worst_covariance_error(name: str, budget: dict[str, float], seed: int, noise_factor: float = 1.0) -> float:
    """Largest error of an empirical covariance over 2,000 runs on zeros, in standard errors of a normal sample."""
    horizon, n_runs = 13, 2000
    design = design_counter(horizon, mechanism=name, whole=False, **budget)
    counter = many_runs(design, n_runs, seed, noise_factor=noise_factor)
    noise = np.stack([np.asarray(counter.update(np.zeros(n_runs))) for _ in range(horizon)])
    L = left_matrix(design.factorization)
    expected = L @ L.T * draw_variance(design) * design.domain.unit**2 + np.eye(horizon) * counter_rounding(design)
    empirical = noise @ noise.T / n_runs
    spread = np.sqrt(np.outer(np.diag(expected), np.diag(expected)) + expected**2)
    if "epsilon" in budget:
        spread *= np.sqrt(5 / 2)  # a Laplace draw's square has variance 5, a normal one's 2
    return float((np.abs(empirical - expected) / spread).max() * np.sqrt(n_runs))


def counter_rounding(design) -> float:  # type: ignore[no-untyped-def]
    return design.grid**2 / 12 if design.law == "gaussian" else 0.0


@every
def test_covariance_is_that_of_the_factorization(name: str, budget: dict[str, float], rng: np.random.Generator):
    seed = int(rng.integers(2**32))
    assert worst_covariance_error(name, budget, seed) < STANDARD_ERRORS
    assert worst_covariance_error(name, budget, seed, noise_factor=0.8) > STANDARD_ERRORS


@every
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("dim", [1, 3])
def test_batch_is_streaming(name: str, budget: dict[str, float], whole: bool, dim: int, rng: np.random.Generator):
    X = rng.integers(0, 3, (300, dim)) if whole else rng.uniform(-2, 2, (300, dim))
    if dim == 1:
        X = X[:, 0]
    options = {"mechanism": name, "dim": dim, "bound": 2.0, "whole": whole, **budget}
    step_by_step, batch = seeded(5, 300, **options), seeded(5, 300, **options)
    one_by_one = np.array([step_by_step.update(x.item() if dim == 1 else x) for x in X])
    np.testing.assert_array_equal(np.concatenate([batch.release_many(X[:170]), batch.release_many(X[170:])]), one_by_one)
    assert one_by_one.dtype == (np.int64 if whole else np.float64)
    assert batch.n_seen_ == step_by_step.n_seen_ == 300


@every
def test_release_is_the_sum_plus_noise_of_the_predicted_size(name: str, budget: dict[str, float], rng: np.random.Generator):
    x = rng.integers(-1, 2, 200)
    counter = ContinualCounter(200, mechanism=name, **budget)
    error = counter.release_many(x) - np.cumsum(x)
    assert np.abs(error).max() <= counter.error_bound(1e-7)  # false alarm 1e-7
    assert 0 < counter.error_bound(0.05, simultaneous=False) < counter.error_bound(0.05) < counter.error_bound(1e-7)
    variances = counter.variance(np.arange(1, 201))
    assert variances.shape == (200,)
    assert counter.variance(7) == variances[6]


@pytest.mark.parametrize("budget", [{"rho": 0.5}, {"epsilon": 1.0}])
def test_error_bound_holds_and_is_not_idle(budget: dict[str, float], rng: np.random.Generator):
    design = design_counter(32, mechanism="k_ary", **budget)
    counter = many_runs(design, 4000, int(rng.integers(2**32)))
    worst = np.abs(np.stack([np.asarray(counter.update(np.zeros(4000, int))) for _ in range(32)])).max(axis=0)
    bound = ContinualCounter.from_design(design).error_bound(0.1)
    assert np.mean(worst > bound) < 0.125  # binomial(4000, 0.1) exceeds 500 with probability 2e-7
    assert np.quantile(worst, 0.9) > 0.5 * bound


def test_whole_releases_are_ints_real_ones_multiples_of_the_grid():
    assert type(ContinualCounter(10, rho=0.5).update(1)) is int
    counter = ContinualCounter(10, rho=0.5, whole=False, granularity=0.25)
    release = counter.update(0.1234)
    assert type(release) is float
    assert release % 0.25 == 0


def test_auto_follows_the_budget():
    assert ContinualCounter(100, rho=0.5).factorization_.name == "scaled_square_root"
    assert ContinualCounter(4096, epsilon=1.0).factorization_.name == "k_ary"
    assert ContinualCounter(None, rho=0.5).factorization_.name == "unknown_horizon"


def test_unknown_horizon_goes_on():
    counter = ContinualCounter(None, rho=50.0)
    assert abs(int(counter.release_many(np.ones(700, int))[-1]) - 700) < counter.error_bound(1e-9, n_steps=700)
    with pytest.raises(ValueError, match="n_steps must be given"):
        counter.error_bound(0.05)


def test_large_sums_stay_exact():
    counter = ContinualCounter(3, rho=1e6, bound=2**50)
    assert counter.design_.domain.n_units == 2**50
    counter = ContinualCounter(64, rho=1e12, whole=False, bound=1e6)
    releases = counter.release_many(np.full(64, 1e6))
    assert np.abs(releases - np.arange(1, 65) * 1e6).max() < 10 * counter.variance(64) ** 0.5 + counter.design_.grid


BAD_PARAMETERS: list[tuple[dict[str, object], str]] = [
    ({"horizon": 0}, "horizon must be a whole number >= 1"),
    ({"horizon": 2.5}, "horizon must be"),
    ({"rho": 0.0}, "rho must be positive"),
    ({"rho": -1.0}, "rho must be positive"),
    ({"rho": None}, "either rho or epsilon"),
    ({"epsilon": 1.0}, "either rho or epsilon"),
    ({"rho": None, "epsilon": 0.0}, "epsilon must be positive"),
    ({"rho": None, "epsilon": 1.0, "delta": 1.0}, r"delta must be in \(0, 1\)"),
    ({"rho": None, "epsilon": 1.0, "mechanism": "square_root"}, "no exact noise for epsilon alone"),
    ({"rho": None, "epsilon": 1.0, "horizon": None}, "needs a horizon"),
    ({"mechanism": "trees"}, "mechanism must be one of"),
    ({"mechanism": "tree", "horizon": None}, "mechanism must be one of 'auto', 'unknown_horizon'"),
    ({"dim": 0}, "dim must be"),
    ({"bound": 0.0}, "bound must be positive"),
    ({"bound": 0.5}, "bound must be a whole number"),
    ({"granularity": 0.5}, "granularity is 1"),
    ({"granularity": -0.5, "whole": False}, "granularity must be positive"),
    ({"granularity": 1e-18, "whole": False}, "take a coarser one"),
    ({"one_hot": True, "bound": 2.0, "dim": 2}, "one-hot"),
    ({"neighboring": Neighboring.ADD_REMOVE}, "ZERO_OUT or REPLACE"),
    ({"on_violation": "ignore"}, "on_violation must be"),
    ({"objective": "median"}, "objective must be"),
]


@pytest.mark.parametrize(("change", "message"), BAD_PARAMETERS, ids=[str(change) for change, _ in BAD_PARAMETERS])
def test_bad_parameters_are_refused(change: dict[str, object], message: str):
    options: dict[str, object] = {"horizon": 10, "rho": 0.5, **change}
    with pytest.raises(ValueError, match=message):
        ContinualCounter(**options)  # type: ignore[arg-type]


SECRET = 987654321.5
BAD_INPUTS: list[tuple[dict[str, object], object]] = [
    ({}, float("nan")),
    ({}, float("inf")),
    ({}, 0.5),
    ({}, 2),
    ({}, -2),
    ({}, SECRET),
    ({}, "1"),
    ({}, None),
    ({}, 1j),
    ({}, [1, 0]),
    ({}, [[1]]),
    ({"signed": False}, -1),
    ({"dim": 2}, 1),
    ({"dim": 2}, [1, SECRET]),
    ({"dim": 2}, [1, 0, 0]),
    ({"dim": 2, "one_hot": True}, [1, 1]),
    ({"whole": False}, SECRET),
    ({"mechanism": "tree"}, 0.5),
]


@pytest.mark.parametrize(("options", "x"), BAD_INPUTS)
@pytest.mark.parametrize("batch", [False, True])
def test_bad_input_changes_nothing(options: dict[str, object], x: object, batch: bool):
    noise = CountingNoise()
    counter = ContinualCounter(10, rho=0.5, noise=noise, **options)  # type: ignore[arg-type]
    before = json.dumps(counter.state_dict())
    with pytest.raises((ValueError, TypeError)) as caught:
        counter.release_many([x]) if batch else counter.update(x)  # type: ignore[arg-type, list-item]
    assert noise.n_calls == 0
    assert json.dumps(counter.state_dict()) == before
    assert "98765" not in str(caught.value)


def test_clipping_moves_values_inside_but_not_nan():
    counter = ContinualCounter(10, rho=1e9, on_violation="clip", bound=3.0)
    assert [counter.update(x) for x in (7, -2, float("inf"))] == [3, 1, 4]
    with pytest.raises(ValueError, match="1 NaN"):
        counter.update(float("nan"))
    one_hot = ContinualCounter(10, rho=1e9, on_violation="clip", dim=2, one_hot=True)
    np.testing.assert_array_equal(one_hot.release_many([[0, 1], [1, 1]]), [[0, 1], [0, 1]])


@pytest.mark.parametrize("name", ["tree", "k_ary", "scaled_square_root"])
def test_horizon_is_kept(name: str):
    noise = CountingNoise()
    counter = ContinualCounter(5, rho=0.5, mechanism=name, noise=noise)
    counter.release_many([1, 1, 1])
    n_calls = noise.n_calls
    with pytest.raises(BudgetExhaustedError, match="3 more steps were asked for and 2 of 5 are left"):
        counter.release_many([1, 1, 1])
    assert counter.n_seen_ == 3
    counter.release_many([1, 1])
    with pytest.raises(BudgetExhaustedError, match="0 of 5"):
        counter.update(1)
    assert noise.n_calls == n_calls
    assert counter.release_many([]).shape == (0,)


@every
@given(first=st.integers(0, 60), data=st.data())
@settings(max_examples=8)
def test_state_goes_on_with_the_same_releases(name: str, budget: dict[str, float], first: int, data: st.DataObject):
    options = {"mechanism": name, "dim": data.draw(st.sampled_from([1, 2])), **budget}
    x = np.ones((61, options["dim"]), int)
    whole, part = seeded(3, 61, **options), seeded(3, 61, **options)
    expected = whole.release_many(x)
    released = part.release_many(x[:first])
    resumed = seeded(99, 61, **options)
    resumed.load_state_dict(json.loads(json.dumps(part.state_dict())))
    assert resumed.n_seen_ == first
    np.testing.assert_array_equal(np.concatenate([released, resumed.release_many(x[first:])]), expected)


def test_secure_state_goes_on_with_fresh_noise():
    counter = ContinualCounter(2000, rho=0.5, mechanism="tree")
    counter.update(1)
    state = counter.state_dict()
    assert state["noise"] is None
    others = [ContinualCounter(2000, rho=0.5, mechanism="tree") for _ in range(2)]
    for other in others:
        other.load_state_dict(state)
    first, second = (other.release_many(np.zeros(500, int)) for other in others)
    assert (first != second).any()  # equal with probability below 1e-100


def test_states_of_other_counters_are_refused():
    state = seeded(1, 10, rho=0.5).state_dict()
    for options in ({"rho": 0.6}, {"rho": 0.5, "mechanism": "tree"}, {"rho": 0.5, "dim": 2}, {"rho": 0.5, "bound": 2.0}):
        with pytest.raises(StateError, match="other parameters"):
            seeded(1, 10, **options).load_state_dict(state)
    with pytest.raises(StateError, match="kind of noise source"):
        ContinualCounter(10, rho=0.5).load_state_dict(state)
    used = seeded(1, 10, rho=0.5)
    used.update(1)
    with pytest.raises(StateError, match="fresh counter only"):
        used.load_state_dict(state)
    for name in ("total", "stream", "noise", "n_seen"):
        damaged = {**used.state_dict(), name: {"type": "<f8", "shape": [1], "data": "?"}}
        with pytest.raises(StateError):
            seeded(1, 10, rho=0.5).load_state_dict(damaged)


def test_interrupted_step_stops_the_counter(monkeypatch: pytest.MonkeyPatch):
    counter = ContinualCounter(1000, rho=0.5, mechanism="k_ary")
    monkeypatch.setattr(NoiseSource, "normal", lambda *_: (_ for _ in ()).throw(OSError("no entropy")))
    with pytest.raises(OSError, match="no entropy"):
        counter.update(1)
    with pytest.raises(StateError, match="interrupted"):
        counter.update(1)
    with pytest.raises(StateError, match="interrupted"):
        counter.state_dict()


def test_secrets_stay_inside():
    counter = seeded(1, 10, rho=0.5, bound=10**6)
    counter.update(987654)
    state = counter.state_dict()
    assert "987654" not in repr(counter) + repr(state) + str(state)
    for copying in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied or pickled"):
            copying(counter)


def test_seeded_noise_warns_and_is_named_in_the_guarantee():
    with pytest.warns(InsecureNoiseWarning):
        counter = ContinualCounter(10, rho=0.5, noise=SeededNoise(1))
    assert not counter.budget_.secure_noise
    assert any("seed" in sentence for sentence in counter.guarantee.assumptions)
    assert ContinualCounter(10, rho=0.5).budget_.secure_noise
    with pytest.raises(TypeError, match="noise must be a NoiseSource"):
        ContinualCounter(10, rho=0.5, noise=7)  # type: ignore[arg-type]
    assert quiet(counter.design_, SeededNoise(1)).update(1) == quiet(counter.design_, SeededNoise(1)).update(1)
