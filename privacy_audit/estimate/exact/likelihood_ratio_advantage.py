"""Exact inversion of the likelihood-ratio test of "the advantage TPR + TNR - 1 is at most d".

The pairs of error rates with TPR + TNR - 1 <= d are the privacy region of epsilon = 0 and delta = d (a total variation of d), so the
p-values are those of `likelihood_ratio`, and this file only searches over d. Regions grow with d, so Lambda falls in d: a claim that the
inequality for far outcomes rejects takes all smaller claims with it. From there on the search goes upward in steps, for the p-value is a
sawtooth: outcomes enter and leave the staircase as d moves, and a claim may be accepted below one that is rejected. The steps shorten
as the p-value grows, to a hundredth of a standard error from alpha / 2 on, where it rises by less than 5 % a step between two teeth; so a
claim counts as rejected only up to 0.95 alpha, which costs about 0.03 standard errors.
"""

from __future__ import annotations

import math

from privacy_audit.estimate.exact import windowed_likelihood_ratio as windowed
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_p_value, lower_boundary, windowed_p_value

_MOST_FULL_TRIALS = 300
_STEPS = ((1e-3, 1.0), (0.05, 0.5), (0.5, 0.1), (1.0, 0.01))  # while p <= the first number times alpha, step so many standard errors
_REJECTED = 0.95
_TOLERANCE = 1e-4  # standard errors


def likelihood_ratio_advantage(*, fp: int, n_out: int, fn: int, n_in: int, alpha: float) -> float:
    """Return inf{d >= 0 : p-value > 0.95 alpha}.

    Parameters
    ----------
    fp, n_out : wrong guesses among trials of world 0.
    fn, n_in : wrong guesses among trials of world 1.
    alpha : allowed error probability.
    """
    counts = {"fp": fp, "n_out": n_out, "fn": fn, "n_in": n_in}
    p_value = likelihood_ratio_p_value if max(n_out, n_in) <= _MOST_FULL_TRIALS else windowed_p_value

    def p_of(d: float) -> float:
        return p_value(0.0, **counts, delta=d) / alpha

    observed = 1 - fp / n_out - fn / n_in
    if observed <= 0 or p_of(0.0) > _REJECTED:
        return 0.0
    rates = (fp + 0.5) / (n_out + 1), (fn + 0.5) / (n_in + 1)
    error = math.sqrt(rates[0] * (1 - rates[0]) / n_out + rates[1] * (1 - rates[1]) / n_in)
    low = high = _far_claims(**counts, observed=observed, alpha=alpha, tolerance=error / 4)
    p = p_of(high)
    while p <= _REJECTED and high < observed:
        low, high = high, min(high + error * next(step for share, step in _STEPS if p <= share), observed)
        p = p_of(high) if high < observed else 1 / alpha  # counts inside a region are no evidence against it
    while high - low > _TOLERANCE * error:
        middle = (low + high) / 2
        low, high = (middle, high) if p_of(middle) <= _REJECTED else (low, middle)
    return low


def _far_claims(*, fp: int, n_out: int, fn: int, n_in: int, observed: float, alpha: float, tolerance: float) -> float:
    """Return a d such that it and every smaller one is rejected by the inequality for far outcomes, 0 if none is."""
    far = windowed.far_away(alpha) * 1.01  # the grid may miss a hundredth

    def is_far(d: float) -> bool:
        return windowed.distance(fp, n_out, fn, n_in, *lower_boundary(0.0, d, n_out, n_in)) >= far

    low, high = 0.0, observed
    if not is_far(low):
        return low
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if is_far(middle) else (low, middle)
    return low
