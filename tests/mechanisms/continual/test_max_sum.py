"""MaxSum: held error, the automatic choice, post-processing, state, refusals, and against the counter it is made of."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.max_sum import MaxSum
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, StateError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.continual.streams import biased_stream, seeded

ZERO = Neighboring.ZERO_OUT
METHODS = ["recompute", "per_coordinate", "trivial", "change_driven"]


def made(method: str, seed: int, T: int = 60, d: int = 3, **options: object) -> MaxSum:
    settings_ = {"rho": 0.5, "largest": 40, **options}
    return seeded(lambda noise: MaxSum(T, d, method=method, noise=noise, **settings_), seed)


def worst_error(release: MaxSum, steps: np.ndarray) -> float:
    truth = np.cumsum(steps, axis=0).max(axis=1)
    return float(np.abs([release.update(x) for x in steps] - truth).max())


# --- what was promised ---


def test_the_choice_by_dimension():
    four, many, thousand = (MaxSum(4096, d, rho=0.5) for d in (4, 64, 1000))
    assert (four.method_, many.method_, thousand.method_) == ("per_coordinate", "recompute", "recompute")
    assert four.error_bound() <= 38.4
    assert many.error_bound() == many.bounds_["recompute"] <= 61
    assert four.bounds_["recompute"] == many.bounds_["recompute"], "the price of recomputing doesn't depend on d"
    assert MaxSum(4096, 64, rho=0.5, method="per_coordinate").error_bound() > 2 * many.error_bound()
    assert MaxSum(20, 64, rho=1e-4).method_ == "trivial"
    assert MaxSum(4096, 64, rho=0.5, one_hot=True).method_ == "per_coordinate"


@pytest.mark.parametrize("d", [4, 64])
def test_errors_stay_below_the_bound(d: int, rng: np.random.Generator):
    """12 runs of T = 512: at beta = 0.05 more than 6 misses have probability below 1e-6; a quarter of the bound is mostly missed."""
    misses = misses_of_quarter = 0
    for seed in range(12):
        release = seeded(lambda noise: MaxSum(512, d, rho=0.5, noise=noise), int(rng.integers(2**32)) + seed)
        error = worst_error(release, biased_stream(512, d, rng))
        misses += error > release.error_bound(0.05)
        misses_of_quarter += error > release.error_bound(0.05) / 4
    assert misses <= 6
    assert misses_of_quarter >= 7


@pytest.mark.slow
@pytest.mark.parametrize("d", [4, 64])
def test_errors_of_fifty_long_runs(d: int, rng: np.random.Generator):
    """At least 45 of 50. Were the bound sharp, that would fail 4 % of the time; it is a union bound over far more than the worst step."""
    good = 0
    for _ in range(50):
        release = seeded(lambda noise: MaxSum(4096, d, rho=0.5, noise=noise), int(rng.integers(2**32)))
        good += worst_error(release, biased_stream(4096, d, rng)) <= release.error_bound()
    assert good >= 45


@pytest.mark.parametrize("neighboring", [ZERO, Neighboring.REPLACE])
def test_change_driven_on_slow_streams(neighboring: Neighboring, rng: np.random.Generator):
    """Largest count 25 of 600 steps: six runs; misses in all of them at beta 0.05 have probability 2e-8."""
    misses = 0
    for _ in range(6):
        steps = np.zeros((600, 3), dtype=np.int64)
        steps[rng.choice(600, 25, replace=False), 1] = 1
        seed = int(rng.integers(2**32))
        release = seeded(
            lambda noise: MaxSum(600, 3, rho=0.5, largest=30, neighboring=neighboring, method="change_driven", noise=noise), seed
        )
        misses += worst_error(release, steps) > release.error_bound()
    assert misses <= 5


def test_change_driven_wins_for_a_small_maximum_of_a_long_stream():
    release = MaxSum(10**6, 1000, rho=0.5, largest=50)
    assert release.method_ == "change_driven"
    assert release.error_bound() < release.bounds_["recompute"] / 2
    assert MaxSum(10**6, 1000, rho=0.5, largest=10**6).method_ == "recompute"


def test_change_driven_ends_and_repeats_itself():
    release = made("change_driven", 1, T=3000, d=1, largest=2, monotone=False)
    released = [release.update(1) for _ in range(3000)]
    assert release.exhausted_
    assert len(set(released[-500:])) == 1
    assert not made("recompute", 1).exhausted_


# --- the releases ---


@settings(max_examples=20)
@given(st.sampled_from(METHODS), st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 5))
def test_releases_are_possible_values_and_never_fall(method: str, seed: int, T: int, d: int):
    steps = biased_stream(T, d, np.random.default_rng(seed))
    release = made(method, seed, T=T, d=d)
    released = np.array([release.update(x) for x in steps])
    assert ((released >= 0) & (released <= np.arange(1, T + 1))).all()
    assert (np.diff(released) >= 0).all()
    with pytest.raises(BudgetExhaustedError, match="all"):
        release.update(steps[0])


def test_the_running_maximum_is_post_processing():
    plain, running = made("recompute", 5, T=200, monotone=False), made("recompute", 5, T=200)
    steps = np.repeat([[1, 1, 1], [0, 0, 0]], [60, 140], axis=0)
    first, second = [plain.update(x) for x in steps], [running.update(x) for x in steps]
    assert second == np.maximum.accumulate(first).tolist()
    assert (np.diff(first) < 0).any(), "without it releases go up and down"


def test_between_recomputations_nothing_is_looked_at():
    release = made("recompute", 3, T=400, monotone=False)
    r = release._method.schedule.interval
    released = [release.update([1, 0, 0]) for _ in range(400)]
    assert r > 1
    blocks = [set(released[i : i + r]) for i in range(r - 1, 400 - r, r)]
    assert all(len(block) == 1 or max(block) >= 1 for block in blocks)
    silent = made("recompute", 3, T=400, monotone=False)
    assert [silent.update([0, 1, 0]) for _ in range(r - 1)] == released[: r - 1], "before the first recomputation: time alone"


def test_per_coordinate_is_the_largest_of_the_counter():
    steps = biased_stream(50, 4, np.random.default_rng(1))
    release = made("per_coordinate", 9, T=50, d=4, monotone=False)
    counter = seeded(lambda noise: ContinualCounter(50, rho=0.5, neighboring=Neighboring.REPLACE, dim=4, signed=False, objective="max", noise=noise), 9)  # fmt: skip  # noqa: E501
    assert [release.update(x) for x in steps] == [min(max(counter.update(x).max(), 0), t + 1) for t, x in enumerate(steps)]
    assert release.guarantee.epsilon == counter.guarantee.epsilon
    assert release.error_bound(0.1) == counter.error_bound(0.1)


def test_trivial_costs_nothing():
    release = MaxSum(10, 2, rho=0.5, method="trivial")
    assert [release.update([1, 0]) for _ in range(3)] == [0.5, 1.0, 1.5]
    assert release.guarantee.epsilon == 0
    assert release.error_bound() == 5


# --- guarantee ---


def test_guarantees():
    assert MaxSum(100, 50, rho=0.5).guarantee.epsilon == pytest.approx(5.222, abs=1e-3)
    pure = MaxSum(100, 50, epsilon=1.0, method="recompute").guarantee
    assert (pure.epsilon, pure.delta, pure.neighboring, pure.privacy_unit) == (1.0, 0.0, Neighboring.REPLACE, "step")
    both = MaxSum(100, 50, epsilon=1.0, delta=1e-6, neighboring=ZERO, method="recompute").guarantee
    assert (both.epsilon, both.delta, both.neighboring) == (1.0, 1e-6, ZERO)
    assert MaxSum(100, 50, rho=0.5, method="recompute").guarantee_at(1e-9).epsilon > 5.3


@pytest.mark.parametrize("method", METHODS)
def test_seeded_noise_is_told(method: str):
    with pytest.warns(InsecureNoiseWarning):
        release = MaxSum(50, 2, rho=0.5, method=method, largest=9, noise=SeededNoise(1))
    assert not release.secure_noise
    assert any("seed" in text for text in release.guarantee.assumptions)
    assert MaxSum(50, 2, rho=0.5, method=method, largest=9).secure_noise


# --- state ---


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cut", [0, 1, 23, 60])
def test_a_stored_state_goes_on_as_if_nothing_had_happened(method: str, cut: int):
    steps = biased_stream(60, 3, np.random.default_rng(cut))
    first = made(method, 4)
    for x in steps[:cut]:
        first.update(x)
    stored = json.loads(json.dumps(first.state_dict()))
    second = made(method, 99)
    second.load_state_dict(stored)
    assert second.n_seen_ == cut
    assert [first.update(x) for x in steps[cut:]] == [second.update(x) for x in steps[cut:]]


@pytest.mark.parametrize("method", METHODS)
def test_a_secure_release_is_stored_and_restored(method: str):
    first, second = (MaxSum(60, 3, rho=0.5, method=method, largest=9) for _ in range(2))
    last = max(first.update([1, 0, 1]) for _ in range(20))
    second.load_state_dict(first.state_dict())
    assert second.n_seen_ == 20
    assert second.update([0, 0, 0]) >= last - 1e-9


def test_states_that_dont_fit_are_refused():
    first = made("recompute", 1)
    first.update([1, 0, 0])
    state = first.state_dict()
    assert "secret" in repr(state)
    assert str(first._counts.sums) not in repr(state)
    with pytest.raises(StateError, match="other parameters"):
        made("recompute", 1, rho=0.6).load_state_dict(state)
    with pytest.raises(StateError, match="other parameters"):
        made("trivial", 1).load_state_dict(state)
    with pytest.raises(StateError, match="fresh"):
        first.load_state_dict(state)
    with pytest.raises(StateError, match="seeded or secure"):
        MaxSum(60, 3, rho=0.5, largest=40, method="recompute").load_state_dict(state)
    damaged = made("recompute", 1)
    with pytest.raises(StateError, match="can't be loaded"):
        damaged.load_state_dict({**state, "counts": {"n_seen": 5}})
    with pytest.raises(StateError, match="stored state"):
        damaged.update([0, 0, 0])


def test_no_copies():
    release = MaxSum(10, 2, rho=0.5, method="trivial")
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="can't be copied"):
            copied(release)
    assert repr(release) == "MaxSum(trivial, step 0 of 10, dim 2)"


# --- refusals ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"horizon": 0}, "horizon"),
        ({"dim": 0}, "dim"),
        ({"rho": -1}, "rho"),
        ({"rho": None}, "either rho or epsilon"),
        ({"epsilon": 1.0}, "either rho or epsilon"),
        ({"beta": 0}, "beta"),
        ({"method": "best"}, "method"),
        ({"method": "change_driven"}, "largest must be given"),
        ({"largest": 0}, "largest"),
        ({"neighboring": Neighboring.ADD_REMOVE}, "ZERO_OUT"),
        ({"on_violation": "ignore"}, "on_violation"),
    ],
)
def test_bad_parameters(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        MaxSum(**({"horizon": 10, "dim": 2, "rho": 0.5} | change))


@pytest.mark.parametrize("x", [[2, 0], [0.5, 0], [float("nan"), 0], [1], [[1, 0]], [-1, 0]])
def test_bad_steps_change_nothing(x: list):
    release = MaxSum(10, 2, rho=0.5, method="recompute")
    with pytest.raises(ValueError, match=r"inputs must be|x must be one step"):
        release.update(x)
    assert release.n_seen_ == 0
    release.update([1, 0])


def test_clipping_and_one_coordinate():
    release = MaxSum(10, 1, rho=0.5, on_violation="clip", method="recompute")
    release.update(7)
    assert release._counts.sums.tolist() == [1]
