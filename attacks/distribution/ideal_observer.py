"""How well an ideal observer tells two property rates apart from n records: the exact total variation of two binomial laws.

The observer sees n independent draws, of which each has the property with probability a or b, a < b, and answers "b" when more than
k = floor(n t) have it, which is the likelihood ratio test. Then

    t = ln((1-a)/(1-b)) / ln(b (1-a) / (a (1-b)))        TV_n = 1 - P[X > k | a] - P[X <= k | b]        accuracy = (1 + TV_n) / 2

symbols: a, b = smaller and larger of the rates `p`, `q`; TV = total variation = largest advantage of any observer.
TV_n never falls with n, and it stands still exactly where n t is a whole number (with a + b = 1: TV_2 = TV_1, TV_4 = TV_3, ...).
Cost: two incomplete beta functions an element, about 2 microseconds up to n = 2^50.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.distribution.arguments import probabilities, whole_numbers
from mechanisms.accounting.elementwise import as_given

Floats = NDArray[np.float64]

MOST_DRAWS = 2.0**50
_SMALL_RATE = 2.0**-10  # below it 1 - rate has lost digits of the rate


def tv_bernoulli(n: ArrayLike, p: ArrayLike, q: ArrayLike) -> float | Floats:
    """Return the total variation between n Bernoulli(p) and n Bernoulli(q) draws, exactly.

    Parameters
    ----------
    n : number of draws, whole, in [0, 2^50].
    p, q : rates in [0, 1], in either order; all three broadcast.

    Returns
    -------
    A float or an array, in [0, 1].

    Raises
    ------
    ValueError, TypeError : an argument out of range, NaN or no number.

    Notes
    -----
    Absolute error about 1e-16 sqrt(n), which is what the rounding of the rates themselves costs.

    Examples
    --------
    >>> round(tv_bernoulli(11, 0.5, 0.2), 8)
    0.72557955
    """
    (draws,) = whole_numbers(MOST_DRAWS, n=n)
    draws, low, high = np.broadcast_arrays(draws, *_in_order(p, q))
    error = error_sum(np.maximum(draws, 1.0), low, high, likelihood_threshold(low, high))
    return as_given(np.where((draws == 0) | (low == high), 0.0, np.maximum(1 - error, 0.0)))


def acc_ideal(n: ArrayLike, p: ArrayLike, q: ArrayLike) -> float | Floats:
    """Return the balanced accuracy of the best guess between the rates p and q after n draws, (1 + TV) / 2; arguments as `tv_bernoulli`.

    Examples
    --------
    >>> float(acc_ideal(1, 0.5, 0.2))
    0.65
    """
    return as_given(np.asarray((1 + np.asarray(tv_bernoulli(n, p, q))) / 2))


def likelihood_threshold(low: Floats, high: Floats) -> Floats:
    """Return t, the share of successes at which both rates are equally likely; 1 for equal rates, where any cut is as good."""
    gap = high - low
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        without, with_it = np.log1p(gap / (1 - high)), np.log1p(gap / low)
        share = without / (without + with_it)
    return np.where(np.isnan(share), 1.0, share)  # high = 1: any failure excludes it, so the cut is at n - 1


def error_sum(n: Floats, low: Floats, high: Floats, threshold: Floats) -> Floats:
    """Return 1 - TV_n as a sum of two tails, so that it keeps its relative accuracy where TV is nearly 1.

    Parameters
    ----------
    n : whole numbers >= 1.
    low, high : rates, low <= high.
    threshold : `likelihood_threshold(low, high)`; all of one shape.
    """
    k = np.minimum(np.floor(n * threshold), n - 1)
    above = special.betainc(k + 1, n - k, low)
    below = special.betainc(n - k, k + 1, 1 - high)
    small = high < _SMALL_RATE
    if small.any():
        below = np.where(small, special.betaincc(k + 1, n - k, high), below)
    return np.asarray(above + below, dtype=np.float64)


def _in_order(p: ArrayLike, q: ArrayLike) -> tuple[Floats, Floats]:
    first, second = probabilities(p=p, q=q)
    return np.minimum(first, second), np.maximum(first, second)
