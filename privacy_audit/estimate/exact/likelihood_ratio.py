"""Exact inversion of the likelihood-ratio test of "the two error rates lie in the privacy region of epsilon".

For one epsilon, Lambda(i, j) is the distance of the outcome (i false positives, j false negatives) from the region: the difference of
the two largest log-likelihoods, max over all rates and max over the region's lower boundary. The p-value is the largest probability,
over rates on that boundary, of an outcome at least as far away as the observed one. Two facts make it cheap:

- The region is closed under raising either rate, so Lambda falls in i and in j, and "at least as far" is a staircase j <= J(i).
- The probability of a staircase under two binomials is a sum over i only.

The boundary is laid out in steps of a quarter standard deviation of both observed rates, on which all these probabilities are smooth,
and refined around its worst points. Validity rests on that maximum; an inexact Lambda would cost power only.

Above 300 trials of a kind `windowed_likelihood_ratio` does the same sums faster.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.exact import windowed_likelihood_ratio as windowed

FloatArray = NDArray[np.float64]

_STEP = 0.25  # standard deviations between boundary points
_WINDOWED_STEP = 0.5
_MOST_FULL_TRIALS = 300
_SHRINK = 0.998
_FINE = 16  # points in each of the two steps next to a local maximum
_PEAKS = 3
_TINY = 1e-300
_TIE = 1e-9
_SCAN_STEPS = ((1e-3, 1.0), (0.05, 0.5), (1.0, 0.1))  # while p <= the first number times alpha, step so many standard errors
_TOLERANCE = 1e-4


def likelihood_ratio_epsilon(*, fp: int, n_out: int, fn: int, n_in: int, delta: float, alpha: float) -> float:
    """Return inf{epsilon : p-value > alpha}, in nats.

    Parameters
    ----------
    fp, n_out : false positives among trials with the record absent.
    fn, n_in : false negatives among trials with the record present.
    delta : in [0, 1).
    alpha : allowed error probability.
    """

    counts = {"fp": fp, "n_out": n_out, "fn": fn, "n_in": n_in}
    error = _standard_error(**counts)
    if max(n_out, n_in) <= _MOST_FULL_TRIALS:

        def table_step(p: float) -> float:
            return error * next(step for share, step in _SCAN_STEPS if p <= share * alpha)

        return _scan(lambda epsilon: likelihood_ratio_p_value(epsilon, **counts, delta=delta), 0.0, table_step, alpha)

    def probit_step(p: float) -> float:  # ndtri(p) is nearly a line with slope 1 / error
        return error * float(np.clip(0.9 * (special.ndtri(alpha) - special.ndtri(max(p, _TINY))), 0.1, 1.0))

    start = _far_claims(**counts, delta=delta, alpha=alpha, step=error)
    return _scan(lambda epsilon: windowed_p_value(epsilon, **counts, delta=delta), start, probit_step, alpha)


def _scan(p_value: Callable[[float], float], start: float, step_of: Callable[[float], float], alpha: float) -> float:
    """Return the rejected end of the bracket of the first epsilon >= start that is not rejected, or start."""
    low = high = start
    p = p_value(high)
    if p > alpha:
        return start
    p_low = p
    while p <= alpha:
        low, p_low = high, p
        high += step_of(p)
        p = p_value(high)
    by_chord = True
    while high - low > _TOLERANCE:
        share = float(np.clip(np.log(alpha / p_low) / np.log(p / p_low), 0.03, 0.97)) if by_chord and p_low > 0 else 0.5
        middle, by_chord = low + share * (high - low), not by_chord
        at_middle = p_value(middle)
        if at_middle <= alpha:
            low, p_low = middle, at_middle
        else:
            high, p = middle, at_middle
    return low


def likelihood_ratio_p_value(epsilon: float, *, fp: int, n_out: int, fn: int, n_in: int, delta: float) -> float:
    """Return the p-value of the observed counts for the claim (epsilon, delta); parameters as `likelihood_ratio_epsilon`."""
    if _is_inside(fp / n_out, fn / n_in, epsilon, delta):
        return 1.0
    x, y = lower_boundary(epsilon, delta, n_out, n_in)
    from_x, from_y = _divergence(n_out, x), _divergence(n_in, y)
    observed = float((from_x[fp] + from_y[fn]).min())
    stairs = _staircase(from_x, from_y, observed * (1 - _TIE) - _TIE, _first_inside(epsilon, delta, n_out, n_in))
    probability = _staircase_probability(stairs, _saturated(n_out), from_x, _saturated(n_in), from_y)
    fine_x, fine_y = _refined(probability, x, y)
    fine = _staircase_probability(stairs, _saturated(n_out), _divergence(n_out, fine_x), _saturated(n_in), _divergence(n_in, fine_y))
    return float(min(1.0, max(probability.max(), fine.max())))


def windowed_p_value(epsilon: float, *, fp: int, n_out: int, fn: int, n_in: int, delta: float) -> float:
    """Return a p-value at most the omitted mass above `likelihood_ratio_p_value`'s, for many trials; parameters as there."""
    if _is_inside(fp / n_out, fn / n_in, epsilon, delta):
        return 1.0
    near = lower_boundary(epsilon, delta, n_out, n_in)
    least = windowed.distance(fp, n_out, fn, n_in, *near) * (1 - _TIE) - _TIE
    stairs = windowed.staircase(least, n_out, n_in, *near)
    while stairs[fp] < fn - _TIE and least > _TIE:  # the line between two rows may leave the observed outcome out
        least *= _SHRINK
        stairs = windowed.staircase(least, n_out, n_in, *near)
    if least <= _TIE:
        return 1.0
    x, y = lower_boundary(epsilon, delta, n_out, n_in, step=_WINDOWED_STEP)
    probability = windowed.probability(stairs, n_out, n_in, x, y)
    fine = windowed.probability(stairs, n_out, n_in, *_refined(probability, x, y))
    return float(max(probability.max(), fine.max()))


