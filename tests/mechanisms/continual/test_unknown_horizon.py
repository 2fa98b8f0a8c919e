"""Doubling segments: streaming past any horizon, the share of each segment, growth of the error."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mechanisms.continual.factorization import left_matrix
from mechanisms.continual.unknown_horizon import UnknownHorizon, prefix_share, segment


def test_a_stream_does_not_know_the_horizon(rng: np.random.Generator):
    z = rng.normal(size=(200, 1))

    def noise(T: int) -> np.ndarray:
        used = 0

        def draw(n: int) -> np.ndarray:
            nonlocal used
            used += n
            return z[used - n : used]

        stream = UnknownHorizon(T).stream(1)
        return np.stack([stream.step(draw) for _ in range(100)])

    np.testing.assert_array_equal(noise(3), noise(100))


@pytest.mark.parametrize("i", [0, 1, 5, 9])
def test_share_is_the_best_for_the_last_step_of_a_segment(i: int):
    a, b, best = i + 1, segment(i).max_error(), prefix_share(i)

    def bound(share: float) -> float:
        return a / (1 - share) + b / share

    assert bound(best) == pytest.approx((math.sqrt(a) + math.sqrt(b)) ** 2)
    assert all(bound(best) <= bound(best + h) for h in (-0.01, 0.01))


def test_the_formula_at_sixteen_segments():
    assert (math.sqrt(16) + math.sqrt(21.13)) ** 2 == pytest.approx(73.9, abs=0.05)


def test_one_total_each_beats_last_prefixes():
    made = UnknownHorizon(2**12 - 1)
    assert made.max_error() < sum(segment(i).max_error() for i in range(12)) / 1.3


def test_every_segment_spends_the_whole_budget():
    for T in (1, 3, 7, 31):
        R = UnknownHorizon(T).right_matrix()
        np.testing.assert_allclose((R**2).sum(axis=0), 1, rtol=1e-10)
    R = UnknownHorizon(20).right_matrix()
    assert ((R**2).sum(axis=0) <= 1 + 1e-12).all()


def test_only_the_open_segment_and_totals_are_used():
    left = left_matrix(UnknownHorizon(15))
    last = left[14]
    assert (last[[0, 2, 3, 5, 6, 7, 8]] == 0).all(), "prefix draws of finished segments are dropped"
    assert (last[[1, 4, 9]] != 0).all(), "their totals stay"
