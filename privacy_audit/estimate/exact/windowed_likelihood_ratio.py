"""The p-value of the likelihood-ratio test for thousands of trials: the same enumeration, cut to where the binomials have mass.

As `likelihood_ratio`, with three changes that keep the work near n instead of n^1.5. Each binomial is summed over six standard deviations
and the mass left out is added to the p-value. The staircase is solved at rows a quarter standard deviation apart and joined by lines;
a staircase that falls in Lambda at the rows falls in between, so the regions stay nested and the test is still one test. Claims whose
Lambda is far too large are rejected by an inequality instead of a sum.

Far claims: with Chernoff's P[n KL(i/n | x) >= t] <= 2 exp(-t) both divergences are at most ln 2 plus unit exponentials in law, so
P[Lambda >= s + 2 ln 2] <= (1 + s) exp(-s) under every pair of rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

_REACH = 3.0  # half width of a window in angle times sqrt(n): six standard deviations
_ROW_STEP = 0.25  # standard deviations between solved rows
_NEWTON_STEPS = 5
_TINY = 1e-300
_ALMOST_ONE = 1 - 1e-16


def far_away(alpha: float) -> float:
    """Return a Lambda that no pair of rates in the region reaches with probability above alpha."""
    root = optimize.brentq(lambda s: np.log1p(s) - s - np.log(alpha), 0.0, 10.0 - 2 * np.log(alpha))
    return float(root + 2 * np.log(2) + 1e-6)


def distance(fp: float, n_out: int, fn: float, n_in: int, x: FloatArray, y: FloatArray) -> float:
    """Return Lambda(fp, fn), the smallest n KL sum over the boundary points."""
    return float(np.min(_divergence(np.array(fp), n_out, x) + _divergence(np.array(fn), n_in, y)))


def staircase(least: float, n_out: int, n_in: int, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return, for i = 0..n_out, the j up to which Lambda(i, j) >= least, as a real number; below 0 where no j is.

    Parameters
    ----------
    least : > 0.
    x, y : boundary points, x rising and y falling.
    """
    rows = np.unique(np.rint(n_out * np.sin(np.linspace(0, np.pi / 2, int(np.pi * np.sqrt(n_out) / _ROW_STEP) + 2)) ** 2))
    angle, reach = np.arcsin(np.sqrt(x)), np.sqrt(least / n_out)  # n KL >= n (difference of angles)^2
    row_angle = np.arcsin(np.sqrt(rows / n_out))
    first, last = np.searchsorted(angle, row_angle - reach), np.searchsorted(angle, row_angle + reach, side="right")
    count = np.maximum(last - first, 0)
    row, point = np.repeat(np.arange(len(rows)), count), _ragged(first, count)
    room = least - _divergence(rows[row], n_out, x[point])  # the j must be so far below n y
    inside = room > 0
    row, point, room = row[inside], point[inside], room[inside]
    limit = np.full(len(rows), np.inf)
    np.minimum.at(limit, row, _largest_below(room, n_in, y[point]))
    alone = limit == np.inf  # no boundary point is nearer than `least`: all j below the boundary are as far; inside the region none is
    line = np.interp(rows[alone] / n_out, x, y)
    limit[alone] = np.where(rows[alone] <= n_out * x[-1], n_in * line, -1.0)
    stairs: FloatArray = np.interp(np.arange(n_out + 1.0), rows, limit)
    return stairs


def probability(stairs: FloatArray, n_out: int, n_in: int, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return, for each boundary point, P[j <= J(i)] plus the mass that the windows leave out."""
    top = np.floor(stairs + 1e-9).astype(np.intp)
    i, _, i_count, i_mass, i_omitted = _window(n_out, x)
    _, j_start, j_count, j_mass, j_omitted = _window(n_in, y)
    j_offset = np.cumsum(j_count) - j_count
    running = np.append(0.0, np.cumsum(j_mass))
    point = np.repeat(np.arange(len(x)), i_count)
    n_below = np.clip(top[i] + 1 - j_start[point], 0, j_count[point])
    below = running[j_offset[point] + n_below] - running[j_offset[point]]
    total = np.bincount(point, weights=i_mass * below, minlength=len(x))
    return np.minimum(total + i_omitted + j_omitted, 1.0)


def _window(n: int, rate: FloatArray) -> tuple[IntArray, IntArray, IntArray, FloatArray, FloatArray]:
    """Return (values, first value, number of values, probabilities, mass outside) of windows of Binomial(n, rate), end to end."""
    angle, reach = np.arcsin(np.sqrt(rate)), _REACH / np.sqrt(n)
    first = np.floor(n * np.sin(np.maximum(angle - reach, 0.0)) ** 2).astype(np.intp)
    last = np.ceil(n * np.sin(np.minimum(angle + reach, np.pi / 2)) ** 2).astype(np.intp)
    first, last = np.maximum(first - 1, 0), np.minimum(last + 3, n)
    count = last - first + 1
    value = _ragged(first, count)
    log_factorial = special.gammaln(np.arange(n + 1.0) + 1)
    ways = log_factorial[n] - log_factorial - log_factorial[::-1]
    log_one_rest = np.log1p(-np.minimum(rate, _ALMOST_ONE))
    log_odds, log_rest = np.log(np.maximum(rate, _TINY)) - log_one_rest, n * log_one_rest
    mass = np.exp(ways[value] + value * np.repeat(log_odds, count) + np.repeat(log_rest, count))
    below = np.where(first > 0, special.bdtr(np.maximum(first - 1, 0).astype(np.float64), n, rate), 0.0)
    above = np.where(last < n, special.bdtrc(last.astype(np.float64), n, rate), 0.0)
    return value, first, count, mass, below + above


def _ragged(first: IntArray, count: IntArray) -> IntArray:
    """Return first[0], first[0] + 1, ... (count[0] of them), first[1], ..."""
    values: IntArray = np.arange(int(count.sum())) + np.repeat(first - np.cumsum(count) + count, count)
    return values


def _largest_below(room: FloatArray, n: int, rate: FloatArray) -> FloatArray:
    """Return the j <= n rate with n KL(j/n | rate) = room, or a number below 0 where even j = 0 is too near."""
    rate = np.minimum(rate, _ALMOST_ONE)
    none = -n * np.log1p(-rate) < room
    goal, mean = np.sqrt(room), n * rate
    least, most = 1e-6 * np.minimum(mean, 1.0), mean * (1 - 1e-12)
    point = np.clip(mean - goal * np.sqrt(2 * mean * (1 - rate)), least, most)
    for _ in range(_NEWTON_STEPS):  # sqrt(n KL) is nearly a straight line in j
        root = np.sqrt(np.maximum(_divergence(point, n, rate), _TINY))
        slope = np.log(point / mean) - np.log1p((mean - point) / (n - mean))
        point = np.clip(point - 2 * root * (root - goal) / np.minimum(slope, -_TINY), least, most)
    limit: FloatArray = np.where(none, -1.0, point)
    return limit


def _divergence(count: FloatArray, n: int, rate: FloatArray) -> FloatArray:
    """Return n KL(count/n | rate), elementwise."""
    share = count / n
    divergence: FloatArray = n * (
        special.rel_entr(share, np.maximum(rate, _TINY)) + special.rel_entr(1 - share, np.maximum(1 - rate, _TINY))
    )
    return divergence
