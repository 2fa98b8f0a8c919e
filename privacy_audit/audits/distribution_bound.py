"""From an advantage against the training distribution to a lower bound of the training's epsilon.

    counts of a fixed attack -> lower bound of its advantage -> the smallest epsilon whose group privacy allows that advantage

Symbols: K records in which coupled training sets of the two worlds differ (`coupling`), adv = TPR + TNR - 1. Under REPLACE such sets are K
neighboring steps apart, under ADD_REMOVE 2 K. Convexity of total variation and the group privacy of an (epsilon, delta)-DP training give

    adv <= E_K[TV between models of sets that differ in K records] <= group_advantage(epsilon, delta, K)

(`mechanisms.accounting.group_advantage`); an epsilon for which the right-hand side lies below the advantage's lower bound is refuted. The
result is weak by nature, and no estimate: where 300 records differ, an advantage of 0.99 shows epsilon 0.03 only.

Several pairs of ratios share the level (Bonferroni), and the largest of their bounds holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attacks.scores import AttackCounts
from mechanisms.accounting.group_advantage import epsilon_of_group_advantage
from mechanisms.guarantee import Neighboring
from privacy_audit.audits.coupling import Coupling
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.worlds.advantage import advantage_lower_bound

METHOD = "distribution advantage"
_STEPS = {Neighboring.REPLACE: 1, Neighboring.ADD_REMOVE: 2}


@dataclass(frozen=True, slots=True)
class PairEvidence:
    """Counts of the attack that was chosen beforehand, and in how many records training sets of the pair's worlds differ."""

    counts: AttackCounts
    coupling: Coupling


def distribution_bound(
    pairs: Sequence[PairEvidence], *, delta: float, level: float, neighboring: Neighboring, assumptions: tuple[str, ...] = ()
) -> EpsilonBound:
    """Return the largest epsilon that a pair of ratios refutes, each pair at its share of the level.

    Parameters
    ----------
    pairs : one or more.
    delta : where epsilon is bounded.
    level : of all pairs together.
    neighboring : ADD_REMOVE or REPLACE.
    assumptions : sentences that the bound stands on.

    Raises
    ------
    ValueError : no pair, or another neighboring relation.
    """
    if not pairs:
        raise ValueError("pairs must hold at least one pair of ratios")
    share = 1 - (1 - level) / len(pairs)
    epsilon = max(_pair_bound(pair, delta=delta, level=share, neighboring=neighboring) for pair in pairs)
    return EpsilonBound(epsilon=epsilon, delta=delta, level=level, method=METHOD, neighboring=neighboring, assumptions=assumptions)


def largest_bound(pairs: Sequence[PairEvidence], *, delta: float, level: float, neighboring: Neighboring) -> float:
    """Return the bound that the same audit would have given, had every guess about a victim been right."""
    perfect = [PairEvidence(_all_right(pair.counts), pair.coupling) for pair in pairs]
    return distribution_bound(perfect, delta=delta, level=level, neighboring=neighboring).epsilon


def _pair_bound(pair: PairEvidence, *, delta: float, level: float, neighboring: Neighboring) -> float:
    if neighboring not in _STEPS:
        raise ValueError(f"neighboring must be add_remove or replace, got {neighboring.value}: worlds differ in real records")
    advantage = advantage_lower_bound(pair.counts, level).advantage
    coupling = pair.coupling
    return epsilon_of_group_advantage(advantage, delta=delta, steps=_STEPS[neighboring], n_pairs=coupling.n_pairs, chance=coupling.chance)


def _all_right(counts: AttackCounts) -> AttackCounts:
    return AttackCounts(tp=counts.n_members, fn=0, tn=counts.n_non_members, fp=0)
