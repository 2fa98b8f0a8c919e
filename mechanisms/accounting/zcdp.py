"""Conversions between zero-concentrated and approximate differential privacy, at the optimal order.

rho-zCDP says that the Renyi divergence of every order a > 1 is at most rho a. Then, for every a > 1 (Canonne, Kamath, Steinke 2020,
proposition 12),

    delta = exp((a - 1)(a rho - epsilon)) (1 - 1/a)^a / (a - 1).

Each function below takes the best order. With t = a - 1, ln delta = t ((1 + t) rho - epsilon) + t ln t - (1 + t) ln(1 + t) is convex
in t, so the best order is the one root of its derivative, found to the last float; every order gives a valid bound, so an inexact
root costs tightness and never validity. The result is never better than the exact Gaussian curve at mu = sqrt(2 rho), and never
worse than rho + 2 sqrt(rho ln(1 / delta)). Where every release is Gaussian, use `mechanisms.accounting.gaussian`: it is exact.

References
----------
Bun, Steinke, Concentrated Differential Privacy, TCC 2016. Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy,
NeurIPS 2020. Asoodeh et al., Three Variants of Differential Privacy, IEEE JSAIT 2021.
"""

from __future__ import annotations

from typing import overload

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.accounting.bisection import last_true
from mechanisms.accounting.elementwise import Floats, as_given, log, together


@overload
def zcdp_delta(rho: float, epsilon: float) -> float: ...
@overload
def zcdp_delta(rho: Floats, epsilon: float | Floats) -> Floats: ...
@overload
def zcdp_delta(rho: float, epsilon: Floats) -> Floats: ...
def zcdp_delta(rho: ArrayLike, epsilon: ArrayLike) -> float | Floats:
    """Return a delta for which every rho-zCDP mechanism is (epsilon, delta)-DP.

    Parameters
    ----------
    rho : zCDP parameter in [0, inf], scalar or array.
    epsilon : nats in [0, inf], scalar or array that broadcasts with rho.

    Returns
    -------
    float for two scalars, else an array of the broadcast shape.

    Raises
    ------
    ValueError, TypeError : a value is negative, NaN or not a number.

    Guarantee
    ---------
    Canonne, Kamath, Steinke (2020), proposition 12, for the neighboring relation of rho.

    Examples
    --------
    >>> round(zcdp_delta(0.5, 5.2223), 8)
    1e-06
    """
    rho_, epsilon_ = together(rho=rho, epsilon=epsilon)
    with np.errstate(all="ignore"):
        t = last_true(lambda t: (1 + 2 * t) * rho_ - np.log1p(1 / t) <= epsilon_, rho_.shape)
        log_delta = t * ((1 + t) * rho_ - epsilon_) - _entropy(t)
    log_delta = np.where(np.isinf(rho_) | (t == 0), 0.0, log_delta)
    return as_given(np.exp(np.minimum(np.where((rho_ == 0) | (np.isinf(epsilon_) & np.isfinite(rho_)), -np.inf, log_delta), 0.0)))


@overload
def zcdp_epsilon(rho: float, delta: float) -> float: ...
@overload
def zcdp_epsilon(rho: Floats, delta: float | Floats) -> Floats: ...
@overload
def zcdp_epsilon(rho: float, delta: Floats) -> Floats: ...
def zcdp_epsilon(rho: ArrayLike, delta: ArrayLike) -> float | Floats:
    """Return an epsilon for which every rho-zCDP mechanism is (epsilon, delta)-DP; parameters and errors as `zcdp_delta`.

    The best order solves rho t^2 + ln(1 + t) = ln(1 / delta).

    Examples
    --------
    >>> round(zcdp_epsilon(0.5, 1e-6), 3)
    5.222
    """
    rho_, delta_ = together(rho=rho, delta=delta)
    log_delta = log(delta_)
    with np.errstate(all="ignore"):
        t = last_true(lambda t: rho_ * t * t + np.log1p(t) <= -log_delta, rho_.shape)
        epsilon = (1 + t) * rho_ - (log_delta + _entropy(t)) / t
    epsilon = np.where((delta_ == 0) | np.isinf(rho_), np.inf, np.maximum(epsilon, 0.0))
    return as_given(np.where(rho_ == 0, 0.0, epsilon))


@overload
def zcdp_rho(epsilon: float, delta: float) -> float: ...
@overload
def zcdp_rho(epsilon: Floats, delta: float | Floats) -> Floats: ...
@overload
def zcdp_rho(epsilon: float, delta: Floats) -> Floats: ...
def zcdp_rho(epsilon: ArrayLike, delta: ArrayLike) -> float | Floats:
    """Return the largest rho whose conversion gives (epsilon, delta); parameters and errors as `zcdp_delta`.

    Along the best order's own curve rho(t) = (epsilon + ln(1 + 1/t)) / (1 + 2 t), delta falls in t: one more root.

    Examples
    --------
    >>> round(zcdp_rho(1.0, 1e-6), 8)
    0.02435597
    """
    epsilon_, delta_ = together(epsilon=epsilon, delta=delta)
    log_delta = log(delta_)
    with np.errstate(all="ignore"):
        t = last_true(lambda t: _log_delta_at_best_rho(t, epsilon_) >= log_delta, epsilon_.shape)
        rho = (epsilon_ + (log_delta + _entropy(t)) / t) / (1 + t)
    return as_given(np.where(np.isinf(epsilon_), np.inf, np.where(delta_ == 0, 0.0, np.maximum(rho, 0.0))))


def _entropy(t: Floats) -> Floats:
    """Return (1 + t) ln(1 + t) - t ln t, for t > 0."""
    return t * np.log1p(1 / t) + np.log1p(t)


def _log_delta_at_best_rho(t: Floats, epsilon: Floats) -> Floats:
    rho = (epsilon + np.log1p(1 / t)) / (1 + 2 * t)
    return t * ((1 + t) * rho - epsilon) - _entropy(t)
