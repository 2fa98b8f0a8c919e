"""The hierarchical posterior against closed forms, plain grids, its limits rho -> 0 and rho -> 1, and simulation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from mechanisms.errors import WeakEvidenceWarning
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.model_effects.beta_binomial_grid import beta_binomial_grid, log_rising
from privacy_audit.estimate.model_effects.epsilon_law import QuadratureLaw
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.tabulated_pushforward import tabulated_exceedance
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.rates.beta_law import BetaLaw
from privacy_audit.estimate.rates.pushforward import exceedance
from privacy_audit.estimate.region import implied_epsilon
from tests.estimate.hierarchical_oracle import mp_log_rising, plain_sf, plain_side, simulate

SMALL = ModelCounts(tp=[4, 9, 6, 8], fp=[0, 3, 1, 0], tn=[10, 7, 9, 10], fn=[6, 1, 4, 2])


def fit(counts, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)  # strong correlation is part of many of these cases
        return HierarchicalEpsilonPosterior(counts, **options)


def law_with_prior(counts, rho_prior, delta=0.0):
    """The law under a prior of rho beyond what the public record takes."""
    fnr = beta_binomial_grid(counts.fn, counts.n_members, rho_prior=rho_prior)
    return QuadratureLaw(fnr=fnr, fpr=beta_binomial_grid(counts.fp, counts.n_non_members, rho_prior=rho_prior), delta=delta)


class TestGrid:
    @pytest.mark.parametrize("a", [1e-12, 0.3, 29.999, 30.0, 1e4, 1e9, 1e15])
    def test_log_rising(self, a):
        for k in (0, 1, 20, 10**6, 10**12):
            exact = mp_log_rising(a, k)
            assert log_rising(np.array([a]), np.array([k]), np.array([2.0]))[0] == pytest.approx(2 * exact, rel=1e-11, abs=1e-8 + 1e-14 * k)

    @pytest.mark.parametrize(("errors", "trials"), [([0, 3, 1, 0], [10] * 4), ([6, 1, 4, 2], [10, 3, 4, 40]), ([5, 0], [5, 5])])
    @pytest.mark.parametrize("rho_prior", [(0.5, 4.5), (1, 9), (1, 1)])
    def test_against_a_plain_dense_grid(self, errors, trials, rho_prior):
        grid = beta_binomial_grid(np.array(errors), np.array(trials), rho_prior=rho_prior)
        mu, mass_mu, rho, mass_rho = plain_side(errors, trials, rho_prior)
        logit = np.log(mu) - np.log1p(-mu)
        middle = (logit[1:] + logit[:-1]) / 2
        assert grid.rate.cdf(middle) == pytest.approx(np.cumsum(mass_mu)[:-1], abs=2e-4)
        assert grid.rho_mean == pytest.approx(rho @ mass_rho, abs=1e-4)
        assert grid.rho_quantile(np.array([0.5]))[0] == pytest.approx(np.interp(0.5, np.cumsum(mass_rho) - mass_rho / 2, rho), abs=2e-3)

    @pytest.mark.parametrize("seed", range(3))
    def test_a_finer_grid_changes_nothing(self, seed):
        rng = np.random.default_rng(seed)
        counts = simulate(rng, n_models=(2, 30, 400)[seed], n_points=(10**6, 20, 3)[seed], rho=(0.01, 0.3, 0)[seed])
        coarse = beta_binomial_grid(counts.fn, counts.n_members, rho_prior=(1, 9))
        fine = beta_binomial_grid(counts.fn, counts.n_members, rho_prior=(1, 9), n_mu=1201, n_rho=301)
        points = fine.rate.logit_nodes
        assert coarse.rate.cdf(points) == pytest.approx(fine.rate.cdf(points), abs=2e-6)
        assert coarse.rho_mean == pytest.approx(fine.rho_mean, rel=1e-3)

    @pytest.mark.parametrize(("k", "n"), [(0, 12), (3, 40), (500, 1000), (12, 12)])
    def test_one_guess_per_model_is_the_beta_law(self, k, n):
        grid = beta_binomial_grid(np.repeat([1, 0], [k, n - k]), np.ones(n, dtype=np.int64), rho_prior=(1, 9))
        q = np.array([0.001, 0.05, 0.5, 0.95, 0.999])
        assert grid.rate.quantile(q) == pytest.approx(stats.beta(k + 0.5, n - k + 0.5).ppf(q), rel=2e-5)
        assert grid.rho_mean == pytest.approx(0.1, abs=1e-3)  # nothing was learned about rho

    @pytest.mark.parametrize("delta", [0.0, 1e-5, 0.01, 0.3])
    @pytest.mark.parametrize(("fp", "fn", "n"), [(3, 40, 100), (0, 0, 25), (50, 50, 100), (90, 80, 100), (2, 1500, 2000)])
    def test_pushforward_against_the_one_for_beta_laws(self, fp, fn, n, delta):
        rates = [beta_binomial_grid(np.repeat([1, 0], [k, n - k]), np.ones(n, dtype=np.int64), rho_prior=(1, 9)).rate for k in (fn, fp)]
        epsilon = np.array([0.0, 0.01, 0.3, 1.0, 2.0, 4.0, 9.0])
        laws = [BetaLaw.of(np.full(7, k + 0.5), np.full(7, n - k + 0.5)) for k in (fn, fp)]
        sf, density = tabulated_exceedance(*rates, epsilon, delta)
        exact_sf, exact_density = exceedance(*laws, epsilon, delta)
        assert sf == pytest.approx(exact_sf, abs=2e-6)
        assert density == pytest.approx(exact_density, abs=1e-5)


class TestLimits:
    def test_rho_to_zero_is_the_pooled_posterior(self, rng):
        counts = simulate(rng, n_models=12, n_points=30)
        pooled = np.asarray(EpsilonPosterior(counts.pooled()).ppf([0.05, 0.5, 0.95]))
        apart = [np.abs(law_with_prior(counts, (1, b)).quantile(np.array([0.05, 0.5, 0.95])) - pooled).max() for b in (1e3, 1e5, 1e7)]
        assert apart[2] < 1e-3 < apart[0]
        assert apart[0] > apart[1] > apart[2]

    def test_rho_to_one_counts_each_model_once(self):
        fp, fn = np.array([0, 0, 0, 7, 0, 0, 0, 0]), np.array([5, 5, 0, 0, 5, 5, 5, 0])
        counts = ModelCounts(fp=fp, tn=np.where(fp, 0, 7), fn=fn, tp=5 - fn)
        once = EpsilonPosterior.from_arrays(fp=[1], tn=[7], fn=[5], tp=[3]).ppf([0.05, 0.5, 0.95])[0]
        assert law_with_prior(counts, (1e5, 0.5)).quantile(np.array([0.05, 0.5, 0.95])) == pytest.approx(once, abs=2e-3)

    def test_one_guess_per_model_falls_back(self, rng):
        member = rng.random(40) < 0.5
        wrong = rng.random(40) < 0.2
        four = {"tp": member & ~wrong, "fp": ~member & wrong, "tn": ~member & ~wrong, "fn": member & wrong}
        counts = ModelCounts(**{name: values.astype(int) for name, values in four.items()})
        law, plain = HierarchicalEpsilonPosterior(counts, delta=0.01), EpsilonPosterior(counts.pooled(), delta=0.01)
        q = [0.0, 0.05, 0.5, 0.95, 1.0]
        assert np.array_equal(law.ppf(q), plain.ppf(q))
        assert law.mean == plain.mean
        assert np.array_equal(law.interval(0.9, "hdi"), plain.interval(0.9, "hdi"))
        assert not law.rho["fpr"].identified
        assert law.rho["fpr"].mean == pytest.approx(0.1)
        assert law.n_effective == 40
        assert stats.kstest(plain.cdf(law.sample(1000, rng=rng)), "uniform").pvalue > 1e-6

    def test_independent_guesses_cost_little(self, rng):
        counts = simulate(rng, n_models=400, n_points=50, rho=0)
        law, plain = HierarchicalEpsilonPosterior(counts), EpsilonPosterior(counts.pooled())
        assert law.median == pytest.approx(plain.median, abs=0.02)
        assert law.rho["fpr"].high < 0.01
        assert law.n_effective > 0.85 * 400 * 100


class TestLaw:
    @pytest.mark.parametrize("delta", [0.0, 0.05])
    def test_against_a_double_sum(self, delta):
        law = fit(SMALL, delta=delta)
        for epsilon in (0.1, 0.8, 1.7, 3.0):
            assert law.sf(epsilon) == pytest.approx(plain_sf(SMALL, delta, epsilon), abs=0.004)  # the sum has steps

    def test_zero_errors_have_finite_quantiles(self):
        law = fit(ModelCounts(tp=[10] * 4, fp=[0] * 4, tn=[10] * 4, fn=[0] * 4))
        ends = law.ppf([1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
        assert np.isfinite(ends).all()
        assert (np.diff(ends) > 0).all()
        assert law.interval(0.9, "lower")[1] == np.inf

    def test_mass_at_zero(self):
        law = fit(ModelCounts(tp=[10, 11], fp=[10, 9], tn=[10, 11], fn=[10, 9]), delta=0.2)
        at_zero = law.cdf(0.0)
        assert 0.2 < at_zero < 1
        assert law.cdf(-1e-9) == 0
        assert law.ppf([0.5 * at_zero, 0.99 * at_zero]).tolist() == [0.0, 0.0]
        assert law.interval(0.5 * at_zero, "hdi").tolist() == [0.0, 0.0]

    @given(
        counts=st.lists(st.tuples(*[st.integers(0, 12)] * 4), min_size=2, max_size=6).filter(
            lambda rows: all(sum(r) for r in rows) and sum(r[0] + r[3] for r in rows) and sum(r[1] + r[2] for r in rows)
        ),
        delta=st.sampled_from([0.0, 1e-5, 0.05]),
    )
    @settings(max_examples=10, deadline=None)
    def test_quantiles_and_density(self, counts, delta):
        tp, fp, tn, fn = np.array(counts).T
        law = fit(ModelCounts(tp=tp, fp=fp, tn=tn, fn=fn), delta=delta)
        q = np.array([1e-4, 0.05, 0.5, 0.95, 1 - 1e-4])
        epsilon = law.ppf(q)
        above = epsilon > 0
        assert law.cdf(epsilon)[above] == pytest.approx(q[above], abs=2e-6)
        assert (np.diff(epsilon) >= 0).all()
        grid = np.linspace(0.05, 8, 12)
        assert law.pdf(grid) == pytest.approx((law.sf(grid - 1e-4) - law.sf(grid + 1e-4)) / 2e-4, abs=2e-4)

    def test_sides_are_independent_and_models_unordered(self, rng):
        counts = simulate(rng, n_models=9, n_points=np.arange(3, 12))
        order = rng.permutation(9)
        zeros = np.zeros(9, dtype=int)
        apart = {
            "tp": np.r_[counts.tp, zeros],
            "fn": np.r_[counts.fn, zeros],
            "fp": np.r_[zeros, counts.fp[order]],
            "tn": np.r_[zeros, counts.tn[order]],
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WeakEvidenceWarning)
            split = HierarchicalEpsilonPosterior.from_arrays(**apart)
        assert split.ppf([0.05, 0.5, 0.95]) == pytest.approx(fit(counts).ppf([0.05, 0.5, 0.95]), abs=1e-9)
        assert split.n_models == 18

    def test_mean_and_shortest_interval(self):
        law = fit(SMALL)
        assert law.mean == pytest.approx(integrate.quad(law.sf, 0, 60, limit=200, points=[1, 2, 4, 8])[0], abs=1e-5)
        low, high = law.interval(0.9, "hdi")
        u = np.linspace(0, 0.0999, 40)
        assert high - low <= (law.ppf(u + 0.9) - law.ppf(u)).min() + 1e-6
        assert law.cdf(high) - law.cdf(low) == pytest.approx(0.9, abs=2e-6)

    def test_huge_counts(self, rng):
        counts = simulate(rng, n_models=5, n_points=10**12, rho=0.01)
        low, high = fit(counts).interval(0.9)
        assert 0 < high - low < 3
        with pytest.raises(ValueError, match=r"at most 10000000 trials per model, got 1000000000000"):
            HierarchicalEpsilonPosterior(counts, method="nuts")
        with pytest.raises(ValueError, match="whole numbers from 0 to 1e12"):
            ModelCounts(tp=[2 * 10**12], fp=[1], tn=[1], fn=[1])

    def test_sensitivity_to_the_prior_of_rho(self, rng):
        counts = simulate(rng, n_models=20, n_points=20, rho=0.2)
        rows = fit(counts).rho_prior_sensitivity()
        assert [row["rho_prior"] for row in rows] == [[1.0, 1.0], [0.5, 4.5], [1.0, 30.0]]
        widths = [row["high"] - row["low"] for row in rows]
        assert widths[0] > widths[1] > widths[2]
        assert [rows[1]["low"], rows[1]["high"]] == pytest.approx(fit(counts).interval(0.9).tolist(), abs=1e-12)
        assert rows[0]["rho_fpr"] > rows[2]["rho_fpr"]

    def test_strong_correlation_warns(self, rng):
        counts = simulate(rng, n_models=30, n_points=20, fpr=0.4, rho=0.6)
        with pytest.warns(WeakEvidenceWarning, match=r"rho of fpr up to 0\.\d\d.*rho_prior_sensitivity"):
            HierarchicalEpsilonPosterior(counts)
        HierarchicalEpsilonPosterior(simulate(rng, n_models=60, n_points=20, fpr=0.4, rho=0.02))  # silent


def calibration_ranks(rng, repeats, *, n_models, n_points, estimator):
    """P(epsilon <= truth) for truths drawn from the priors: uniform if the posterior is right."""
    ranks = []
    for _ in range(repeats):
        (fpr, fnr), rho = rng.beta(0.5, 0.5, 2), rng.beta(1, 9, 2)
        errors = [
            rng.binomial(n_points, rng.beta(m * (1 / r - 1), (1 - m) * (1 / r - 1), n_models)) for m, r in ((fpr, rho[0]), (fnr, rho[1]))
        ]
        counts = ModelCounts(fp=errors[0], tn=n_points - errors[0], fn=errors[1], tp=n_points - errors[1])
        ranks.append(float(estimator(counts).cdf(float(implied_epsilon(fpr, fnr)))))
    return ranks


def pooled(counts):
    return EpsilonPosterior(counts.pooled())


def two_sided_hits(rng, repeats, estimator):
    """How often the 90 % interval holds epsilon = 1 when rho = 0.3."""
    hits = 0
    for _ in range(repeats):
        counts = simulate(rng, n_models=50, n_points=20, fpr=0.1, fnr=1 - 0.1 * np.e, rho=0.3)
        low, high = estimator(counts).interval(0.9)
        hits += low <= 1.0 <= high
    return hits


class TestSimulation:
    def test_simulation_based_calibration(self, rng):  # false alarm 1e-6
        ranks = calibration_ranks(rng, 100, n_models=15, n_points=30, estimator=fit)
        assert stats.kstest(ranks, "uniform").pvalue > 1e-6

    def test_pooling_is_caught(self, rng):  # the same check; false alarm of this test below 1e-6
        ranks = calibration_ranks(rng, 1200, n_models=15, n_points=30, estimator=pooled)
        assert stats.kstest(ranks, "uniform").pvalue < 1e-6

    @pytest.mark.slow
    def test_simulation_based_calibration_of_many(self, rng):  # false alarm 0.001
        ranks = calibration_ranks(rng, 1500, n_models=20, n_points=20, estimator=fit)
        assert stats.kstest(ranks, "uniform").pvalue > 0.001

    @pytest.mark.slow
    def test_intervals_cover_where_pooled_ones_do_not(self, rng):  # false alarm 1e-5 at a coverage of 0.87
        least = stats.binom.ppf(1e-5, 300, 0.87)
        assert two_sided_hits(rng, 300, fit) >= least
        assert two_sided_hits(rng, 300, pooled) < least

    def test_draws_follow_the_law(self, rng):  # false alarm 1e-6
        law = fit(SMALL)
        draws = law.law.draw(20_000, rng)
        assert stats.kstest(law.cdf(draws["epsilon"][:1500]), "uniform").pvalue > 1e-6
        assert stats.kstest(fit(SMALL, rho_prior=(9, 1)).cdf(draws["epsilon"][:1500]), "uniform").pvalue < 1e-6  # it can fail
        assert np.median(draws["rho_fpr"]) == pytest.approx(law.rho["fpr"].median, abs=0.01)
        assert np.mean(draws["rho_fnr"]) == pytest.approx(law.rho["fnr"].mean, abs=0.01)
