"""A lower bound of epsilon from scores: which threshold to use, and what choosing it costs.

The best bound over all thresholds, uncorrected, is wrong in a third to a half of the audits. Here a threshold is given beforehand,
or chosen on one part of the scores and counted on the other, or one of a few thresholds whose false-positive counts were named
beforehand and which share the error probability.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, probability_level, valid_delta
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon, epsilon_lower_bound, rate_upper_limit
from privacy_audit.estimate.region import implied_epsilon

FloatArray = NDArray[np.float64]

STRATEGIES = ("order_statistics", "split")
RATIO = 1.5  # between false-positive counts of neighboring thresholds
_LARGEST_SHARE = 1.2  # thresholds stop where n / 1.2 scores lie above
_SELECTION_ALPHA = 0.05
_MOST_SPLITS = 1000

INDEPENDENT_SCORES = "scores are independent, those of members from one law, those of non-members from another"
FIXED_ATTACK = "the attack and its direction were fixed without these scores"
TIES_AGAINST = "equal scores count against the attack"
TIES_BY_KEY = "equal scores were ordered by an independent random key"
CHOSEN_APART = "the threshold was chosen on other scores than those counted"


def audit_scores(
    scores: MembershipScores,
    *,
    delta: float,
    level: float = 0.95,
    strategy: str | float = "order_statistics",
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
    rng: RngLike = None,
) -> EpsilonBound:
    """Return a lower bound of epsilon from the scores of an attack.

    Parameters
    ----------
    scores : scores of members and non-members; larger must mean "more likely a member".
    delta : probability in [0, 1).
    level : P(bound <= true epsilon) is at least this.
    strategy : "order_statistics", thresholds at order statistics with false-positive counts 0, 1, 2, 3, 5, 8, ..., and the mirrored ones;
        "split", chosen on one random half and counted on the other; or a number, a threshold fixed without these scores.
    neighboring : the relation under which the two worlds of the attack differ.
    rng : draws the split; with "order_statistics" it orders equal scores at random, without it they count against the attack.

    Returns
    -------
    `EpsilonBound`, in nats.

    Raises
    ------
    ValueError : delta or level out of range, or an unknown strategy.
    InsufficientEvidenceError : fewer than two members or non-members to split.

    Guarantee
    ---------
    Order statistics: let T be the (k+1)-th largest of n non-member scores. For a continuous law P(score > T) is Beta(k+1, n-k), and
    smaller in law with ties; given T the members above it are binomial. With K values of k and both roles each of the 4 K limits
    gets alpha / (4 K), so all hold together with probability 1 - alpha, and so does the largest of the epsilons they imply.

    References
    ----------
    Clopper, Pearson, Biometrika 1934 (the limits). David, Nagaraja, Order Statistics, 2003 (the Beta law).

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> member = np.arange(2000) % 2 == 0
    >>> scores = MembershipScores(rng.laplace(size=2000) + 2 * member, member)
    >>> 1.2 < audit_scores(scores, delta=0.0).epsilon <= 2
    True
    """
    delta, level = valid_delta(delta), probability_level(level)
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {', '.join(map(repr, STRATEGIES))} or a threshold (a number), got {strategy!r}")
        if strategy == "order_statistics":
            return _order_statistics_bound(scores, delta, level, neighboring, rng)
        counts, _ = split_counts(scores, delta=delta, rng=rng)
        extra = CHOSEN_APART
    else:
        threshold = in_range(-math.inf, math.inf, closed="both", strategy=strategy)
        counts, strategy, extra = (
            AttackCounts.from_scores(scores, threshold),
            "fixed threshold",
            "the threshold was fixed without these scores",
        )
    bound = epsilon_lower_bound(counts, delta=delta, level=level, neighboring=neighboring)
    return replace(bound, method=f"{strategy}, {bound.method}", assumptions=(INDEPENDENT_SCORES, FIXED_ATTACK, extra))


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
    """
    delta, fraction = valid_delta(delta), in_range(0, 1, fraction=fraction)
    chosen = _random_part(scores.member, round(fraction * len(scores)), as_generator(rng))
    threshold = _best_threshold(scores.score[chosen], scores.member[chosen], delta)
    return AttackCounts.from_predictions(scores.member[~chosen], scores.score[~chosen] >= threshold), threshold


def declared_counts(n: int) -> NDArray[np.intp]:
    """Return the false-positive counts named beforehand for n non-members: 0, 1, 2, 3, 5, 8, ... below n / 1.2."""
    counts = [0]
    while (following := max(counts[-1] + 1, math.ceil(RATIO * counts[-1]))) < n / _LARGEST_SHARE:
        counts.append(following)
    return np.array(counts, dtype=np.intp)


def _order_statistics_bound(scores: MembershipScores, delta: float, level: float, neighboring: Neighboring, rng: RngLike) -> EpsilonBound:
    values = scores.score if rng is None else _untied(scores.score, as_generator(rng))
    inside, outside = values[scores.member], values[~scores.member]
    alpha = (1 - level) / 2  # one half for each role
    epsilon = max(_one_role(outside, inside, delta, alpha), _one_role(-inside, -outside, delta, alpha))
    return EpsilonBound(
        epsilon=epsilon,
        delta=delta,
        level=level,
        method="order_statistics",
        neighboring=neighboring,
        assumptions=(INDEPENDENT_SCORES, FIXED_ATTACK, TIES_AGAINST if rng is None else TIES_BY_KEY),
    )


def _one_role(ordered: FloatArray, tested: FloatArray, delta: float, alpha: float) -> float:
    """Return the largest epsilon implied by guessing "tested" above order statistics of `ordered`, all limits holding together."""
    n, k = len(ordered), declared_counts(len(ordered))
    threshold = np.sort(ordered)[::-1][k]
    above = len(tested) - np.searchsorted(np.sort(tested), threshold, side="right")
    share = alpha / (2 * len(k))
    false_alarm = special.betainccinv(k + 1.0, n - k.astype(np.float64), share)
    miss = rate_upper_limit(len(tested) - above, above, share)
    return float(implied_epsilon(false_alarm, miss, delta, one_direction=True).max())


def _untied(score: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ranks, equal scores ordered by independent uniform keys."""
    rank = np.empty(len(score))
    rank[np.lexsort((rng.random(len(score)), score))] = np.arange(len(score))
    return rank


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


def _best_threshold(score: FloatArray, member: NDArray[np.bool_], delta: float) -> float:
    candidates = np.unique(score)
    inside, outside = np.sort(score[member]), np.sort(score[~member])
    fn, tn = np.searchsorted(inside, candidates), np.searchsorted(outside, candidates)
    tp, fp = len(inside) - fn, len(outside) - tn
    bound = clopper_pearson_epsilon(fp=fp, tn=tn, fn=fn, tp=tp, delta=delta, alpha=_SELECTION_ALPHA)
    return float(candidates[np.lexsort((tp / len(inside) - fp / len(outside), bound))[-1]])
