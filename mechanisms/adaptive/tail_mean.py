"""Means of the upper tail: what a conditional expectation stays below.

T_p(X) = inf over s of s + E(X - s)_+ / p is the mean of the p largest outcomes of X. For every pi,

    P[Y >= T_p(X)] <= p,  Y = E[X | pi],     as (y - s)_+ is convex: P[Y >= t] <= E(Y - s)_+ / (t - s) <= E(X - s)_+ / (t - s).

A quantile would not do: averaging over what pi leaves open can move a conditional mean above the quantile of X, never above its tail mean.

Symbols: p tail probability, N standard normal, L exponential. Where X is the largest of k absolute values, E(X - s)_+ is at most the sum.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from mechanisms.validation import in_range, positive


def normal_tail_mean(p: float) -> float:
    """Return T_p(N) = phi(z) / p with z the upper p-quantile; the largest of k values |N| has T_p at most T_{p / (2 k)}(N).

    Examples
    --------
    >>> round(normal_tail_mean(0.5), 6), round(normal_tail_mean(1e-6), 3)
    (0.797885, 4.948)
    """
    level = in_range(0, 1, p=p)
    z = float(ndtri(level))
    return math.exp(-z * z / 2 - math.log(level)) / math.sqrt(2 * math.pi)


def chi_square_tail_mean(p: float) -> float:
    """Return T_p(N^2) = 1 + 2 z phi(z) / p with z the upper (p / 2)-quantile of N.

    Examples
    --------
    >>> round(chi_square_tail_mean(0.05), 4)
    5.582
    """
    level = in_range(0, 1, p=p)
    z = -float(ndtri(level / 2))
    return 1 + 2 * z * math.exp(-z * z / 2 - math.log(level)) / math.sqrt(2 * math.pi)


def exponential_tail_mean(p: float, n: float = 1.0) -> float:
    """Return T_p of the largest of n variables that are at most exponential with mean 1, bounded by ln(n / p) + 1.

    Examples
    --------
    >>> round(exponential_tail_mean(0.05, 100), 4)
    8.6009
    """
    return math.log(positive(n=n) / in_range(0, 1, p=p)) + 1
