"""n_leaked of attacks that estimate the rate, or name one of several rates: the draws from which an ideal observer does as well.

    prior uniform on [0, 1]      best mean squared error 1 / (6 (n + 2))      n = max(0, 1 / (6 MSE) - 2)
    prior uniform on a grid      bmse(n) of `several_rates`                   smallest n with bmse(n) <= MSE
    one of m rates               A(n) of `several_rates`                      smallest n with A(n) >= accuracy
    published, one rate a        the sample mean has MSE a (1 - a) / n        n = a (1 - a) / MSE

The first three average over the prior, so an attack that always answers the prior's mean leaks nothing by them. The published form looks at
one rate alone and is valid for unbiased attacks only.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022 (the published form).
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.distribution.arguments import non_negative_numbers, probabilities
from attacks.distribution.several_rates import different_rates, estimation_error, first_at_most, naming_error
from mechanisms.accounting.elementwise import as_given
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.validation import in_range, non_negative

Floats = NDArray[np.float64]

UNIFORM_VARIANCE = 1 / 12
UNBIASED_CAVEAT = "valid for unbiased attacks only: a constant guess of the true rate would count as infinitely many records"


def n_leaked_regression(mse: float, *, prior: Literal["uniform"] | ArrayLike = "uniform") -> float:
    """Return the draws from which the best estimate of the rate has this mean squared error, averaged over the prior.

    Parameters
    ----------
    mse : mean squared error of the attack, >= 0, averaged over rates drawn from the prior.
    prior : "uniform" on [0, 1], or (m,) rates, each as likely.

    Returns
    -------
    A real number for "uniform", a whole number for a grid of rates; infinite for an error of 0 that no finite n reaches.

    Raises
    ------
    ValueError, TypeError : mse negative, NaN or infinite; prior another word, or rates outside [0, 1], given twice or fewer than two.
    UnsupportedClaimError : a grid needs more than 2^22 draws.

    Warns
    -----
    WeakEvidenceWarning : the error is above the variance of the prior: always answering its mean does better, and n is 0.

    Examples
    --------
    >>> round(n_leaked_regression(0.01), 2)
    14.67
    >>> n_leaked_regression(0.0080, prior=np.linspace(0.1, 0.9, 9))
    20.0
    """
    error = non_negative(mse=mse)
    if isinstance(prior, str):
        if prior != "uniform":
            raise ValueError(f"prior must be 'uniform' or an array of rates, got {prior!r}")
        _warn_if_useless(error, UNIFORM_VARIANCE)
        return max(0.0, 1 / (6 * error) - 2) if error > 0 else math.inf
    rates = different_rates(prior=prior)
    variance = float(rates.var())
    _warn_if_useless(error, variance)
    if error >= variance:
        return 0.0
    if error == 0:
        return _one_or_never(rates)
    return float(first_at_most(error, lambda n: estimation_error(n, rates)))


def n_leaked_regression_published(mse: ArrayLike, alpha: ArrayLike) -> float | Floats:
    """Return the published number alpha (1 - alpha) / mse for one true rate: the draws of a sample mean with this error.

    Parameters
    ----------
    mse : mean squared error of the attack at this rate, >= 0.
    alpha : the true rate, in [0, 1]; both broadcast.

    Returns
    -------
    A float or an array; infinite for an error of 0, except at the rates 0 and 1, where it is 0.

    Raises
    ------
    ValueError, TypeError : mse negative, alpha outside [0, 1], NaN or no number.

    Notes
    -----
    `UNBIASED_CAVEAT` belongs beside the figure, and so does the attack's bias. `n_leaked_regression` has no such restriction.

    Examples
    --------
    >>> round(float(n_leaked_regression_published(0.01, 0.5)), 6)
    25.0
    """
    (error,), (rate,) = non_negative_numbers(mse=mse), probabilities(alpha=alpha)
    error, spread = np.broadcast_arrays(error, rate * (1 - rate))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return as_given(np.where(spread > 0, spread / error, 0.0))


def n_leaked_multi(accuracy: float, alphas: ArrayLike) -> float:
    """Return the draws from which an ideal observer names the right one of m equally likely rates this often.

    Parameters
    ----------
    accuracy : share of right answers, in [0, 1]; 1 / m or less gives 0.
    alphas : (m,) different rates in [0, 1].

    Returns
    -------
    A whole number; infinite for an accuracy of 1 unless the rates are 0 and 1.

    Raises
    ------
    ValueError, TypeError : accuracy or a rate outside [0, 1], a rate given twice, or fewer than two rates.
    UnsupportedClaimError : more than 2^22 draws are needed.

    Examples
    --------
    >>> n_leaked_multi(0.42, np.linspace(0, 1, 11))
    10.0
    """
    rates = different_rates(alphas=alphas)
    acc = in_range(0, 1, closed="both", accuracy=accuracy)
    if acc <= 1 / len(rates):
        return 0.0
    if acc == 1:
        return _one_or_never(rates)
    return float(first_at_most(1 - acc, lambda n: naming_error(n, rates)))


def _one_or_never(rates: Floats) -> float:
    """Return the draws that leave no doubt: one for the rates 0 and 1, else none are enough."""
    return 1.0 if np.array_equal(rates, [0.0, 1.0]) else math.inf


def _warn_if_useless(error: float, variance: float) -> None:
    if error > variance * (1 + 1e-12):
        warnings.warn(
            f"the mean squared error {error:g} is above the prior's variance {variance:g}: always answering the prior's mean does better",
            WeakEvidenceWarning,
            stacklevel=3,
        )
