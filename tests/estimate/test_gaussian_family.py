"""The Gaussian family: closed forms of mu, coverage within the family, the two-law estimate against quadrature."""

from __future__ import annotations

import json
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.accounting.gaussian import gaussian_delta, gaussian_epsilon
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.gaussian import (
    WITHIN_GAUSSIAN_DP,
    GaussianScoreEstimate,
    gaussian_bound,
    gaussian_mu_lower_bound,
    gaussian_score_estimate,
    mu_from_limits,
)
from privacy_audit.estimate.normal.gaussian_nodes import mu_p_value, order_statistics_mu, probit_rule
from privacy_audit.estimate.normal.hockey_stick import normal_hockey_stick, normal_pair_epsilon


def normal_scores(rng: np.random.Generator, mu: float, n: int, *, spread: float = 1.0) -> MembershipScores:
    member = np.arange(n) % 2 == 0
    return MembershipScores(rng.standard_normal(n) * np.where(member, spread, 1.0) + mu * member, member)


def most(n: int, rate: float = 0.05) -> int:
    """A count that n trials at this rate exceed with probability 1e-6."""
    return int(stats.binom.isf(1e-6, n, rate))


class TestMu:
    def test_of_limits(self):
        assert mu_from_limits(fpr_upper=special.ndtr(-1.0), fnr_upper=special.ndtr(-0.5)) == pytest.approx(1.5)
        assert mu_from_limits(fpr_upper=[0.3, 1.0, 0.0, 0.9], fnr_upper=[0.7, 0.0, 0.5, 0.9]).tolist() == pytest.approx([0, 0, math.inf, 0])
        for limits, message in (((1.2, 0.5), "fpr_upper must hold probabilities"), ((0.1, math.nan), "fnr_upper must hold probabilities")):
            with pytest.raises(ValueError, match=message):
                mu_from_limits(fpr_upper=limits[0], fnr_upper=limits[1])

    @given(fpr=st.floats(0.001, 0.999), mu=st.floats(0, 6))
    def test_a_point_of_the_curve_gives_its_mu(self, fpr, mu):
        fnr = special.ndtr(-special.ndtri(fpr) - mu)
        if 1e-12 < fnr < 1 - 1e-12:
            assert mu_from_limits(fpr_upper=fpr, fnr_upper=fnr) == pytest.approx(mu, abs=1e-6)

    def test_of_counts_by_hand(self):
        counts = AttackCounts(tp=90, fp=10, tn=90, fn=10)
        for direction, share in (("fixed", 0.025), ("either", 0.0125)):
            limit = stats.beta.isf(share, 11, 90)
            assert gaussian_mu_lower_bound(counts, direction=direction) == pytest.approx(-2 * special.ndtri(limit), rel=1e-9)

    def test_the_other_direction_has_limits_of_its_own(self):
        counts, swapped = AttackCounts(tp=60, fp=30, tn=70, fn=40), AttackCounts(tp=40, fp=70, tn=30, fn=60)
        assert gaussian_mu_lower_bound(swapped) == 0
        either = gaussian_mu_lower_bound(swapped, direction="either")
        assert either == gaussian_mu_lower_bound(counts, direction="either") < gaussian_mu_lower_bound(counts)
        rng = np.random.default_rng(3)
        scores = normal_scores(rng, 1.0, 400)
        mirrored = MembershipScores(-scores.score, scores.member)
        assert gaussian_mu_lower_bound(mirrored) == 0
        assert gaussian_mu_lower_bound(mirrored, direction="either") == gaussian_mu_lower_bound(scores, direction="either")
        assert 0 < gaussian_mu_lower_bound(scores, direction="either") < gaussian_mu_lower_bound(scores)

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=10)
    def test_only_the_order_of_scores_matters_and_both_roles_count_alike(self, seed):
        scores = normal_scores(np.random.default_rng(seed), 1.5, 100)
        bound = gaussian_mu_lower_bound(scores)
        assert gaussian_mu_lower_bound(MembershipScores(scores.score**3 - 7, scores.member)) == bound
        assert gaussian_mu_lower_bound(MembershipScores(-scores.score, ~scores.member)) == bound

    def test_scores_without_information(self):
        member = np.arange(100) < 50
        assert gaussian_mu_lower_bound(MembershipScores(np.zeros(100), member)) == 0
        assert gaussian_mu_lower_bound(MembershipScores(np.where(member, math.inf, -math.inf), member)) > 2

    @pytest.mark.parametrize(("n", "m", "k", "v"), [(500, 500, 0, 5), (500, 500, 100, 250), (30, 3000, 2, 700), (3000, 30, 100, 10)])
    def test_p_values_against_a_fine_sum(self, n, m, k, v):
        z, weight = probit_rule(np.array([k + 1.0]), np.array([float(n - k)]), resolution=math.ceil(math.sqrt(max(1, m / n))))
        ends = np.linspace(z.min(), z.max(), 200_001)
        log_law = k * special.log_ndtr(ends) + (n - k - 1) * special.log_ndtr(-ends) - ends**2 / 2
        law = np.exp(log_law - log_law.max())
        for mu in (0.0, 0.5, 2.0):
            expected = (law * stats.binom.sf(v - 1, m, special.ndtr(ends + mu))).sum() / law.sum()
            assert mu_p_value(np.array([mu]), z, weight, np.array([v]), m)[0] == pytest.approx(expected + 1e-9, rel=1e-7, abs=1e-9)


