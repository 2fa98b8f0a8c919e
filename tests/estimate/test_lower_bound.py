"""Lower bounds against closed forms, a full-grid oracle, and exact enumeration of their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_p_value
from privacy_audit.estimate.lower_bound import MOST_EXACT_TRIALS, clopper_pearson_epsilon, epsilon_lower_bound
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.region import implied_epsilon

# n per side, fp, fn, plug-in, likelihood_ratio (by the oracle below), clopper_pearson
TABLE = [
    (100, 10, 10, 2.197, 1.736, 1.542),
    (100, 2, 60, 2.996, 1.791, 1.461),
    (100, 27, 27, 0.995, 0.692, 0.541),
    (100, 0, 50, np.inf, 2.974, 2.398),
    (100, 0, 0, np.inf, 4.194, 3.281),
    (200, 70, 60, 0.773, 0.552, 0.452),
    (300, 36, 36, 1.992, 1.742, 1.642),
]


def counts(n, fp, fn) -> AttackCounts:
    return AttackCounts(tp=n - fn, fn=fn, fp=fp, tn=n - fp)


def boundary(epsilon, delta, n_points=800):
    """Rates (FPR, FNR) on the region's lower boundary, off the grid that the bound uses."""
    corner = (1 - delta) / (1 + np.exp(epsilon))
    small = np.concatenate([np.geomspace(1e-6, corner, n_points), np.linspace(0, corner, n_points)])
    large = np.clip(1 - delta - np.exp(epsilon) * small, 0, 1)
    return np.concatenate([small, large]), np.concatenate([large, small])


def binomial(n, rates):
    return stats.binom.pmf(np.arange(n + 1)[:, None], n, rates)


def full_grid_p_value(epsilon, n, fp, fn, delta=0.0):
    """Every outcome, every boundary point: Lambda for each, then the largest probability of one at least as large."""
    x, y = boundary(epsilon, delta)
    x, y = np.clip(x, 1e-12, 1 - 1e-12), np.clip(y, 1e-12, 1 - 1e-12)
    i = np.arange(n + 1)[:, None]
    own = special.xlogy(i, i / n) + special.xlogy(n - i, 1 - i / n)
    from_x, from_y = (own - special.xlogy(i, rate) - special.xlogy(n - i, 1 - rate) for rate in (x, y))
    distance = np.array([(row + from_y).min(axis=1) for row in from_x])
    fpr, fnr = i / n, i.T / n
    growth = np.exp(epsilon)
    distance[(1 - fnr <= growth * fpr + delta + 1e-14) & (1 - fpr <= growth * fnr + delta + 1e-14)] = 0
    far = distance >= distance[fp, fn] - 1e-6
    return float(((far @ binomial(n, y)) * binomial(n, x)).sum(axis=0).max())


def worst_rejection(bound, epsilon, delta):
    """Largest probability, over boundary points, that the bound exceeds a true epsilon; `bound` has shape (n + 1, n + 1)."""
    n = len(bound) - 1
    x, y = boundary(epsilon, delta)
    return float(((bound > epsilon) @ binomial(n, y) * binomial(n, x)).sum(axis=0).max())


def all_bounds(n, delta, level=0.95):
    bound = np.zeros((n + 1, n + 1))
    for fp in range(n + 1):
        for fn in range(fp, n + 1):
            bound[fp, fn] = bound[fn, fp] = epsilon_lower_bound(counts(n, fp, fn), delta=delta, level=level).epsilon
    return bound


