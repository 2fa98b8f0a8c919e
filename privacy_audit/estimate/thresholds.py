"""A lower bound of epsilon from scores: which threshold to use, and what choosing it costs.

The best bound over all thresholds, uncorrected, is wrong in a third to a half of the audits. Each strategy pays for the choice in its own
way, one file each; this one is their front door.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.guarantee import Neighboring
from mechanisms.randomness import RngLike
from mechanisms.validation import in_range, one_of, probability_level, valid_delta, whole_number
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.epsilon_curve import EpsilonCurve, valid_deltas
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from privacy_audit.estimate.strategies.band import band_epsilon, band_epsilon_at
from privacy_audit.estimate.strategies.hull import NO_PROOF, hull_epsilon
from privacy_audit.estimate.strategies.multi_split import SPLITS, multi_split_epsilon
from privacy_audit.estimate.strategies.order_statistics import declared_counts as declared_counts
from privacy_audit.estimate.strategies.order_statistics import order_statistics_epsilon
from privacy_audit.estimate.strategies.split import split_counts as split_counts

STRATEGIES = ("order_statistics", "split", "band", "multi_split", "hull")
MOST_SCORES = 20_000_000  # times the number of splits, where there are many

INDEPENDENT_SCORES = "scores are independent, those of members from one law, those of non-members from another"
FIXED_ATTACK = "the attack and its direction were fixed without these scores"
TIES_AGAINST = "equal scores count against the attack"
TIES_BY_KEY = "equal scores were ordered by an independent random key"
CHOSEN_APART = "the threshold was chosen on other scores than those counted"
FIXED_THRESHOLD = "the threshold was fixed without these scores"
SPLITS_FIXED = "the splits were drawn without looking at the scores"


@dataclass(frozen=True, slots=True)
class _Outcome:
    epsilon: float
    method: str
    assumptions: tuple[str, ...] = ()
    approximate: bool = False


def audit_scores(
    scores: MembershipScores,
    *,
    delta: float,
    level: float = 0.95,
    strategy: str | float = "order_statistics",
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
    n_splits: int = SPLITS,
    rng: RngLike = None,
) -> EpsilonBound:
    """Return a lower bound of epsilon from the scores of an attack.

    Parameters
    ----------
    scores : scores of members and non-members; larger must mean "more likely a member".
    delta : probability in [0, 1).
    level : P(bound <= true epsilon) is at least this.
    strategy : "order_statistics", thresholds at order statistics with false-positive counts 0, 1, 2, 3, 5, 8, ..., and the mirrored ones;
        "split", chosen on one random half and counted on the other; "multi_split", the median over many halves; "band", the best of all
        thresholds, where any may be looked at (`audit_chosen_threshold`); a number, a threshold fixed without these scores; "hull",
        without proof and for comparison only.
    neighboring : the relation under which the two worlds of the attack differ.
    n_splits : number of splits of "multi_split".
    rng : draws the splits; with "order_statistics" it orders equal scores at random, without it they count against the attack.

    Returns
    -------
    `EpsilonBound`, in nats; for "hull" an estimate (`approximate=True`), which never decides a verdict.

    Raises
    ------
    ValueError : delta or level out of range, an unknown strategy, more scores than a strategy takes.
    InsufficientEvidenceError : fewer than two members or non-members to split.

    Guarantee
    ---------
    Proofs stand with the strategies: `order_statistics_epsilon`, `band_epsilon`, `multi_split_epsilon`, `split_counts`; a fixed threshold
    has that of `epsilon_lower_bound`. "hull" has none.

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
        _refuse_too_many(len(scores) * (whole_number(1, n_splits=n_splits) if strategy == "multi_split" else 1), strategy)
        outcome = _by_strategy(scores, delta, level, strategy, n_splits, rng)
    else:
        threshold = in_range(-math.inf, math.inf, closed="both", strategy=strategy)
        outcome = _counted(AttackCounts.from_scores(scores, threshold), delta, level, "fixed threshold", FIXED_THRESHOLD)
    return EpsilonBound(
        epsilon=outcome.epsilon,
        delta=delta,
        level=level,
        method=outcome.method,
        neighboring=neighboring,
        assumptions=(INDEPENDENT_SCORES, FIXED_ATTACK, *outcome.assumptions),
        approximate=outcome.approximate,
    )


