"""Conformance tests: exact laws, clean runs pass, planted bugs are found by the right test.

Clean runs are tested at level 1 - 1e-6, so a false alarm has probability about 1e-6 per run.
"""

import math

import numpy as np
import pytest
from scipy import stats

from attacks.canaries.probe import CanaryProbe
from attacks.canaries.result import CanaryResult, ClaimedRun
from experiments.e_conformance import RATE, simulated_run
from experiments.planted_engine import BUGS, FOUND_BY, Setting, setting_for, train
from privacy_audit.estimate.conformance import check_conformance, noise_differs, parameter_intervals
from privacy_audit.estimate.signals import noise_tests, sampling_tests
from privacy_audit.estimate.signals.canary_mixture import CanaryMixture, likelihood_ratio_p_value
from privacy_audit.estimate.signals.conformance_report import conformance_from_dict

SURE = 1 - 1e-6


@pytest.fixture(scope="module")
def clean():
    return simulated_run(np.random.default_rng(5))


def changed(run: CanaryResult, **fields) -> CanaryResult:
    names = ("signals", "member", "displacement", "claimed", "engine", "batch_log", "readout", "readout_gap", "entropy")
    return CanaryResult(**({name: getattr(run, name) for name in names} | fields))


class TestLaws:
    def test_noise_scale_is_the_chi_square_test(self, rng):
        out = rng.normal(size=(20, 30))
        lower = stats.chi2.cdf((out**2).sum() / 1.21, 600)
        assert noise_tests.noise_scale(out, 1.1)[0] == pytest.approx(2 * min(lower, 1 - lower), rel=1e-9)

    def test_noise_interval_inverts_the_test(self, rng):
        out = rng.normal(size=(20, 30))
        low, high = noise_tests.noise_scale_interval(out, 0.9)
        assert noise_tests.noise_scale(out, low)[0] == pytest.approx(0.1, rel=1e-6)
        assert noise_tests.noise_scale(out, high)[0] == pytest.approx(0.1, rel=1e-6)

    def test_noise_interval_of_the_specification(self, rng):  # m = 1000, T = 200: +- 0.44 % at level 0.95
        low, high = noise_tests.noise_scale_interval(rng.normal(size=(200, 500)), 0.95)
        assert (high - low) / 2 == pytest.approx(0.0044, abs=1e-4)

    def test_shape_is_kolmogorov_smirnov(self, rng):
        out = rng.normal(size=(20, 30))
        p = noise_tests.shape(out, 1.0)[0]
        assert p == pytest.approx(stats.kstest((out / np.sqrt(np.mean(out**2))).ravel(), "norm", method="asymp").pvalue, rel=1e-6)

    def test_step_pairs_is_the_loop_over_pairs(self, rng):
        out = rng.normal(size=(7, 40))
        p = 1.0
        for i in range(7):
            for j in range(i):
                r = out[i] @ out[j] / math.sqrt((out[i] @ out[i]) * (out[j] @ out[j]))
                p = min(p, 21 * 2 * stats.t.sf(abs(r) * math.sqrt(39 / (1 - r * r)), 39))
        assert noise_tests.step_pairs(out, 1.0)[0] == pytest.approx(min(1, p), rel=1e-9)
        assert noise_tests.coord_pairs(np.ascontiguousarray(out.T), 1.0)[0] == pytest.approx(min(1, p), rel=1e-9)

    def test_blocks_do_not_change_a_correlation(self, rng, monkeypatch):
        out = rng.normal(size=(50, 40))
        whole = noise_tests.step_pairs(out, 1.0)
        monkeypatch.setattr(noise_tests, "BLOCK", 7)
        assert noise_tests.step_pairs(out, 1.0)[1:] == whole[1:]
        assert noise_tests.step_pairs(out, 1.0)[0] == pytest.approx(whole[0], rel=1e-9)

    def test_lags_is_the_loop_over_lags(self, rng):
        out = rng.normal(size=(9, 400))
        worst = max(abs((out[:-k] * out[k:]).sum()) / (np.mean(out**2) * math.sqrt(400 * (9 - k))) for k in range(1, 8))
        assert noise_tests.lags(out, 1.0)[0] == pytest.approx(min(1, 7 * 2 * stats.norm.sf(worst)), rel=1e-9)

    def test_step_var_is_uniform_with_few_canaries_too(self, rng):  # KS false alarm 1e-6
        p = [noise_tests.step_var(rng.normal(size=(50, 10)), 1.0)[0] for _ in range(400)]
        assert stats.kstest(p, "uniform").pvalue > 1e-6
        scale = np.linspace(0.9, 1.1, 50)[:, None]
        assert noise_tests.step_var(scale * rng.normal(size=(50, 400)), 1.0)[0] < 1e-6

    def test_log_rate_is_the_binomial_test(self, rng):
        coins = rng.random((40, 30)) < 0.1
        n = int(coins.sum())
        tail = min(stats.binom.cdf(n, 1200, 0.1), stats.binom.sf(n - 1, 1200, 0.1))
        assert sampling_tests.log_rate(coins, sample_rate=0.1)[0] == pytest.approx(min(1, 2 * tail), rel=1e-9)
        low, high = sampling_tests.log_rate_interval(coins, 0.95)
        assert (low, high) == pytest.approx(tuple(stats.binomtest(n, 1200).proportion_ci(0.95)), rel=1e-9)

    def test_log_epoch_has_its_mean_and_spread(self, rng):  # KS false alarm 1e-6
        p = [sampling_tests.log_epoch(rng.random((150, 100)) < 0.1, sample_rate=0.1, steps_per_epoch=15)[0] for _ in range(400)]
        assert stats.kstest(p, "uniform").pvalue > 1e-6
        once = np.zeros((150, 100), dtype=bool)
        once[::15] = True
        assert sampling_tests.log_epoch(once, sample_rate=1 / 15, steps_per_epoch=15)[0] < 1e-12

    def test_constant_batches_fail_batch_sizes(self):
        assert sampling_tests.batch_sizes(np.full(100, 60), n_records=900, sample_rate=1 / 15)[0] < 1e-12

    def test_mixture_gradient(self, rng):
        inside = (rng.random((50, 20)) < 0.2) + rng.normal(size=(50, 20))
        mixture = CanaryMixture.from_signals(rng.normal(size=(50, 20)), inside, sampled=True)
        theta = np.array([0.1, -1.2, 0.2])
        value, gradient = mixture.negative_log_likelihood(theta)
        for i in range(3):
            step = np.eye(3)[i] * 1e-6
            numeric = (mixture.negative_log_likelihood(theta + step)[0] - mixture.negative_log_likelihood(theta - step)[0]) / 2e-6
            assert gradient[i] == pytest.approx(numeric, rel=1e-4, abs=1e-3)
        assert np.isfinite(value)

    def test_mixture_likelihood_is_that_of_the_signals(self, rng):
        out, inside = rng.normal(size=500), (rng.random(500) < 0.3) + rng.normal(size=500)
        mixture = CanaryMixture.from_signals(out, inside, sampled=True)
        values = []
        for sigma, q, c in ((1.0, 0.3, 1.0), (1.1, 0.2, 1.4)):
            density = q * stats.norm.pdf(inside, c, sigma) + (1 - q) * stats.norm.pdf(inside, 0, sigma)
            exact = -stats.norm.logpdf(out, 0, sigma).sum() - np.log(density).sum()
            ours = mixture.negative_log_likelihood(np.array([math.log(sigma), math.log(q / (1 - q)), math.log(c)]))[0]
            values.append(exact - ours)
        assert values[0] == pytest.approx(values[1], abs=0.1)  # equal up to a constant and the bins

    def test_likelihood_ratio_p_values_are_uniform(self, rng):  # KS false alarm 1e-6, twice
        p = []
        for _ in range(150):
            signals = (rng.random((100, 100)) < 0.2) + rng.normal(size=(100, 100))
            mixture = CanaryMixture.from_signals(rng.normal(size=(100, 100)), signals, sampled=True)
            p.append(
                (
                    likelihood_ratio_p_value(mixture, fixed=1, value=math.log(0.25))[0],
                    likelihood_ratio_p_value(mixture, fixed=2, value=0.0)[0],
                )
            )
        for column in zip(*p, strict=True):
            assert stats.kstest(column, "uniform").pvalue > 1e-6

    def test_one_canary_has_no_pair(self, rng):
        assert noise_tests.coord_pairs(rng.normal(size=(50, 1)), 1.0)[0] == 1.0

    def test_few_canaries_do_not_lead_the_fit_astray(self, rng):  # 100 runs: false alarm about 1e-4; one start failed in 1 run of 20
        smallest = 1.0
        for _ in range(100):
            inside = (rng.random((200, 4)) < RATE) + rng.normal(size=(200, 4))
            mixture = CanaryMixture.from_signals(rng.normal(size=(200, 4)), inside, sampled=True)
            smallest = min(smallest, likelihood_ratio_p_value(mixture, fixed=1, value=math.log(RATE / (1 - RATE)))[0])
        assert smallest > 1e-6


