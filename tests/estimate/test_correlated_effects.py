"""Correlated model effects: the likelihood against brute force, the weighted points against known integrals, calibration, NUTS."""

from __future__ import annotations

import json

import mpmath as mp
import numpy as np
import pytest
from scipy import special, stats

from mechanisms.errors import ConvergenceWarning
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate import correlated_effects
from privacy_audit.estimate.correlated_effects import CorrelatedEpsilonPosterior
from privacy_audit.estimate.model_effects.correlated_likelihood import CorrelatedLikelihood, from_normal, marginal_rates, to_normal_rate
from privacy_audit.estimate.model_effects.importance import effective_draws, evenly_spread, weighted_points
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.nuts import ChainCheck
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.region import implied_epsilon

COUNTS = ModelCounts(tp=[4, 9, 6, 8, 0], fp=[0, 3, 1, 0, 2], tn=[10, 7, 9, 10, 1], fn=[6, 1, 4, 2, 0])


def simulate_effects(rng, *, n_models, n_points, point):
    """Counts whose logits are bivariate normal with this parameter point."""
    m0, m1, log_s0, log_s1, z = point
    first, second = rng.normal(size=(2, n_models))
    r = np.tanh(z)
    rates = special.expit(m0 + np.exp(log_s0) * first), special.expit(m1 + np.exp(log_s1) * (r * first + np.sqrt(1 - r * r) * second))
    fp, fn = (rng.binomial(n_points, rate) for rate in rates)
    return ModelCounts(fp=fp, tn=n_points - fp, fn=fn, tp=n_points - fn)


def brute_log_likelihood(counts, point, n=700):
    """One model after the other, on a square of the standard normal plane."""
    m0, m1, log_s0, log_s1, z = point
    a = np.linspace(-9, 9, n)
    normal = stats.norm.pdf(a)
    r, total = np.tanh(z), 0.0
    p = special.expit(m0 + np.exp(log_s0) * a)
    q = special.expit(m1 + np.exp(log_s1) * (r * a[:, None] + np.sqrt(1 - r * r) * a))
    for fp, tn, fn, tp in zip(counts.fp, counts.tn, counts.fn, counts.tp, strict=True):
        inner = (q**fn * (1 - q) ** tp) @ normal
        total += np.log((p**fp * (1 - p) ** tn * normal * inner).sum() * (a[1] - a[0]) ** 2)
    return total


