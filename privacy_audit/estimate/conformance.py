"""Conformance: does the training engine do what its accountant was told? (membership_inference.md 4.6)

Raw signals of a run find a broken engine that guess-count bounds cannot: 1,000 canaries guessed perfectly show epsilon 5.8 at most, however
much a run really leaks. Each test gives a p-value; 1 - level is split evenly over the tests planned for the run. Exact checks have no
p-value. A failure names the broken part; no interval of epsilon is given after a failure.

Guarantee: an engine that does what the claim says passes all tests with probability about `level` (exact for the chi-square, binomial and
t tests; asymptotic for the rest; measured false alarms in experiments/e_conformance.py). A pass is no proof of privacy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from attacks.canaries.result import CanaryResult
from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import probability_level
from privacy_audit.estimate.signals import noise_tests, sampling_tests
from privacy_audit.estimate.signals.canary_mixture import CanaryMixture
from privacy_audit.estimate.signals.conformance_report import ConformanceReport, ConformanceTest
from privacy_audit.estimate.signals.noise_tests import NEEDS_STEPS, NOISE_TESTS, Outcome, Signals

READOUT_TOLERANCE = 1e-3  # float32 weights give back the noisy gradient to about 3e-6
SAME = 1e-9


def check_conformance(result: CanaryResult, *, level: float = 0.95, delta: float | None = None, rng: RngLike = None) -> ConformanceReport:
    """Run every conformance test that the run's signals allow.

    Parameters
    ----------
    result : what the probe saw.
    level : probability that a clean run passes; 1 - level is split evenly over the tests.
    delta : where the interval of epsilon is taken; None gives no interval.
    rng : draws the simulated null distribution of one test.

    Returns
    -------
    The report; its interval of epsilon is None after a failure.

    Raises
    ------
    ValueError : level outside (0, 1).
    """
    level = probability_level(level)
    planned = _planned(result, as_generator(rng))
    share = (1 - level) / len(planned)
    outcomes = {name: run() for name, run in planned.items()}
    tests = [_test(name, outcome, share) for name, outcome in outcomes.items()]
    failed = {test.name for test in tests if not test.passed}
    if failed & {"noise_scale", "clip"}:  # the null of this test presupposes both, so it could only repeat their failure
        tests = [test for test in tests if test.name != "poisson"]
    tests = [*_exact_checks(result), *tests]
    if delta is None or not all(test.passed for test in tests):
        return ConformanceReport(tests=tuple(tests), level=level)
    noise, rate = parameter_intervals(result, level=level)
    return ConformanceReport(
        tests=tuple(tests),
        level=level,
        noise_multiplier_interval=noise,
        sample_rate_interval=rate,
        epsilon_interval=epsilon_at_corners(noise, rate, steps=result.steps, delta=delta),
    )


def _planned(result: CanaryResult, rng: np.random.Generator) -> dict[str, Callable[[], Outcome]]:
    claimed = result.claimed
    out, inside = result.signals[:, ~result.member], result.signals[:, result.member]
    sampled = claimed.sample_rate < 1
    mixture = CanaryMixture.from_signals(out, inside, sampled=sampled)
    planned: dict[str, Callable[[], Outcome]] = {
        name: partial(test, out, claimed.noise_multiplier)
        for name, test in NOISE_TESTS.items()
        if result.steps > 2 or name not in NEEDS_STEPS
    }
    planned["clip"] = partial(sampling_tests.clip, mixture)
    if not sampled:
        return planned
    planned["rate"] = partial(sampling_tests.rate, mixture, claimed.sample_rate)
    per_epoch = result.engine.steps_per_epoch
    if 1 < per_epoch <= result.steps:
        planned["poisson"] = partial(
            sampling_tests.poisson,
            inside,
            sigma=claimed.noise_multiplier,
            sample_rate=claimed.sample_rate,
            steps_per_epoch=per_epoch,
            rng=rng,
        )
    return planned | _planned_with_log(result, inside)


def _planned_with_log(result: CanaryResult, inside: Signals) -> dict[str, Callable[[], Outcome]]:
    log, claimed = result.batch_log, result.claimed
    if log is None:
        return {}
    coins = log.canary_in[:, result.member]
    q, sigma = claimed.sample_rate, claimed.noise_multiplier
    planned: dict[str, Callable[[], Outcome]] = {
        "batch_sizes": partial(sampling_tests.batch_sizes, log.batch_size, n_records=log.n_records, sample_rate=q),
        "log_rate": partial(sampling_tests.log_rate, coins, sample_rate=q),
    }
    if 1 < result.engine.steps_per_epoch <= result.steps:
        planned["log_epoch"] = partial(sampling_tests.log_epoch, coins, sample_rate=q, steps_per_epoch=result.engine.steps_per_epoch)
    if coins.sum() > 1:
        planned["log_clip"] = partial(sampling_tests.log_clip, inside, coins, sigma=sigma)
        planned["log_noise"] = partial(sampling_tests.log_noise, inside, coins, sigma=sigma)
    return planned


def _test(name: str, outcome: Outcome, share: float) -> ConformanceTest:
    p, finding, part = outcome
    return ConformanceTest(name=name, part=part, p_value=p, passed=p >= share, finding=finding)


def _exact_checks(result: CanaryResult) -> list[ConformanceTest]:
    claimed, engine = result.claimed, result.engine
    same_noise = abs(claimed.noise_multiplier - engine.noise_multiplier) <= SAME * engine.noise_multiplier
    same_rate = abs(claimed.sample_rate - engine.loader_sample_rate) <= SAME * engine.loader_sample_rate
    checks = [
        ConformanceTest(
            name="steps",
            part="steps",
            p_value=None,
            passed=claimed.steps == result.steps,
            finding=f"{result.steps} optimizer steps seen, {claimed.steps} in the accountant",
        ),
        ConformanceTest(
            name="accountant",
            part="accounting",
            p_value=None,
            passed=same_noise and same_rate,
            finding=f"accountant has noise multiplier {claimed.noise_multiplier:.5g} and sample rate {claimed.sample_rate:.5g}, "
            f"engine {engine.noise_multiplier:.5g} and {engine.loader_sample_rate:.5g}",
        ),
    ]
    if result.readout_gap is not None:
        finding = f"noisy gradients and weight differences agree to {result.readout_gap:.2g}"
        passed = result.readout_gap <= READOUT_TOLERANCE
        checks.append(ConformanceTest(name="readout", part="read-out", p_value=None, passed=passed, finding=finding))
    return checks


def parameter_intervals(result: CanaryResult, *, level: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return simultaneous intervals of noise multiplier and sample rate (Bonferroni), for a clipped length of 1."""
    each = 1 - (1 - level) / 2
    out, inside = result.signals[:, ~result.member], result.signals[:, result.member]
    noise = noise_tests.noise_scale_interval(out, each)
    if result.claimed.sample_rate == 1:
        return noise_tests.noise_scale_interval(out, level), (1.0, 1.0)
    if result.batch_log is not None:
        return noise, sampling_tests.log_rate_interval(result.batch_log.canary_in[:, result.member], each)
    return noise, sampling_tests.mean_rate_interval(inside, sigma=float(np.sqrt(np.mean(out**2))), level=each)


