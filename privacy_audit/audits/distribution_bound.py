"""From an advantage against the training distribution to a lower bound of the training's epsilon.

    counts of a fixed attack -> lower bound of its advantage -> the smallest epsilon whose group privacy allows that advantage

Symbols: K records in which coupled training sets of the two worlds differ (`coupling`), s steps of the neighboring relation a replacement
takes (REPLACE 1, ADD_REMOVE 2), adv = TPR + TNR - 1. For an (epsilon, delta)-DP training

    adv <= (1 + 2 delta / (e^epsilon - 1)) E_K[tanh(s K epsilon / 2)]

Proof: sets that differ in K records are s K neighboring steps apart; group privacy gives (x, d) with x = s K epsilon and
d = delta (e^x - 1) / (e^epsilon - 1), both ways; then TV <= (e^x - 1 + 2 d) / (e^x + 1) = (1 + 2 delta / (e^epsilon - 1)) tanh(x / 2), for
(P - Q)(S) <= (1 - e^-x) P(S) + d e^-x and (P - Q)(S) <= (e^x - 1) (1 - P(S)) + d meet at that value; average over K. An epsilon whose
right-hand side lies below the advantage's bound is refuted. The bound is weak: at K = 300 an advantage of 0.99 shows epsilon 0.018 only.

Several pairs of ratios share the level (Bonferroni), and the largest of their bounds holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attacks.distribution.advantage import eps_lower_from_advantage
from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from privacy_audit.audits.coupling import Coupling
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.worlds.advantage import advantage_lower_bound

METHOD = "distribution advantage"


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
    if neighboring not in (Neighboring.ADD_REMOVE, Neighboring.REPLACE):
        raise ValueError(f"neighboring must be add_remove or replace, got {neighboring.value}: a replaced record is no null record")
    advantage = advantage_lower_bound(pair.counts, level=level)
    n_pairs, chance = pair.coupling.n_pairs, pair.coupling.chance
    return float(eps_lower_from_advantage(advantage, n_pairs, chance, delta=delta, relation=neighboring))


def _all_right(counts: AttackCounts) -> AttackCounts:
    return AttackCounts(tp=counts.n_members, fn=0, tn=counts.n_non_members, fp=0)