class TestLikelihood:
    @pytest.mark.parametrize(
        "point", [(-1.5, 0.2, -0.3, 0.1, 0.5), (-2.0, -1.0, -0.5, -0.7, -1.2), (-1.0, 0.0, -6.0, -6.0, 0.0), (0.0, 0.5, 0.5, 0.4, 3.0)]
    )
    def test_against_brute_force(self, point):
        likelihood = CorrelatedLikelihood.of(COUNTS)
        nodes = likelihood.log_likelihood(np.array([point, (-1.0, 0, -9, -9, 0)]))
        assert nodes[0] - nodes[1] == pytest.approx(
            brute_log_likelihood(COUNTS, point) - brute_log_likelihood(COUNTS, (-1, 0, -9, -9, 0)), abs=0.01
        )

    def test_many_trials(self):  # each rate is known: the likelihood is the normal density of the logits
        n = 10**8
        fp, fn = np.array([n // 10, n // 5, n // 7]), np.array([n // 2, n // 3, n // 2])
        likelihood = CorrelatedLikelihood.of(ModelCounts(fp=fp, tn=n - fp, fn=fn, tp=n - fn))
        points = np.array([(-1.5, 0.2, -0.3, 0.1, 0.5), (-2.0, -1.0, 0.5, -0.7, -1.2)])
        value = likelihood.log_likelihood(points)
        logit = np.stack([np.log(fp / (n - fp)), np.log(fn / (n - fn))], axis=1)
        expected = []
        for m0, m1, l0, l1, z in points:
            s0, s1, r = np.exp(l0), np.exp(l1), np.tanh(z)
            law = stats.multivariate_normal([m0, m1], [[s0**2, r * s0 * s1], [r * s0 * s1, s1**2]])
            expected.append(law.logpdf(logit).sum())
        assert value[1] - value[0] == pytest.approx(expected[1] - expected[0], abs=1e-4)

    def test_repeated_models_count_twice(self):
        points = np.array([(-1.5, 0.2, -0.3, 0.1, 0.5)])
        twice = ModelCounts(**{name: np.tile(getattr(COUNTS, name), 2) for name in ("tp", "fp", "tn", "fn")})
        once, both = (CorrelatedLikelihood.of(c).log_likelihood(points) for c in (COUNTS, twice))
        assert both == pytest.approx(2 * once)

    @pytest.mark.parametrize(("scale", "tolerance"), [(0.3, 1e-10), (1.0, 1e-8), (2.0, 1e-5), (3.0, 3e-4)])
    def test_marginal_rates(self, scale, tolerance):
        rates = marginal_rates(np.array([[-2.0, 0.7, np.log(scale), np.log(scale), 0.4]]))

        def moment(center, power):
            return float(mp.quad(lambda x: mp.npdf(x) / (1 + mp.exp(-center - scale * x)) ** power, [-12, -4, 0, 4, 12]))

        for name, center in (("fpr", -2.0), ("fnr", 0.7)):
            mean, square = moment(center, 1), moment(center, 2)
            assert rates[name][0] == pytest.approx(mean, abs=tolerance)
            assert rates[f"rho_{name}"][0] == pytest.approx((square - mean**2) / (mean * (1 - mean)), abs=10 * tolerance)
        assert rates["correlation"][0] == pytest.approx(np.tanh(0.4))

    def test_normals_are_sent_to_the_prior(self):
        y = np.linspace(-7.5, 7.5, 31)
        points = from_normal(np.tile(y[:, None], 5))
        u = stats.norm.cdf(y)
        assert special.expit(points[:, 0]) == pytest.approx(stats.beta.ppf(u, 0.5, 0.5), rel=1e-9)
        assert special.expit(-points[:, 1]) == pytest.approx(stats.beta.ppf(u[::-1], 0.5, 0.5), rel=1e-9)
        assert np.exp(points[:, 2]) == pytest.approx(stats.halfnorm.isf(stats.norm.sf(y)), rel=1e-9)
        assert np.tanh(points[:, 4]) == pytest.approx(2 * stats.beta.ppf(u, 2, 2) - 1, abs=1e-9)
        assert from_normal(np.full((1, 5), to_normal_rate(0.03)))[0, 0] == pytest.approx(special.logit(0.03))
        assert np.isfinite(from_normal(np.array([np.full(5, 1e9), np.full(5, -1e9)]))).all()


class TestWeightedPoints:
    def test_points_are_evenly_spread(self):
        u = evenly_spread(4096, 5)
        assert np.abs(u.mean(axis=0) - 0.5).max() < 3e-3
        assert stats.kstest(u[:, 2], "uniform").statistic < 5e-3

    def test_moments_of_a_skewed_density(self):
        shape = np.array([3.0, 8.0, 20.0])  # logarithms of gamma variables, correlated by a linear map
        mix = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.4], [0.0, 0.0, 1.0]])
        inverse = np.linalg.inv(mix)

        def log_density(x):
            y = x @ inverse.T
            return (shape * y - np.exp(y)).sum(axis=1)

        points, weight = weighted_points(log_density, np.zeros(3), n_points=4096)
        assert weight @ points == pytest.approx(mix @ special.digamma(shape), abs=0.02)
        away = points - weight @ points
        assert (away * weight[:, None]).T @ away == pytest.approx(mix @ np.diag(special.polygamma(1, shape)) @ mix.T, abs=0.02)
        assert 400 < effective_draws(weight) < 4096


