"""The game of natural records: which of the records was a target model trained on?

Every record enters every model by a fair coin of its own. Some models, fixed by number before anything is trained, are the targets; all
others are references whose membership the attack may see. Given the references, the t target models are one mechanism with t N independent
coins, each of which changes one record of one training set, so the one-run theorem holds for all guesses together: they are not
independent, and need not be. Letting the targets serve each other as references would break this: a guess would see coins that it guesses.

    signals (K, N), design (K, N) -> scores of every attack -> guesses -> bound;   counts per target -> hierarchical posterior

References
----------
Steinke, Nasr, Jagielski, Privacy Auditing with One Training Run, NeurIPS 2023. Carlini et al., Membership Inference Attacks From First
Principles, S&P 2022 (the design).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.one_run import COINS, one_run_bound, one_run_guesses
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.strategies.split import best_threshold

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

LEAST_REFERENCES = 2
LEAST_GUESSES = 20  # a side
_SHARE_OF_TARGETS = 4
_GUESSED_SHARE = 64
RECORD_COINS = "each record was included in each target model by its own independent fair coin"
APART = "target models were named before training; their records' coins are independent of the references and of each other"


class ReferenceAttack(Protocol):
    """What an attack with reference models offers."""

    def fit(self, ref_signals: Floats, ref_member: Bools, population: Floats | None = None) -> object:
        """Learn from (K, N) signals and membership of the references."""

    def score(self, target_signals: Floats, population: Floats | None = None) -> Floats:
        """Return one score per record of a target."""


@dataclass(frozen=True, slots=True, eq=False)
class ShadowSignals:
    """What shadow models say of records and of a population.

    Parameters
    ----------
    signals, member : (K, N) of the audited records, one row per model that exists.
    population : (K, P) signals of records that no model was trained on; None without one.
    is_target : (K,) bool.
    """

    signals: Floats
    member: Bools
    population: Floats | None
    is_target: Bools

    def __post_init__(self) -> None:
        targets, references = int(self.is_target.sum()), int((~self.is_target).sum())
        if targets < 1 or references < LEAST_REFERENCES:
            raise InsufficientEvidenceError(
                f"an audit of records needs at least 1 target and {LEAST_REFERENCES} reference models, got {targets} and {references}"
            )

    def scores(self, attack: ReferenceAttack) -> MembershipScores:
        """Fit the attack on the references and score every record under every target."""
        references = ~self.is_target
        ref_population = None if self.population is None else self.population[references]
        attack.fit(self.signals[references], self.member[references], ref_population)
        targets = np.flatnonzero(self.is_target)
        rows = [attack.score(self.signals[k], None if self.population is None else self.population[k]) for k in targets]
        n = self.signals.shape[1]
        return MembershipScores(
            np.concatenate(rows), self.member[targets].ravel(), np.repeat(targets, n), np.tile(np.arange(n), len(targets))
        )


def targets_of(n_models: int) -> int:
    """Return how many models are targets: a quarter, at least 1; the rest are references."""
    return max(1, n_models // _SHARE_OF_TARGETS)


def guesses_per_side(n_coins: int) -> int:
    """Return how many (record, target) pairs are guessed in, and as many out: fixed by their number alone, before training.

    Natural records leak little but a few: a sixty-fourth on each side keeps to the sure guesses (experiments/e_dp_audit.py).
    """
    return min(n_coins // 2, max(LEAST_GUESSES, n_coins // _GUESSED_SHARE))


def records_bound(scores: MembershipScores, *, delta: float, level: float, n_coins: int | None = None) -> EpsilonBound:
    """Return the one-run bound of all targets' coins together.

    Parameters
    ----------
    n_coins : coins thrown, those of targets whose training failed included: a failure is output too, on which the auditor abstains.
        None means that no target failed.

    Guarantee
    ---------
    See the top of this file: given the references, `scores` is a function of the output of one mechanism with len(scores) fair coins,
    (epsilon, delta)-DP in each; theorem 5.2 of Steinke et al.
    """
    n_side = guesses_per_side(len(scores))
    guesses, correct = one_run_guesses(scores, n_in=n_side, n_out=n_side)
    bound = one_run_bound(n_canaries=n_coins or len(scores), n_guesses=guesses, n_correct=correct, delta=delta, level=level)
    others = (assumption for assumption in bound.assumptions if assumption != COINS)
    return replace(bound, method="binomial, guesses about all target models", assumptions=(RECORD_COINS, *others, APART))


def records_posterior(scores: MembershipScores, *, delta: float) -> EpsilonPosterior | HierarchicalEpsilonPosterior | None:
    """Return the posterior at a threshold chosen on the first half of the targets and counted on the second; None for one target."""
    targets = np.unique(scores.model_id)
    if len(targets) < 2:
        return None
    first = np.isin(scores.model_id, targets[: len(targets) // 2])
    threshold = best_threshold(scores.score[first], scores.member[first], delta)
    counts = [_counts(scores, scores.model_id == target, threshold) for target in targets[len(targets) // 2 :]]
    return EpsilonPosterior(counts[0], delta=delta) if len(counts) == 1 else HierarchicalEpsilonPosterior(counts, delta=delta)


def _counts(scores: MembershipScores, rows: Bools, threshold: float) -> AttackCounts:
    return AttackCounts.from_predictions(scores.member[rows], scores.score[rows] >= threshold)


def all_scores(
    evidence: ShadowSignals, attacks: Mapping[str, ReferenceAttack], *, registered: str
) -> tuple[dict[str, MembershipScores], tuple[str, ...]]:
    """Return the scores of every attack that these references suffice for, by name, and a sentence for each that is left out.

    Raises
    ------
    InsufficientEvidenceError : the registered attack is among those left out; none takes its place.
    """
    scores: dict[str, MembershipScores] = {}
    left_out: list[str] = []
    for name, attack in attacks.items():
        try:
            scores[name] = evidence.scores(attack)
        except InsufficientEvidenceError as error:
            if name == registered:
                others = "'difficulty_calibrated' and 'loss' need no spread"
                raise InsufficientEvidenceError(f"attack {name!r} decides and can't be computed: {error}; {others}") from error
            left_out.append(f"attack {name} is left out: {error}")
    return scores, tuple(left_out)