class TestCoverage:
    @pytest.mark.parametrize("mu", [0.0, 1.0, 3.0])
    def test_within_the_family(self, mu, rng):  # false alarm 1e-6
        wrong = sum(gaussian_mu_lower_bound(normal_scores(rng, mu, 200)) > mu for _ in range(150))
        assert wrong <= most(150)

    def test_counts_in_either_direction(self, rng):  # false alarm 1e-6; the twin takes |mu| with the level of one direction
        wrong = twin = 0
        for _ in range(1500):
            fp, tp = rng.binomial(200, 0.3, 2)
            counts = AttackCounts(tp=tp, fp=fp, tn=200 - fp, fn=200 - tp)
            wrong += gaussian_mu_lower_bound(counts, level=0.5, direction="either") > 0
            swapped = AttackCounts(tp=fp, fp=tp, tn=200 - tp, fn=200 - fp)
            twin += max(gaussian_mu_lower_bound(side, level=0.5) for side in (counts, swapped)) > 0
        assert wrong <= most(1500, 0.5)
        assert twin > wrong

    def test_unpaid_thresholds_are_caught(self, rng):  # the same test at every rank, without sharing the error
        wrong = 0
        for _ in range(200):
            scores = normal_scores(rng, 1.0, 300)
            inside, outside = scores.score[scores.member], scores.score[~scores.member]
            wrong += order_statistics_mu(outside, inside, 0.05 * 12) > 1.0  # twelve ranks are declared for 150 scores
        assert wrong > most(200)

    def test_ties_count_against_the_attack(self, rng):  # false alarm 1e-6
        wrong = 0
        for _ in range(150):
            scores = normal_scores(rng, 1.0, 200)
            wrong += gaussian_mu_lower_bound(MembershipScores(np.round(scores.score), scores.member)) > 1.0
        assert wrong <= most(150)

    def test_it_finds_more_than_limits_do(self, rng):  # ten standard errors; all rates within limits that hold together
        paid, limits = [], []
        for _ in range(60):
            scores = normal_scores(rng, 2.0, 1000)
            inside, outside = scores.score[scores.member], scores.score[~scores.member]
            paid.append(order_statistics_mu(outside, inside, 0.05))
            threshold, k = np.sort(outside)[::-1][[0, 5, 50, 200]], np.array([0, 5, 50, 200])
            tp = (inside[:, None] > threshold).sum(axis=0)
            fpr, fnr = stats.beta.isf(0.05 / 34, k + 1, 500 - k), stats.beta.isf(0.05 / 34, 501 - tp, tp)
            limits.append(mu_from_limits(fpr_upper=fpr, fnr_upper=fnr).max())
        assert np.mean(paid) > np.mean(limits)


