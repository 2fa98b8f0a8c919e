"""The three parameters of a canary's signal: noise, sampling rate, clipped length (membership_inference.md 4.7, view V1).

OUT signals are sigma Z; IN signals are c B + sigma Z with B ~ Bernoulli(q): a mixture of N(0, sigma^2) and N(c, sigma^2). The mean of the
IN signals is q c: it can't tell a wrong rate from a wrong clipped length, the shape of the mixture can.

    log L = -n0 log sigma - S / (2 sigma^2)
            + sum_IN [-log sigma - y^2 / (2 sigma^2) + log(1 - q + q exp((2 c y - c^2) / (2 sigma^2)))]

theta = (log sigma, logit q, log c). IN signals are counted in BINS equal bins (error of log-likelihood differences about 0.02).
Cost: one pass over the signals, then O(BINS) per evaluation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

BINS = 600
FREE = (True, True, True)


@dataclass(frozen=True, slots=True, eq=False)
class CanaryMixture:
    """Sufficient statistics of OUT signals and binned IN signals.

    Parameters
    ----------
    n_out, square_out : number of OUT signals and the sum of their squares.
    center, count : bin centers of the IN signals and how many fell into each.
    sampled : False where every record enters every step (q = 1), so that q is not a parameter.
    """

    n_out: int
    square_out: float
    center: NDArray[np.float64]
    count: NDArray[np.float64]
    sampled: bool

    @classmethod
    def from_signals(cls, out: NDArray[np.float64], inside: NDArray[np.float64], *, sampled: bool) -> CanaryMixture:
        """Count IN signals (any shape) in equal bins and sum OUT squares."""
        count, edges = np.histogram(inside, bins=BINS)
        used = count > 0
        center = (edges[:-1] + edges[1:]) / 2
        return cls(out.size, float(np.sum(out**2)), center[used], count[used].astype(np.float64), sampled)

    def start(self) -> NDArray[np.float64]:
        """Return theta by moments: sigma from OUT, q and c from the mean M and variance of IN, c = (v - s^2) / M + M."""
        variance = self.square_out / self.n_out
        n = float(self.count.sum())
        mean = float(self.count @ self.center) / n
        spread = float(self.count @ (self.center - mean) ** 2) / n
        c = max((spread - variance) / mean + mean, 0.05) if mean > 1e-3 else 1.0
        q = min(max(mean / c, 1e-4), 1 - 1e-4)
        return np.array([math.log(variance) / 2, special.logit(q), math.log(c)])

    def starts(self) -> list[NDArray[np.float64]]:
        """Return where fits begin: moments, and clipped length 1 with the rate that fits it; with few canaries moments may lead astray."""
        moments = self.start()
        mean = float(self.count @ self.center) / float(self.count.sum())
        plain = np.array([moments[0], special.logit(min(max(mean, 1e-4), 1 - 1e-4)), 0.0])
        return [moments, plain]

    def negative_log_likelihood(self, theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return -log L and its gradient in theta = (log sigma, logit q, log c)."""
        variance, c = math.exp(2 * theta[0]), math.exp(theta[2])
        y = self.center
        tilt = (2 * c * y - c**2) / (2 * variance)
        if self.sampled:
            log_in, log_out = special.log_expit(theta[1]) + tilt, special.log_expit(-theta[1])
            mixture = np.logaddexp(log_out, log_in)
            weight = np.exp(log_in - mixture)  # posterior probability that the canary entered the step
        else:
            mixture, weight = tilt, np.ones_like(tilt)
        n = self.n_out + float(self.count.sum())
        squares = self.square_out + float(self.count @ y**2)
        value = n * theta[0] + squares / (2 * variance) - float(self.count @ mixture)
        d_sigma = n - squares / variance + 2 * float(self.count @ (weight * tilt))
        d_rate = -float(self.count @ (weight - special.expit(theta[1]))) if self.sampled else 0.0
        d_clip = -float(self.count @ (weight * (c * y - c**2))) / variance
        return value, np.array([d_sigma, d_rate, d_clip])

    def fit(self, *, start: NDArray[np.float64] | None = None, free: tuple[bool, bool, bool] = FREE) -> tuple[NDArray[np.float64], float]:
        """Return the maximum-likelihood theta over the free parameters (others stay at `start`) and its -log L."""
        theta = np.array(self.start() if start is None else start)
        moving = np.array(free) & np.array([True, self.sampled, True])

        def objective(part: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            theta[moving] = part
            value, gradient = self.negative_log_likelihood(theta)
            return value / self.n_out, gradient[moving] / self.n_out

        bounds = np.array([(-12.0, 12.0), (-14.0, 14.0), (-6.0, 12.0)])[moving]
        options = {"ftol": 1e-15, "gtol": 1e-10}
        found = optimize.minimize(objective, theta[moving], jac=True, method="L-BFGS-B", bounds=bounds, options=options)
        theta[moving] = found.x
        return theta, self.negative_log_likelihood(theta)[0]


def likelihood_ratio_p_value(mixture: CanaryMixture, *, fixed: int, value: float) -> tuple[float, float]:
    """Test that one parameter has the claimed value, the other two free.

    Parameters
    ----------
    fixed : 1 for logit q, 2 for log c.
    value : its claimed value.

    Returns
    -------
    (p, estimate) : chi-square p-value with one degree of freedom (Wilks 1938) and the unrestricted estimate of theta[fixed].
    """
    free_fits = [mixture.fit(start=start) for start in mixture.starts()]
    best, free_value = min(free_fits, key=lambda fit: fit[1])
    free = (True, fixed != 1, fixed != 2)
    starts = [_with(start, fixed, value) for start in (best, *mixture.starts())]
    restricted = min(mixture.fit(start=start, free=free)[1] for start in starts)
    statistic = max(0.0, 2 * (restricted - free_value))
    return float(special.gammaincc(0.5, statistic / 2)), float(best[fixed])


def _with(theta: NDArray[np.float64], index: int, value: float) -> NDArray[np.float64]:
    changed = theta.copy()
    changed[index] = value
    return changed
