"""The best threshold of all, the error divided by the number of corners of the empirical ROC's hull: a comparison, not a bound.

The divisor is read off the same scores as the bound, so no union bound applies and no proof is known. jax-privacy 2.0.0 uses this rule by
default; it is here so that its values can be compared, and it never decides a verdict.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon

NO_PROOF = (
    "the error is divided by the number of corners of the empirical ROC's hull, which the same scores decide: there is no proof "
    "of coverage, and this value is no bound"
)


def hull_epsilon(scores: MembershipScores, *, delta: float, alpha: float) -> tuple[float, int]:
    """Return the largest Clopper-Pearson value over the hull's corners at alpha divided by their number, and that number.

    Parameters
    ----------
    scores : scores of members and non-members.
    delta : in [0, 1).
    alpha : nominal error probability.

    Guarantee
    ---------
    None is proved.
    """
    fp, fn = threshold_counts(scores)
    corner = hull_corners(scores.n_non_members - fp, fn)
    fp, fn = fp[corner], fn[corner]
    epsilon = clopper_pearson_epsilon(
        fp=fp, tn=scores.n_non_members - fp, fn=fn, tp=scores.n_members - fn, delta=delta, alpha=alpha / len(corner)
    )
    return float(epsilon.max()), len(corner)


def threshold_counts(scores: MembershipScores) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return (fp, fn) at the thresholds "score >= s" for every distinct score s, from the lowest to the highest, and above all."""
    order = np.argsort(scores.score, kind="stable")
    score, member = scores.score[order], scores.member[order]
    first = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    fn = np.append(0, np.cumsum(member))
    tn = np.arange(len(score) + 1) - fn
    at = np.append(first, len(score))
    return scores.n_non_members - tn[at], fn[at]


def hull_corners(x: NDArray[np.intp], y: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions of the corners of the convex hull below the points; x and y must not fall.

    In each pass a point that isn't below the chord of its neighbors leaves, as long as there is one; the ends always stay.
    """
    corner = np.arange(len(x))
    while len(corner) > 2:
        run, rise = np.diff(x[corner]), np.diff(y[corner])
        above = rise[:-1] * run[1:] >= rise[1:] * run[:-1]
        if not above.any():
            break
        corner = corner[np.concatenate([[True], ~above, [True]])]
    return corner
