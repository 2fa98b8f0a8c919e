"""When a fit goes on, when it stops, and what it does with noise."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import statsmodels.api as sm

from synth.encoded import Codes
from synth.k_way import fit_marginals
from synth.pairwise import fit_pairs
from synth.start import independent_start, uniform_start
from synth.sweeps import REFRESH, Descent, Plan, Task
from synth.targets import Fit, MarginalTarget
from tests.synth.naive_fit import recounted

Sizes = tuple[int, ...]


def table_of_affairs() -> tuple[Codes, Sizes]:
    """1,000 rows of statsmodels' table "fair": eight columns of few values."""
    frame = sm.datasets.fair.load_pandas().data.iloc[::6, :8]
    codes = np.stack([np.unique(frame[name], return_inverse=True)[1] for name in frame], axis=1)[:1000].astype(np.int32)
    return codes, tuple(int(size) for size in codes.max(axis=0) + 1)


def noisy_pairs(real: Codes, sizes: Sizes, sigma: float, rng: np.random.Generator, *, claimed: float | None = None) -> list[MarginalTarget]:
    shapes = {pair: (sizes[pair[0]], sizes[pair[1]]) for pair in combinations(range(len(sizes)), 2)}
    claimed = sigma if claimed is None else claimed
    return [MarginalTarget(p, recounted(real, p, s) + rng.normal(0, sigma, s), claimed) for p, s in shapes.items()]


def one_ways(real: Codes, sizes: Sizes) -> list[np.ndarray]:
    return [np.bincount(real[:, i], minlength=size) for i, size in enumerate(sizes)]


def average_tv(real: Codes, fitted: Codes, sizes: Sizes) -> float:
    pairs = list(combinations(range(len(sizes)), 2))
    shares = [[recounted(t, p, (sizes[p[0]], sizes[p[1]])) / len(t) for t in (real, fitted)] for p in pairs]
    return float(np.mean([np.abs(a - b).sum() / 2 for a, b in shares]))


def test_exact_targets_of_a_real_table(rng: np.random.Generator):
    """Below 0.1 % of the uniform start, in spite of local minima (about 0.01 %)."""
    real, sizes = table_of_affairs()
    targets = noisy_pairs(real, sizes, 0.0, rng)
    start = uniform_start(sizes, len(real), rng)
    fit = fit_pairs(targets, sizes, start, total=len(real), rng=rng)
    assert fit.fitness < 1e-3 * fit.history[0]
    assert fit.noise_energy == 0
    assert fit_pairs(targets, sizes, real, total=len(real), rng=rng).fitness == 0
    half = fit_pairs(targets, sizes, start[:500], total=len(real), rng=rng)
    assert half.fitness < 3e-3 * half.history[0]


def test_one_column_is_fitted_up_to_rounding(rng: np.random.Generator):
    answer = rng.dirichlet(np.ones(7)) * 200
    fit = fit_pairs([MarginalTarget((0,), answer, 0.0)], (7,), uniform_start((7,), 200, rng), total=200, rng=rng)
    assert np.abs(np.bincount(fit.codes[:, 0], minlength=7) - answer).max() < 1
    other = fit_marginals([MarginalTarget((0,), answer * 3, 0.0)], (7,), uniform_start((7,), 200, rng), total=600, rng=rng)
    assert np.abs(np.bincount(other.codes[:, 0], minlength=7) - answer).max() < 1


def test_passes_take_out_the_bias_of_a_threshold(rng: np.random.Generator):
    """Mean of six noises; in 150 trials each margin was eight standard errors of such a mean or more."""
    real, sizes = table_of_affairs()
    plans = ({}, {"min_gain": 1.0, "max_passes": 1}, {"min_gain": 0.0}, {"min_gain": 4.0, "max_passes": 1})
    errors = np.zeros(4)
    for _ in range(6):
        targets = noisy_pairs(real, sizes, 8.0, rng)
        start = independent_start(one_ways(real, sizes), len(real), rng)
        errors += [average_tv(real, fit_pairs(targets, sizes, start, total=1000, rng=rng, **plan).codes, sizes) for plan in plans]
    passes, one_pass, no_threshold, biased = errors
    assert passes < biased
    assert one_pass < no_threshold
    assert passes < 0.97 * no_threshold


