"""The band: any threshold at once, its coverage, and what it must not fall behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, special, stats

from attacks.scores import MembershipScores
from mechanisms.accounting.gaussian import gaussian_epsilon
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon
from privacy_audit.estimate.strategies.band import band_epsilon, band_epsilon_at, dense_ranks
from privacy_audit.estimate.strategies.hull import threshold_counts
from privacy_audit.estimate.strategies.order_statistics import order_statistics_epsilon
from privacy_audit.estimate.strategies.threshold_nodes import largest_tpr, node_p_value, nodes_of_both_roles
from privacy_audit.estimate.thresholds import audit_chosen_threshold, audit_curve, audit_scores
from tests.estimate.known_scores import coin_scores, gaussian_scores, laplace_scores, most_violations

NO_DELTA = np.zeros(1)


def oracle(scores, delta, alpha):
    """Every declared rank of both roles by itself: plain quadrature, plain root finding."""
    best = 0.0
    inside, outside = scores.score[scores.member], scores.score[~scores.member]
    for ordered, tested in ((outside, inside), (-inside, -outside)):
        n, m = len(ordered), len(tested)
        for rank, share in zip(*dense_ranks(n), strict=True):
            above = int((tested > np.sort(ordered)[::-1][rank]).sum())
            if above == 0:
                continue

            def excess(epsilon, rank=rank, share=share, above=above, n=n, m=m):
                def integrand(x):
                    return stats.beta.pdf(x, rank + 1, n - rank) * special.betainc(above, m - above + 1, largest_tpr(x, epsilon, delta))

                corner = (1 - delta) * special.expit(-epsilon)
                ends = ((0, corner), (corner, 1 - delta), (1 - delta, 1))
                return sum(integrate.quad(integrand, *part, epsabs=1e-12, limit=200)[0] for part in ends) - share * alpha / 2

            if excess(0.0) < 0:
                best = max(best, optimize.brentq(excess, 0.0, 20.0, xtol=1e-7))
    return best


def rejected_somewhere(scores, epsilon, alpha):
    """The broken twin: every rank there is, each at the full error."""
    inside, outside = np.sort(scores.score[scores.member]), np.sort(scores.score[~scores.member])
    n, m = len(outside), len(inside)
    rank = np.arange(n)
    above = m - np.searchsorted(inside, outside[n - 1 - rank], side="right")
    return bool((node_p_value(epsilon, rank=rank, n=n, above=above, m=m, delta=0.0) <= alpha).any())


def contradicts(scores, epsilon, delta=0.0, alpha=0.05):
    """Whether some declared threshold rejects the claim: one p-value each instead of a search."""
    inside, outside = np.sort(scores.score[scores.member]), np.sort(scores.score[~scores.member])
    declared = {"of_outside": dense_ranks(len(outside)), "of_inside": dense_ranks(len(inside))}
    return bool(nodes_of_both_roles(inside, outside, **declared, alpha=alpha).rejecting(epsilon, delta))


class TestDeclaredRanks:
    @given(n=st.integers(1, 10**6))
    @settings(max_examples=40)
    def test_they_are_dense_and_spend_the_whole_error(self, n):
        rank, share = dense_ranks(n)
        assert rank[0] == 0
        assert (np.diff(rank) >= 1).all()
        assert (rank[1:] <= np.maximum(rank[:-1] + 1, 1.1 * rank[:-1])).all()
        assert (n - 1) / 2 <= rank[-1] <= n - 1
        assert (share > 0).all()
        assert share.sum() == pytest.approx(1, abs=1e-12)

    def test_the_error_goes_with_the_logarithm_of_the_rank(self):
        rank, share = dense_ranks(1000)
        total = np.log(2 * (rank[-1] + 1))
        for low, high in ((0, 10), (10, 100), (100, rank[-1])):
            spent = share[(rank > low) & (rank <= high)].sum()
            assert spent * total == pytest.approx(np.log((high + 1) / (low + 1)), abs=0.1)


class TestBound:
    @pytest.mark.parametrize(("n_in", "n_out", "epsilon", "delta"), [(12, 12, 3.0, 0.0), (16, 9, 3.0, 0.01), (9, 14, 4.0, 0.1)])
    def test_against_the_plain_oracle(self, n_in, n_out, epsilon, delta):
        scores = laplace_scores(np.random.default_rng(11), epsilon, n_in, n_out)
        expected = oracle(scores, delta, 0.3)
        assert expected > 0
        assert band_epsilon(scores, deltas=np.array([delta]), alpha=0.3)[0] == pytest.approx(expected, abs=3e-6)

    def test_a_perfect_attack_has_a_closed_form(self):
        # the node of rank 0 with all members above it: P[max of n draws <= f(X)] at the corner decides; both roles alike
        n = 40
        scores = MembershipScores(np.arange(2.0 * n), np.arange(2 * n) >= n)
        bound = band_epsilon(scores, deltas=NO_DELTA, alpha=0.05)[0]
        rank, share = dense_ranks(n)
        p = node_p_value(bound, rank=rank, n=n, above=np.full(len(rank), n), m=n, delta=0.0)
        assert (p / (0.025 * share)).min() == pytest.approx(1, abs=1e-4)

    @pytest.mark.parametrize("law", ["laplace 1", "laplace 4", "gaussian"])
    def test_it_keeps_up_with_the_default(self, law, rng):  # means over 40; 300 give 0.975, 0.992, 1.017, the noise of a ratio is 0.003
        delta = np.array([1e-5 if law == "gaussian" else 0.0])
        band, default = [], []
        for _ in range(40):
            scores = gaussian_scores(rng, 2.0, 1000) if law == "gaussian" else laplace_scores(rng, float(law[-1]), 1000)
            band.append(band_epsilon(scores, deltas=delta, alpha=0.05)[0])
            default.append(order_statistics_epsilon(scores, deltas=delta, alpha=0.05)[0])
        assert np.mean(band) > 0.955 * np.mean(default)

    @given(seed=st.integers(0, 10**6), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=15, deadline=None)
    def test_it_falls_when_members_score_lower(self, seed, delta):
        rng = np.random.default_rng(seed)
        scores = laplace_scores(rng, 2.0, 60)
        lower = MembershipScores(scores.score - rng.exponential(0.2, 120) * scores.member, scores.member)
        high, low = (band_epsilon(these, deltas=np.array([delta]), alpha=0.05)[0] for these in (scores, lower))
        assert low <= high + 2e-6

    def test_a_curve_falls(self, rng):
        curve = band_epsilon(laplace_scores(rng, 2.0, 300), deltas=np.array([0.0, 1e-3, 0.05, 0.3, 0.9]), alpha=0.05)
        assert (np.diff(curve) <= 2e-6).all()
        assert curve[0] > 1
        assert curve[-1] == 0

    def test_infinite_scores(self):
        member = np.arange(200) < 100
        infinite = MembershipScores(np.where(member, np.inf, -np.inf), member)
        finite = MembershipScores(np.where(member, 1.0, 0.0), member)
        bounds = [audit_scores(scores, delta=0.0, strategy="band") for scores in (infinite, finite)]
        assert bounds[0].epsilon == bounds[1].epsilon > 2
        assert bounds[0].kind == "bound"
        assert bounds[0].method == "band"
        assert "equal scores count against the attack" in bounds[0].assumptions

    def test_many_scores(self, rng):
        assert 1.8 < audit_scores(laplace_scores(rng, 2.0, 50_000), delta=0.0, strategy="band").epsilon < 2.02

    def test_two_scores_only_lose_less_than_between_few_thresholds(self, rng):
        # a tie reaches to the next declared rank, which is at most a tenth further on; means over 30, 0.82 against 0.80
        band, default = [], []
        for _ in range(30):
            scores = coin_scores(rng, 1.0, 1000)
            band.append(band_epsilon(scores, deltas=NO_DELTA, alpha=0.05)[0])
            default.append(order_statistics_epsilon(scores, deltas=NO_DELTA, alpha=0.05)[0])
        assert np.mean(band) > np.mean(default)


class TestCoverage:
    @given(seed=st.integers(0, 10**6), delta=st.sampled_from([0.0, 0.05]))
    @settings(max_examples=15, deadline=None)
    def test_contradicting_is_a_bound_above_the_claim(self, seed, delta):
        scores = laplace_scores(np.random.default_rng(seed), 2.0, 30)
        bound = band_epsilon(scores, deltas=np.array([delta]), alpha=0.05)[0]
        assert not contradicts(scores, bound + 2e-6, delta)
        assert bound < 1e-5 or contradicts(scores, bound - 2e-6, delta)

    @pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
    def test_laplace(self, epsilon, rng):  # false alarm 1e-6
        wrong = sum(contradicts(laplace_scores(rng, epsilon, 300), epsilon) for _ in range(400))
        assert wrong <= most_violations(400)

    def test_ties(self, rng):  # false alarm 1e-6
        assert sum(contradicts(coin_scores(rng, 1.0, 300), 1.0) for _ in range(400)) <= most_violations(400)

    def test_the_corner_of_the_region_on_a_continuous_scale(self, rng):  # false alarm 1e-6
        wrong = 0
        for _ in range(400):
            coins = coin_scores(rng, 1.0, 200)
            wrong += contradicts(MembershipScores(coins.score + rng.random(400), coins.member), 1.0)
        assert wrong <= most_violations(400)

    def test_a_curve_holds_at_all_deltas_together(self, rng):  # false alarm 1e-6
        deltas = np.geomspace(1e-6, 0.3, 9)
        truth = [gaussian_epsilon(1.0, delta) for delta in deltas]
        wrong = 0
        for _ in range(150):
            scores = gaussian_scores(rng, 1.0, 200)
            wrong += any(contradicts(scores, epsilon, delta) for epsilon, delta in zip(truth, deltas, strict=True))
        assert wrong <= most_violations(150)

    @pytest.mark.slow
    def test_more_curves(self, rng):  # false alarm 1e-6
        deltas = np.geomspace(1e-6, 0.3, 9)
        truth = np.array([gaussian_epsilon(1.0, delta) for delta in deltas])
        curves = [audit_curve(gaussian_scores(rng, 1.0, 500), deltas=deltas, strategy="band").epsilon for _ in range(400)]
        assert sum((curve > truth).any() for curve in curves) <= most_violations(400)

    @pytest.mark.parametrize("epsilon", [0.0, 1.0])
    def test_every_rank_at_the_full_error_is_caught(self, epsilon, rng):  # negative control
        wrong = sum(rejected_somewhere(laplace_scores(rng, epsilon, 300), epsilon, 0.05) for _ in range(100))
        assert wrong > most_violations(100)


class TestChosenThreshold:
    @given(seed=st.integers(0, 10**6), delta=st.sampled_from([0.0, 0.05]), tied=st.booleans())
    @settings(max_examples=15, deadline=None)
    def test_the_best_of_all_is_the_band(self, seed, delta, tied):
        rng = np.random.default_rng(seed)
        scores = laplace_scores(rng, 2.5, 15, 22)
        if tied:
            scores = MembershipScores(np.round(2 * scores.score), scores.member)
        deltas = np.array([delta])
        each = [band_epsilon_at(scores, threshold, deltas=deltas, alpha=0.05)[0] for threshold in [*np.unique(scores.score), np.inf]]
        assert max(each) == pytest.approx(band_epsilon(scores, deltas=deltas, alpha=0.05)[0], abs=3e-6)

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=15, deadline=None)
    def test_it_is_the_best_declared_rank_for_its_counts(self, seed):
        rng = np.random.default_rng(seed)
        scores = laplace_scores(rng, 2.5, 40)
        threshold = rng.normal(1.0, 1.5)
        fp, tp = int((scores.score[~scores.member] >= threshold).sum()), int((scores.score[scores.member] >= threshold).sum())
        rank, share = dense_ranks(40)
        bound = band_epsilon_at(scores, threshold, deltas=NO_DELTA, alpha=0.05)[0]
        for count, tested in ((fp, tp), (40 - tp, 40 - fp)):
            reached = rank >= count
            p = node_p_value(bound + 1e-5, rank=rank[reached], n=40, above=np.full(reached.sum(), tested), m=40, delta=0.0)
            assert (p > 0.025 * share[reached]).all()

    @pytest.mark.parametrize("threshold", [-np.inf, -1e9, np.inf])
    def test_thresholds_beyond_all_scores_say_nothing(self, threshold):
        assert band_epsilon_at(laplace_scores(np.random.default_rng(2), 3.0, 50), threshold, deltas=NO_DELTA, alpha=0.05)[0] == 0

    def test_all_thresholds_hold_together(self, rng):  # false alarm 1e-6; the threshold with the largest uncorrected bound is picked
        wrong = 0
        for _ in range(200):
            scores = laplace_scores(rng, 1.0, 150)
            fp, fn = threshold_counts(scores)
            each = clopper_pearson_epsilon(fp=fp, tn=150 - fp, fn=fn, tp=150 - fn, delta=0.0, alpha=0.05)
            picked = np.append(np.unique(scores.score), np.inf)[int(np.argmax(each))]
            wrong += band_epsilon_at(scores, picked, deltas=NO_DELTA, alpha=0.05)[0] > 1.0
        assert wrong <= most_violations(200)

    def test_the_record(self):
        scores = laplace_scores(np.random.default_rng(2), 3.0, 200)
        bound = audit_chosen_threshold(scores, 1.5, delta=0.0, level=0.9)
        assert bound.kind == "bound"
        assert bound.method == "band, at a threshold chosen afterwards"
        assert 0 < bound.epsilon == band_epsilon_at(scores, 1.5, deltas=NO_DELTA, alpha=1 - 0.9)[0]
        with pytest.raises(ValueError, match="threshold must be a number, got nan"):
            audit_chosen_threshold(scores, float("nan"), delta=0.0)
