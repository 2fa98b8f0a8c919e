"""How far any query's mean under the posterior of a private transcript can be from its mean in the population.

X is n independent records of P, pi the transcript of k adaptively chosen queries, D(pi) the largest |E[q(X) | pi] - q(P)| over *all* q with
values in [0, 1]. An answer a_j with noise z_j = a_j - q_j(X) has a_j - q_j(P) = E[z_j | pi] + (E[q_j(X) | pi] - q_j(P)), so that

    |a_j - q_j(P)| <= T_p1(max |z|) + G     for all j at once, with probability at least 1 - p1 - p2,      G as below with P[D >= G] <= p2,

T the tail mean of `mechanisms.adaptive.tail_mean`. Let V_i be the total variation between P and the law of record i given pi *and all other
records*. Averages don't exceed their parts: D(pi) <= E[(V_1 + ... + V_n) / n | pi]; so D^2 inherits every tail mean that all V_i^2 obey.

Theorem 1, noise N(0, sigma^2), rho = k / (2 n^2 sigma^2) in all: V_i^2 <= rho w^2 / 8 in the increasing convex order, w standard normal,
hence G = sqrt(rho T_p2(w^2) / 8). Proof. Fix the other records. A step of Gaussian noise is the end point of a Brownian path with drift u_x
= q(x) / (n sigma) in [m - e, m + e], e = 1 / (2 n sigma), seen for a unit of time; to see the whole path tells no more of x. By Bayes the
density r of the posterior against P moves by dr = r (u - E_Q u) dB, B the innovation. Put phi = sqrt(r), c = E_P phi, y = 1 - c^2, H the
law phi P / c, g = E_H u - E_Q u. By Ito

    dy = -c^2 g dB + (c^2 / 4) Var_H(u) dt,      |g| = |E_P[(u - m)(phi / c - phi^2)]| <= e E_P[phi |1 / c - phi|] <= e sqrt(1 / c^2 - 1),

so the squared volatility of y is at most e^2 y, its drift at most e^2 / 4. For convex non-decreasing psi let v(s, y) = E psi((sqrt(y) + e
sqrt(s) w / 2)^2). It solves v_s = e^2 y v_yy / 2 + e^2 v_y / 4, and is convex and non-decreasing in y: a noncentral chi-square is a Poisson
mixture of chi-squares of 1 + 2 N degrees, second differences over N of E psi(chi-square) are >= 0, and the Poisson mean is linear in y. So
v(k - t, y_t) is a supermartingale: E psi(y_k) <= v(k, 0) = E psi(k e^2 w^2 / 4) = E psi(rho w^2 / 8). Finally V^2 <= 1 - c^2 = y. The
constant can't be better: with two kinds of records, equally frequent, and one query asked k times, V_i attains it as rho -> 0.

Theorem 2, epsilon-DP: G = tanh(epsilon / 4), p2 = 0. Proof. All likelihoods of record i are within a factor e^epsilon of each other; if a
part s of P has the large one, V <= s (1 - s)(e^epsilon - 1) / (1 + s (e^epsilon - 1)), which is largest at s = 1 / (1 + e^(epsilon / 2)).

Theorem 3, k steps of epsilon_1-DP: G^2 = T_p2(l tanh(l / 2) / 4), l = epsilon_1 (2 B - k), B ~ Bin(k, e^epsilon_1 / (1 + e^epsilon_1)).
Proof. Let f_x be the law of pi for record x, f its mean. By Pinsker, both ways, V^2 <= E_P[(r - 1) ln r] / 4 = E_xx'[(f_x - f_x') ln(f_x /
f_x')] / (8 f), x and x' independent. That is convex and homogeneous in the f_x, so E psi(V^2) is at most, for the worst pair, the
f-divergence E_m psi((f_x - f_x') ln(f_x / f_x') / (8 m)), m = (f_x + f_x') / 2, and k-fold randomized response has the largest one
(Kairouz, Oh, Viswanath 2015); there l is the loss, and (f_x - f_x') / (2 m) = tanh(l / 2).

Symbols: V total variation, r posterior density, e half of the range of a drift, w standard normal, l privacy loss. Cost: none; theorem 3
O(min(k, 12 sqrt(k))), kept for the next failure probability.

References
----------
Jung et al., A New Analysis of Differential Privacy's Generalization Guarantees, ITCS 2020 (the posterior). Kairouz, Oh, Viswanath, The
Composition Theorem for Differential Privacy, ICML 2015. Liptser, Shiryaev, Statistics of Random Processes I, 2001, chapter 9 (the filter).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

from mechanisms.adaptive.tail_mean import chi_square_tail_mean
from mechanisms.validation import in_range, non_negative, positive, whole_number

_WINDOW = 6.0  # around the mean, in units of sqrt(k): probability 2 exp(-72) is left out (Hoeffding)
_FLOAT = 2.0**-52

Floats = NDArray[np.float64]


def gaussian_posterior_gap(rho: float, failure: float) -> float:
    """Return G for means with Gaussian noise, `rho`-zCDP under replacement in all, exceeded with probability at most `failure`.

    Guarantee
    ---------
    Theorem 1 in the head of this file; the noise's scales are fixed in advance and the queries have values in an interval of length 1.

    Examples
    --------
    >>> round(gaussian_posterior_gap(0.02, 0.05), 4)
    0.1181
    """
    return math.sqrt(non_negative(rho=rho) * chi_square_tail_mean(failure) / 8)


def pure_posterior_gap(epsilon: float) -> float:
    """Return G for any mechanism that is `epsilon`-DP under replacement; never exceeded (theorem 2).

    Examples
    --------
    >>> round(pure_posterior_gap(0.4), 4)
    0.0997
    """
    return math.tanh(non_negative(epsilon=epsilon) / 4)


def composed_posterior_gap(epsilon: float, n_steps: int, failure: float) -> float:
    """Return G for `n_steps` steps of `epsilon`-DP each, adaptively chosen, exceeded with probability at most `failure` (theorem 3).

    Examples
    --------
    >>> composed_posterior_gap(0.01, 10_000, 0.05) < pure_posterior_gap(100.0)
    True
    """
    nats, k, level = positive(epsilon=epsilon), whole_number(1, n_steps=n_steps), in_range(0, 1, failure=failure)
    squares, reached, summed = _squared_losses(nats, k)
    place = min(int(np.searchsorted(reached, level)), squares.size - 1)
    s, above = float(squares[place]), float(reached[place - 1]) if place else 0.0
    excess = max(float(summed[place - 1]) - s * above, 0.0) if place else 0.0
    inexact = 16 * _FLOAT * (k * math.log(k + 2) * excess + float(summed[-1]) + s)  # gammaln in the masses, and the sums
    outside = 2 * math.exp(-2 * _WINDOW**2) * k * nats / 4
    return min(1.0, math.sqrt(s + (excess + inexact + outside) / level))


@lru_cache(maxsize=1)
def _squared_losses(nats: float, k: int) -> tuple[Floats, Floats, Floats]:
    """Return the values of l tanh(l / 2) / 4, largest first, and up to each of them the sums of probabilities and of their products."""
    center, half = k * float(expit(nats)), _WINDOW * math.sqrt(k)
    b = np.arange(max(0, math.floor(center - half)), min(k, math.ceil(center + half)) + 1, dtype=np.float64)
    mass = np.exp(gammaln(k + 1) - gammaln(b + 1) - gammaln(k - b + 1) - b * np.logaddexp(0, -nats) - (k - b) * np.logaddexp(0, nats))
    loss = nats * np.abs(2 * b - k)
    order = np.argsort(-loss)
    squares, mass = (loss * np.tanh(loss / 2) / 4)[order], mass[order]
    return squares, np.cumsum(mass), np.cumsum(squares * mass)
