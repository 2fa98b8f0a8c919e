"""The ideal signal of a canary in DP-SGD, and its likelihood ratio.

One step, canary with clipped gradient C e_j on its own coordinate (membership_inference.md 4.1):

    O_t = <noisy sum, e_j> / C = B_t + sigma Z_t,   B_t ~ Bernoulli(q) if the canary is in the data, else 0

    LLR_j = sum_t log(1 - q + q exp((2 O_t - 1) / (2 sigma^2)))

symbols: q = sample_rate, sigma = noise_multiplier, T = steps. LLR is the optimal test (Neyman and Pearson 1933); E[exp LLR] = 1 for
non-members. With q = 1 the pair is exactly mu-GDP, mu = sqrt(T) / sigma (Dong, Roth, Su 2022). Cost: O(T m).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import positive, valid_sample_rate, whole_number

LARGEST_EXPONENT = 700.0
_WIDEST_FIT = math.log(50.0)  # around the spread of the signals, on the log scale


def step_log_likelihood_ratio(signals: NDArray[np.float64], *, noise_multiplier: float, sample_rate: float) -> NDArray[np.float64]:
    """Return log(1 - q + q exp((2 O - 1) / (2 sigma^2))) for every signal O, same shape."""
    exponent = np.minimum((2 * signals - 1) / (2 * noise_multiplier**2), LARGEST_EXPONENT)
    if sample_rate == 1:
        return exponent
    return np.asarray(np.log1p(sample_rate * np.expm1(exponent)), dtype=np.float64)


def log_likelihood_ratio(signals: NDArray[np.float64], *, noise_multiplier: float, sample_rate: float) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of all steps, larger = more likely a member.

    Parameters
    ----------
    signals : (steps, canaries) array of O_t.
    noise_multiplier, sample_rate : as the accountant was told.

    Returns
    -------
    (canaries,) array.
    """
    steps = step_log_likelihood_ratio(signals, noise_multiplier=noise_multiplier, sample_rate=sample_rate)
    return np.asarray(steps.sum(axis=0), dtype=np.float64)


def fitted_noise_multiplier(signals: NDArray[np.float64], *, sample_rate: float) -> float:
    """Return the noise multiplier that the signals themselves show, without a look at the coins.

    Each canary was in with probability 1/2, so its signals have density (1/2) N(0, sigma^2) (1 + exp LLR); the maximum of their product.
    Scores at this value keep their power where the engine adds less noise than it says: those at the claimed one are then mis-scaled.

    Parameters
    ----------
    signals : (steps, canaries) array of O_t.
    sample_rate : as the accountant was told.

    Returns
    -------
    The estimate, within 0.1 %; about ten evaluations of the likelihood ratio.
    """
    from scipy import optimize

    steps = len(signals)
    square = float(np.mean(signals**2))
    if square == 0:
        raise ValueError("signals must not all be 0: without noise there is no noise multiplier to fit")

    def negative_log_likelihood(log_sigma: float) -> float:
        ratio = log_likelihood_ratio(signals, noise_multiplier=math.exp(log_sigma), sample_rate=sample_rate)
        return steps * (log_sigma + square * math.exp(-2 * log_sigma) / 2) - float(np.mean(np.logaddexp(0, ratio)))

    widest = math.log(square) / 2
    bounds = (widest - _WIDEST_FIT, widest + 0.1)
    found = optimize.minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-3})
    return math.exp(float(found.x))


def simulate_signals(
    member: NDArray[np.bool_], *, noise_multiplier: float, sample_rate: float, steps: int, rng: RngLike = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw the signals of an ideal engine.

    Parameters
    ----------
    member : (canaries,) which canaries are in the data.

    Returns
    -------
    (signals, canary_in) : (steps, canaries) float64 and bool, `canary_in` says which canaries entered each step.
    """
    noise_multiplier, sample_rate = positive(noise_multiplier=noise_multiplier), valid_sample_rate(sample_rate)
    steps = whole_number(1, steps=steps)
    rng = as_generator(rng)
    canary_in = (rng.random((steps, len(member))) < sample_rate) & member
    return canary_in + noise_multiplier * rng.standard_normal((steps, len(member))), canary_in
