"""Stopping by the width of the interval."""

from __future__ import annotations

import numpy as np
import pytest

from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.streams.stop_rule import run_until_rejected
from privacy_audit.estimate.worlds.accuracy_stop import AccuracyStopRule, victims_needed


def width(counts, level=0.95):
    return float(np.diff(AccuracyPosterior(counts).interval(level))[0])


def trials(tnr, tpr, rng):
    while True:
        bit = bool(rng.integers(2))
        yield bit, bit == (rng.random() < (tpr if bit else tnr))


class TestRule:
    def test_stops_at_the_width(self, rng):
        rule = AccuracyStopRule(width=0.15)
        drawn = run_until_rejected(rule, trials(0.7, 0.8, rng), most=5000)
        assert drawn == sum(rule.n_victims)
        assert 100 < drawn < 1000  # 0.15 needs about 60 victims of each world
        assert width(rule.counts) < 0.15

    def test_batches_count_as_single_victims(self):
        one, other = AccuracyStopRule(width=0.2), AccuracyStopRule(width=0.2)
        bits, guesses = [0, 1, 1, 0, 1], [0, 1, 0, 1, 1]
        one.update(bits, guesses)
        for bit, guess in zip(bits, guesses, strict=True):
            other.update(bit, guess)
        assert one.counts == other.counts
        assert (one.counts.tp, one.counts.fn, one.counts.tn, one.counts.fp) == (2, 1, 1, 1)

    def test_needs_both_worlds(self):
        rule = AccuracyStopRule(width=0.9, fewest=1)
        assert not rule.rejected
        rule.update([1] * 50, [1] * 50)
        assert not rule.rejected
        rule.update([0] * 50, [0] * 50)
        assert rule.rejected

    @pytest.mark.parametrize("options", [{"width": 0.0}, {"width": 0.1, "level": 95}, {"width": 0.1, "fewest": 0}])
    def test_bad_input(self, options):
        with pytest.raises(ValueError, match="width|level|fewest"):
            AccuracyStopRule(**options)

    @pytest.mark.slow
    def test_accuracy_is_held_after_stopping(self, rng):
        """At rates (0.7, 0.9) about 94 % of 300 intervals hold the accuracy; fewer than 85 % has probability below 1e-6."""
        held = []
        for _ in range(300):
            rule = AccuracyStopRule(width=0.2)
            run_until_rejected(rule, trials(0.7, 0.9, rng), most=5000)
            low, high = AccuracyPosterior(rule.counts).interval()
            held.append(low <= 0.8 <= high)
        assert np.mean(held) > 0.85


class TestPlan:
    @pytest.mark.parametrize(("target", "tnr", "tpr"), [(0.1, 0.5, 0.5), (0.05, 0.75, 0.8), (0.02, 1.0, 1.0)])
    def test_enough(self, target, tnr, tpr):
        m = victims_needed(target, tnr=tnr, tpr=tpr)
        rule = AccuracyStopRule(width=target, fewest=1)
        k_0, k_1 = round(m * tnr), round(m * tpr)
        rule.update([0] * m + [1] * m, [0] * k_0 + [1] * (m - k_0) + [1] * k_1 + [0] * (m - k_1))
        assert rule.rejected

    def test_normal_law_of_large_numbers(self):
        assert victims_needed(0.01) == pytest.approx((2 * 1.959964 / 0.01) ** 2 * 0.5 / 4, rel=1e-3)

    def test_too_many(self):
        with pytest.raises(ValueError, match="more than 10000000"):
            victims_needed(1e-6)
