"""The ratio of noise and answers, against its definition."""

import numpy as np
import pytest

from synth.adaptive.mode import noise_ratio


def test_a_column_of_one_value_counts_as_one_cell():
    one_ways = [np.array([100.0, 0.0, 0.0]), np.array([50.0, 50.0])]
    assert noise_ratio(one_ways, [(0, 1)], [3.0], total=100.0) == pytest.approx(np.sqrt(2 / np.pi) * 3 * 2 / 100)


def test_it_grows_with_noise_and_spread_and_falls_with_rows(rng):
    one_ways = [rng.dirichlet(np.ones(6)) * 1000 for _ in range(3)]
    groups = [(0, 1), (0, 2), (1, 2)]
    base = noise_ratio(one_ways, groups, [1.0, 2.0, 3.0], total=1000.0)
    assert noise_ratio(one_ways, groups, [2.0, 4.0, 6.0], total=1000.0) == pytest.approx(2 * base)
    assert noise_ratio(one_ways, groups, [1.0, 2.0, 3.0], total=2000.0) == pytest.approx(base / 2)
    spread = [np.full(6, 1000 / 6)] * 3
    assert noise_ratio(spread, groups, [1.0, 2.0, 3.0], total=1000.0) > base


def test_negative_counts_are_clipped():
    assert noise_ratio([np.array([-5.0, 105.0])], [(0,)], [1.0], total=100.0) == pytest.approx(np.sqrt(2 / np.pi) / 100)
