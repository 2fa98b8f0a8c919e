"""The pair engine: its prices of moves, its sweeps, and what it reaches."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.encoded import Codes
from synth.k_way import GroupEngine, fit_k_way
from synth.pairwise import PairEngine, fit_pairs
from synth.start import uniform_start
from synth.sweeps import Task
from synth.targets import MarginalTarget
from tests.synth.naive_fit import move_changes, moved_with_a_wrong_sign, naive_sweep, objective, recounted


def some_targets(sizes: tuple[int, ...], rng: np.random.Generator, *, whole: bool = False) -> list[MarginalTarget]:
    """Noisy targets of most pairs and some single columns; a pair or two is measured twice."""
    d = len(sizes)
    groups: list[tuple[int, ...]] = [pair for pair in combinations(range(d), 2) if rng.random() < 0.8]
    groups += [(i,) for i in range(d) if rng.random() < 0.4] + groups[:1]
    shapes = [tuple(sizes[i] for i in group) for group in groups]
    if whole:
        return [MarginalTarget(g, rng.integers(-2, 9, s), 1.0, float(rng.integers(1, 4))) for g, s in zip(groups, shapes, strict=True)]
    return [MarginalTarget(g, rng.normal(3, 3, s), rng.uniform(0.1, 1), rng.uniform(0.1, 1)) for g, s in zip(groups, shapes, strict=True)]


def some_task(rng: np.random.Generator, *, n_rows: int = 12, whole: bool = False) -> Task:
    sizes = tuple(int(size) for size in rng.integers(1, 7, size=int(rng.integers(1, 5))))
    start = uniform_start(sizes, n_rows, rng)
    return Task(some_targets(sizes, rng, whole=whole), sizes, start, n_rows if whole else float(rng.uniform(5, 40)), ())


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_prices_of_moves_are_those_of_recomputation(seed: int):
    task = some_task(np.random.default_rng(seed))
    for engine in (PairEngine(task, 1.0, np.float64), GroupEngine(task, 1.0)):
        fitness = engine.recount()
        assert fitness == pytest.approx(objective(task.codes, task.targets, task.total), rel=1e-13)
        assert engine.fitness() == pytest.approx(fitness, rel=1e-12, abs=1e-9)
        for row in range(task.n_rows):
            expected = move_changes(task, task.codes, row)
            np.testing.assert_allclose(engine.changes(row), expected, rtol=0, atol=6e-14 * max(fitness, 1))


def test_prices_with_a_wrong_sign_are_caught(rng: np.random.Generator):
    task = Task([MarginalTarget((0, 1), rng.normal(3, 3, (2, 3)), 1.0)], (2, 3), uniform_start((2, 3), 12, rng), 12, ())
    engine = PairEngine(task, 1.0, np.float64)
    engine.recount()
    assert np.abs(engine.changes(0) - moved_with_a_wrong_sign(task, task.codes, 0)).max() > 1


@pytest.mark.parametrize("engine_of", [PairEngine, GroupEngine])
def test_sweeps_are_those_of_a_plain_loop(engine_of: type[PairEngine | GroupEngine], rng: np.random.Generator):
    """Whole numbers everywhere: no rounding, and the first of equal moves is taken by all; three sweeps, running sums kept."""
    for min_gain in (0.0, 0.3, 1.0):
        task = some_task(rng, n_rows=20, whole=True)
        engine, codes = engine_of(task, min_gain), task.codes
        engine.recount()
        for _ in range(3):
            order = rng.permutation(20)
            before = objective(codes, task.targets, task.total)
            codes = naive_sweep(task, codes, order, min_gain)
            _, fallen = engine.sweep(order, np.inf)
            np.testing.assert_array_equal(engine.codes, codes)
            assert fallen == pytest.approx(before - objective(codes, task.targets, task.total), abs=1e-3)
            assert engine.fitness() == pytest.approx(objective(codes, task.targets, task.total), rel=1e-5, abs=1e-3)


def test_a_loop_with_a_wrong_sign_goes_another_way(rng: np.random.Generator):
    """False alarm below 1e-6: each of 20 rows would have to agree."""
    sizes = (4, 3, 5)
    targets = [MarginalTarget(g, rng.integers(0, 12, [sizes[i] for i in g]), 0.0) for g in combinations(range(3), 2)]
    task = Task(targets, sizes, uniform_start(sizes, 20, rng), 20, ())
    engine, order = PairEngine(task, 0.0), rng.permutation(20)
    engine.recount()
    engine.sweep(order, np.inf)
    assert (engine.codes != naive_sweep(task, task.codes, order, 0.0, moved_with_a_wrong_sign)).any()


def test_both_engines_make_the_same_table(rng: np.random.Generator):
    task = some_task(rng, n_rows=200, whole=True)
    for min_gain, max_passes in ((0.0, 1), (0.5, 1), (2.0, 4)):
        plan = {"total": 200, "min_gain": min_gain, "max_passes": max_passes, "rng": 3}
        one, other = (fit(task.targets, task.sizes, task.codes, **plan) for fit in (fit_pairs, fit_k_way))
        np.testing.assert_array_equal(one.codes, other.codes)
        assert one.history == pytest.approx(other.history, rel=1e-4, abs=1e-9)
        assert one.fitness == pytest.approx(other.fitness, rel=1e-12)


def noisy_pairs(real: Codes, sizes: tuple[int, ...], sigma: float, rng: np.random.Generator) -> list[MarginalTarget]:
    shapes = {pair: (sizes[pair[0]], sizes[pair[1]]) for pair in combinations(range(len(sizes)), 2)}
    return [MarginalTarget(p, recounted(real, p, s) + rng.normal(0, sigma, s), sigma) for p, s in shapes.items()]


def dependent_table(n_rows: int, rng: np.random.Generator) -> tuple[Codes, tuple[int, ...]]:
    kind, sizes = rng.integers(3, size=n_rows), (5, 8, 3, 9)
    noise = [rng.integers(size, size=n_rows) * (rng.random(n_rows) < 0.3) for size in sizes]
    columns = [(kind * step + e) % size for step, e, size in zip((1, 2, 1, 3), noise, sizes, strict=True)]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.int32), sizes


def test_fitness_is_that_of_the_table_handed_back(rng: np.random.Generator):
    real, sizes = dependent_table(3000, rng)
    targets = noisy_pairs(real, sizes, 4.0, rng)
    fit = fit_pairs(targets, sizes, uniform_start(sizes, 3000, rng), total=2990.5, max_passes=1, min_gain=1.0, rng=rng)
    assert fit.fitness == pytest.approx(objective(fit.codes, targets, 2990.5) / 3000**2, rel=1e-12)
    assert fit.history[-1] == fit.fitness
    assert fit.stopped == "converged"
    assert all(later <= earlier * (1 + 1e-4) for earlier, later in zip(fit.history, fit.history[1:], strict=False))
    cells = sum(target.answer.size for target in targets)
    assert fit.noise_energy == pytest.approx(cells * 16 / 2990.5**2, rel=1e-12)
    assert fit.codes.dtype == np.int32
    assert not fit.codes.flags.writeable


def test_same_seed_same_table(rng: np.random.Generator):
    real, sizes = dependent_table(500, rng)
    targets, start = noisy_pairs(real, sizes, 2.0, rng), uniform_start(sizes, 500, rng)
    one, again, other = (fit_pairs(targets, sizes, start, total=500, rng=seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.codes, again.codes)
    assert one.history == again.history
    assert (one.codes != other.codes).any()


def test_precision_does_not_matter(rng: np.random.Generator):
    """Single precision, far from its limit, ends as near to the targets as double."""
    real, sizes = dependent_table(4000, rng)
    task = Task(noisy_pairs(real, sizes, 3.0, rng), sizes, uniform_start(sizes, 4000, rng), 4000, ())
    ends = []
    for precision in (np.float32, np.float64):
        engine, order = PairEngine(task, 1.0, precision), np.random.default_rng(0)
        engine.recount()
        for _ in range(6):
            engine.sweep(order.permutation(4000), np.inf)
        running = engine.fitness()
        ends.append(engine.recount())
        assert running == pytest.approx(ends[-1], rel=1e-4 if precision is np.float32 else 1e-10)
    assert ends[0] == pytest.approx(ends[1], rel=0.02)


def test_running_sums_survive_many_rows():
    """Beyond 2^18 rows the matrix is in double precision."""
    n = 2**18 + 1
    fit = fit_pairs([MarginalTarget((0, 1), [[n - 2, 1], [1, 0]], 0.0)], (2, 2), np.zeros((n, 2), dtype=np.int32), total=n, rng=0)
    assert fit.fitness == 0
