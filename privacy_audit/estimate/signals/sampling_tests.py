"""Conformance of sampling and clipping: tests on canaries in the data (membership_inference.md 4.6, tests 8 to 10).

Under the claim every canary in the data enters every step by a coin of its own with probability q, and adds exactly 1 (the clipping norm)
to its coordinate. From signals alone: `rate`, `clip`, `poisson`. With the log of which canaries entered each step: five sharper tests.

symbols: q = claimed sample rate, sigma = claimed noise multiplier, T = steps, k = steps an epoch, B = (steps, IN canaries) coins.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.canaries.likelihood import step_log_likelihood_ratio
from privacy_audit.estimate.signals.canary_mixture import CanaryMixture, likelihood_ratio_p_value
from privacy_audit.estimate.signals.noise_tests import Outcome, Signals, two_sided_chi2, two_sided_normal

SIMULATED_EPOCHS = 400_000
SIMULATED_SIGNALS = 6_000_000  # at most; long epochs are simulated less often
CHUNK = 1_000_000


def rate(mixture: CanaryMixture, sample_rate: float) -> Outcome:
    """Likelihood-ratio test of q = claim, noise and clipped length free."""
    p, logit = likelihood_ratio_p_value(mixture, fixed=1, value=float(special.logit(sample_rate)))
    return p, f"sample rate measured {special.expit(logit):.4g}, claimed {sample_rate:.4g}", "sampling"


def clip(mixture: CanaryMixture) -> Outcome:
    """Likelihood-ratio test that a clipped canary has length 1 (the clipping norm), noise and rate free."""
    p, log_length = likelihood_ratio_p_value(mixture, fixed=2, value=0.0)
    return p, f"clipped length measured {math.exp(log_length):.4g} clipping norms, 1 claimed", "clipping"


def poisson(inside: Signals, *, sigma: float, sample_rate: float, steps_per_epoch: int, rng: np.random.Generator) -> Outcome:
    """Test independent coins against "exactly once an epoch", the law of shuffled batches.

    With u_t = (2 O_t - 1) / (2 sigma^2) the statistic sums, over canaries and whole epochs, the log-likelihood ratio

        log mean_t exp(u_t) - sum_t log(1 - q + q exp(u_t)),

    one-sided; its mean and standard deviation under the claim come from simulated epochs, whose own error is paid for.
    """
    epochs = inside.shape[0] // steps_per_epoch
    cells = inside[: epochs * steps_per_epoch].reshape(epochs, steps_per_epoch, -1)
    observed = _once_an_epoch(cells, sigma, sample_rate)
    simulated = _simulated_epochs(sigma, sample_rate, steps_per_epoch, rng)
    n = observed.size
    spread = float(simulated.std(ddof=1)) * math.sqrt(1 / n + 1 / simulated.size)
    z = (float(observed.mean()) - float(simulated.mean())) / spread
    return float(special.ndtr(-z)), f"batches look {z:+.2f} standard errors towards exactly once an epoch", "sampling"


def _once_an_epoch(cells: Signals, sigma: float, sample_rate: float) -> Signals:
    """Return the log-likelihood ratio of each epoch and canary; `cells` has shape (epochs, steps, canaries)."""
    u = (2 * cells - 1) / (2 * sigma**2)
    once = special.logsumexp(u, axis=1) - math.log(cells.shape[1])
    coins = step_log_likelihood_ratio(cells, noise_multiplier=sigma, sample_rate=sample_rate).sum(axis=1)
    return np.asarray(once - coins, dtype=np.float64)


def _simulated_epochs(sigma: float, sample_rate: float, steps: int, rng: np.random.Generator) -> Signals:
    wanted = max(2, min(SIMULATED_EPOCHS, SIMULATED_SIGNALS // steps))
    size = max(1, CHUNK // steps)
    parts = []
    for start in range(0, wanted, size):
        n = min(size, wanted - start)
        signals = (rng.random((1, steps, n)) < sample_rate) + sigma * rng.standard_normal((1, steps, n))
        parts.append(_once_an_epoch(signals, sigma, sample_rate)[0])
    return np.concatenate(parts)


def batch_sizes(batch_size: NDArray[np.int64], *, n_records: int, sample_rate: float) -> Outcome:
    """Test sum (n_t - N q)^2 / (N q (1 - q)) against chi2 with T degrees, two-sided: constant batches are no coins either."""
    expected = n_records * sample_rate
    statistic = float(np.sum((batch_size - expected) ** 2)) / (expected * (1 - sample_rate))
    found = f"batches of {np.mean(batch_size):.1f} +- {np.std(batch_size):.1f} records"
    wanted = f"{expected:.1f} +- {math.sqrt(expected * (1 - sample_rate)):.1f} claimed"
    return two_sided_chi2(statistic, len(batch_size)), f"{found}, {wanted}", "sampling"


def log_rate(coins: NDArray[np.bool_], *, sample_rate: float) -> Outcome:
    """Exact binomial test of the number of times a canary entered a step."""
    entered, tries = int(coins.sum()), coins.size
    upper = 1.0 if entered == 0 else float(special.betainc(entered, tries - entered + 1, sample_rate))
    lower = 1.0 if entered == tries else float(special.betaincc(entered + 1, tries - entered, sample_rate))
    return min(1.0, 2 * min(lower, upper)), f"canaries entered {entered / tries:.4%} of steps, {sample_rate:.4%} claimed", "sampling"


def log_rate_interval(coins: NDArray[np.bool_], level: float) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of the sample rate."""
    entered, tries, half = int(coins.sum()), coins.size, (1 - level) / 2
    low = 0.0 if entered == 0 else float(special.betaincinv(entered, tries - entered + 1, half))
    high = 1.0 if entered == tries else float(special.betainccinv(entered + 1, tries - entered, half))
    return low, high