def test_infinite_noise_is_not_followed_where_the_threshold_is_high(rng: np.random.Generator):
    """sigma -> infinity: the start stays under a threshold that noise can't pass; under lambda = 1 most rows run after the noise.

    A half change is normal with standard deviation h_i / lambda, so each of D = 42 values passes lambda = 1 with probability 0.16, and
    lambda = 9 with probability 1e-19.
    """
    real, sizes = table_of_affairs()
    targets = noisy_pairs(real, sizes, 1e7, rng)
    start = uniform_start(sizes, 1000, rng)
    high, low = (fit_pairs(targets, sizes, start, total=1000, min_gain=gain, max_passes=1, rng=rng) for gain in (9.0, 1.0))
    np.testing.assert_array_equal(high.codes, start)
    assert high.stopped == "converged"
    assert (low.codes != start).any(axis=1).mean() > 0.9
    assert average_tv(start, low.codes, sizes) > 0.15


def test_a_start_within_the_noise_is_handed_back(rng: np.random.Generator):
    real, sizes = table_of_affairs()
    start = independent_start(one_ways(real, sizes), len(real), rng)
    targets = noisy_pairs(start, sizes, 20.0, rng, claimed=30.0)
    fit = fit_pairs(targets, sizes, start, total=1000, rng=rng)
    np.testing.assert_array_equal(fit.codes, start)
    assert fit.stopped == "noise_floor"
    assert len(fit.history) == 1
    assert len(fit_pairs(noisy_pairs(start, sizes, 20.0, rng, claimed=10.0), sizes, start, total=1000, rng=rng).history) > 1


def test_noise_floor_stops_within_a_sweep(rng: np.random.Generator):
    real, sizes = table_of_affairs()
    targets, start = noisy_pairs(real, sizes, 5.0, rng), uniform_start(sizes, 1000, rng)
    fit = fit_pairs(targets, sizes, start, total=1000, min_gain=0.0, noise_floor=2.0, rng=rng)
    assert fit.stopped == "noise_floor"
    assert 1.9 * fit.noise_energy < fit.fitness <= 2.0 * fit.noise_energy * (1 + 1e-4)
    already = fit_pairs(targets, sizes, fit.codes, total=1000, min_gain=0.0, noise_floor=3.0, rng=rng)
    assert (already.stopped, already.history) == ("noise_floor", (already.fitness,))


def test_sweeps_are_counted_and_reported(rng: np.random.Generator):
    real, sizes = table_of_affairs()
    targets, start = noisy_pairs(real, sizes, 3.0, rng), uniform_start(sizes, 1000, rng)
    seen: list[tuple[int, int, str]] = []
    fit = fit_pairs(targets, sizes, start, total=1000, max_sweeps=3, rng=rng, min_gain=0.0, progress=lambda *what: seen.append(what))
    assert seen == [(1, 3, "sweeps"), (2, 3, "sweeps"), (3, 3, "sweeps")]
    assert fit.stopped == "max_sweeps"
    assert len(fit.history) == 4
    none = fit_pairs(targets, sizes, start, total=1000, max_sweeps=0, rng=rng)
    assert (none.stopped, len(none.history)) == ("max_sweeps", 1)
    np.testing.assert_array_equal(none.codes, start)


class Script:
    """An engine that plays what it's told: F after each count, moves of each sweep."""

    def __init__(self, fitness: list[float], moves: int) -> None:
        self.codes = np.zeros((1000, 1), dtype=np.int32)
        self.left, self.moves = fitness, moves
        self.seen: list[str] = []

    def recount(self, *, lift: bool = False) -> float:
        self.seen.append("lift" if lift else "count")
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]

    def fitness(self) -> float:
        return self.left[0]

    def sweep(self, order: np.ndarray, room: float) -> tuple[int, float]:
        assert sorted(order) == list(range(1000))
        self.seen.append("sweep")
        return self.moves, 0.0


def play(fitness: list[float], moves: int, plan: Plan) -> tuple[Fit, list[str]]:
    """Noise energy is 10 (a sigma of 1, a weight of 1, ten cells, n' = n)."""
    task = Task([MarginalTarget((0,), np.full(10, 100.0), 1.0)], (10,), np.zeros((1000, 1), dtype=np.int32), 1000, ())
    engine = Script(fitness, moves)
    return Descent(engine, task, plan, 0).run(), engine.seen