class TestSimulatedRuns:
    def test_a_clean_run_passes_and_gets_an_interval(self, clean):
        report = check_conformance(clean, level=SURE, delta=1e-5, rng=1)
        assert report.passed
        assert report.broken == ()
        assert {"noise_scale", "out_mean", "shape", "step_pairs", "lags", "coord_pairs", "step_var", "rate", "clip", "poisson"} < {
            test.name for test in report.tests
        }
        assert sum(test.p_value is not None for test in report.tests) == 15
        low, high = report.epsilon_interval
        assert low < 6.4554 < high
        assert conformance_from_dict(report.to_dict()) == report

    def test_interval_of_the_specification(self, clean):
        """Without the log the corners give about [5.68, 7.31] at level 0.95."""
        report = check_conformance(changed(clean, batch_log=None), delta=1e-5, rng=1)
        low, high = report.epsilon_interval
        assert high - low == pytest.approx(7.31 - 5.68, abs=0.15)

    def test_joint_coverage_of_the_intervals(self, rng):  # nominal 0.95 in 200 runs: below 0.86 has probability 1e-6
        covered = 0
        for _ in range(200):
            noise, rate = parameter_intervals(simulated_run(rng, n_canaries=100), level=0.95)
            covered += noise[0] <= 1 <= noise[1] and rate[0] <= RATE <= rate[1]
        assert covered >= 172

    def test_full_batch_runs(self, rng):
        member = rng.random(400) < 0.5
        signals = member + 10 * rng.normal(size=(50, 400))
        run = simulated_run(rng, n_canaries=400)
        full = changed(
            run,
            signals=signals,
            member=member,
            displacement=signals.sum(axis=0),
            claimed=ClaimedRun(noise_multiplier=10.0, sample_rate=1.0, steps=50),
            engine=type(run.engine)(10.0, 1.0, 100.0, "mean", 1.0, 100, 1, True, False, "simulated"),
            batch_log=None,
        )
        report = check_conformance(full, level=SURE, delta=1e-5, rng=1)
        assert report.passed
        assert report.sample_rate_interval == (1.0, 1.0)
        assert not {"rate", "poisson"} & {test.name for test in report.tests}

    @pytest.mark.parametrize(
        ("fields", "part"),
        [
            ({"claimed": ClaimedRun(noise_multiplier=1.0, sample_rate=RATE, steps=199)}, "steps"),
            ({"claimed": ClaimedRun(noise_multiplier=1.0 + 1e-6, sample_rate=RATE, steps=200)}, "accounting"),
            ({"readout_gap": 0.1}, "read-out"),
        ],
    )
    def test_exact_checks(self, clean, fields, part):
        report = check_conformance(changed(clean, **fields), level=SURE, delta=1e-5, rng=1)
        assert report.broken == (part,)
        assert report.epsilon_interval is None

    @pytest.mark.parametrize("level", [0, 1, 95, -0.1, float("nan")])
    def test_levels(self, clean, level):
        with pytest.raises(ValueError, match="level"):
            check_conformance(clean, level=level)

    def test_two_runs_must_have_different_noise(self, clean, rng):
        assert noise_differs(clean, simulated_run(rng)).passed
        again = changed(clean, signals=clean.signals.copy())
        assert not noise_differs(clean, again).passed