def audit_chosen_threshold(
    scores: MembershipScores,
    threshold: float,
    *,
    delta: float,
    level: float = 0.95,
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
) -> EpsilonBound:
    """Return what "score >= threshold" says about epsilon, where the threshold may have been picked after a look at the scores.

    Parameters
    ----------
    scores, delta, level, neighboring : as in `audit_scores`.
    threshold : any number.

    Returns
    -------
    `EpsilonBound`, in nats; the largest over all thresholds is that of `audit_scores` with strategy "band".

    Raises
    ------
    ValueError : delta or level out of range, threshold not a number, too many scores.

    Guarantee
    ---------
    With probability at least `level` the values at all thresholds and all delta hold together, those of strategy "band" included; the
    proof stands at `band_epsilon_at`.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> member = np.arange(2000) % 2 == 0
    >>> scores = MembershipScores(rng.laplace(size=2000) + 2 * member, member)
    >>> best = audit_scores(scores, delta=0.0, strategy="band").epsilon
    >>> 1 < audit_chosen_threshold(scores, np.median(scores.score), delta=0.0).epsilon <= best
    True
    """
    delta, level = valid_delta(delta), probability_level(level)
    threshold = in_range(-math.inf, math.inf, closed="both", threshold=threshold)
    _refuse_too_many(len(scores), "band")
    return EpsilonBound(
        epsilon=float(band_epsilon_at(scores, threshold, deltas=np.array([delta]), alpha=1 - level)[0]),
        delta=delta,
        level=level,
        method="band, at a threshold chosen afterwards",
        neighboring=neighboring,
        assumptions=(INDEPENDENT_SCORES, FIXED_ATTACK, TIES_AGAINST),
    )


def audit_curve(
    scores: MembershipScores,
    *,
    deltas: ArrayLike,
    level: float = 0.95,
    strategy: str = "order_statistics",
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
    rng: RngLike = None,
) -> EpsilonCurve:
    """Return lower bounds of epsilon at many deltas that hold together, at the price of one.

    Parameters
    ----------
    scores, level, neighboring, rng : as in `audit_scores`.
    deltas : probabilities in [0, 1), shape (n,).
    strategy : "order_statistics", or "band", which `audit_chosen_threshold` shares its error with.

    Returns
    -------
    `EpsilonCurve`; at each delta the bound of `audit_scores` with that strategy.

    Raises
    ------
    ValueError : a delta or the level out of range, no delta, another strategy, too many scores.

    Guarantee
    ---------
    P(curve <= epsilon(delta) at every delta) >= level: both strategies fail on one event that doesn't depend on delta; the proofs stand
    at `order_statistics_epsilon` and `band_epsilon`.

    Examples
    --------
    >>> rng = np.random.default_rng(3)
    >>> member = np.arange(2000) % 2 == 0
    >>> curve = audit_curve(MembershipScores(rng.normal(size=2000) + 2 * member, member), deltas=[1e-5, 1e-3, 0.1])
    >>> bool(curve.epsilon[0] >= curve.epsilon[1] >= curve.epsilon[2] > 0)
    True
    """
    strategy = one_of(("order_statistics", "band"), strategy=strategy)
    points, level = valid_deltas(deltas), probability_level(level)
    _refuse_too_many(len(scores), strategy)
    epsilon, ties = _simultaneous(scores, points, level, strategy, rng)
    return EpsilonCurve(
        delta=points,
        epsilon=epsilon,
        level=level,
        method=strategy,
        neighboring=neighboring,
        assumptions=(INDEPENDENT_SCORES, FIXED_ATTACK, *ties),
    )


def _simultaneous(
    scores: MembershipScores, deltas: NDArray[np.float64], level: float, strategy: str, rng: RngLike
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    if strategy == "band":
        return band_epsilon(scores, deltas=deltas, alpha=1 - level), (TIES_AGAINST,)
    epsilon = order_statistics_epsilon(scores, deltas=deltas, alpha=1 - level, rng=rng)
    return epsilon, (TIES_AGAINST if rng is None else TIES_BY_KEY,)


def _by_strategy(scores: MembershipScores, delta: float, level: float, strategy: str, n_splits: int, rng: RngLike) -> _Outcome:
    alpha = 1 - level
    if strategy in ("order_statistics", "band"):
        epsilons, assumptions = _simultaneous(scores, np.array([delta]), level, strategy, rng)
        return _Outcome(float(epsilons[0]), strategy, assumptions)
    if strategy == "multi_split":
        epsilon = multi_split_epsilon(scores, delta=delta, alpha=alpha, n_splits=n_splits, rng=rng)
        return _Outcome(epsilon, f"multi_split, {n_splits} splits", (SPLITS_FIXED,))
    if strategy == "hull":
        epsilon, n_corners = hull_epsilon(scores, delta=delta, alpha=alpha)
        return _Outcome(epsilon, f"hull, {n_corners} corners", (NO_PROOF,), approximate=True)
    counts, _ = split_counts(scores, delta=delta, rng=rng)
    return _counted(counts, delta, level, strategy, CHOSEN_APART)


def _counted(counts: AttackCounts, delta: float, level: float, name: str, assumption: str) -> _Outcome:
    bound = epsilon_lower_bound(counts, delta=delta, level=level)
    return _Outcome(bound.epsilon, f"{name}, {bound.method}", (assumption,))


def _refuse_too_many(n: int, strategy: str) -> None:
    if n > MOST_SCORES:
        counted = "scores times splits" if strategy == "multi_split" else "scores"
        raise ValueError(
            f"strategy {strategy!r} takes at most {MOST_SCORES:,} {counted}, got {n:,}; thin them at random or fix a threshold"
        )