class TestBound:
    def test_epsilon_is_that_of_mu(self):
        counts = AttackCounts(tp=90, fp=10, tn=90, fn=10)
        for delta in (1e-7, 1e-5, 0.1):
            bound = gaussian_bound(counts, delta=delta, level=0.9, neighboring=Neighboring.REPLACE)
            assert bound.epsilon == gaussian_epsilon(gaussian_mu_lower_bound(counts, level=0.9), delta)
            assert (bound.delta, bound.level, bound.neighboring, bound.method) == (delta, 0.9, Neighboring.REPLACE, "gaussian")
            assert WITHIN_GAUSSIAN_DP in bound.assumptions
            assert bound.kind == "bound"

    def test_assumptions_say_what_was_done(self):
        scores = normal_scores(np.random.default_rng(1), 1.0, 100)
        assert "the attack and its direction were fixed without these scores" in gaussian_bound(scores, delta=1e-5).assumptions
        either = gaussian_bound(scores, delta=1e-5, direction="either").assumptions
        assert "the attack was fixed without these data; both directions were tried and paid for" in either
        assert not any("direction were fixed" in text for text in either)

    def test_bad_input(self):
        counts = AttackCounts(tp=90, fp=10, tn=90, fn=10)
        with pytest.raises(ValueError, match="delta must be in \\(0, 1\\), got 0"):
            gaussian_bound(counts, delta=0)
        with pytest.raises(ValueError, match="did you mean 1e-05"):
            gaussian_bound(counts, delta=1e5)
        with pytest.raises(ValueError, match="direction must be one of 'fixed', 'either'"):
            gaussian_bound(counts, delta=1e-5, direction="both")
        with pytest.raises(ValueError, match="did you mean 0.95"):
            gaussian_mu_lower_bound(counts, level=95)
        with pytest.raises(TypeError, match="evidence must be AttackCounts or MembershipScores, got list"):
            gaussian_mu_lower_bound([1, 2])


