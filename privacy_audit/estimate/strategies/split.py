"""A threshold chosen on one random part of the scores and counted on the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, valid_delta
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon
from privacy_audit.estimate.strategies.hull import hull_corners

FloatArray = NDArray[np.float64]

_SELECTION_ALPHA = 0.05
_MOST_CANDIDATES = 500  # with more distinct scores only the corners of the empirical ROC's hull are tried
_MOST_SPLITS = 1000


def split_counts(scores: MembershipScores, *, delta: float, rng: RngLike = None, fraction: float = 0.5) -> tuple[AttackCounts, float]:
    """Choose a threshold on a random part of the scores and count the rest.

    Parameters
    ----------
    scores : scores of members and non-members.
    delta : probability in [0, 1), for which the threshold is chosen.
    rng : draws the part.
    fraction : share of the scores that the choice may see.

    Returns
    -------
    (counts of the other scores, threshold): the threshold whose counts on the first part have the largest Clopper-Pearson bound; among
    equal bounds the one with the largest TPR - FPR.

    Raises
    ------
    ValueError : delta or fraction out of range.
    InsufficientEvidenceError : a part can't hold both members and non-members.

    Guarantee
    ---------
    The part depends on the labels and the generator only; given it, the scores counted are independent of those that chose the
    threshold, so a bound for a threshold fixed beforehand holds for these counts.
    """
    delta, fraction = valid_delta(delta), in_range(0, 1, fraction=fraction)
    chosen = _random_part(scores.member, round(fraction * len(scores)), as_generator(rng))
    threshold = best_threshold(scores.score[chosen], scores.member[chosen], delta)
    return AttackCounts.from_predictions(scores.member[~chosen], scores.score[~chosen] >= threshold), threshold


def best_threshold(score: FloatArray, member: NDArray[np.bool_], delta: float) -> float:
    """Return the threshold whose counts have the largest Clopper-Pearson bound; its own counts then feed no bound."""
    order = np.argsort(score)
    score, member = score[order], member[order]
    first = np.flatnonzero(np.append(True, score[1:] != score[:-1]))
    below = np.append(0, np.cumsum(member))
    fn, n_in = below[first], int(below[-1])
    tn, n_out = first - fn, len(score) - n_in
    if len(first) > _MOST_CANDIDATES:
        corner = hull_corners(tn, fn)
        first, fn, tn = first[corner], fn[corner], tn[corner]
    tp, fp = n_in - fn, n_out - tn
    bound = clopper_pearson_epsilon(fp=fp, tn=tn, fn=fn, tp=tp, delta=delta, alpha=_SELECTION_ALPHA)
    return float(score[first[np.lexsort((tp / n_in - fp / n_out, bound))[-1]]])


def _random_part(member: NDArray[np.bool_], size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return a random part of this size, drawn anew while a part lacks members or non-members (the scores are not looked at)."""
    if min(member.sum(), (~member).sum()) >= 2:
        for _ in range(_MOST_SPLITS):
            chosen = np.zeros(len(member), dtype=np.bool_)
            chosen[rng.permutation(len(member))[:size]] = True
            if all(0 < part.sum() < len(part) for part in (member[chosen], member[~chosen])):
                return chosen
    raise InsufficientEvidenceError(
        f"both parts of a split need members and non-members: {int(member.sum())} and {int((~member).sum())} with {size} of "
        f"{len(member)} chosen; use strategy 'order_statistics' or a fixed threshold"
    )