def _far_claims(*, fp: int, n_out: int, fn: int, n_in: int, delta: float, alpha: float, step: float) -> float:
    """Return an epsilon below which every claim is rejected by the inequality for far outcomes, 0 if none is."""
    far = windowed.far_away(alpha)

    def is_far(epsilon: float) -> bool:
        if _is_inside(fp / n_out, fn / n_in, epsilon, delta):
            return False
        x, y = lower_boundary(epsilon, delta, n_out, n_in)
        return windowed.distance(fp, n_out, fn, n_in, x, y) >= far * 1.01  # the grid may miss a hundredth

    low, high = 0.0, step
    if not is_far(low):
        return low
    while is_far(high):
        low, high = high, 2 * high
    while high - low > 0.1 * step:
        middle = (low + high) / 2
        low, high = (middle, high) if is_far(middle) else (low, middle)
    return low


def lower_boundary(epsilon: float, delta: float, n_out: int, n_in: int, *, step: float = _STEP) -> tuple[FloatArray, FloatArray]:
    """Return (FPR, FNR) along the region's lower boundary, FPR rising, at most `step` standard deviations apart in both rates."""
    corner = (1 - delta) * float(special.expit(-epsilon))
    small_of = {n: _arcsine_grid(0, corner, n, step) for n in (n_out, n_in)}
    large_of = {n: _arcsine_grid(corner, 1 - delta, n, step) for n in (n_out, n_in)}
    small_x = np.concatenate([small_of[n_out], _other(large_of[n_in], epsilon, delta)])
    small_y = np.concatenate([small_of[n_in], _other(large_of[n_out], epsilon, delta)])
    small_x, small_y = np.unique(np.clip(small_x, _TINY, corner)), np.unique(np.clip(small_y, _TINY, corner))[::-1]
    large_y, large_x = (np.maximum(1 - delta - np.exp(epsilon) * small, corner) for small in (small_x, small_y))
    return np.concatenate([small_x, large_x]), np.concatenate([large_y, small_y])


def _arcsine_grid(low: float, high: float, n: int, step: float) -> FloatArray:
    """Return rates between two, equally far apart in standard deviations of an observed rate of n trials."""
    ends = np.arcsin(np.sqrt([low, high]))
    n_steps = int(np.ceil(2 * np.sqrt(n) * (ends[1] - ends[0]) / step)) + 1
    grid: FloatArray = np.sin(np.linspace(ends[0], ends[1], n_steps + 1)) ** 2
    return grid


def _other(large: FloatArray, epsilon: float, delta: float) -> FloatArray:
    """Return the small rate that lies with the large one on the boundary."""
    small: FloatArray = (1 - delta - large) * np.exp(-epsilon)
    return small