class TestHockeyStick:
    @pytest.mark.parametrize(
        ("law", "expected"),
        [((1, 1, 0, 1, 0.5), 0.2384217081), ((1, 1.3, 0, 1, 1), 0.1741359292), ((2, 0.7, 0, 1, 1), 0.5848695949)],
    )
    def test_reference_values(self, law, expected):
        names = ("mean_1", "sd_1", "mean_0", "sd_0", "epsilon")
        assert float(normal_hockey_stick(**dict(zip(names, law, strict=True)))) == pytest.approx(expected, abs=1e-10)

    @given(mu=st.floats(0.01, 8), epsilon=st.floats(0, 10))
    def test_equal_variances_are_the_gaussian_curve(self, mu, epsilon):
        found = normal_hockey_stick(mean_1=5 + 3 * mu, sd_1=3, mean_0=5, sd_0=3, epsilon=epsilon)
        assert float(found) == pytest.approx(gaussian_delta(mu, epsilon), rel=1e-6, abs=1e-13)

    def test_against_quadrature(self):
        rng = np.random.default_rng(11)
        with mpmath.workdps(25):
            for _ in range(15):
                (m1, m0), (s1, s0), epsilon = 2 * rng.normal(size=2), np.exp(rng.normal(size=2) / 2), rng.choice([0.0, 0.5, 2.0, 5.0])
                found = normal_hockey_stick(mean_1=m1, sd_1=s1, mean_0=m0, sd_0=s0, epsilon=epsilon)
                assert float(found) == pytest.approx(float(quadrature(m1, s1, m0, s0, epsilon)), rel=1e-8, abs=1e-12)

    def test_one_law_inside_the_other(self):
        assert normal_hockey_stick(mean_1=0, sd_1=1, mean_0=0, sd_0=1, epsilon=[0, 1]).tolist() == [0, 0]
        narrow = normal_hockey_stick(mean_1=0, sd_1=0.5, mean_0=0, sd_0=1, epsilon=math.log(2))  # the ratio peaks at 2
        assert float(narrow) == pytest.approx(0, abs=1e-12)
        assert float(normal_hockey_stick(mean_1=0, sd_1=1, mean_0=0, sd_0=0.5, epsilon=0.0)) == pytest.approx(
            float(normal_hockey_stick(mean_1=0, sd_1=0.5, mean_0=0, sd_0=1, epsilon=0.0)), abs=1e-12
        )

    def test_the_inverse(self):
        for mu in (0.3, 1.0, 2.0, 3.0):
            assert float(normal_pair_epsilon(mean_1=mu, sd_1=1, mean_0=0, sd_0=1, delta=1e-5)) == pytest.approx(gaussian_epsilon(mu, 1e-5))
        m1, s1 = np.array([0.5, 1.0, -2.0]), np.array([0.7, 1.4, 1.0])
        epsilon = normal_pair_epsilon(mean_1=m1, sd_1=s1, mean_0=0.0, sd_0=1.0, delta=1e-4)
        forth = normal_hockey_stick(mean_1=m1, sd_1=s1, mean_0=0, sd_0=1, epsilon=epsilon)
        back = normal_hockey_stick(mean_1=0, sd_1=1, mean_0=m1, sd_0=s1, epsilon=epsilon)
        assert np.maximum(forth, back) == pytest.approx([1e-4] * 3, rel=1e-9)
        assert normal_pair_epsilon(mean_1=0, sd_1=s1, mean_0=m1, sd_0=1, delta=1e-4).shape == (3,)


def quadrature(m1: float, s1: float, m0: float, s0: float, epsilon: float) -> mpmath.mpf:
    """Integral of the positive part of p1 - exp(epsilon) p0, panel by panel between the roots."""
    m1, s1, m0, s0, epsilon = (mpmath.mpf(float(value)) for value in (m1, s1, m0, s0, epsilon))
    a = 1 / (2 * s0**2) - 1 / (2 * s1**2)
    b = m1 / s1**2 - m0 / s0**2
    c = m0**2 / (2 * s0**2) - m1**2 / (2 * s1**2) + mpmath.log(s0 / s1) - epsilon
    low, high = min(m1 - 12 * s1, m0 - 12 * s0), max(m1 + 12 * s1, m0 + 12 * s0)
    points = {low + (high - low) * k / 24 for k in range(25)}
    root = b * b - 4 * a * c
    if root > 0:
        points |= {x for sign in (1, -1) if low < (x := (-b + sign * mpmath.sqrt(root)) / (2 * a)) < high}
    return mpmath.quad(lambda x: max(mpmath.mpf(0), mpmath.npdf(x, m1, s1) - mpmath.exp(epsilon) * mpmath.npdf(x, m0, s0)), sorted(points))