@pytest.mark.parametrize(
    ("fitness", "n_passes", "stopped"),
    [
        ([100.0, 50.0, 20.0, 12.0, 11.0, 9.0], 4, "converged"),  # 12 to 11 is less than a tenth
        ([100.0, 50.0, 20.0, 7.4, 3.0], 3, "converged"),  # 7.4 is below 0.75 N
        ([100.0, 7.4, 3.0], 1, "converged"),
        ([100.0, 80.0, 70.0, 60.0, 50.0, 40.0, 30.0, 20.0, 15.0, 9.0], 8, "converged"),
        ([9.9, 1.0], 0, "noise_floor"),  # below N
    ],
)
def test_passes_follow_their_rule(fitness: list[float], n_passes: int, stopped: str):
    fit, seen = play(list(fitness), 49, Plan(4.0, 8, None, 60, None))
    assert seen == ["count", *["sweep", "lift"] * n_passes]
    assert fit.stopped == stopped
    assert fit.history == pytest.approx([f / 1e6 for f in fitness[: n_passes + 1]])


def test_the_last_pass_ends_later_than_the_ones_before():
    """5 % of the rows end a pass of several, 0.2 % a single one; without noise there's a single one."""
    for moves, plan, n_sweeps in (
        (49, Plan(4.0, 8, None, 3, None), 2),
        (51, Plan(4.0, 8, None, 3, None), 3),
        (3, Plan(4.0, 1, None, 3, None), 3),
        (1, Plan(4.0, 1, None, 3, None), 1),
        (3, Plan(0.0, 8, None, 3, None), 3),
    ):
        assert play([100.0, 50.0, 49.0], moves, plan)[1].count("sweep") == n_sweeps


def test_long_passes_are_recounted_on_their_way():
    _, seen = play([100.0], 900, Plan(1.0, 1, None, 45, None))
    assert [place for place, what in enumerate(seen) if what == "count"] == [0, REFRESH, 2 * REFRESH + 1]
    assert seen.count("sweep") == 45


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": np.zeros((4, 3), dtype=np.int32)}, r"shape \(at least 1, 2\), got \(4, 3\)"),
        ({"start": np.zeros((0, 2), dtype=np.int32)}, r"got \(0, 2\)"),
        ({"start": np.array([[0, 3]])}, "between 0 and size - 1"),
        ({"start": np.array([[-1, 0]])}, "between 0 and size - 1"),
        ({"total": 0}, "total"),
        ({"min_gain": -1.0}, "min_gain"),
        ({"max_passes": 0}, "max_passes"),
        ({"max_sweeps": -1}, "max_sweeps"),
        ({"noise_floor": -0.1}, "noise_floor"),
        ({"sizes": (2, 0)}, "size"),
        ({"targets": [MarginalTarget((0, 2), np.zeros((2, 2)), 1.0)]}, "between 0 and 1"),
        ({"targets": [MarginalTarget((), 3.0, 1.0)]}, "between 0 and 1"),
        ({"targets": [MarginalTarget((0, 1), np.zeros((3, 2)), 1.0)]}, r"shape \(2, 3\), got \(3, 2\)"),
        ({"targets": [MarginalTarget((0,), [1.0, np.nan], 1.0)]}, "finite"),
        ({"targets": [MarginalTarget((0,), [1.0, 2.0], 1.0, weight=0.0)]}, "weight"),
        ({"targets": [MarginalTarget((0,), [1.0, 2.0], -1.0)]}, "sigma"),
        ({"forbidden": [((0, 1), np.array([[True, False, False], [False] * 3]))]}, "repair_rows"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str):
    arguments: dict[str, object] = {
        "targets": [MarginalTarget((0, 1), np.zeros((2, 3)), 1.0)],
        "sizes": (2, 3),
        "start": np.zeros((4, 2), dtype=np.int32),
        "total": 4,
    }
    with pytest.raises(ValueError, match=message):
        fit_marginals(**(arguments | change))


def test_codes_are_whole_numbers():
    with pytest.raises(TypeError, match="whole numbers"):
        fit_marginals([], (2,), np.zeros((3, 1)), total=3)


def test_no_targets_no_moves(rng: np.random.Generator):
    start = uniform_start((3, 2), 10, rng)
    fit = fit_marginals([], (3, 2), start, total=10)
    np.testing.assert_array_equal(fit.codes, start)
    assert fit.fitness == 0