class TestPosterior:
    def test_record(self):
        law = CorrelatedEpsilonPosterior(COUNTS, delta=1e-5, neighboring=Neighboring.REPLACE)
        record = json.loads(json.dumps(law.to_dict()))
        assert record["kind"] == law.kind == "credible"
        assert law.converged
        assert CorrelatedEpsilonPosterior.from_dict(record).to_dict() == record
        assert "correlated model effects" in law._repr_html_()
        assert law.to_datatree(n_draws=20, rng=1)["posterior"]["correlation"].shape == (4, 20)
        low, median, high = law.correlation()
        assert -1 < low < median < high < 1
        assert law.interval(0.95, "lower").tolist() == [law.ppf(1 - 0.95), np.inf]
        assert law.cdf(law.median) == pytest.approx(0.5, abs=2e-3)
        assert CorrelatedEpsilonPosterior(COUNTS).median == CorrelatedEpsilonPosterior(COUNTS).median  # nothing is random

    def test_finds_the_correlation(self, rng):  # false alarm about 2e-6: artanh of the estimate has standard deviation 0.17
        counts = simulate_effects(rng, n_models=40, n_points=100, point=(-2.0, 0.8, -0.2, -0.2, np.arctanh(-0.8)))
        low, median, high = CorrelatedEpsilonPosterior(counts).correlation()
        assert low < median < high
        assert -0.97 < median < -0.3

    def test_without_effects_it_is_the_pooled_posterior(self, rng):
        counts = simulate_effects(rng, n_models=100, n_points=10, point=(-2.0, 0.8, -20.0, -20.0, 0.0))
        law, plain = CorrelatedEpsilonPosterior(counts), EpsilonPosterior(counts.pooled())
        assert law.ppf([0.05, 0.5, 0.95]) == pytest.approx(plain.ppf([0.05, 0.5, 0.95]), abs=0.15)
        assert law.n_effective > 0.6 * 2000

    def test_poor_weights_warn(self, monkeypatch):
        monkeypatch.setattr(correlated_effects, "_N_POINTS", 64)
        with pytest.warns(ConvergenceWarning, match="64 weighted points are worth only"):
            law = CorrelatedEpsilonPosterior(COUNTS)
        assert not law.converged

    def test_chains(self, monkeypatch, rng):
        names = ("m_fpr", "m_fnr", "log_s_fpr", "log_s_fnr", "artanh_correlation")
        draws = {name: rng.normal(-1, 0.1, (4, 100)) for name in names}
        monkeypatch.setattr(correlated_effects, "sample_correlated", lambda counts, *, rng: (draws, ChainCheck(1.0, 500.0, 500.0, 0)))
        law = CorrelatedEpsilonPosterior(COUNTS, method="nuts", rng=1)
        assert law.converged
        assert law.to_datatree()["posterior"]["fpr"].shape == (4, 100)
        fpr = marginal_rates(np.array([[draws[name][2, 5] for name in names]]))["fpr"][0]
        assert law.to_datatree()["posterior"]["fpr"].values[2, 5] == pytest.approx(fpr)

    def test_bad_input(self):
        with pytest.raises(ValueError, match="method must be one of"):
            CorrelatedEpsilonPosterior(COUNTS, method="grid")
        with pytest.raises(ValueError, match="did you mean"):
            CorrelatedEpsilonPosterior(COUNTS, delta=1e5)
        with pytest.raises(TypeError, match="neighboring"):
            CorrelatedEpsilonPosterior(COUNTS, neighboring="replace")
        with pytest.raises(ValueError, match="none in 1 of 1 models"):
            CorrelatedEpsilonPosterior.from_arrays(tp=[0], fp=[0], tn=[0], fn=[0])


@pytest.mark.slow
class TestSlow:
    def test_simulation_based_calibration(self, rng):  # false alarm 0.001
        ranks, pooled = [], []
        for _ in range(200):
            m, s = special.logit(rng.beta(0.5, 0.5, 2)), np.abs(rng.normal(size=2))
            point = np.array([*m, *np.log(s), np.arctanh(2 * rng.beta(2, 2) - 1)])
            counts = simulate_effects(rng, n_models=10, n_points=60, point=point)
            rates = marginal_rates(point[None, :])
            truth = float(implied_epsilon(rates["fpr"], rates["fnr"])[0])
            ranks.append(CorrelatedEpsilonPosterior(counts).cdf(truth))
            pooled.append(EpsilonPosterior(counts.pooled()).cdf(truth))
        assert stats.kstest(ranks, "uniform").pvalue > 0.001
        assert stats.kstest(pooled, "uniform").pvalue < 0.001  # the same check catches pooling

    @pytest.mark.parametrize("correlation", [-0.7, 0.5])
    def test_quadrature_agrees_with_nuts(self, correlation, rng):  # false alarm about 1e-6: standard errors are 0.006
        point = (-2.0, 0.8, -0.2, -0.2, np.arctanh(correlation))
        counts = simulate_effects(rng, n_models=50, n_points=20, point=point)
        chains, exact = CorrelatedEpsilonPosterior(counts, method="nuts", rng=rng), CorrelatedEpsilonPosterior(counts)
        assert chains.converged
        assert chains.ppf([0.05, 0.5, 0.95]) == pytest.approx(exact.ppf([0.05, 0.5, 0.95]), abs=0.03)
        assert chains.correlation() == pytest.approx(exact.correlation(), abs=0.06)
