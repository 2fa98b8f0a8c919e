"""What is made of counters: sliding windows, histograms, numbers of different items."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest

from mechanisms.continual.counter_design import design_counter
from mechanisms.continual.distinct_count import DistinctCounter
from mechanisms.continual.histogram import HistogramCounter
from mechanisms.continual.sliding_window import SlidingWindowCounter
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise

seeded_is_fine = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")


def test_window_is_the_sum_of_the_last_steps(rng: np.random.Generator):
    x = rng.integers(0, 2, 60)
    counter = SlidingWindowCounter(60, 7, rho=1e9)
    expected = [x[max(0, t - 7) : t].sum() for t in range(1, 61)]
    assert [counter.update(v) for v in x[:20].tolist()] == expected[:20]
    np.testing.assert_array_equal(counter.release_many(x[20:]), expected[20:])
    with pytest.raises(BudgetExhaustedError):
        counter.update(1)


@seeded_is_fine
@pytest.mark.parametrize("mechanism", ["tree", "scaled_square_root"])
def test_window_has_the_variance_of_its_rows(mechanism: str, rng: np.random.Generator):
    """Many coordinates are many runs; 6 standard errors of a variance, false alarm 1e-7 for all."""
    n_runs, horizon, window = 3000, 20, 5
    counter = SlidingWindowCounter(
        horizon, window, rho=0.5, dim=n_runs, whole=False, mechanism=mechanism, noise=SeededNoise(int(rng.integers(2**32)))
    )
    errors = counter.release_many(np.zeros((horizon, n_runs)))
    exact = np.array([counter.variance(t) for t in range(1, horizon + 1)])
    assert np.abs((errors**2).mean(axis=1) / exact - 1).max() < 6 * np.sqrt(2 / n_runs)
    bounds = np.array([counter.variance_bound(t) for t in range(1, horizon + 1)])
    assert (bounds >= exact * (1 - 1e-12)).all()
    assert np.abs((errors**2).mean(axis=1) / bounds - 1).max() > 6 * np.sqrt(2 / n_runs)  # it can fail


def test_window_of_a_long_stream_has_a_bound():
    counter = SlidingWindowCounter(10_000, 100, rho=0.5)
    with pytest.raises(ValueError, match="variance_bound"):
        counter.variance(10)
    assert counter.variance_bound(5000) > counter.counter.variance(5000)


def test_histogram_counts_and_its_post_processing():
    histogram = HistogramCounter(100, 4, rho=1e9)
    np.testing.assert_array_equal(histogram.update_many([3, 3, -1, 0])[-1], [1, 0, 0, 2])
    np.testing.assert_array_equal(histogram.update(3), [1, 0, 0, 3])
    np.testing.assert_array_equal(histogram.update(None), [1, 0, 0, 3])
    np.testing.assert_array_equal(histogram.top_k(2), [3, 0])
    assert [histogram.quantile(q) for q in (0.2, 0.3, 0.9)] == [0, 3, 3]
    assert histogram.n_seen_ == 6
    for bad in (4, -1, True, 1.0, "1"):
        with pytest.raises((ValueError, TypeError)):
            histogram.update(bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="k must be at most"):
        histogram.top_k(5)
    assert histogram.n_seen_ == 6


def test_histogram_error_does_not_grow_with_its_bins():
    narrow, wide = (HistogramCounter(64, d, rho=0.5).counter.variance(64) for d in (2, 200))
    assert narrow == wide


def test_distinct_counter_counts_first_occurrences():
    counter = DistinctCounter(50, rho=1e9)
    assert [counter.update(item) for item in ("a", "b", "a", None, b"a", 97, "97")] == [1, 2, 2, 2, 3, 4, 5]
    np.testing.assert_array_equal(counter.update_many(["c", "c", "a", "d"]), [6, 6, 6, 7])
    for bad in (True, 1.5, ("a",)):
        with pytest.raises(TypeError, match="an item must be"):
            counter.update(bad)  # type: ignore[arg-type]
    assert counter.n_seen_ == 11


@seeded_is_fine
def test_distinct_counter_goes_on_from_its_state():
    first, other = DistinctCounter(50, rho=1e9, noise=SeededNoise(1)), DistinctCounter(50, rho=1e9, noise=SeededNoise(2))
    first.update_many(["a", "b"])
    state = first.state_dict()
    assert "known" not in repr(state)
    other.load_state_dict(json.loads(json.dumps(state)))
    assert [other.update(item) for item in ("b", "c")] == [2, 3]
    with pytest.raises(StateError):
        DistinctCounter(50, rho=1e9, noise=SeededNoise(3)).load_state_dict({"counter": {}, "known": ["?"]})


@seeded_is_fine
@pytest.mark.parametrize("cut", [0, 1, 7, 20])
def test_statistics_go_on_from_their_state(cut: int, rng: np.random.Generator):
    seeds = [int(seed) for seed in rng.integers(2**32, size=2)]
    windows = [SlidingWindowCounter(20, 5, rho=0.1, dim=2, noise=SeededNoise(seed)) for seed in seeds]
    histograms = [HistogramCounter(20, 3, rho=0.1, noise=SeededNoise(seed)) for seed in seeds]
    x, bins = rng.integers(0, 2, (20, 2)), rng.integers(-1, 3, 20)
    windows[0].release_many(x[:cut])
    histograms[0].update_many(bins[:cut])
    for first, second in (windows, histograms):
        state = first.state_dict()
        assert repr(state) == f"SecretState(n_seen={cut}, secret)"
        second.load_state_dict(json.loads(json.dumps(state)))
        assert second.n_seen_ == cut
    np.testing.assert_array_equal(histograms[1].counts_, histograms[0].counts_)
    np.testing.assert_array_equal(windows[1].release_many(x[cut:]), windows[0].release_many(x[cut:]))
    np.testing.assert_array_equal(histograms[1].update_many(bins[cut:]), histograms[0].update_many(bins[cut:]))


def test_states_that_dont_fit_are_refused_and_change_nothing():
    window, histogram = SlidingWindowCounter(20, 5, rho=0.1), HistogramCounter(20, 3, rho=0.1)
    window.update(1)
    histogram.update(1)
    for fresh, state in (
        (SlidingWindowCounter(20, 4, rho=0.1), window.state_dict()),
        (SlidingWindowCounter(20, 5, rho=0.1), {**window.state_dict(), "former": None}),
        (SlidingWindowCounter(20, 5, rho=0.2), window.state_dict()),
        (HistogramCounter(20, 3, rho=0.1), {**histogram.state_dict(), "counts": {"type": "<f8", "shape": [3], "data": ""}}),
        (HistogramCounter(20, 3, rho=0.1), window.state_dict()),
        (HistogramCounter(20, 3, rho=0.1), histogram.counter.state_dict()),
        (window, window.state_dict()),
    ):
        n_before = fresh.n_seen_
        with pytest.raises(StateError):
            fresh.load_state_dict(state)
        assert fresh.n_seen_ == n_before
        fresh.update(1)


def first_occurrences(items: tuple[int, ...]) -> np.ndarray:
    """0 is no item."""
    return np.array([item != 0 and item not in items[:t] for t, item in enumerate(items)], dtype=int)


@pytest.mark.parametrize("neighboring", [Neighboring.ZERO_OUT, Neighboring.REPLACE])
def test_one_item_changes_two_places_by_opposite_signs(neighboring: Neighboring):
    """All streams of 5 items of 3 kinds, all their neighbors; one place would not be enough."""
    most = 0
    for items in product(range(4), repeat=5):
        for step in range(5):
            for other in range(4) if neighboring is Neighboring.REPLACE else (0,):
                change = first_occurrences(items) - first_occurrences((*items[:step], other, *items[step + 1 :]))
                n_changed = np.count_nonzero(change)
                assert n_changed < 2 or (n_changed == 2 and change.sum() == 0)
                most = max(most, n_changed)
    assert most == 2


def test_distinct_counter_pays_for_two_places():
    single = design_counter(64, rho=0.5, signed=False)
    assert DistinctCounter(64, rho=0.5).counter.design_.scale == pytest.approx(np.sqrt(2) * single.scale)
    pure = design_counter(64, epsilon=1.0, signed=False)
    assert DistinctCounter(64, epsilon=1.0).counter.design_.scale == pytest.approx(2 * pure.scale)
    assert DistinctCounter(64, epsilon=1.0, neighboring=Neighboring.REPLACE).guarantee.neighboring is Neighboring.REPLACE
