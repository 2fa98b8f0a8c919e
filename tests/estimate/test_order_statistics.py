"""The exact test of a declared threshold: closed forms, simulation, coverage, and what it never loses to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from attacks.scores import MembershipScores
from mechanisms.accounting.gaussian import gaussian_epsilon
from privacy_audit.estimate.lower_bound import rate_upper_limit
from privacy_audit.estimate.region import implied_epsilon
from privacy_audit.estimate.strategies.order_statistics import declared_counts, order_statistics_epsilon
from privacy_audit.estimate.strategies.threshold_nodes import largest_tpr, node_p_value
from privacy_audit.estimate.thresholds import audit_curve, audit_scores
from tests.estimate.known_scores import coin_scores, gaussian_scores, laplace_scores, most_violations


def p_value(rank, n, above, m, epsilon, delta=0.0):
    return node_p_value(epsilon, rank=np.atleast_1d(rank), n=n, above=np.atleast_1d(above), m=m, delta=delta)


def clopper_pearson_epsilon(scores, delta, alpha):
    """The same thresholds with two Clopper-Pearson limits each: what the exact test must not fall behind."""
    best = 0.0
    inside, outside = scores.score[scores.member], scores.score[~scores.member]
    for ordered, tested in ((outside, inside), (-inside, -outside)):
        rank = declared_counts(len(ordered))
        above = (tested[:, None] > np.sort(ordered)[::-1][rank]).sum(axis=0)
        share = alpha / 4 / len(rank)
        fpr, fnr = rate_upper_limit(rank, len(ordered) - rank, share), rate_upper_limit(len(tested) - above, above, share)
        best = max(best, float(implied_epsilon(fpr, fnr, delta, one_direction=True).max()))
    return best


class TestPValue:
    @pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 9), (50, 80), (1000, 300)])
    def test_without_a_leak_it_is_hypergeometric(self, n, m):
        # all orders of the n + m scores are equally likely
        rank, above = (grid.ravel() for grid in np.meshgrid(np.arange(0, n, max(n // 7, 1)), np.arange(1, m + 1, max(m // 7, 1))))
        expected = stats.hypergeom.sf(above - 1, n + m, m, rank + above)
        assert p_value(rank, n, above, m, 0.0) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize("epsilon", [0.3, 2.0, 6.0])
    def test_two_scores_give_the_area_under_the_trade_off(self, epsilon):
        corner = special.expit(-epsilon)
        area = corner * (1 - corner) / 2 + (1 - corner) * (2 - corner) / 2
        assert p_value(0, 1, 1, 1, epsilon)[0] == pytest.approx(area, abs=1e-9)

    @pytest.mark.parametrize(
        ("rank", "n", "above", "m", "epsilon", "delta"),
        [
            (3, 50, 20, 80, 1.0, 0.0),
            (3, 50, 14, 80, 0.3, 0.1),
            (0, 20, 300, 2000, 2.0, 1e-3),
            (80, 100, 97, 100, 1.5, 0.01),
            (0, 5, 1, 5, 2, 0),
        ],
    )
    def test_against_plain_quadrature(self, rank, n, above, m, epsilon, delta):
        def integrand(x):
            return stats.beta.pdf(x, rank + 1, n - rank) * special.betainc(above, m - above + 1, largest_tpr(x, epsilon, delta))

        corner = (1 - delta) * special.expit(-epsilon)
        parts = [
            integrate.quad(integrand, *ends, epsabs=1e-12, limit=500)[0] for ends in ((0, corner), (corner, 1 - delta), (1 - delta, 1))
        ]
        assert p_value(rank, n, above, m, epsilon, delta)[0] == pytest.approx(sum(parts), abs=1e-9)

    def test_it_is_the_law_of_the_counts_on_the_boundary(self, rng):  # false alarm 1e-6
        n, m, epsilon, delta, rank = 30, 40, 1.0, 0.05, 4
        fpr = np.sort(rng.random((20_000, n)), axis=1)[:, rank]
        above = rng.binomial(m, largest_tpr(fpr, epsilon, delta))
        p = p_value(np.full(m + 1, rank), n, np.arange(m + 1), m, epsilon, delta)
        for share in (0.3, 0.05, 0.01):
            least = int(np.argmax(p <= share))  # counts from here on are rejected
            assert abs((above >= least).sum() - 20_000 * p[least]) < 5 * np.sqrt(20_000 * p[least]) + 5
            assert (above >= least - 2).mean() > p[least]  # negative control: two counts fewer are likelier

    @given(n=st.integers(1, 400), m=st.integers(1, 400), data=st.data(), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=40)
    def test_it_rises_with_the_claim_and_falls_with_the_count(self, n, m, data, delta):
        rank, above = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, m - 1))
        low, high = (p_value([rank, rank], n, [above, above + 1], m, epsilon, delta) for epsilon in (0.7, 0.9))
        assert (low <= high + 1e-9).all()
        assert low[1] <= low[0] + 1e-9
        assert ((low >= 0) & (high <= 1)).all()


class TestBound:
    @given(seed=st.integers(0, 10**6), n=st.integers(1, 120), n_out=st.integers(1, 120), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=25)
    def test_it_never_falls_behind_two_clopper_pearson_limits(self, seed, n, n_out, delta):
        scores = laplace_scores(np.random.default_rng(seed), 2.0, n, n_out)
        exact = order_statistics_epsilon(scores, deltas=np.array([delta]), alpha=0.05)[0]
        assert exact >= clopper_pearson_epsilon(scores, delta, 0.05) - 1e-9

    def test_it_gains_on_them(self, rng):
        scores = laplace_scores(rng, 1.0, 2000)
        assert audit_scores(scores, delta=0.0).epsilon > clopper_pearson_epsilon(scores, 0.0, 0.05) + 0.02

    def test_a_perfect_attack_has_a_closed_form(self):
        # the best node has rank 0: with P[W_m <= f(X)] = share; at n = m = 1 there is one node a role and no claim is rejected
        n = 100
        scores = MembershipScores(np.arange(2 * n), np.arange(2 * n) >= n)
        epsilon = audit_scores(scores, delta=0.0).epsilon
        share = 0.025 / len(declared_counts(n))
        assert p_value(0, n, n, n, epsilon)[0] == pytest.approx(share, rel=1e-4)
        assert audit_scores(MembershipScores([0.0, 1.0], [False, True]), delta=0.0).epsilon == 0

    def test_it_falls_when_members_score_lower(self, rng):
        scores = laplace_scores(rng, 2.0, 200)
        weaker = MembershipScores(scores.score - 0.5 * scores.member, scores.member)
        assert audit_scores(weaker, delta=0.0).epsilon <= audit_scores(scores, delta=0.0).epsilon

    @pytest.mark.parametrize("delta", [0.0, 1e-5])
    def test_many_scores(self, delta, rng):
        assert 1.9 < audit_scores(laplace_scores(rng, 2.0, 100_000), delta=delta).epsilon < 2.02


class TestCoverage:
    @pytest.mark.parametrize(("n", "n_out"), [(60, 60), (30, 300), (300, 30)])
    def test_randomized_response_on_a_continuous_scale(self, n, n_out, rng):  # false alarm 1e-6; the corner of the region
        violations = 0
        for _ in range(80):
            member = np.arange(n + n_out) < n
            heads = rng.random(n + n_out) < special.expit(1.0)
            score = np.where(heads == member, 1.0, 0.0) + 1e-3 * rng.random(n + n_out)
            violations += audit_scores(MembershipScores(score, member), delta=0.0).epsilon > 1.0
        assert violations <= most_violations(80)

    def test_a_curve_holds_at_all_deltas_together(self, rng):  # false alarm 1e-6
        deltas = np.array([1e-5, 1e-3, 0.05, 0.2])
        truth = np.array([gaussian_epsilon(1.0, delta) for delta in deltas])
        curves = [audit_curve(gaussian_scores(rng, 1.0, 150), deltas=deltas).epsilon for _ in range(60)]
        assert sum((curve > truth).any() for curve in curves) <= most_violations(60)

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [20, 200, 2000])
    @pytest.mark.parametrize("law", [laplace_scores, coin_scores])
    def test_more(self, n, law, rng):  # false alarm 1e-6
        bounds = np.array([audit_scores(law(rng, 1.0, n), delta=0.0).epsilon for _ in range(1500)])
        assert (bounds > 1.0).sum() <= most_violations(1500)
        assert (bounds > 0.5).sum() > most_violations(1500) or n == 20  # negative control: a false claim is found
