"""Exact inversion of the likelihood-ratio test of "the advantage TPR + TNR - 1 is at most d".

The pairs of error rates with TPR + TNR - 1 <= d are the privacy region of epsilon = 0 and delta = d (a total variation of d), so the
p-values are those of `likelihood_ratio`, and this file only searches over d. Regions grow with d, so Lambda falls in d: a claim that the
inequality for far outcomes rejects takes all smaller claims with it. From there on the search goes in quarter standard errors, because
the p-value, a maximum of sums over lattice points, need not be monotone.
"""

from __future__ import annotations

import math

from privacy_audit.estimate.exact import windowed_likelihood_ratio as windowed
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_p_value, lower_boundary, windowed_p_value

_MOST_FULL_TRIALS = 300
_STEP = 0.25  # standard errors
_TOLERANCE = 1e-5


def likelihood_ratio_advantage(*, fp: int, n_out: int, fn: int, n_in: int, alpha: float) -> float:
    """Return inf{d >= 0 : p-value > alpha}.

    Parameters
    ----------
    fp, n_out : wrong guesses among trials of world 0.
    fn, n_in : wrong guesses among trials of world 1.
    alpha : allowed error probability.
    """
    counts = {"fp": fp, "n_out": n_out, "fn": fn, "n_in": n_in}
    p_value = likelihood_ratio_p_value if max(n_out, n_in) <= _MOST_FULL_TRIALS else windowed_p_value

    def is_rejected(d: float) -> bool:
        return p_value(0.0, **counts, delta=d) <= alpha

    observed = 1 - fp / n_out - fn / n_in
    if observed <= 0 or not is_rejected(0.0):
        return 0.0
    rates = (fp + 0.5) / (n_out + 1), (fn + 0.5) / (n_in + 1)
    step = _STEP * math.sqrt(rates[0] * (1 - rates[0]) / n_out + rates[1] * (1 - rates[1]) / n_in)
    low = high = _far_claims(**counts, observed=observed, alpha=alpha, tolerance=step)
    while high < observed and is_rejected(high):
        low, high = high, high + step
    high = min(high, observed)  # its p-value is 1
    while high - low > _TOLERANCE * step / _STEP + 1e-15:
        middle = (low + high) / 2
        low, high = (middle, high) if is_rejected(middle) else (low, middle)
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
