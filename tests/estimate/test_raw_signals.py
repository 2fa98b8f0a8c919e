"""Posteriors from raw signals: closed forms, oracles on a grid, NUTS, calibration, the views of a real run, bad input."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from attacks.canaries.probe import CanaryProbe
from attacks.canaries.result import BatchLog, ClaimedRun
from experiments.e_conformance import RATE, simulated_run
from experiments.e_raw_signals import engine_run
from experiments.planted_engine import Setting, setting_for, train
from mechanisms.accounting.epsilon_draws import epsilon_draws
from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.accounting.loss_curve import loss_curve
from mechanisms.errors import InsufficientEvidenceError
from privacy_audit.estimate.conformance import check_conformance
from privacy_audit.estimate.raw_signals import raw_signal_posterior
from privacy_audit.estimate.signals import weighted_law
from privacy_audit.estimate.signals.engine_draws import engine_draws, negative_log_posterior
from privacy_audit.estimate.signals.engine_nuts import nuts_draws
from privacy_audit.estimate.signals.final_weights import FinalWeights
from privacy_audit.estimate.signals.raw_signal_record import RawSignalPosterior
from privacy_audit.estimate.signals.signal_views import VIEWS
from privacy_audit.estimate.signals.student_proposal import student_draws

DELTA = 1e-5
TRUTH = 6.4546


@pytest.fixture(scope="module")
def run():
    return replace(simulated_run(np.random.default_rng(11)), clipped_length=1.0)


@pytest.fixture(scope="module")
def posteriors(run):
    return {view: raw_signal_posterior(run, delta=DELTA, view=view, rng=1) for view in VIEWS}


class TestFinalWeights:
    def test_likelihood_is_that_of_the_totals(self, rng):
        out, inside = 3 * rng.standard_normal(60), 3 * rng.standard_normal(50) + rng.binomial(40, 0.2, 50)
        model = FinalWeights.from_totals(out, inside, steps=40, sampled=True)
        values = []
        for sigma, q in ((0.5, 0.2), (0.6, 0.3)):
            spread, k = sigma * math.sqrt(40), np.arange(41)
            density = stats.norm.pdf(inside[:, None], k, spread) @ stats.binom.pmf(k, 40, q)
            exact = -stats.norm.logpdf(out, 0, spread).sum() - np.log(density).sum()
            values.append(exact - model.negative_log_likelihood(np.array([math.log(sigma), special.logit(q), 0.0]))[0])
        assert values[0] == pytest.approx(values[1], abs=1e-6)

    @pytest.mark.parametrize("sampled", [True, False])
    def test_gradient(self, sampled, rng):
        model = FinalWeights.from_totals(rng.normal(0, 5, 80), rng.normal(6, 5, 700), steps=30, sampled=sampled)
        theta = np.array([0.1, -1.0, 0.0])
        _, gradient = model.negative_log_likelihood(theta)
        for i, step in enumerate(np.eye(3)[: 2 if sampled else 1] * 1e-5):
            numeric = (model.negative_log_likelihood(theta + step)[0] - model.negative_log_likelihood(theta - step)[0]) / 2e-5
            assert gradient[i] == pytest.approx(numeric, rel=1e-4, abs=1e-3)

    def test_bins_do_not_move_the_start(self, rng):
        inside = 14 * rng.standard_normal(2000) + 13
        many = FinalWeights.from_totals(rng.normal(0, 14, 2000), inside, steps=200, sampled=True)
        assert many.count.sum() == 2000
        assert len(many.center) <= 240
        assert many.start()[1] == pytest.approx(special.logit(inside.mean() / 200), rel=1e-3)


class TestStudentProposal:
    def test_a_normal_target_is_drawn(self, rng):  # 6 standard errors
        covariance = np.array([[2.0, 0.6], [0.6, 0.5]])
        precision = np.linalg.inv(covariance)
        found = student_draws(lambda x: (float(x @ precision @ x) / 2, precision @ x), np.array([1.0, 1.0]), 4000, rng=rng)
        assert found.effective_share > 0.7
        assert found.weight @ found.draws == pytest.approx([0, 0], abs=6 * math.sqrt(2 / 3000))
        moments = (found.draws * found.weight[:, None]).T @ found.draws
        assert moments == pytest.approx(covariance, abs=0.35)

    def test_a_bent_target_moves_the_proposal_or_says_so(self, rng):
        def banana(x):
            a, b = x[0], x[1] - x[0] ** 2
            return float(a**2 / 2 + 8 * b**2), np.array([a - 32 * a * b, 16 * b])

        found = student_draws(banana, np.array([0.3, 0.0]), 2000, rng=rng)
        assert 0 < found.effective_share < 0.9


class TestPosterior:
    def test_views_get_sharper(self, posteriors):
        widths = [float(np.diff(posteriors[view].interval(0.95))[0]) for view in VIEWS]
        assert widths == sorted(widths, reverse=True)
        for view, largest in {"V0": 0.15, "V1": 0.125, "V2": 0.06, "V3": 0.03}.items():
            assert (
                float(np.diff(posteriors[view].interval(0.95))[0]) / 2 / TRUTH < 1.2 * largest
            )  # of one run; the mean is in the experiment

    def test_the_truth_is_inside(self, posteriors):  # a fixed run; far quantiles
        for posterior in posteriors.values():
            assert 1e-4 < posterior.sf(TRUTH) < 1 - 1e-4

    def test_v1_is_the_posterior_on_a_grid(self, run, rng):
        """Two parameters fixed at their values, the third on a grid: importance sampling of one dimension against quadrature."""
        target = negative_log_posterior(run, "V1", prior_scale=1.0)
        fixed = replace(target, free=np.array([False, True, False]))
        grid = np.linspace(special.logit(0.060), special.logit(0.074), 400)
        density = np.array([-fixed(np.array([x]))[0] for x in grid])
        density = np.exp(density - density.max())
        found = student_draws(fixed, np.array([special.logit(RATE)]), 4000, rng=rng)
        mean = density @ grid / density.sum()
        spread = math.sqrt(density @ (grid - mean) ** 2 / density.sum())
        assert found.weight @ found.draws[:, 0] == pytest.approx(mean, abs=6 * spread / math.sqrt(3000))

    def test_v2_and_v3_are_closed_forms(self, run):
        draws = engine_draws(run, "V2", 20_000, prior_scale=1.0, rng=np.random.default_rng(3))
        coins = run.batch_log.canary_in[:, run.member]
        law = stats.beta(coins.sum() + 0.5, coins.size - coins.sum() + 0.5)
        assert stats.kstest(draws.sample_rate, law.cdf).pvalue > 1e-6
        entered = run.batch_log.canary_in & run.member
        assert draws.clipped_length.mean() == pytest.approx(run.signals[entered].mean(), abs=1e-3)
        exact = engine_draws(run, "V3", 20_000, prior_scale=1.0, rng=np.random.default_rng(3))
        assert (exact.clipped_length == 1.0).all()
        noise = run.signals - entered
        shape = noise.size / 2
        quantile = np.quantile(exact.noise_multiplier, 0.1)
        assert special.gammainc(shape, (noise**2).sum() / 2 / quantile**2) == pytest.approx(0.9, abs=0.02)

    def test_only_the_ratio_of_noise_and_length_matters(self, rng):
        scaled = engine_run(2.0, RATE, 2.0, rng)  # twice the noise and twice the length are as private as the claim
        for view in ("V1", "V2", "V3"):
            assert 1e-6 < raw_signal_posterior(scaled, delta=DELTA, view=view, rng=rng).sf(TRUTH) < 1 - 1e-6

    def test_full_batches(self, rng):
        member = rng.random(400) < 0.5
        signals = member + 10 * rng.standard_normal((50, 400))
        run = replace(
            simulated_run(rng, n_canaries=400),
            signals=signals,
            member=member,
            displacement=signals.sum(axis=0),
            claimed=ClaimedRun(noise_multiplier=10.0, sample_rate=1.0, steps=50),
            batch_log=BatchLog(canary_in=np.tile(member, (50, 1)), batch_size=np.full(50, 400), n_records=400),
            clipped_length=1.0,
        )
        truth = gaussian_epsilon(math.sqrt(50) / 10, DELTA)
        for view in VIEWS:
            posterior = raw_signal_posterior(run, delta=DELTA, view=view, rng=rng)
            assert (posterior.sample_rate == 1).all()
            assert 1e-6 < posterior.sf(truth) < 1 - 1e-6

    def test_calibration_in_small(self, rng):
        """Engines from the prior; ranks are uniform (KS false alarm 1e-6 each). Control: ranks against half the truth are not."""
        ranks, wrong = {"V1": [], "V3": []}, []
        for _ in range(16):
            z = rng.standard_normal(3)
            sigma, q, c = math.exp(0.5 * z[0]), float(special.expit(special.logit(RATE) + 0.5 * z[1])), math.exp(0.5 * z[2])
            run = engine_run(sigma, q, c, rng)
            truth = loss_curve(sample_rate=q, noise_multiplier=sigma / c, steps=200).epsilon(DELTA)
            for view, values in ranks.items():
                posterior = raw_signal_posterior(run, delta=DELTA, view=view, prior_scale=0.5, n_draws=500, rng=rng)
                values.append(posterior.cdf(truth))
            wrong.append(posterior.cdf(truth / 2))
        for values in ranks.values():
            assert stats.kstest(values, "uniform").pvalue > 1e-6
        assert stats.kstest(wrong, "uniform").pvalue < 1e-6

    @pytest.mark.slow
    @pytest.mark.parametrize("view", ["V0", "V1"])
    def test_nuts_agrees(self, run, view):
        ours = np.mean([raw_signal_posterior(run, delta=DELTA, view=view, rng=k).ppf([0.025, 0.5, 0.975]) for k in range(4)], axis=0)
        theta = nuts_draws(run, view, prior_scale=1.0, n=8000, rng=np.random.default_rng(1))
        ratio, rate = np.exp(theta[:, 0] - theta[:, 2]), special.expit(theta[:, 1])
        draws = epsilon_draws(noise_multiplier=ratio, sample_rate=rate, steps=200, delta=DELTA)
        assert ours == pytest.approx(np.quantile(draws, [0.025, 0.5, 0.975]), abs=0.06)


class TestViews:
    def test_auto_takes_the_sharpest_view_of_the_run(self, run):
        def chosen(**changes):
            return raw_signal_posterior(replace(run, **changes), delta=DELTA, n_draws=50, rng=1).view

        assert chosen() == "V3"
        assert chosen(clipped_length=None) == "V2"
        assert chosen(clipped_length=1.5) == "V2"  # what was read before the noise does not fit the signals
        assert chosen(batch_log=None) == "V1"

    @pytest.mark.parametrize(
        ("view", "changes"), [("V3", {"clipped_length": None}), ("V3", {"clipped_length": 1.5}), ("V2", {"batch_log": None})]
    )
    def test_a_view_that_the_run_lacks_is_refused(self, run, view, changes):
        with pytest.raises(InsufficientEvidenceError, match=f"view {view} needs"):
            raw_signal_posterior(replace(run, **changes), delta=DELTA, view=view)

    def test_none_after_a_failed_conformance_test(self, run):
        wrong = replace(run, claimed=ClaimedRun(noise_multiplier=1.0, sample_rate=RATE, steps=199))
        report = check_conformance(wrong, rng=1)
        with pytest.raises(InsufficientEvidenceError, match="conformance tests of steps failed"):
            raw_signal_posterior(wrong, delta=DELTA, conformance=report)
        passing = check_conformance(run, level=1 - 1e-6, rng=1)
        assert raw_signal_posterior(run, delta=DELTA, conformance=passing, n_draws=50, rng=1).view == "V3"

    def test_a_real_run_shows_the_length_before_the_noise(self, rng):
        lengths = {}
        for setting in (Setting(steps=30), Setting(steps=30, optimizer="adam"), setting_for("no_clipping", steps=30)):
            probe = CanaryProbe(200, rng=rng)
            train(probe, setting)
            result = probe.result()
            lengths[f"{setting.bug}, {setting.optimizer}"] = result.clipped_length
            assert raw_signal_posterior(result, delta=DELTA, n_draws=50, rng=rng).view == "V3"
        assert lengths["none, sgd"] == pytest.approx(1, abs=1e-5)
        assert lengths["none, adam"] == pytest.approx(1, abs=1e-5)
        assert lengths["no_clipping, sgd"] > 9


class TestRecord:
    @pytest.fixture
    def posterior(self):
        three = np.array([3.0, 1.0, 2.0])
        weight = np.array([0.2, 0.5, 0.3])
        fields = {"delta": DELTA, "view": "V1", "method": "by hand", "effective_size": 0.9, "n_canaries": 10, "steps": 5}
        return RawSignalPosterior(
            epsilon=three, noise_multiplier=three, sample_rate=three / 10, clipped_length=three, weight=weight, **fields
        )

    def test_probabilities(self, posterior):
        assert posterior.sf([0.5, 1.0, 2.5, 3.0]) == pytest.approx([1, 0.5, 0.2, 0])
        assert posterior.cdf(2.0) == pytest.approx(0.8)
        assert posterior.prob_exceeds(2.5) == posterior.sf(2.5)
        assert posterior.mean == pytest.approx(1.7)
        assert posterior.kind == "credible"

    def test_intervals(self, posteriors):
        posterior = posteriors["V2"]
        assert posterior.interval(0.9, "lower")[1] == math.inf
        assert posterior.interval(0.9, "upper")[0] == 0
        low, high = posterior.interval(0.9)
        hdi = posterior.interval(0.9, "hdi")
        assert hdi[1] - hdi[0] <= high - low + 1e-9
        assert posterior.ppf(0.5) == posterior.median
        assert (np.diff(posterior.ppf(np.linspace(0.01, 0.99, 50))) > 0).all()

    def test_density_integrates_to_one(self, posteriors):
        grid = np.linspace(4, 10, 2000)
        for posterior in posteriors.values():
            assert np.trapezoid(posterior.pdf(grid), grid) == pytest.approx(1, abs=0.01)

    def test_draws_of_equal_weight(self, posterior, posteriors, rng):  # false alarm below 1e-6
        assert (posterior.sample(20_000, rng=rng) == 1.0).mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(20_000))
        tree = posteriors["V1"].to_datatree(n_draws=10, n_chains=2, rng=rng)
        assert tree["posterior"]["epsilon"].shape == (2, 10)
        assert set(tree["posterior"].data_vars) == {"epsilon", "noise_multiplier", "sample_rate", "clipped_length"}

    def test_it_is_json_html_and_a_picture(self, posteriors):
        facts = json.loads(json.dumps(posteriors["V2"].to_dict(), allow_nan=False))
        assert (facts["kind"], facts["view"]) == ("credible", "V2")
        assert "no bound" in posteriors["V2"]._repr_html_()
        assert any("length of the clipping norm" in sentence for sentence in posteriors["V0"].assumptions)
        from matplotlib.figure import Figure

        assert posteriors["V2"].plot(Figure().subplots()).get_xlabel() == "epsilon (nats)"

    def test_it_is_frozen_also_after_copying(self, posteriors):
        again = copy.deepcopy(posteriors["V2"])
        assert again.median == posteriors["V2"].median
        with pytest.raises(ValueError, match="read-only"):
            again.epsilon[0] = 0

    def test_one_seed_one_posterior(self, run):
        first, second = (raw_signal_posterior(run, delta=DELTA, view="V1", n_draws=100, rng=4).to_dict() for _ in range(2))
        assert first == second

    def test_shortest_interval_of_a_lump(self):
        assert weighted_law.shortest(np.array([1.0, 2, 2.1, 5]), np.array([0.1, 0.4, 0.4, 0.1]), 0.75) == pytest.approx([2, 2.1])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"delta": 0.0}, "delta"),
            ({"delta": 1e5}, "did you mean"),
            ({"view": "V4"}, "view must be one of"),
            ({"prior_scale": 0}, "prior_scale"),
            ({"n_draws": 1}, "n_draws"),
        ],
    )
    def test_bad_input(self, run, options, message):
        with pytest.raises(ValueError, match=message):
            raw_signal_posterior(run, **({"delta": DELTA} | options))

    def test_bad_records(self, posterior, posteriors):
        with pytest.raises(ValueError, match="sum to 1"):
            replace(posterior, weight=np.ones(3))
        with pytest.raises(ValueError, match="lengths must agree"):
            replace(posterior, epsilon=np.ones(2))
        with pytest.raises(ValueError, match="NaN"):
            posterior.sf(math.nan)
        for q in (-0.1, 1.1, math.nan):
            with pytest.raises(ValueError, match="probabilities"):
                posterior.ppf(q)
        with pytest.raises(ValueError, match="level"):
            posterior.interval(95)
        with pytest.raises(ValueError, match="clipped_length"):
            replace(simulated_run(np.random.default_rng(1), n_canaries=10), clipped_length=-1.0)