def epsilon_at_corners(noise: tuple[float, float], rate: tuple[float, float], *, steps: int, delta: float) -> tuple[float, float]:
    """Return the accountant's epsilon at the most and the least private corner of the two intervals."""
    low = dp_sgd_epsilon(sample_rate=rate[0], noise_multiplier=noise[1], steps=steps, delta=delta).epsilon if rate[0] > 0 else 0.0
    return low, dp_sgd_epsilon(sample_rate=rate[1], noise_multiplier=noise[0], steps=steps, delta=delta).epsilon


def noise_differs(first: CanaryResult, second: CanaryResult) -> ConformanceTest:
    """Check exactly that two runs with different seeds drew different noise.

    Raises
    ------
    ValueError : no canary is outside the data in both runs.
    """
    both = ~first.member & ~second.member if first.member.shape == second.member.shape else np.zeros(0, dtype=bool)
    if not both.any():
        raise ValueError("the runs have no canary in common that is outside the data; use the same number of canaries in both")
    steps = min(first.steps, second.steps)
    repeated = int(np.sum(np.all(np.abs(first.signals[:steps, both] - second.signals[:steps, both]) < 1e-6, axis=1)))
    finding = f"{repeated} of {steps} steps have the same noise in both runs"
    return ConformanceTest(name="noise_differs", part="noise reuse", p_value=None, passed=repeated == 0, finding=finding)