def mean_rate_interval(inside: Signals, *, sigma: float, level: float) -> tuple[float, float]:
    """Return the interval of the sample rate from the mean of IN signals, asymptotic, valid for a clipped length of 1."""
    mean = float(inside.mean())
    rate = min(max(mean, 0.0), 1.0)
    reach = float(special.ndtri((1 + level) / 2)) * math.sqrt((rate * (1 - rate) + sigma**2) / inside.size)
    return max(0.0, mean - reach), min(1.0, mean + reach)


def log_epoch(coins: NDArray[np.bool_], *, sample_rate: float, steps_per_epoch: int) -> Outcome:
    """Test the dispersion of counts per canary and epoch against the binomial's, normal, two-sided."""
    epochs = coins.shape[0] // steps_per_epoch
    counts = coins[: epochs * steps_per_epoch].reshape(epochs, steps_per_epoch, -1).sum(axis=1)
    variance = steps_per_epoch * sample_rate * (1 - sample_rate)
    dispersion = float(np.mean((counts - steps_per_epoch * sample_rate) ** 2)) / variance
    spread = math.sqrt((2 + (1 - 6 * sample_rate * (1 - sample_rate)) / variance) / counts.size)
    p = two_sided_normal((dispersion - 1) / spread)
    return p, f"appearances an epoch vary {dispersion:.4g} times as much as coins do", "sampling"


def log_clip(inside: Signals, coins: NDArray[np.bool_], *, sigma: float) -> Outcome:
    """Test that the mean signal of steps that a canary entered is 1 (the clipping norm), normal, two-sided."""
    signals = inside[coins]
    mean = float(signals.mean())
    return two_sided_normal((mean - 1) * math.sqrt(signals.size) / sigma), f"a canary adds {mean:.4g} clipping norms, 1 claimed", "clipping"


def log_noise(inside: Signals, coins: NDArray[np.bool_], *, sigma: float) -> Outcome:
    """Test the variance of the signals of steps that a canary entered: chi2, two-sided."""
    signals = inside[coins]
    statistic = float(np.sum((signals - signals.mean()) ** 2)) / sigma**2
    measured = float(signals.std(ddof=1))
    return two_sided_chi2(statistic, signals.size - 1), f"noise under canaries measured {measured:.4g}, claimed {sigma:.4g}", "noise scale"
