"""The simultaneous band: its local level against closed forms and simulation, coverage, ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from attacks.scores import MembershipScores
from mechanisms.accounting.gaussian import gaussian_epsilon
from privacy_audit.estimate.strategies.band import (
    MOST_EXACT_SCORES,
    band_epsilon,
    band_limits,
    crossing_probability,
    local_level,
    threshold_counts,
)
from privacy_audit.estimate.thresholds import audit_curve, audit_scores
from tests.estimate.known_scores import coin_scores, gaussian_scores, laplace_scores, most_violations


def simulated_crossing(n, eta, draws, rng):
    rank = np.arange(1.0, n + 1)
    limit = special.betainccinv(rank, n - rank + 1, eta)
    return np.mean([(np.sort(rng.random((100, n)), axis=1) > limit).any(axis=1).mean() for _ in range(draws // 100)])


class TestLocalLevel:
    @pytest.mark.parametrize("eta", [0.3, 0.025, 1e-4])
    def test_two_scores_have_a_closed_form(self, eta):
        # no violation: both draws below b2, not both above b1
        b1, b2 = 1 - np.sqrt(eta), np.sqrt(1 - eta)
        assert crossing_probability(2, eta) == pytest.approx(1 - (b2**2 - (b2 - b1) ** 2), rel=1e-9)
        assert crossing_probability(1, eta) == pytest.approx(eta)

    @pytest.mark.parametrize(("n", "eta"), [(3, 0.02), (10, 0.01), (60, 0.003), (200, 7.9e-4)])
    def test_against_simulation(self, n, eta, rng):  # false alarm 1e-6
        draws = 20_000
        exact = crossing_probability(n, eta)
        allowed = 5 * np.sqrt(exact * (1 - exact) / draws)
        assert simulated_crossing(n, eta, draws, rng) == pytest.approx(exact, abs=allowed)
        assert eta + allowed < exact or n == 3  # negative control: the local level alone is no level of the band
        assert exact < n * eta

    @pytest.mark.slow
    @pytest.mark.parametrize(("n", "eta"), [(1000, 5.325e-4), (1000, 6.2e-4), (3000, 4.17e-4)])
    def test_against_more_simulation(self, n, eta, rng):  # false alarm 1e-6
        exact = crossing_probability(n, eta)
        assert simulated_crossing(n, eta, 100_000, rng) == pytest.approx(exact, abs=5 * np.sqrt(exact / 100_000))

    @pytest.mark.parametrize("alpha", [0.5, 0.025, 1e-6])
    @pytest.mark.parametrize("n", [1, 2, 7, 100, 700])
    def test_it_solves_the_equation_on_the_safe_side(self, n, alpha):
        assert 0.999 * alpha <= crossing_probability(n, local_level(n, alpha)) <= alpha * (1 + 1e-12)

    def test_values(self):
        # simulation had given 7.9e-4 at 200 and 6.2e-4 at 1000 per side; the latter spends 0.0284 instead of 0.025
        assert local_level(200, 0.025) == pytest.approx(8.48e-4, rel=2e-3)
        assert local_level(1000, 0.025) == pytest.approx(5.33e-4, rel=2e-3)
        assert crossing_probability(1000, 6.2e-4) == pytest.approx(0.02844, abs=1e-4)

    @given(n=st.integers(1, 150), alpha=st.floats(1e-4, 0.3))
    @settings(max_examples=25)
    def test_between_bonferroni_and_nothing(self, n, alpha):
        assert 0.999 * alpha / n <= local_level(n, alpha) <= alpha


class TestLimits:
    @pytest.mark.parametrize("n", [1, 5, 400, MOST_EXACT_SCORES + 1, 100_000])
    def test_they_rise_and_lie_above_the_shares(self, n):
        limits = band_limits(n, 0.025)
        assert len(limits) == n + 1
        assert limits[-1] == 1
        assert (np.diff(limits) >= 0).all()
        assert (limits[:-1] > np.arange(n) / n).all()
        assert not limits.flags.writeable

    def test_declared_ranks_cover_too(self, rng):  # false alarm 1e-6
        n = MOST_EXACT_SCORES + 1
        limits = band_limits(n, 0.05)
        # j scores at or above T mean P(score >= T) < U_(j+1)
        wrong = sum((np.sort(rng.random(n)) > limits[:-1]).any() for _ in range(400))
        assert wrong <= most_violations(400)
        assert (limits[:-1] <= band_limits.__wrapped__(n, 0.001)[:-1]).all()


class TestBound:
    @pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
    def test_coverage(self, epsilon, rng):  # false alarm 1e-6
        bounds = [audit_scores(laplace_scores(rng, epsilon, 300), delta=0.0, strategy="band").epsilon for _ in range(400)]
        assert sum(bound > epsilon for bound in bounds) <= most_violations(400)

    def test_coverage_with_ties(self, rng):  # false alarm 1e-6
        bounds = [audit_scores(coin_scores(rng, 1.0, 300), delta=0.0, strategy="band").epsilon for _ in range(400)]
        assert sum(bound > 1.0 for bound in bounds) <= most_violations(400)

    def test_a_curve_holds_at_all_deltas_together(self, rng):  # false alarm 1e-6
        deltas = np.geomspace(1e-6, 0.3, 9)
        truth = np.array([gaussian_epsilon(1.0, delta) for delta in deltas])
        curves = [audit_curve(gaussian_scores(rng, 1.0, 200), deltas=deltas, strategy="band").epsilon for _ in range(300)]
        assert sum((curve > truth).any() for curve in curves) <= most_violations(300)

    def test_the_single_limit_without_correction_is_caught(self, rng):
        # negative control: every threshold at the full error contradicts a true epsilon of 0
        wrong = 0
        for _ in range(300):
            scores = laplace_scores(rng, 0.0, 300)
            fp, fn = threshold_counts(scores)
            rank = np.arange(1.0, 301)
            limit = np.append(special.betainccinv(rank, 301 - rank, 0.05), 1.0)
            wrong += bool((limit[fp] + limit[fn] < 1).any())
        assert wrong > most_violations(300)

    @given(seed=st.integers(0, 10**6), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=20)
    def test_it_is_the_best_of_all_thresholds(self, seed, delta):
        rng = np.random.default_rng(seed)
        scores = MembershipScores(rng.integers(0, 12, 60) + rng.integers(0, 8, 60) * (np.arange(60) < 25), np.arange(60) < 25)
        limit_out, limit_in = band_limits(35, 0.025), band_limits(25, 0.025)
        best = 0.0
        for threshold in [*np.unique(scores.score), np.inf]:
            fp = int((scores.score[~scores.member] >= threshold).sum())
            fn = int((scores.score[scores.member] < threshold).sum())
            x, y = limit_out[fp], limit_in[fn]
            for above, below in ((1 - delta - y, x), (1 - delta - x, y)):
                best = max(best, float(np.log(above / below))) if above > 0 else best
        assert band_epsilon(scores, deltas=np.array([delta]), alpha=0.05)[0] == pytest.approx(best, abs=1e-12)

    def test_infinite_scores(self):
        member = np.arange(200) < 100
        infinite = MembershipScores(np.where(member, np.inf, -np.inf), member)
        finite = MembershipScores(np.where(member, 1.0, 0.0), member)
        bounds = [audit_scores(scores, delta=0.0, strategy="band") for scores in (infinite, finite)]
        assert bounds[0].epsilon == bounds[1].epsilon > 2
        assert bounds[0].kind == "bound"
        assert bounds[0].method == "band"

    def test_many_scores(self, rng):
        assert 1.8 < audit_scores(laplace_scores(rng, 2.0, 50_000), delta=0.0, strategy="band").epsilon < 2.02
