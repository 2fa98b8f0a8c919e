"""Any threshold, also one picked after a look at the scores: declared thresholds so dense that the next one says nearly as much.

Ranks are named beforehand in steps of at most a tenth, at both ends of the scores, and each has the exact test of `threshold_nodes`.
Neighboring ranks are nearly the same test, so they needn't get the same error: each gets it in proportion to the step of ln(rank + 1)
that it takes. At high ranks a denser grid then costs nothing, and the lowest ranks, which decide about a strong attack, keep most of it.

A threshold T with fp non-members and tp members at or above it lies above the one declared at any rank k >= fp, so tp is at most the
count t_k there, and a claim that (k, tp) contradicts is contradicted by (k, t_k). So the declared ranks speak for all thresholds together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from privacy_audit.estimate.strategies.threshold_nodes import DeclaredRanks, ThresholdNodes, largest_epsilon, nodes_of_both_roles

FloatArray = NDArray[np.float64]

_STEPS = 10  # the next rank is at most k + max(1, k / 10)


def band_epsilon(scores: MembershipScores, *, deltas: FloatArray, alpha: float) -> FloatArray:
    """Return the largest lower bound of epsilon over all thresholds, for each delta.

    Parameters
    ----------
    scores : scores of members and non-members; equal scores count against the attack.
    deltas : each in [0, 1), shape (n_deltas,).
    alpha : allowed error probability, for all thresholds and all deltas together.

    Returns
    -------
    Nats, shape (n_deltas,), rounded down by at most 1e-6.

    Guarantee
    ---------
    P(result <= epsilon(delta) for every delta) >= 1 - alpha, in finite samples and for any score laws: the errors of the declared
    thresholds sum to alpha and depend on the numbers of scores only, and each fails on one event for all delta (`threshold_nodes`).
    """
    inside, outside = np.sort(scores.score[scores.member]), np.sort(scores.score[~scores.member])
    declared = {"of_outside": dense_ranks(len(outside)), "of_inside": dense_ranks(len(inside))}
    nodes = nodes_of_both_roles(inside, outside, **declared, alpha=alpha)
    return np.array([largest_epsilon(nodes, delta) for delta in deltas.tolist()])


def band_epsilon_at(scores: MembershipScores, threshold: float, *, deltas: FloatArray, alpha: float) -> FloatArray:
    """Return what "score >= threshold" says about epsilon, for each delta; the threshold may have been picked by these scores.

    Parameters
    ----------
    scores, deltas, alpha : as for `band_epsilon`.
    threshold : any number.

    Returns
    -------
    Nats, shape (n_deltas,); over all thresholds the largest is `band_epsilon`.

    Guarantee
    ---------
    That of `band_epsilon`, for all thresholds and all deltas together, on the same events: at a declared rank k >= fp at least as many
    members as here lie above, so what is rejected for (k, tp) is rejected there.
    """
    n, m = scores.n_non_members, scores.n_members
    fp = int((scores.score[~scores.member] >= threshold).sum())
    tp = int((scores.score[scores.member] >= threshold).sum())
    nodes = _above(fp, n, tp, m, alpha / 2).joined(_above(m - tp, m, n - fp, n, alpha / 2))
    return np.array([largest_epsilon(nodes, delta) for delta in deltas.tolist()])


def dense_ranks(n: int) -> DeclaredRanks:
    """Return ranks 0, 1, 2, ..., in steps of at most a tenth from 20 on, up to the first one not below (n - 1) / 2, and their shares.

    A threshold with more false positives than that and more false negatives than the mirrored rank lies below the diagonal.

    Examples
    --------
    >>> rank, share = dense_ranks(32)
    >>> rank.tolist(), float(share.sum().round(12))
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 1.0)
    """
    ranks = [0]
    while ranks[-1] < (n - 1) / 2:
        ranks.append(ranks[-1] + max(1, ranks[-1] // _STEPS))
    step = np.diff(np.log([0.5, *(rank + 1 for rank in ranks)]))
    return np.array(ranks, dtype=np.intp), step / step.sum()


def _above(count: int, n: int, tested: int, m: int, alpha: float) -> ThresholdNodes:
    """Return what a threshold with `count` of n scores and `tested` of m at or above it says through the declared ranks >= count."""
    rank, share = dense_ranks(n)
    reached = rank >= count
    return ThresholdNodes.of(rank[reached], n, np.full(int(reached.sum()), tested), m, alpha * share[reached])