def _divergence(n: int, rate: FloatArray) -> FloatArray:
    """Return n KL(i/n | rate) for i = 0..n, shape (n + 1, number of rates)."""
    i = np.arange(n + 1.0)[:, None]
    own = special.xlogy(i, i / n) + special.xlogy(n - i, 1 - i / n)
    log_rate, log_rest = np.log(np.maximum(rate, _TINY)), np.log(np.maximum(1 - rate, _TINY))
    divergence: FloatArray = i * (log_rest - log_rate)
    divergence += own
    divergence -= n * log_rest
    return divergence


def _saturated(n: int) -> FloatArray:
    """Return the binomial probability of i at rate i/n, for i = 0..n."""
    i = np.arange(n + 1.0)
    ways = special.gammaln(n + 1) - special.gammaln(i + 1) - special.gammaln(n - i + 1)
    mass: FloatArray = np.exp(ways + special.xlogy(i, i / n) + special.xlogy(n - i, 1 - i / n))
    return mass


def _first_inside(epsilon: float, delta: float, n_out: int, n_in: int) -> NDArray[np.intp]:
    """Return, for every i, the smallest j whose rates lie in the region, where Lambda is 0 by definition."""
    fpr = np.arange(n_out + 1) / n_out
    line = np.maximum(1 - delta - np.exp(epsilon) * fpr, (1 - delta - fpr) * np.exp(-epsilon))
    first: NDArray[np.intp] = np.ceil(n_in * np.maximum(line, 0.0)).astype(np.intp)
    return first


def _staircase(from_x: FloatArray, from_y: FloatArray, least: float, first_inside: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return, for every i, the largest j with Lambda(i, j) >= least, or -1: bisection in all rows at once."""
    rows = np.flatnonzero(first_inside > 0)
    low, high = np.full(len(from_x), -1), first_inside.copy()
    while len(rows):
        middle = (low[rows] + high[rows]) // 2
        far = (from_x[rows] + from_y[middle]).min(axis=1) >= least
        low[rows], high[rows] = np.where(far, middle, low[rows]), np.where(far, high[rows], middle)
        rows = rows[high[rows] - low[rows] > 1]
    return low


def _staircase_probability(
    stairs: NDArray[np.intp], mass_x: FloatArray, from_x: FloatArray, mass_y: FloatArray, from_y: FloatArray
) -> FloatArray:
    """Return P[j <= J(i)] for each boundary point."""
    rows = np.flatnonzero(stairs >= 0)
    if not len(rows):
        return np.zeros(from_x.shape[1])
    top = int(stairs.max()) + 1
    below_y = np.cumsum(mass_y[:top, None] * np.exp(-from_y[:top]), axis=0)
    probability: FloatArray = np.einsum("ik,ik->k", mass_x[rows, None] * np.exp(-from_x[rows]), below_y[stairs[rows]])
    return probability


def _refined(probability: FloatArray, x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return boundary points between the neighbors of the highest local maxima (both rates are linear on each side of the corner)."""
    padded = np.concatenate([[-1.0], probability, [-1.0]])
    peaks = np.flatnonzero((probability >= padded[:-2]) & (probability >= padded[2:]))
    peaks = peaks[np.argsort(probability[peaks])[-_PEAKS:]]
    steps = np.unique(np.clip(np.concatenate([peaks - 1, peaks]), 0, len(x) - 2))
    share = np.linspace(0, 1, _FINE + 2)[1:-1]
    fine_x = x[steps, None] + share * (x[steps + 1] - x[steps])[:, None]
    fine_y = y[steps, None] + share * (y[steps + 1] - y[steps])[:, None]
    return fine_x.ravel(), fine_y.ravel()


def _is_inside(fpr: float, fnr: float, epsilon: float, delta: float) -> bool:
    growth = np.exp(epsilon)
    return bool(1 - fnr <= growth * fpr + delta and 1 - fpr <= growth * fnr + delta)


def _standard_error(fp: int, n_out: int, fn: int, n_in: int) -> float:
    """Return the larger standard error of the two logarithms that epsilon is the maximum of, counts moved off 0."""
    first = 1 / (fp + 0.5) + 1 / (n_in - fn + 0.5) - 1 / (n_out + 1) - 1 / (n_in + 1)
    second = 1 / (fn + 0.5) + 1 / (n_out - fp + 0.5) - 1 / (n_out + 1) - 1 / (n_in + 1)
    return float(np.sqrt(max(first, second)))
