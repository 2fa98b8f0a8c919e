"""Counts of several adversaries in one world: the likelihood of the law their success rates are drawn from.

Adversary r (one draw of shadow models) is right about k_r of m_r victims, k_r ~ Binomial(m_r, p_r), logit p_r = mu + tau z, z ~ N(0, 1).
The integral over z is done by Gauss-Hermite nodes placed at the mode of its integrand, with its curvature; the integrand is log-concave in
z, so the mode is found by safeguarded Newton steps.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from privacy_audit.estimate.rates.beta_law import FloatArray

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(32)
_LOG_WEIGHTS = np.log(_WEIGHTS) + _NODES**2 / 2 - np.log(2 * np.pi) / 2
_NEWTON_STEPS = 60
_Z = np.linspace(-8.5, 8.5, 137)
_Z_MASS = np.exp(-(_Z**2) / 2) / np.exp(-(_Z**2) / 2).sum()
_TABLE = np.linspace(-9.0, 9.0, 121)


def log_likelihood(right: FloatArray, trials: FloatArray, mu: FloatArray, tau: FloatArray) -> FloatArray:
    """Return sum over r of ln P(k_r | mu, tau), but for binomial coefficients.

    Parameters
    ----------
    right, trials : k_r and m_r, shape (R,).
    mu, tau : arrays that broadcast, tau > 0.
    """
    mu, tau = np.broadcast_arrays(mu, tau)
    total = np.zeros(mu.shape)
    pairs, times = np.unique(np.stack([right, trials], axis=1), axis=0, return_counts=True)
    for (k, m), weight in zip(pairs.tolist(), times.tolist(), strict=True):
        mode, scale = _mode(k, m, mu, tau)
        z = mode[..., None] + scale[..., None] * _NODES
        exponent = _log_integrand(z, k, m, mu[..., None], tau[..., None]) + _LOG_WEIGHTS
        total += weight * (special.logsumexp(exponent, axis=-1) + np.log(scale))
    return total


def mean_rate_of_adversaries(mu: FloatArray, tau: FloatArray) -> FloatArray:
    """Return E[expit(mu + tau z)], by the trapezoidal rule, which is exact to 1e-10 up to tau = 6; arguments broadcast."""
    mu, tau = np.broadcast_arrays(mu, tau)
    mean: FloatArray = special.expit(mu[..., None] + tau[..., None] * _Z) @ _Z_MASS
    return mean


def draw_logits(right: FloatArray, trials: FloatArray, mu: FloatArray, tau: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw logit p_r given (mu, tau) and the counts, by inverting a table of its distribution.

    Parameters
    ----------
    right, trials : shape (R,).
    mu, tau : shape (n,).

    Returns
    -------
    Shape (n, R).
    """
    logits = np.empty((len(mu), len(right)))
    rows = np.arange(len(mu))
    for r, (k, m) in enumerate(zip(right.tolist(), trials.tolist(), strict=True)):
        mode, scale = _mode(k, m, mu, tau)
        z = mode[:, None] + scale[:, None] * _TABLE
        exponent = _log_integrand(z, k, m, mu[:, None], tau[:, None])
        density = np.exp(exponent - exponent.max(axis=1, keepdims=True))
        cumulated = np.concatenate([np.zeros((len(mu), 1)), np.cumsum((density[:, 1:] + density[:, :-1]) / 2, axis=1)], axis=1)
        goal = rng.random(len(mu)) * cumulated[:, -1]
        right_of = np.clip((cumulated < goal[:, None]).sum(axis=1), 1, len(_TABLE) - 1)
        before, after = cumulated[rows, right_of - 1], cumulated[rows, right_of]
        share = (goal - before) / np.where(after > before, after - before, 1.0)
        drawn = z[rows, right_of - 1] + share * (z[rows, right_of] - z[rows, right_of - 1])
        logits[:, r] = mu + tau * drawn
    return logits


def _log_integrand(z: FloatArray, k: float, m: float, mu: FloatArray, tau: FloatArray) -> FloatArray:
    x = mu + tau * z
    value: FloatArray = -k * np.logaddexp(0, -x) - (m - k) * np.logaddexp(0, x) - z**2 / 2
    return value


def _mode(k: float, m: float, mu: FloatArray, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the integrand is largest, and (minus its second logarithmic derivative)^(-1/2) there."""
    low, high = tau * (k - m), tau * k  # the slope tau (k - m p) - z is >= 0 at the first and <= 0 at the second
    share = (k + 0.5) / (m + 1)
    worth = tau * m * share * (1 - share)
    z = np.clip(worth * (np.log(share / (1 - share)) - mu) / (1 + tau * worth), low, high)
    for _ in range(_NEWTON_STEPS):
        p = special.expit(mu + tau * z)
        slope = tau * (k - m * p) - z
        low, high = np.where(slope > 0, z, low), np.where(slope > 0, high, z)
        newton = z + slope / (1 + tau**2 * m * p * (1 - p))
        moved = np.where((newton >= low) & (newton <= high), newton, (low + high) / 2)
        settled = np.abs(moved - z).max() < 1e-4
        z = moved
        if settled:
            break
    p = special.expit(mu + tau * z)
    return z, 1 / np.sqrt(1 + tau**2 * m * p * (1 - p))
