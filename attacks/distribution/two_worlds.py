"""Play a game of two worlds: train shadow models of both, fit the attacks, train victims of both, count.

Every repeat has shadow models of its own and a block of victims of its own, so blocks are independent given the pools. The attack is
selected by its cross-validated accuracy on shadow models; victims are looked at once, by attacks that are fixed.
Cost: repeats x 2 n_shadow + 2 n_victim trainings; every attack is fitted folds + 1 times a repeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from attacks.canaries.finding import Finding
from attacks.distribution.attack import LEAST_SHADOWS, WorldAttack
from attacks.distribution.findings import one_sided_findings, size_findings
from attacks.distribution.plan import Plan
from attacks.distribution.result import AttackOutcome, selected_by_shadows
from attacks.distribution.rounds import Rounds, sight_of
from attacks.distribution.shadow_accuracy import shadow_accuracy
from attacks.distribution.train import Progress, Trainer
from attacks.distribution.worlds import Worlds
from attacks.scores import AttackCounts

Attacks = Sequence[WorldAttack] | Mapping[str, WorldAttack]


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What came out of a game of two worlds; see `DistributionInferenceResult`."""

    outcomes: tuple[AttackOutcome, ...]
    selected: str
    training_sizes: tuple[tuple[int, int], ...]
    findings: tuple[Finding, ...]


def play_two_worlds(
    source: Worlds,
    pair: tuple[float, float],
    attacks: Attacks,
    train: Trainer,
    plan: Plan,
    *,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> Played:
    """Play the game between the worlds of a pair.

    Raises
    ------
    ValueError : no attack, names that stand twice, several attacks with too few shadow models, or what training and attacks refuse.
    """
    named = as_named(attacks)
    if len(named) > 1 and plan.n_shadow <= LEAST_SHADOWS:
        raise ValueError(f"n_shadow must be at least {LEAST_SHADOWS + 1} to choose among {len(named)} attacks, got {plan.n_shadow}")
    seed_rng, *own = rng.spawn(1 + plan.repeats)
    rounds = Rounds(
        worlds=source,
        train=train,
        seed=int(seed_rng.integers(2**32)),
        sight=sight_of(named.values()),
        n_models=plan.n_models(2),
        progress=progress,
    )
    played = [_repeat(rounds, pair, named, plan.n_shadow, block, generator) for block, generator in zip(plan.blocks, own, strict=True)]
    outcomes = tuple(_outcome(name, attack, [repeat[name] for repeat in played]) for name, attack in named.items())
    sizes = _by_world(rounds.sizes["victim"])
    findings = _victims_findings(rounds, pair) + tuple(finding for out in outcomes for finding in one_sided_findings(out.name, out.counts))
    return Played(
        outcomes=outcomes,
        selected=selected_by_shadows(outcomes),
        training_sizes=tuple((int(part.min()), int(part.max())) for part in sizes),
        findings=findings,
    )


def as_named(attacks: Attacks) -> dict[str, WorldAttack]:
    """Return attacks by name; a sequence is named by its classes."""
    if not isinstance(attacks, Mapping):
        names = [type(attack).__name__ for attack in attacks]
        if len(set(names)) < len(names):
            raise ValueError("attacks of one class need names of their own: pass a mapping from names to attacks")
        attacks = dict(zip(names, attacks, strict=True))
    if not attacks:
        raise ValueError("attacks must hold at least one attack, got none")
    for name, attack in attacks.items():
        if not isinstance(attack, WorldAttack):
            raise TypeError(f"attacks must be WorldAttack objects, got {type(attack).__name__} for {name!r}")
    return dict(attacks)


def _repeat(
    rounds: Rounds, pair: tuple[float, float], attacks: Mapping[str, WorldAttack], n_shadow: int, n_victim: int, rng: np.random.Generator
) -> dict[str, tuple[AttackCounts, float | None]]:
    """Counts and shadow accuracy of every attack; the attacks are fixed before the first victim is trained."""
    shadow_rng, victim_rng, fold_rng = rng.spawn(3)
    shadows = rounds.by_world("adversary", pair, n_shadow, rng=shadow_rng)
    fitted = {name: clone(attack).fit(*shadows) for name, attack in attacks.items()}
    folds = dict(zip(attacks, fold_rng.spawn(len(attacks)), strict=True))
    known = {name: shadow_accuracy(attack, *shadows, rng=folds[name]) for name, attack in attacks.items()}
    victims = rounds.by_world("victim", pair, n_victim, rng=victim_rng)
    return {name: (fitted[name].counts(*victims), known[name]) for name in attacks}


def _victims_findings(rounds: Rounds, pair: tuple[float, float]) -> tuple[Finding, ...]:
    """Sizes, and where they are equal the records seen in training: a trainer that stops early may show the world too."""
    sizes = _by_world(rounds.sizes["victim"])
    found = size_findings(pair, sizes)
    if found or "victim" not in rounds.seen:
        return found
    return size_findings(pair, _by_world(rounds.seen["victim"]), "records seen in training (epochs times records)")


def _by_world(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([part.reshape(2, -1) for part in parts], axis=1)


def _outcome(name: str, attack: WorldAttack, repeats: Sequence[tuple[AttackCounts, float | None]]) -> AttackOutcome:
    known = [accuracy for _, accuracy in repeats if accuracy is not None]
    return AttackOutcome(
        name=name,
        access=attack.access,
        blocks=tuple(counts for counts, _ in repeats),
        shadow_accuracy=sum(known) / len(known) if known else None,
    )