class TestValues:
    @pytest.mark.parametrize(("n", "fp", "fn", "plug_in", "likelihood_ratio", "clopper_pearson"), TABLE)
    def test_table(self, n, fp, fn, plug_in, likelihood_ratio, clopper_pearson):
        exact = epsilon_lower_bound(counts(n, fp, fn))
        simple = epsilon_lower_bound(counts(n, fp, fn), method="clopper_pearson")
        assert exact.epsilon == pytest.approx(likelihood_ratio, abs=1e-3)
        assert simple.epsilon == pytest.approx(clopper_pearson, abs=1e-3)
        assert simple.epsilon < exact.epsilon < plug_in
        if np.isfinite(plug_in):
            assert plug_in - exact.epsilon <= 0.8 * (plug_in - simple.epsilon)

    @pytest.mark.parametrize("n", [3, 20, 100, 300])
    @pytest.mark.parametrize("alpha", [0.05, 0.01])
    def test_perfect_attack_has_a_closed_form(self, n, alpha):
        # only the outcome (0, 0) is as far away; it is likeliest at the corner, (1 - c)^2n = alpha
        corner = -np.expm1(np.log(alpha) / (2 * n))
        expected = max(0.0, -float(special.logit(corner)))
        assert epsilon_lower_bound(counts(n, 0, 0), level=1 - alpha).epsilon == pytest.approx(expected, abs=2e-4)

    @pytest.mark.parametrize(
        ("n", "fp", "fn", "delta"), [(30, 2, 5, 0.0), (30, 0, 15, 0.0), (25, 4, 4, 0.05), (40, 12, 10, 0.0), (30, 3, 20, 0.01)]
    )
    def test_p_values_against_the_full_grid(self, n, fp, fn, delta):
        for epsilon in (0.0, 0.4, 1.1, 1.9, 3.0):
            p = likelihood_ratio_p_value(epsilon, fp=fp, n_out=n, fn=fn, n_in=n, delta=delta)
            # outcomes nearly as far away as the observed one may be ranked either way: each weighs about 1e-3
            assert p == pytest.approx(full_grid_p_value(epsilon, n, fp, fn, delta), abs=3e-3)

    @pytest.mark.slow
    @pytest.mark.parametrize(("n", "fp", "fn"), [row[:3] for row in TABLE if row[0] == 100])
    def test_table_is_where_the_full_grid_crosses(self, n, fp, fn):
        bound = epsilon_lower_bound(counts(n, fp, fn)).epsilon
        assert full_grid_p_value(bound - 3e-3, n, fp, fn) <= 0.05
        assert full_grid_p_value(bound + 3e-3, n, fp, fn) > 0.05

    def test_katz_log(self):
        bound = epsilon_lower_bound(AttackCounts(tp=40, fn=60, fp=10, tn=90), method="katz_log")
        expected = np.log(4) - stats.norm.ppf(0.95) * np.sqrt(0.6 / 40 + 0.9 / 10)
        assert bound.epsilon == pytest.approx(expected, rel=1e-12)
        assert bound.approximate
        assert bound.kind == "estimate"
        assert epsilon_lower_bound(AttackCounts(tp=0, fn=5, fp=1, tn=4), method="katz_log").epsilon == 0
        assert np.isfinite(epsilon_lower_bound(AttackCounts(tp=50, fn=5, fp=0, tn=40), method="katz_log").epsilon)


class TestCoverage:
    def test_likelihood_ratio_by_enumeration(self, rng):
        bound = all_bounds(40, 0.0)
        claims = np.concatenate([[0.0, 0.5, 1.0, 2.0, 4.0], rng.uniform(0, 4, 12)])
        assert max(worst_rejection(bound, epsilon, 0.0) for epsilon in claims) <= 0.05 + 1e-3

    def test_likelihood_ratio_by_enumeration_with_delta(self, rng):
        bound = all_bounds(20, 0.01)
        assert max(worst_rejection(bound, epsilon, 0.01) for epsilon in rng.uniform(0, 3, 12)) <= 0.05 + 1e-3

    @pytest.mark.slow
    @pytest.mark.parametrize("delta", [0.0, 0.01, 0.1])
    @pytest.mark.parametrize("level", [0.9, 0.99])
    def test_likelihood_ratio_by_more_enumeration(self, delta, level, rng):
        bound = all_bounds(40, delta, level)
        claims = np.concatenate([[0.0, 0.5, 1.0, 2.0, 4.0], rng.uniform(0, 4, 60)])
        assert max(worst_rejection(bound, epsilon, delta) for epsilon in claims) <= 1 - level + 1e-3

    @pytest.mark.parametrize("delta", [0.0, 0.01])
    def test_clopper_pearson_by_enumeration(self, delta):
        fp, fn = np.mgrid[:41, :41]
        bound = clopper_pearson_epsilon(fp=fp, tn=40 - fp, fn=fn, tp=40 - fn, delta=delta, alpha=0.05)
        assert max(worst_rejection(bound, epsilon, delta) for epsilon in (0.0, 0.3, 1.0, 2.0, 3.5)) <= 0.05

    @pytest.mark.parametrize(("epsilon", "covered"), [(1.0, 0.888), (2.0, 0.840), (4.0, 0.837)])
    def test_the_posterior_is_no_bound(self, epsilon, covered):
        # the negative control: at the corner its 5 % quantile exceeds the truth in 11 to 16 % of the audits
        n = 50
        fp, fn = (table.ravel() for table in np.mgrid[: n + 1, : n + 1])
        law = EpsilonPosterior.from_arrays(fp=fp, tn=n - fp, fn=fn, tp=n - fn)
        low = np.asarray(law.ppf(0.05)).reshape(n + 1, n + 1)
        corner = special.expit(-epsilon)
        mass = stats.binom.pmf(np.arange(n + 1), n, corner)
        assert mass @ (low <= epsilon) @ mass == pytest.approx(covered, abs=1e-3)
        assert worst_rejection(low, epsilon, 0.0) > 0.1

    @given(n=st.integers(1, 300), m=st.integers(1, 300), data=st.data(), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=40, deadline=None)
    def test_clopper_pearson_stays_below_the_plug_in_and_is_monotone(self, n, m, data, delta):
        fp, fn = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
        bound = clopper_pearson_epsilon(fp=[fp, min(fp + 1, n)], tn=[n - fp, max(n - fp - 1, 0)], fn=fn, tp=m - fn, delta=delta, alpha=0.05)
        assert bound[1] <= bound[0] <= implied_epsilon(fp / n, fn / m, delta)

    @given(n=st.integers(1, 60), m=st.integers(1, 60), data=st.data(), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=25, deadline=None)
    def test_likelihood_ratio_is_symmetric_and_below_the_plug_in(self, n, m, data, delta):
        fp, fn = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
        one = epsilon_lower_bound(AttackCounts(fp=fp, tn=n - fp, fn=fn, tp=m - fn), delta=delta).epsilon
        swapped = epsilon_lower_bound(AttackCounts(fp=fn, tn=m - fn, fn=fp, tp=n - fp), delta=delta).epsilon
        assert one == pytest.approx(swapped, abs=2e-4)
        assert 0 <= one <= implied_epsilon(fp / n, fn / m, delta)


