from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.distribution.cuts import best_cuts

VALUES = st.lists(st.tuples(st.integers(-6, 6), st.booleans()), min_size=2, max_size=14).filter(lambda rows: len({w for _, w in rows}) == 2)


def tried_one_by_one(values, world, upward):
    """(accuracy, gap) of the best midpoint, by trying all of them; 1/2 and no gap where there is none."""
    ordered, found = sorted(set(values)), [(0.5, 0.0)] if len(set(values)) == 1 else []
    for low, high in pairwise(ordered):
        above = np.array(values) > (low + high) / 2
        accuracy = (np.mean(above[world]) + np.mean(~above[~world])) / 2
        found += [(accuracy, high - low)] + ([] if upward else [(1 - accuracy, high - low)])
    best = max(accuracy for accuracy, _ in found)
    return best, max(gap for accuracy, gap in found if accuracy > best - 1e-12)


@given(VALUES, st.booleans())
def test_no_midpoint_is_better(rows, upward):
    values, world = [float(v) for v, _ in rows], np.array([w for _, w in rows])
    cut = best_cuts(values, world, upward=upward)
    accuracy, gap = tried_one_by_one(values, world, upward)
    assert cut.accuracy[0] == pytest.approx(accuracy, abs=1e-12)
    below, above = [v for v in values if v < cut.at[0]], [v for v in values if v > cut.at[0]]
    if gap:
        assert min(above) - max(below) == pytest.approx(gap)
        assert cut.at[0] == (min(above) + max(below)) / 2
    if cut.sign[0]:
        says_1 = cut.decide(np.array(values)[:, None])[:, 0] > 0
        assert (np.mean(says_1[world]) + np.mean(~says_1[~world])) / 2 == pytest.approx(accuracy, abs=1e-12)


@given(VALUES)
def test_worlds_that_change_names_change_the_sign_only(rows):
    values, world = [float(v) for v, _ in rows], np.array([w for _, w in rows])
    one, other = best_cuts(values, world), best_cuts(values, ~world)
    assert one.at[0] == other.at[0]
    assert one.sign[0] == -other.sign[0]


def test_columns_are_cut_one_by_one(rng):
    values, world = rng.normal(size=(40, 7)).round(1), np.arange(40) % 2 == 0
    together = best_cuts(values, world)
    for column in range(7):
        alone = best_cuts(values[:, column], world)
        assert (alone.at[0], alone.sign[0], alone.accuracy[0]) == (together.at[column], together.sign[column], together.accuracy[column])


def test_a_fixed_grid_misses_the_cut():
    """Values 1e-4 apart: steps of 0.005 from the minimum, as in public code, see one cut only."""
    values, world = np.arange(20) * 1e-4, np.arange(20) >= 7
    cut = best_cuts(values, world)
    grid = np.arange(values.min(), values.max(), 0.005)
    assert cut.accuracy[0] == pytest.approx(1)
    assert max((np.mean(values[world] > at) + np.mean(values[~world] <= at)) / 2 for at in grid) < 0.6


def test_what_says_nothing_has_no_direction():
    for values in ([3.0, 3.0, 3.0, 3.0], [0.0, 1.0, 1.0, 0.0]):
        cut = best_cuts(values, [0, 0, 1, 1])
        assert (cut.sign[0], cut.accuracy[0]) == (0, 0.5)