class TestEstimate:
    def test_it_is_near_the_truth_for_normal_scores(self, rng):  # the standard error is about 0.1, so five of them
        found = gaussian_score_estimate(normal_scores(rng, 1.0, 20_000), delta=1e-5, n_resamples=50, rng=rng)
        assert found.epsilon == pytest.approx(gaussian_epsilon(1.0, 1e-5), abs=0.9)
        assert found.interval[0] <= found.epsilon <= found.interval[1]
        assert found.kind == "estimate"
        assert (found.mean_in, found.sd_in, found.mean_out, found.sd_out) == pytest.approx((1, 1, 0, 1), abs=0.07)

    def test_moments_are_those_of_the_scores(self):
        scores = normal_scores(np.random.default_rng(2), 1.0, 100, spread=1.5)
        found = gaussian_score_estimate(scores, delta=1e-3, n_resamples=5, rng=1)
        inside, outside = scores.score[scores.member], scores.score[~scores.member]
        moments = (inside.mean(), inside.std(ddof=1), outside.mean(), outside.std(ddof=1))
        assert (found.mean_in, found.sd_in, found.mean_out, found.sd_out) == pytest.approx(moments)
        m1, s1, m0, s0 = moments
        assert found.epsilon == float(normal_pair_epsilon(mean_1=m1, sd_1=s1, mean_0=m0, sd_0=s0, delta=1e-3))

    @given(shift=st.floats(-5, 5), scale=st.floats(0.1, 10))
    @settings(max_examples=10)
    def test_shift_and_scale_do_not_matter(self, shift, scale):
        scores = normal_scores(np.random.default_rng(4), 1.0, 60)
        moved = MembershipScores(shift + scale * scores.score, scores.member)
        one, other = (gaussian_score_estimate(s, delta=1e-3, n_resamples=3, rng=1) for s in (scores, moved))
        assert one.epsilon == pytest.approx(other.epsilon, rel=1e-6)
        assert one.interval == pytest.approx(other.interval, rel=1e-6)

    def test_a_known_law_of_the_last_iterate(self):
        scores = normal_scores(np.random.default_rng(4), 0.0, 200)
        found = gaussian_score_estimate(
            MembershipScores(scores.score / 10, scores.member), delta=1e-5, dimension=100, n_resamples=20, rng=1
        )
        assert (found.mean_out, found.sd_out) == (0, pytest.approx(0.1))

    def test_the_generator_decides_the_interval_only(self):
        scores = normal_scores(np.random.default_rng(4), 1.0, 200)
        one, same, other = (gaussian_score_estimate(scores, delta=1e-5, n_resamples=20, rng=seed) for seed in (1, 1, 2))
        assert one == same
        assert one.epsilon == other.epsilon
        assert one.interval != other.interval

    def test_resamples_without_spread_are_infinite(self):
        scores = MembershipScores([0.0, 1.0, 5.0, 6.0], [False, False, True, True])
        assert gaussian_score_estimate(scores, delta=1e-5, n_resamples=100, rng=1).interval[1] == math.inf

    def test_record(self):
        found = gaussian_score_estimate(normal_scores(np.random.default_rng(4), 1.0, 100), delta=1e-5, n_resamples=20, rng=1)
        record = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert (record["kind"], record["method"], record["schema_version"]) == ("estimate", "gaussian_scores", 1)
        assert GaussianScoreEstimate.from_dict(record) == found
        with pytest.raises(TypeError, match="interval must be a list"):
            GaussianScoreEstimate.from_dict(record | {"interval": 3})

    def test_bad_input(self):
        scores = normal_scores(np.random.default_rng(4), 1.0, 20)
        for change, message in (
            ({"delta": 0}, "delta must be in \\(0, 1\\), got 0"),
            ({"level": 95}, "did you mean 0.95"),
            ({"n_resamples": 0}, "n_resamples must be a whole number >= 1"),
            ({"dimension": 0}, "dimension must be a whole number >= 1"),
        ):
            with pytest.raises(ValueError, match=message):
                gaussian_score_estimate(scores, **({"delta": 1e-5, "rng": 1} | change))
        with pytest.raises(ValueError, match="scores must be finite to fit a normal law, got 1 infinite"):
            gaussian_score_estimate(MembershipScores([math.inf, 1, 2], [True, False, True]), delta=1e-5)
        with pytest.raises(InsufficientEvidenceError, match="at least two different scores of non-members, got 1"):
            gaussian_score_estimate(MembershipScores([0, 1, 2], [True, False, True]), delta=1e-5)
        with pytest.raises(InsufficientEvidenceError, match="at least two different scores of members, got 2"):
            gaussian_score_estimate(MembershipScores([0, 1, 0, 3], [True, False, True, False]), delta=1e-5)