class TestRecord:
    def test_fields(self):
        bound = epsilon_lower_bound(counts(50, 5, 20), delta=1e-5, level=0.9, neighboring=Neighboring.ZERO_OUT)
        assert (bound.kind, bound.delta, bound.level, bound.method) == ("bound", 1e-5, 0.9, "likelihood_ratio")
        assert bound.neighboring is Neighboring.ZERO_OUT
        assert any("fixed without these counts" in sentence for sentence in bound.assumptions)

    def test_large_counts_fall_back_and_say_so(self):
        n = MOST_EXACT_TRIALS + 1
        bound = epsilon_lower_bound(counts(n, 100, 400))
        assert bound.method == f"clopper_pearson (likelihood_ratio needs at most {MOST_EXACT_TRIALS} trials per side)"
        assert bound.epsilon == epsilon_lower_bound(counts(n, 100, 400), method="clopper_pearson").epsilon
        assert bound.kind == "bound"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"level": 95}, "did you mean 0.95"),
            ({"level": 1.0}, r"level must be in \(0, 1\)"),
            ({"delta": 1.0}, r"delta must be in \[0, 1\)"),
            ({"method": "jeffreys"}, "method must be one of 'likelihood_ratio'"),
            ({"method": "katz_log", "delta": 1e-5}, "delta must be 0 for method 'katz_log'"),
        ],
    )
    def test_bad_input(self, options, message):
        with pytest.raises(ValueError, match=message):
            epsilon_lower_bound(counts(50, 5, 20), **options)

    def test_foreign_counts(self):
        with pytest.raises(TypeError, match="AttackCounts"):
            epsilon_lower_bound((1, 2, 3, 4))

    def test_region_refuses_what_is_no_rate(self):
        with pytest.raises(ValueError, match="fpr must hold probabilities"):
            implied_epsilon(1.2, 0.1)
        with pytest.raises(ValueError, match="fnr must hold probabilities"):
            implied_epsilon(0.2, np.nan)

    def test_region_corners(self):
        assert implied_epsilon(0.1, 0.7, 1e-5) == pytest.approx(1.0985789547792, abs=1e-13)
        assert implied_epsilon([0.0, 0.0, 1.0, 0.3], [0.5, 1.0, 0.0, 0.7]) == pytest.approx(np.array([np.inf, 0, 0, 0]), abs=1e-15)
        assert implied_epsilon(0.9, 0.9) == pytest.approx(np.log(9))
        assert implied_epsilon(0.9, 0.9, one_direction=True) == 0
        corner = special.expit(-1.5)
        assert implied_epsilon(corner, corner) == pytest.approx(1.5)
