"""One-run bounds: frozen values, closed form, naive oracles, exact coverage, and the cost of choosing the number of guesses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from attacks.scores import MembershipScores
from experiments.e_raw_signals import scores_of_law
from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.accounting.loss_curve import loss_curve
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.curves.blow_up import curve_inverse_blow_up, gaussian_inverse_blow_up
from privacy_audit.estimate.one_run import _worst_share, curve_is_rejected, gaussian_mu_bound, one_run_bound, one_run_guesses
from privacy_audit.estimate.scan import first_not_rejected

# canaries, guesses, correct, delta, epsilon at level 0.95
BINOMIAL = [
    (100, 100, 100, 0.0, 3.492965),
    (1000, 1000, 1000, 0.0, 5.809068),
    (1000, 100, 100, 1e-5, 3.465376),
    (1000, 1000, 700, 1e-5, 0.731740),
    (5000, 1000, 900, 1e-5, 2.018259),
    (5000, 5000, 3000, 1e-5, 0.357372),
    (100000, 5000, 4800, 1e-6, 3.055394),
    (1000, 1000, 900, 1e-3, 1.927656),
    (1000, 1000, 500, 1e-5, 0.0),
]
F_DP = [
    (1000, 100, 100, 1e-5, 5.5490),
    (1000, 1000, 700, 1e-5, 1.3720),
    (5000, 1000, 900, 1e-5, 3.0229),
    (1000, 10, 10, 1e-5, 1.2276),
    (100000, 5000, 4800, 1e-6, 4.3299),
]


def epsilon(m, r, v, delta, **options) -> float:
    return one_run_bound(n_canaries=m, n_guesses=r, n_correct=v, delta=delta, **options).epsilon


def naive_p_value(at, m, r, v, delta):
    law = stats.binom(r, special.expit(at))
    worst = max(sum(law.pmf(j) for j in range(v - i, v)) / i for i in range(1, v + 1))
    return min(1.0, law.sf(v - 1) + 2 * m * delta * worst)


def naive_f_dp_rejects(mu, m, r, v, alpha):
    reach, h = alpha * v / m, alpha * (r - v) / m
    for i in range(v - 1, -1, -1):
        new = max(h, stats.norm.cdf(stats.norm.ppf(reach) - mu))
        reach, h = min(1.0, reach + i / (r - i) * (new - h)), new
    return reach + h > r / m


class TestValues:
    @pytest.mark.parametrize(("m", "r", "v", "delta", "expected"), BINOMIAL)
    def test_binomial(self, m, r, v, delta, expected):
        assert epsilon(m, r, v, delta) == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize(("m", "r", "v", "delta", "expected"), F_DP)
    def test_f_dp(self, m, r, v, delta, expected):
        assert epsilon(m, r, v, delta, method="f_dp") == pytest.approx(expected, abs=1e-3)

    @pytest.mark.parametrize("r", [1, 7, 50, 400])
    @pytest.mark.parametrize("alpha", [0.05, 0.01])
    def test_all_correct_without_delta_has_a_closed_form(self, r, alpha):
        expected = max(0.0, float(special.logit(alpha ** (1 / r))))
        assert epsilon(r, r, r, 0.0, level=1 - alpha) == pytest.approx(expected, rel=1e-9)

    @given(r=st.integers(1, 60), extra=st.integers(0, 200), data=st.data(), delta=st.sampled_from([1e-5, 1e-3, 0.02]))
    @settings(max_examples=30, deadline=None)
    def test_binomial_is_where_the_naive_p_value_crosses(self, r, extra, data, delta):
        v = data.draw(st.integers(1, r))
        bound = epsilon(r + extra, r, v, delta)
        if bound > 0:
            assert naive_p_value(bound, r + extra, r, v, delta) <= 0.05 + 1e-9
        assert naive_p_value(bound + 1e-6, r + extra, r, v, delta) > 0.05 - 1e-9

    @given(r=st.integers(1, 60), extra=st.integers(0, 200), data=st.data())
    @settings(max_examples=15, deadline=None)
    def test_f_dp_is_where_the_naive_test_stops_rejecting(self, r, extra, data):
        v = data.draw(st.integers(1, r))
        mu = gaussian_mu_bound(n_canaries=r + extra, n_guesses=r, n_correct=v)
        assert mu == 0 or naive_f_dp_rejects(mu - 1e-6, r + extra, r, v, 0.05)
        assert not naive_f_dp_rejects(mu + 1e-6, r + extra, r, v, 0.05)

    @given(m=st.integers(50, 400), delta=st.sampled_from([0.0, 1e-5, 1e-3]))
    @settings(max_examples=15, deadline=None)
    def test_more_correct_guesses_mean_more_and_delta_costs(self, m, delta):
        bounds = [epsilon(m, 50, v, delta) for v in range(0, 51, 5)]
        assert (np.diff(bounds) >= -1e-8).all()
        assert epsilon(m, 50, 45, delta) <= epsilon(m, 50, 45, 0.0) + 1e-8
        assert epsilon(2 * m, 50, 45, delta) <= epsilon(m, 50, 45, delta) + 1e-8


class TestCoverage:
    @pytest.mark.parametrize("true_epsilon", [0.0, 0.3, 1.0, 2.5])
    def test_exact_for_randomized_response(self, true_epsilon):
        # every guess is right with probability q exactly: the worst case, summed over all outcomes
        r = 80
        bounds = np.array([epsilon(r, r, v, 0.0) for v in range(r + 1)])
        mass = stats.binom.pmf(np.arange(r + 1), r, special.expit(true_epsilon))
        assert mass[bounds > true_epsilon].sum() <= 0.05

    def test_choosing_the_number_of_guesses_on_the_same_data_is_caught(self, rng):  # false alarm 1e-6 on the fixed count
        m, repeats = 1000, 400
        guesses = np.unique(np.linspace(20, m, 50).astype(int))
        correct = np.cumsum(rng.random((repeats, m)) < special.expit(1.0), axis=1)[:, guesses - 1]
        p_values = special.betainc(correct, guesses - correct + 1, special.expit(1.0))
        most = stats.binom.isf(1e-6, repeats, 0.05)
        assert (p_values[:, -1] <= 0.05).sum() <= most
        assert (p_values.min(axis=1) <= 0.05).sum() > most

    @pytest.mark.parametrize(("mu", "f_dp", "binomial"), [(1.0, 3.03, 2.25), (2.0, 6.56, 4.43)])
    def test_gaussian_releases(self, mu, f_dp, binomial, rng):  # means of 12 runs; published means within six standard errors
        found = {"f_dp": [], "binomial": []}
        for _ in range(12):
            member = rng.random(10_000) < 0.5
            score = rng.standard_normal(10_000) + mu * (member - 0.5)
            loudest = np.argsort(-np.abs(score))[:500]
            v = int(((score[loudest] > 0) == member[loudest]).sum())
            for method, values in found.items():
                values.append(epsilon(10_000, 500, v, 1e-5, method=method))
        truth = gaussian_epsilon(mu, 1e-5)
        for method, expected in (("f_dp", f_dp), ("binomial", binomial)):
            assert np.mean(found[method]) == pytest.approx(expected, abs=6 * np.std(found[method]) / np.sqrt(12) + 0.05)
            assert np.mean(found[method]) < truth


FAMILY = CurveFamily(1 / 15, 200)


class TestCurveFamily:
    @given(x=st.floats(1e-6, 1 - 1e-6), mu=st.floats(0.2, 3))
    @settings(max_examples=30)
    def test_inverse_blow_up_of_a_full_batch_is_gaussian(self, x, mu):
        exact = gaussian_inverse_blow_up(mu)(x)
        ours = curve_inverse_blow_up(loss_curve(sample_rate=1.0, noise_multiplier=1 / mu, steps=1, resolution=0.1))(x)
        assert ours == pytest.approx(exact, rel=2e-3, abs=1e-6)

    def test_both_directions_are_below_the_trade_off(self):
        curve = FAMILY.curve(1.0)
        shrink = curve_inverse_blow_up(curve)
        fpr, tpr = curve.roc
        for k in range(0, len(fpr), 500):  # an event of probability tpr has at least B^-1(tpr) in the other world, and the other way round
            assert shrink(float(tpr[k])) <= fpr[k] + 1e-6
            assert shrink(float(1 - fpr[k])) <= 1 - tpr[k] + 1e-6

    @pytest.mark.parametrize(("m", "r", "v"), [(1000, 100, 100), (1000, 1000, 700), (5000, 1000, 900)])
    def test_a_full_batch_family_gives_the_gaussian_bound(self, m, r, v):
        exact = epsilon(m, r, v, 1e-5, method="f_dp")
        assert epsilon(m, r, v, 1e-5, method="f_dp", curve=CurveFamily(1.0, 100)) == pytest.approx(exact, rel=5e-3)

    def test_bounds_of_the_specification(self, rng):  # means of 12 runs; six standard errors
        claim, found = FAMILY.curve(1.0), {"binomial": [], "Gaussian": [], "exact": []}
        for _ in range(12):
            scores = scores_of_law(claim, 1000, rng)
            r, v = one_run_guesses(scores, n_in=62, n_out=62)
            found["binomial"].append(epsilon(1000, r, v, 1e-5))
            found["Gaussian"].append(epsilon(1000, r, v, 1e-5, method="f_dp"))
            found["exact"].append(epsilon(1000, r, v, 1e-5, method="f_dp", curve=FAMILY))
        for name, expected in (("binomial", 1.78), ("Gaussian", 2.92), ("exact", 3.08)):
            assert np.mean(found[name]) == pytest.approx(expected, abs=6 * np.std(found[name]) / np.sqrt(12) + 0.05)
            assert np.max(found[name]) < claim.epsilon(1e-5)

    def test_the_scan_is_where_the_test_stops_rejecting(self):
        noise = {}
        bound = epsilon(1000, 120, 105, 1e-5, method="f_dp", curve=FAMILY)
        for sigma in np.geomspace(0.5, 5, 60):
            noise[sigma] = curve_is_rejected(curve_inverse_blow_up(FAMILY.curve(float(sigma))), 1000, 120, 105, 0.05)
        edge = min(sigma for sigma, rejected in noise.items() if rejected)
        assert all(rejected == (sigma >= edge) for sigma, rejected in noise.items())  # monotone
        assert FAMILY.curve(edge).epsilon(1e-5) <= bound * (1 + 1e-6)
        assert FAMILY.curve(edge / (10 ** (1 / 59))).epsilon(1e-5) >= bound * (1 - 1e-6)

    def test_record_and_refusals(self):
        counts = {"n_canaries": 1000, "n_guesses": 100, "n_correct": 95}
        bound = one_run_bound(**counts, delta=1e-5, method="f_dp", curve=FAMILY)
        assert any("within the claimed family" in sentence for sentence in bound.assumptions)
        assert bound.kind == "bound"
        assert epsilon(1000, 100, 0, 1e-5, method="f_dp", curve=FAMILY) == epsilon(1000, 100, 50, 1e-5, method="f_dp", curve=FAMILY) == 0
        with pytest.raises(ValueError, match="curve is for method 'f_dp' only"):
            one_run_bound(**counts, delta=1e-5, curve=FAMILY)
        with pytest.raises(ValueError, match="delta"):
            one_run_bound(**counts, delta=0.0, method="f_dp", curve=FAMILY)


class TestGuesses:
    def test_the_loudest_are_guessed_in_and_the_quietest_out(self):
        scores = MembershipScores([0.9, 0.8, 0.2, 0.1, 0.5], [True, False, False, True, True])
        assert one_run_guesses(scores, n_in=2, n_out=2) == (4, 2)
        assert one_run_guesses(scores, n_in=1, n_out=0) == (1, 1)
        assert one_run_guesses(scores, n_in=0, n_out=0) == (0, 0)
        assert one_run_guesses(scores, n_in=2, n_out=3) == (5, 2)

    def test_ties_do_not_look_at_membership(self):  # false alarm 1e-6
        member = np.arange(2000) < 1000  # members first: the order of rows must not help
        _, correct = one_run_guesses(MembershipScores(np.zeros(2000), member), n_in=500, n_out=500)
        assert stats.binomtest(correct, 1000).pvalue > 1e-6
        assert one_run_guesses(MembershipScores(np.zeros(2000), member), n_in=500, n_out=500)[1] == correct

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=15, deadline=None)
    def test_row_order_does_not_matter(self, seed):
        rng = np.random.default_rng(seed)
        member, order = np.arange(40) % 2 == 0, rng.permutation(40)
        score = rng.standard_normal(40)
        straight, shuffled = MembershipScores(score, member), MembershipScores(score[order], member[order])
        assert one_run_guesses(straight, n_in=7, n_out=9) == one_run_guesses(shuffled, n_in=7, n_out=9)

    def test_too_many_guesses(self):
        scores = MembershipScores([0.9, 0.8], [True, False])
        with pytest.raises(ValueError, match="at most the number of canaries, 2, got 2 \\+ 1"):
            one_run_guesses(scores, n_in=2, n_out=1)
        with pytest.raises(ValueError, match="n_in must be a whole number"):
            one_run_guesses(scores, n_in=-1, n_out=1)


class TestRecord:
    def test_fields(self):
        bound = one_run_bound(n_canaries=100, n_guesses=50, n_correct=45, delta=1e-5, neighboring=Neighboring.ZERO_OUT)
        assert (bound.kind, bound.method, bound.neighboring) == ("bound", "binomial", Neighboring.ZERO_OUT)
        assert any("independent fair coin" in sentence for sentence in bound.assumptions)
        assert any("fixed before the labels" in sentence for sentence in bound.assumptions)
        curve = one_run_bound(n_canaries=100, n_guesses=50, n_correct=45, delta=1e-5, method="f_dp")
        assert any("assuming the hypothesized Gaussian curve" in sentence for sentence in curve.assumptions)

    def test_no_guess_is_no_evidence(self):
        assert epsilon(100, 0, 0, 1e-5) == epsilon(100, 50, 0, 1e-5) == epsilon(100, 50, 0, 1e-5, method="f_dp") == 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_guesses": 101}, "n_guesses must be at most n_canaries, 100, got 101"),
            ({"n_correct": 51}, "n_correct must be at most n_guesses, 50, got 51"),
            ({"n_canaries": 0}, "n_canaries must be a whole number >= 1"),
            ({"n_correct": -1}, "n_correct must be a whole number >= 0"),
            ({"n_correct": 1.5}, "n_correct must be a whole number >= 0"),
            ({"delta": 1.0}, r"delta must be in \[0, 1\)"),
            ({"level": 95}, "did you mean 0.95"),
            ({"method": "prv"}, "method must be one of 'binomial', 'f_dp'"),
            ({"method": "f_dp", "delta": 0.0}, "delta must be positive for method 'f_dp'"),
        ],
    )
    def test_bad_input(self, options, message):
        with pytest.raises(ValueError, match=message):
            one_run_bound(**({"n_canaries": 100, "n_guesses": 50, "n_correct": 45, "delta": 1e-5} | options))


class TestScan:
    def test_the_first_gap_counts(self):
        grid = np.linspace(0, 10, 101)
        assert first_not_rejected(lambda x: not 3.3 < x < 3.5 and x < 7, grid) == pytest.approx(3.3, abs=1e-8)
        assert first_not_rejected(lambda x: False, grid) == 0.0
        assert first_not_rejected(lambda x: True, grid) == 10.0


class TestManyGuesses:
    @pytest.mark.parametrize(("r", "v"), [(20_000, 11_000), (20_000, 19_900), (50_000, 25_010), (9_000, 9_000)])
    @pytest.mark.parametrize("epsilon", [0.0, 0.1, 1.0, 5.0])
    def test_windows_find_the_largest_share(self, r, v, epsilon):
        k = np.arange(v - 1, -1, -1)
        mass = np.cumsum(stats.binom.pmf(k, r, special.expit(epsilon)))
        found = _worst_share(r, v, epsilon, float(stats.binom.cdf(v - 1, r, special.expit(epsilon))))
        assert found == pytest.approx(float(np.max(mass / (v - k))), rel=1e-7, abs=1e-300)

    def test_a_hundred_million_canaries(self):
        bound = one_run_bound(n_canaries=10**8, n_guesses=10**7, n_correct=6 * 10**6, delta=1e-9)
        limit = special.logit(special.betaincinv(6 * 10**6, 4 * 10**6 + 1, 0.05))
        assert 0.99 * limit < bound.epsilon < limit
