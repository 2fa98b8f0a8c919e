"""The engine for groups of any number of columns."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.k_way import LARGEST_MATRIX, GroupEngine, fit_k_way, fit_marginals
from synth.pairwise import fit_pairs
from synth.start import uniform_start
from synth.sweeps import Task
from synth.targets import MarginalTarget
from tests.synth.naive_fit import move_changes, moved_with_a_wrong_sign, naive_sweep, objective, recounted


def some_task(rng: np.random.Generator, *, whole: bool) -> Task:
    """Groups of one to four columns."""
    sizes = tuple(int(size) for size in rng.integers(1, 5, size=4))
    groups = [group for k in (1, 2, 3, 4) for group in combinations(range(4), k) if rng.random() < 0.5]
    targets = []
    for group in groups:
        shape = tuple(sizes[i] for i in group)
        answer = rng.integers(-2, 8, shape) if whole else rng.normal(2, 2, shape)
        targets.append(MarginalTarget(group, answer, 0.5, float(rng.integers(1, 4)) if whole else rng.uniform(0.1, 1)))
    return Task(targets, sizes, uniform_start(sizes, 15, rng), 15 if whole else 21.5, ())


@given(st.integers(0, 2**32))
@settings(max_examples=25)
def test_prices_of_moves_are_those_of_recomputation(seed: int):
    task = some_task(np.random.default_rng(seed), whole=False)
    engine = GroupEngine(task, 1.0)
    fitness = engine.recount()
    assert fitness == pytest.approx(objective(task.codes, task.targets, task.total), rel=1e-12, abs=1e-12)
    for row in range(15):
        np.testing.assert_allclose(engine.changes(row), move_changes(task, task.codes, row), rtol=0, atol=1e-9)


def test_prices_with_a_wrong_sign_are_caught(rng: np.random.Generator):
    target = MarginalTarget((0, 1, 2), rng.normal(2, 2, (2, 3, 2)), 1.0)
    task = Task([target], (2, 3, 2), uniform_start((2, 3, 2), 15, rng), 15, ())
    engine = GroupEngine(task, 1.0)
    engine.recount()
    assert np.abs(engine.changes(0) - moved_with_a_wrong_sign(task, task.codes, 0)).max() > 1


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.4, 1.0]))
@settings(max_examples=10)
def test_sweeps_are_those_of_a_plain_loop(seed: int, min_gain: float):
    rng = np.random.default_rng(seed)
    task = some_task(rng, whole=True)
    engine, codes = GroupEngine(task, min_gain), task.codes
    engine.recount()
    for _ in range(2):
        order = rng.permutation(15)
        codes = naive_sweep(task, codes, order, min_gain)
        engine.sweep(order, np.inf)
        np.testing.assert_array_equal(engine.codes, codes)
        assert engine.fitness() == pytest.approx(objective(codes, task.targets, task.total), rel=1e-9, abs=1e-9)


def test_three_columns_are_fitted(rng: np.random.Generator):
    """The exclusive or of two columns is in no pair, and in the triple."""
    real = rng.integers(2, size=(400, 3)).astype(np.int32)
    real[:, 2] = real[:, 0] ^ real[:, 1]
    answer = recounted(real, (0, 1, 2), (2, 2, 2))
    fit = fit_marginals([MarginalTarget((0, 1, 2), answer, 0.0)], (2, 2, 2), uniform_start((2, 2, 2), 400, rng), total=400, rng=rng)
    assert fit.fitness == 0
    pairs = [MarginalTarget(p, recounted(real, p, (2, 2)), 0.0) for p in combinations(range(3), 2)]
    blind = fit_marginals(pairs, (2, 2, 2), uniform_start((2, 2, 2), 400, rng), total=400, rng=rng)
    assert np.abs(recounted(blind.codes, (0, 1, 2), (2, 2, 2)) - answer).max() > 20


def test_dispatch(rng: np.random.Generator):
    """Pairs go to the matrix, triples don't; so do pairs of columns with too many values."""
    start = uniform_start((2, 3, 2), 50, rng)
    triple, pair = (MarginalTarget(g, np.full([(2, 3, 2)[i] for i in g], 4.5), 0.3) for g in ((0, 1, 2), (0, 2)))
    for targets, engine in (([pair], fit_pairs), ([triple, pair], fit_k_way)):
        one, other = (fit(targets, (2, 3, 2), start, total=50, rng=4) for fit in (fit_marginals, engine))
        np.testing.assert_array_equal(one.codes, other.codes)
    with pytest.raises(ValueError, match="one or two columns"):
        fit_pairs([triple], (2, 3, 2), start, total=50)
    wide = (LARGEST_MATRIX, 2)
    target = MarginalTarget((1,), [10, 40], 0.0)
    assert fit_marginals([target], wide, np.zeros((50, 2), dtype=np.int32), total=50, rng=0).fitness == 0


def test_same_seed_same_table(rng: np.random.Generator):
    task = some_task(rng, whole=False)
    one, again = (fit_k_way(task.targets, task.sizes, task.codes, total=20, rng=5) for _ in range(2))
    np.testing.assert_array_equal(one.codes, again.codes)
