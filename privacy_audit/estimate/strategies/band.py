"""A simultaneous band for both empirical distribution functions, with the same local error at every order statistic.

With U_1 < ... < U_n uniform order statistics, every upper limit B_i = the (1-eta)-quantile of Beta(i, n-i+1) holds at once with probability
1 - alpha when eta solves P[U_i > B_i for some i] = alpha. Let Q_i be the probability that i is the first violation. A violation at i after
none before means that exactly i-1 draws lie below B_i, so

    P[N(B_i) = i-1] = Q_i + sum over l < i of Q_l P[N(B_i) = i-1 | N(B_l) = l-1],

all of them binomial probabilities: one triangular system. Its inverse holds first-passage probabilities, so round-off isn't amplified.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.scores import MembershipScores
from privacy_audit.estimate.region import implied_epsilon

FloatArray = NDArray[np.float64]

MOST_EXACT_SCORES = 3000
_DECLARED_RATIO = 1.05
_AIM = 0.9995  # of alpha; accepted between 0.999 alpha and alpha
_MOST_STEPS = 40


def band_epsilon(scores: MembershipScores, *, deltas: FloatArray, alpha: float) -> FloatArray:
    """Return the largest lower bound of epsilon over all thresholds, for each delta.

    Parameters
    ----------
    scores : scores of members and non-members.
    deltas : each in [0, 1), shape (n_deltas,).
    alpha : allowed error probability, for all thresholds and all deltas together.

    Returns
    -------
    Nats, shape (n_deltas,).

    Guarantee
    ---------
    With probability 1 - alpha the FPR and FNR of every threshold lie below `band_limits` at alpha / 2 each; then so does every epsilon
    that the privacy region asks for at these limits, whatever threshold and delta are looked at. Equal scores cost nothing: with p =
    P(score >= T), "score >= T" has the same law as "uniform draw <= p", for all T together, so j scores at or above T mean
    p < U_(j+1) <= limit[j].
    """
    fp, fn = threshold_counts(scores)
    corner = np.append(True, fp[1:] != fp[:-1]) & np.append(fn[1:] != fn[:-1], True)  # elsewhere a neighbor has fewer errors of one kind
    rates = band_limits(scores.n_non_members, alpha / 2)[fp[corner]], band_limits(scores.n_members, alpha / 2)[fn[corner]]
    return np.array([implied_epsilon(*rates, delta, one_direction=True).max() for delta in deltas.tolist()])


def threshold_counts(scores: MembershipScores) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (fp, fn) at the thresholds "score >= s" for every distinct score s, from the lowest to the highest, and above all."""
    order = np.argsort(scores.score, kind="stable")
    score, member = scores.score[order], scores.member[order]
    first = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    fn = np.append(0, np.cumsum(member))
    tn = np.arange(len(score) + 1) - fn
    at = np.append(first, len(score))
    return scores.n_non_members - tn[at], fn[at]


@lru_cache(maxsize=32)
def band_limits(n: int, alpha: float) -> FloatArray:
    """Return upper limits of P(score >= T) given that j of n scores are >= T, for j = 0..n, simultaneous over all T.

    Parameters
    ----------
    n : number of scores. Above 3000 the limits are those of declared order statistics (see Guarantee).
    alpha : error probability of the band.

    Returns
    -------
    Rising limits, shape (n + 1,), read-only; the last is 1.

    Guarantee
    ---------
    Up to 3000 scores: coverage between 1 - alpha and 1 - 0.999 alpha, by the recursion of this file. Above: K ranks declared beforehand, in
    steps of at most 5 %, each with error alpha / K; a limit between two of them is the next one's, since P(score >= T) falls in T.
    """
    if n <= MOST_EXACT_SCORES:
        limits = np.append(_quantiles(np.arange(1.0, n + 1), n, local_level(n, alpha)), 1.0)
    else:
        ranks = np.array(_declared_ranks(n), dtype=np.float64)
        at_rank = np.append(_quantiles(ranks, n, alpha / len(ranks)), 1.0)
        limits = at_rank[np.searchsorted(ranks, np.arange(1, n + 2))]
    limits.flags.writeable = False
    return limits


@lru_cache(maxsize=64)
def local_level(n: int, alpha: float) -> float:
    """Return eta, the local error whose band of n scores fails with probability in [0.999 alpha, alpha].

    Examples
    --------
    >>> round(local_level(200, 0.025), 5)
    0.00085
    """
    if n == 1:
        return alpha
    target = np.log(_AIM * alpha)
    point = np.log(alpha / (1 + 5 * np.log(n)))
    low, high, slope = -np.inf, np.log(alpha), 1.0
    before = (0.0, 0.0)
    for step in range(_MOST_STEPS):
        crossing = crossing_probability(n, float(np.exp(point)))
        if 0.999 * alpha <= crossing <= alpha:
            break
        value = float(np.log(max(crossing, 1e-300)))
        low, high = (point, high) if value < target else (low, point)
        if step and point != before[0] and value != before[1]:
            slope = (value - before[1]) / (point - before[0])
        before = (point, value)
        point += (target - value) / slope
        if not low < point < high:
            point = (before[0] + (high if value < target else (low if np.isfinite(low) else before[0] - 2))) / 2
    return float(np.exp(point))


def crossing_probability(n: int, eta: float) -> float:
    """Return P[U_i > the (1-eta)-quantile of its own law, for some i = 1..n], by first passage."""
    rank = np.arange(1.0, n + 1)
    limit = _quantiles(rank, n, eta)
    log_rest = np.log(special.betaincinv(n - rank + 1, rank, eta))  # ln(1 - limit), without cancellation
    log_factorial = special.gammaln(np.arange(n + 1.0) + 1)
    start = np.exp(log_factorial[n] - log_factorial[:n] - log_factorial[n:0:-1] + (rank - 1) * np.log(limit) + (n - rank + 1) * log_rest)
    first, ways = np.zeros(n), log_factorial[n:0:-1]  # ways[l-1] = ln (n-l+1)!
    for i in range(n):
        gap = np.arange(i, 0, -1)
        exponent = gap * (np.log(limit[i] - limit[:i]) - log_rest[:i]) + (n - i) * (log_rest[i] - log_rest[:i])
        exponent += ways[:i] - log_factorial[gap] - log_factorial[n - i]
        first[i] = max(start[i] - float(first[:i] @ np.exp(exponent)), 0.0)
    return float(min(first.sum(), 1.0))


def _quantiles(rank: FloatArray, n: int, eta: float) -> FloatArray:
    limit: FloatArray = special.betainccinv(rank, n - rank + 1, eta)
    return limit


def _declared_ranks(n: int) -> list[int]:
    ranks = [1]
    while (following := ranks[-1] + max(1, int(ranks[-1] * (_DECLARED_RATIO - 1)))) <= n:
        ranks.append(following)
    return ranks