class TestRealRuns:
    """A small share of experiments/e_conformance.py: Opacus on digits."""

    @pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
    def test_sound_engines_pass(self, optimizer, rng):
        probe = CanaryProbe(1000, rng=rng)
        train(probe, Setting(optimizer=optimizer))
        report = check_conformance(probe.result(), level=SURE, rng=rng)
        assert report.passed, [test.finding for test in report.failures]

    @pytest.mark.parametrize("bug", FOUND_BY)
    def test_planted_bugs_are_found_by_the_right_test(self, bug, rng):
        probe = CanaryProbe(1000, rng=rng)
        train(probe, setting_for(bug))
        report = check_conformance(probe.result(), delta=1e-5, rng=rng)
        assert {test.name for test in report.failures} & set(FOUND_BY[bug])
        assert report.epsilon_interval is None

    def test_reuse_is_named_infinite_and_alone(self, rng):
        probe = CanaryProbe(1000, rng=rng)
        train(probe, setting_for("noise_reused_each_epoch", steps=60))
        report = check_conformance(probe.result(), rng=rng)
        assert report.noise_is_reused
        assert report.broken == ("noise reuse",)

    def test_weights_under_momentum_are_a_read_out_fault_not_reuse(self, rng):
        probe = CanaryProbe(1000, rng=rng)
        train(probe, setting_for("weights_read_under_momentum", steps=60))
        report = check_conformance(probe.result(), rng=rng)
        assert report.broken == ("read-out",)
        assert not report.noise_is_reused

    def test_every_bug_has_a_finder(self):
        assert set(BUGS) - {"none"} == set(FOUND_BY)
