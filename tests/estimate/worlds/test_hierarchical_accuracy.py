"""Several draws of shadow models: against plain sums, PyMC, limits, simulation; shared victims; the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import special, stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.hierarchical_accuracy import HierarchicalAccuracyPosterior
from privacy_audit.estimate.worlds.repeat_likelihood import draw_logits, log_likelihood, mean_rate_of_adversaries
from privacy_audit.estimate.worlds.victim_blocks import one_repeat_per_victim

RIGHT = np.array([[70, 75, 72, 60, 80], [80, 85, 70, 88, 90]])


def records(right=RIGHT, victims=100):
    return [AttackCounts(tn=int(j), fp=int(victims - j), tp=int(k), fn=int(victims - k)) for j, k in zip(*right, strict=True)]


def fit(right=RIGHT, victims=100, **options):
    return HierarchicalAccuracyPosterior(records(right, victims), **{"shared_victims": False} | options)


def plain_law(right, victims, n_nodes=61):
    """Accuracy and mass on a dense grid of (tau, mu_0, mu_1), every integral a plain sum."""
    z = np.linspace(-7, 7, 141)
    z_mass = stats.norm.pdf(z) / stats.norm.pdf(z).sum()
    tau, mu = np.linspace(0.01, 4, 50), np.linspace(-0.5, 3.5, n_nodes)
    x = mu[:, None] + tau[:, None, None] * z
    weight = np.exp(-(tau**2) / 2)[:, None, None] * np.exp(-((mu[:, None] / 3) ** 2 + (mu / 3) ** 2) / 2)
    for world, axis in ((0, 2), (1, 1)):
        log_sum = 0.0
        for k in right[world]:
            log_sum = log_sum + np.log(stats.binom.pmf(k, victims, special.expit(x)) @ z_mass)
        weight = weight * np.expand_dims(np.exp(log_sum - log_sum.max()), axis)
    rate = special.expit(x) @ z_mass
    accuracy = (rate[:, :, None] + rate[:, None, :]) / 2
    return accuracy.ravel(), weight.ravel() / weight.sum()


class TestLikelihood:
    @pytest.mark.parametrize(("k", "m"), [(0, 3), (0, 1000), (150, 200), (100, 100)])
    @pytest.mark.parametrize("tau", [1e-4, 0.05, 0.5, 1.5, 5.0])
    def test_against_a_plain_sum(self, k, m, tau):
        z = np.linspace(-12, 12, 200_001)
        for mu in (-1.0, 0.0, 2.0):
            x = mu + tau * z
            exponent = -k * np.logaddexp(0, -x) - (m - k) * np.logaddexp(0, x) - z**2 / 2
            if np.argmax(exponent) in (0, len(z) - 1) or exponent.max() < -60:  # the mass lies where the plain sum doesn't reach
                continue
            plain = special.logsumexp(exponent) + np.log(z[1] - z[0]) - np.log(2 * np.pi) / 2
            ours = log_likelihood(np.array([k, k]), np.array([m, m]), np.array(mu), np.array(tau))
            assert ours == pytest.approx(2 * plain, abs=2e-3 if tau > 4 else 1e-4)

    def test_mean_rate(self):
        assert mean_rate_of_adversaries(np.array(0.0), np.array(3.0)) == pytest.approx(0.5, abs=1e-12)
        z = np.random.default_rng(0).standard_normal(400_000)
        assert mean_rate_of_adversaries(np.array(1.0), np.array(2.0)) == pytest.approx(special.expit(1 + 2 * z).mean(), abs=3e-3)

    def test_draws_given_counts(self, rng):
        """Against self-normalized importance sampling from the prior; six standard errors."""
        z = rng.standard_normal(200_000)
        weight = stats.binom.pmf(17, 20, special.expit(0.5 + z))
        expected = (weight @ (0.5 + z)) / weight.sum()
        drawn = draw_logits(np.array([17.0]), np.array([20.0]), np.full(4000, 0.5), np.ones(4000), rng)[:, 0]
        assert drawn.mean() == pytest.approx(expected, abs=6 * drawn.std() / 60)


class TestLaw:
    def test_against_a_dense_grid(self):
        law = fit()
        accuracy, mass = plain_law(RIGHT, 100)
        for at in (0.68, 0.72, 0.76, 0.79, 0.82):
            smooth = special.ndtr((at - accuracy) / 0.002)  # the lattice of the plain grid, smoothed
            assert law.cdf(at) == pytest.approx(mass @ smooth, abs=6e-3)
        assert law.mean == pytest.approx(mass @ accuracy, abs=1e-3)

    def test_views_agree(self):
        law = fit()
        q = np.array([0.025, 0.3, 0.975])
        at = law.ppf(q)
        assert law.cdf(at) == pytest.approx(q, abs=1e-8)
        middle = np.linspace(0.6, 0.9, 601)
        assert np.trapezoid(law.pdf(middle), middle) == pytest.approx(law.cdf(0.9) - law.cdf(0.6), abs=1e-5)
        assert law.sf([-0.1, 1.0]).tolist() == [1.0, 0.0]
        low, high = law.interval(0.9, "hdi")
        assert law.cdf(high) - law.cdf(low) == pytest.approx(0.9, abs=1e-6)

    def test_draws_agree(self, rng):  # false alarm 1e-6
        law = fit()
        draws = law.sample(2000, rng=rng)
        assert stats.kstest(draws, lambda x: np.asarray(law.cdf(x))).pvalue > 1e-6
        assert stats.kstest(draws, lambda x: np.asarray(fit(RIGHT - 8).cdf(x))).pvalue < 1e-6

    def test_like_adversaries_are_pooled(self):
        right = np.tile([[750], [850]], 8)
        law, pooled = fit(right, 1000), AccuracyPosterior(AttackCounts(tn=6000, fp=2000, tp=6800, fn=1200))
        assert law.median == pytest.approx(pooled.median, abs=1e-3)
        ratio = np.diff(law.interval()) / np.diff(pooled.interval())
        assert 1.0 < ratio[0] < 1.6

    def test_unlike_adversaries_are_not(self):
        right = np.array([[550, 950, 600, 900], [650, 980, 700, 960]])
        pooled = AccuracyPosterior(AttackCounts(tn=3000, fp=1000, tp=3290, fn=710))
        assert np.diff(fit(right, 1000).interval())[0] > 5 * np.diff(pooled.interval())[0]
        assert fit(right, 1000).tau[1] > 0.5

    @pytest.mark.slow
    @pytest.mark.parametrize("shared", [False, True])
    def test_nuts_agrees(self, shared):
        grid, chains = fit(shared_victims=shared), fit(shared_victims=shared, method="nuts", rng=1)
        assert chains.converged
        assert chains.ppf([0.05, 0.5, 0.95]) == pytest.approx(grid.ppf([0.05, 0.5, 0.95]), abs=0.008)
        assert chains.tau == pytest.approx(grid.tau, rel=0.12, abs=0.02)
        assert chains.best(rng=0).median == pytest.approx(grid.best(rng=0).median, abs=0.01)

    @pytest.mark.slow
    def test_coverage(self, rng):
        """100 games of five adversaries; with coverage 0.93 fewer than 79 held have probability below 1e-5."""
        tau, mu = 0.4, (0.8, 1.5)
        truth = np.mean([mean_rate_of_adversaries(np.array(m), np.array(tau)) for m in mu])
        held = pooled_held = 0
        for _ in range(100):
            right = np.stack([rng.binomial(200, special.expit(m + tau * rng.standard_normal(5))) for m in mu])
            low, high = fit(right, 200).interval()
            held += low <= truth <= high
            pooled = AttackCounts(tn=right[0].sum(), fp=1000 - right[0].sum(), tp=right[1].sum(), fn=1000 - right[1].sum())
            low, high = AccuracyPosterior(pooled).interval()
            pooled_held += low <= truth <= high
        assert held >= 79
        assert pooled_held < 79


class TestBest:
    def test_one_stands_out(self):
        right = np.array([[60, 61, 59, 98], [62, 60, 61, 99]])
        best = fit(right).best(rng=0)
        assert best.chance[3] > 0.99
        assert 0.93 < best.median < 0.99
        assert best.sampling_error < 0.005
        assert best.kind == best.to_dict()["kind"] == "credible"

    def test_the_luckiest_of_equals_is_pulled_back(self, rng):
        right = rng.binomial(50, 0.7, (2, 12))
        observed = (right.sum(axis=0) / 100).max()
        best = fit(right, 50).best(rng=0)
        assert 0.65 < best.median < observed
        assert sum(best.chance) == pytest.approx(1)


class TestSharedVictims:
    def test_wider_by_what_the_sample_of_victims_may_do(self):
        own, shared = fit(np.tile([[750], [850]], 8), 1000), fit(np.tile([[750], [850]], 8), 1000, shared_victims=True)
        one = AccuracyPosterior(AttackCounts(tn=750, fp=250, tp=850, fn=150))
        assert np.diff(one.interval())[0] < np.diff(shared.interval())[0] < 1.3 * np.diff(one.interval())[0]
        assert np.diff(own.interval())[0] < 0.7 * np.diff(shared.interval())[0]

    def test_must_be_said(self):
        with pytest.raises(TypeError, match="shared_victims"):
            HierarchicalAccuracyPosterior(records())

    def test_blocks(self, rng):
        world = np.repeat([False, True], [40, 60])
        guess = rng.random((4, 100)) < 0.5
        blocks = one_repeat_per_victim(world, guess, rng=rng)
        assert [(block.n_non_members, block.n_members) for block in blocks] == [(10, 15)] * 4

    def test_blocks_count_each_repeats_own_guesses(self, rng):
        world = np.repeat([False, True], 30)
        guess = np.stack([world, ~world, np.ones(60, bool)])
        blocks = one_repeat_per_victim(world, guess, rng=rng)
        assert [(block.tn, block.tp) for block in blocks] == [(10, 10), (0, 0), (0, 10)]

    @pytest.mark.parametrize(("world", "guess"), [([0, 1], [0, 1]), ([0, 1], [[0, 1, 1]]), ([0, 0, 1], [[0, 0, 1], [1, 1, 1]])])
    def test_bad_blocks(self, world, guess):
        with pytest.raises(ValueError, match="shape|victim for each"):
            one_repeat_per_victim(world, guess, rng=0)

    @pytest.mark.slow
    def test_coverage(self, rng):
        """Victims that all adversaries are right or wrong about: 60 games; coverage 0.93, fewer than 44 has probability below 1e-5."""
        held = naive = 0
        for _ in range(60):
            right = np.stack([(rng.random(100) < rate).sum() + np.zeros(5, int) for rate in (0.7, 0.8)])
            for shared in (True, False):
                low, high = fit(right, shared_victims=shared).interval()
                held += shared and low <= 0.75 <= high
                naive += (not shared) and low <= 0.75 <= high
        assert held >= 44
        assert naive < held


class TestRecord:
    def test_round_trip(self):
        law = fit()
        record = json.loads(json.dumps(law.to_dict()))
        assert record["kind"] == law.kind == "credible"
        assert HierarchicalAccuracyPosterior.from_dict(record).to_dict() == law.to_dict()

    def test_shown(self):
        from matplotlib.figure import Figure

        ax = Figure().subplots()
        assert fit().plot(ax) is ax
        assert "typical adversary" in fit()._repr_html_()

    def test_extremes(self):
        perfect = fit(np.full((2, 3), 100))
        assert perfect.all_right
        assert 0.95 < perfect.ppf(0.025) < perfect.median < 1
        assert fit(np.full((2, 3), 100), mu_scale=1.5).ppf(0.025) < 0.8  # a narrow prior draws it down
        alone = fit(RIGHT[:, :1])
        assert np.diff(alone.interval())[0] > 2 * np.diff(AccuracyPosterior(records()[0]).interval())[0]

    def test_bad_input(self):
        with pytest.raises(ValueError, match="method"):
            fit(method="laplace")
        with pytest.raises(ValueError, match="mu_scale"):
            fit(mu_scale=0.0)
        with pytest.raises(ValueError, match="empty"):
            HierarchicalAccuracyPosterior([], shared_victims=False)
