"""Conformance of the noise: tests on the coordinates of canaries that are not in the data (membership_inference.md 4.6, tests 1 to 7).

Under the claim the OUT signals O, shape (steps, canaries), are independent N(0, sigma^2) with sigma the claimed noise multiplier.
symbols: T = steps, m0 = OUT canaries, n0 = m0 T, S = sum O^2, s^2 = S / n0. Every function returns one p-value and one sentence.

Cost: O(n0 log T + T^2 m0 + T m0^2), blocked so that no matrix larger than BLOCK rows is held.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import fft, special

from privacy_audit.estimate.signals.conformance_report import Part

Signals = NDArray[np.float64]
Outcome = tuple[float, str, Part]

BLOCK = 1024
LEAST_PRODUCTS = 500  # a lag with fewer products is not near enough to normal in its tails
REUSED = 0.5  # a significant correlation above this is repeated noise, not weak dependence


def noise_scale(out: Signals, sigma: float) -> Outcome:
    """Test S / sigma^2 against chi2 with n0 degrees of freedom, two-sided."""
    measured = math.sqrt(float(np.mean(out**2)))
    p = two_sided_chi2(float(np.sum(out**2)) / sigma**2, out.size)
    return p, f"noise multiplier measured {measured:.5g}, claimed {sigma:.5g}", "noise scale"


def noise_scale_interval(out: Signals, level: float) -> tuple[float, float]:
    """Return the exact two-sided interval of the noise multiplier from S."""
    total, half = float(np.sum(out**2)), (1 - level) / 2
    shape = out.size / 2
    return math.sqrt(total / (2 * special.gammainccinv(shape, half))), math.sqrt(total / (2 * special.gammaincinv(shape, half)))


def out_mean(out: Signals, sigma: float) -> Outcome:
    """Test sum O / (sigma sqrt(n0)) against the normal, two-sided."""
    z = float(out.sum()) / (sigma * math.sqrt(out.size))
    return two_sided_normal(z), f"mean of the noise is {z:+.2f} standard errors from 0", "noise mean"


def shape(out: Signals, sigma: float) -> Outcome:  # noqa: ARG001  every noise test takes the same arguments
    """Kolmogorov-Smirnov test of O / s against the normal (s estimated, so slightly conservative)."""
    ordered = np.sort(out, axis=None) / math.sqrt(float(np.mean(out**2)))
    cdf, n = special.ndtr(ordered), out.size
    distance = max(float(np.max(np.arange(1, n + 1) / n - cdf)), float(np.max(cdf - np.arange(n) / n)))
    return float(special.kolmogorov(math.sqrt(n) * distance)), f"largest distance to the normal distribution {distance:.2g}", "noise shape"


def step_pairs(out: Signals, sigma: float) -> Outcome:  # noqa: ARG001
    """Test the correlation over canaries of every pair of steps: t with m0 - 1 degrees, Bonferroni over T (T - 1) / 2 pairs."""
    return _largest_correlation(out, "steps")


def coord_pairs(out: Signals, sigma: float) -> Outcome:  # noqa: ARG001
    """Test the correlation over steps of every pair of canaries: t with T - 1 degrees, Bonferroni over all pairs."""
    return _largest_correlation(np.ascontiguousarray(out.T), "coordinates")


def _largest_correlation(rows: Signals, what: str) -> Outcome:
    n, degrees = rows.shape[0], rows.shape[1] - 1
    if n < 2:
        return 1.0, f"fewer than two {what}, so no pair to compare", "noise correlation"
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = rows / np.where(norms > 0, norms, 1.0)
    best, pair = 0.0, (0, 0)
    for start in range(0, n, BLOCK):
        gram = np.abs(unit[start : start + BLOCK] @ unit.T)
        gram[np.arange(len(gram)), np.arange(start, start + len(gram))] = 0.0
        place = np.unravel_index(np.argmax(gram), gram.shape)
        if gram[place] > best:
            best, pair = float(gram[place]), (start + int(place[0]), int(place[1]))
    best = min(best, 1.0)
    t = math.inf if best == 1.0 else best * math.sqrt(degrees / (1 - best**2))
    p = min(1.0, n * (n - 1) / 2 * 2 * float(special.stdtr(degrees, -t)))
    part: Part = "noise reuse" if best > REUSED else "noise correlation"
    return p, f"largest correlation of two {what} is {best:.3f} ({what} {min(pair) + 1} and {max(pair) + 1})", part


def lags(out: Signals, sigma: float) -> Outcome:  # noqa: ARG001
    """Test for every lag l that sum O_tj O_{t+l,j} / (s^2 sqrt(m0 (T - l))) is normal, Bonferroni over lags."""
    steps, m0 = out.shape
    spectrum = np.abs(fft.rfft(out, n=fft.next_fast_len(2 * steps, real=True), axis=0)) ** 2
    products = fft.irfft(spectrum.sum(axis=1), n=fft.next_fast_len(2 * steps, real=True))[1:steps]
    pairs = m0 * np.arange(steps - 1, 0, -1)
    used = pairs >= LEAST_PRODUCTS
    if not used.any():
        return 1.0, "too few signals for any lag", "noise correlation"
    z = products[used] / (float(np.mean(out**2)) * np.sqrt(pairs[used]))
    worst = int(np.argmax(np.abs(z)))
    p = min(1.0, int(used.sum()) * two_sided_normal(float(z[worst])))
    return p, f"strongest dependence at lag {worst + 1}: {z[worst]:+.2f} standard errors", "noise correlation"


def step_var(out: Signals, sigma: float) -> Outcome:  # noqa: ARG001
    """Bartlett's test of one variance for all steps (mean known to be 0), upper tail.

    The plain sum of (S_t / (m0 s^2) - 1)^2 m0 / 2 has too heavy a tail below about 100 canaries; Bartlett's correction does not.
    """
    steps, m0 = out.shape
    variances = np.mean(out**2, axis=1)
    if not (variances > 0).all():
        return 0.0, "a step has no noise at all", "normalization"
    statistic = m0 * float(np.sum(np.log(np.mean(variances)) - np.log(variances)))
    statistic /= 1 + (steps / m0 - 1 / (steps * m0)) / (3 * (steps - 1))
    p = float(special.gammaincc((steps - 1) / 2, max(0.0, statistic) / 2))
    spread = float(np.std(np.sqrt(variances)) / math.sqrt(float(np.mean(variances))))
    return p, f"noise varies by {spread:.2%} from step to step, {1 / math.sqrt(2 * m0):.2%} expected", "normalization"


NOISE_TESTS: dict[str, Callable[[Signals, float], Outcome]] = {
    "noise_scale": noise_scale,
    "out_mean": out_mean,
    "shape": shape,
    "step_pairs": step_pairs,
    "lags": lags,
    "coord_pairs": coord_pairs,
    "step_var": step_var,
}
NEEDS_STEPS = frozenset({"step_pairs", "lags", "coord_pairs", "step_var"})  # more than one step


def two_sided_chi2(statistic: float, degrees: float) -> float:
    """Return the two-sided p-value of a chi-square statistic: twice the smaller tail."""
    return min(1.0, 2 * min(float(special.gammainc(degrees / 2, statistic / 2)), float(special.gammaincc(degrees / 2, statistic / 2))))


def two_sided_normal(z: float) -> float:
    """Return the two-sided p-value of a standard normal statistic."""
    return 2 * float(special.ndtr(-abs(z)))
