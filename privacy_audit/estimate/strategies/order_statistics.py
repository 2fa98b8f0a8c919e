"""The default: few thresholds at order statistics whose ranks were named beforehand, with equal errors, tested by `threshold_nodes`."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.randomness import RngLike, as_generator
from privacy_audit.estimate.strategies.threshold_nodes import DeclaredRanks, largest_epsilon, nodes_of_both_roles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

RATIO = 1.5  # between false-positive counts of neighboring thresholds
_LARGEST_SHARE = 1.2  # thresholds stop where n / 1.2 scores lie above


def declared_counts(n: int) -> IntArray:
    """Return the false-positive counts named beforehand for n non-members: 0, 1, 2, 3, 5, 8, ... below n / 1.2."""
    counts = [0]
    while (following := max(counts[-1] + 1, math.ceil(RATIO * counts[-1]))) < n / _LARGEST_SHARE:
        counts.append(following)
    return np.array(counts, dtype=np.intp)


def order_statistics_epsilon(scores: MembershipScores, *, deltas: FloatArray, alpha: float, rng: RngLike = None) -> FloatArray:
    """Return, for each delta, the largest lower bound of epsilon over the declared thresholds of both roles.

    Parameters
    ----------
    scores : scores of members and non-members.
    deltas : each in [0, 1), shape (n_deltas,).
    alpha : allowed error probability, for all deltas together.
    rng : orders equal scores at random; without it they count against the attack.

    Returns
    -------
    Nats, shape (n_deltas,), rounded down by at most 1e-6.

    Guarantee
    ---------
    P(result <= epsilon(delta) for every delta) >= 1 - alpha. Each of the K thresholds of a role has error alpha / (2 K), a split that
    depends on the numbers of scores only; each fails on one event of at most that probability for all delta (`threshold_nodes`).

    Notes
    -----
    A likelihood-ratio bound inside a node brings nothing. The observation is one count t whose law under the claim has no unknown rate to
    maximize over, so every test that rejects larger counts first is this one; the enumeration of `likelihood_ratio`, which treats the
    false positives as binomial, has no place where their number was declared.

    References
    ----------
    David, Nagaraja, Order Statistics, 2003 (the Beta law).
    """
    values = scores.score if rng is None else untied(scores.score, as_generator(rng))
    inside, outside = np.sort(values[scores.member]), np.sort(values[~scores.member])
    declared = {"of_outside": _equal_shares(len(outside)), "of_inside": _equal_shares(len(inside))}
    nodes = nodes_of_both_roles(inside, outside, **declared, alpha=alpha)
    return np.array([largest_epsilon(nodes, delta) for delta in deltas.tolist()])


def untied(score: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ranks, equal scores ordered by independent uniform keys."""
    rank = np.empty(len(score))
    rank[np.lexsort((rng.random(len(score)), score))] = np.arange(len(score))
    return rank


def _equal_shares(n: int) -> DeclaredRanks:
    rank = declared_counts(n)
    return rank, np.full(len(rank), 1 / len(rank))
