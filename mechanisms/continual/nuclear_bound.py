"""What no linear counter can beat: MeanSE, MaxSE >= (||A||_* / T)^2 in the unit 1/(2 rho), for every factorization A = L R.

    ||A||_* = sum_{j=1..T} 1 / (2 cos(j pi / (2T + 1)))      nuclear norm of the T x T matrix of ones on and below the diagonal

Proof: for the mean, ||L||_F ||R||_F >= ||A||_* and ||R||_F <= sqrt(T) Delta_2; the maximum is at least the mean.

References
----------
Henzinger, Upadhyay, Upadhyay, SODA 2023. Edmonds, Nikolov, Ullman, The Power of Factorization Mechanisms in Local and Central Differential
Privacy, STOC 2020.
"""

from __future__ import annotations

import math

import numpy as np


def nuclear_norm(horizon: int) -> float:
    """Return ||A||_*."""
    j = np.arange(1, horizon + 1)
    return float(np.sum(0.5 / np.cos(j * math.pi / (2 * horizon + 1))))


def nuclear_bound(horizon: int) -> float:
    """Return the lower bound (||A||_*/T)^2 of mean and maximal error, in the unit 1/(2 rho).

    Examples
    --------
    >>> round(nuclear_bound(1024), 4)
    8.4657
    """
    return (nuclear_norm(horizon) / horizon) ** 2
