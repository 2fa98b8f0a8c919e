"""What shadow language models say at several steps of their training, and how well attacks do on it: each model is the target once.

Symbols: K models, N records, P population sequences that no model is trained on, S reads, F head entropies.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from attacks.membership.attack import Attack
from attacks.membership.bayes_t import BayesT
from attacks.membership.difficulty_calibrated import DifficultyCalibrated
from attacks.membership.lira import LiRA
from attacks.membership.loss import LossAttack
from attacks.membership.rmia import RMIA
from attacks.scores import MembershipScores
from attacks.shadow.run import ShadowRun
from experiments.language_shadows import Shape
from mechanisms.errors import WeakEvidenceWarning
from private_inference.heads.entropy import causal_max_entropy

Floats = NDArray[np.float64]

REGISTERED = "bayes_t"
WITH_ENTROPIES = "bayes_t, head entropies too"
ATTACKS: dict[str, Attack] = {
    "loss": LossAttack(),
    "difficulty_calibrated": DifficultyCalibrated(),
    "lira, fixed": LiRA(variance="fixed"),
    "rmia": RMIA(),
    REGISTERED: BayesT(),
    WITH_ENTROPIES: BayesT(),
}


@dataclass(frozen=True, slots=True, eq=False)
class Reads:
    """Signals of all models at all reads.

    Parameters
    ----------
    signals : (K, N + P, S, 1 + F); the first signal is the logit of exp(-mean loss).
    member : (K, N) bool.
    steps : (S,) of each read.
    most_entropy : the largest possible head entropy.
    """

    signals: Floats
    member: NDArray[np.bool_]
    steps: NDArray[np.int64]
    most_entropy: float

    @classmethod
    def of(cls, run: ShadowRun, shape: Shape, n_records: int) -> Reads:
        """Return the reads of a finished run."""
        K, n, _ = run.signals.shape
        reads = run.signals.astype(np.float64).reshape(K, n, -1, 1 + shape.n_heads)
        steps = shape.steps - shape.read_every * np.arange(reads.shape[2])[::-1]
        return cls(reads, run.member[:, :n_records], steps, causal_max_entropy(shape.block_size))

    @property
    def losses(self) -> Floats:
        """Mean loss of every sequence in nats, (K, N + P, S)."""
        return np.logaddexp(0.0, -self.signals[:, :, :, 0])

    def member_losses(self, *, members: bool) -> Floats:
        """Mean loss of each model's members, or of the records that it wasn't trained on, (K, S)."""
        chosen = (self.member if members else ~self.member)[:, :, None]
        return np.asarray(np.sum(self.losses[:, : self.member.shape[1]] * chosen, axis=1) / chosen.sum(axis=1))

    def population_loss(self) -> Floats:
        """Mean loss of the population over all models, (S,)."""
        return np.asarray(self.losses[:, self.member.shape[1] :].mean(axis=(0, 1)))

    def flatness(self) -> Floats:
        """Mean head entropy as a share of the largest possible one, (S,)."""
        return np.asarray(self.signals[:, :, :, 1:].mean(axis=(0, 1, 3)) / self.most_entropy)

    def at(self, read: int, attack: str) -> tuple[Floats, Floats]:
        """Return what an attack uses of records and population: (K, N) and (K, P), or (K, N, 1 + F) and (K, P, 1 + F)."""
        n = self.member.shape[1]
        used = self.signals[:, :, read] if attack == WITH_ENTROPIES else self.signals[:, :, read, 0]
        return used[:, :n], used[:, n:]


def each_as_target(reads: Reads, read: int, attack: str) -> list[MembershipScores]:
    """Score every record under every model, with all other models as references."""
    records, population = reads.at(read, attack)
    found = []
    for target in range(len(records)):
        others = np.arange(len(records)) != target
        found.append(_scored(attack, records, population, reads.member, others, target))
    return found


def of_targets(reads: Reads, read: int, attack: str, n_targets: int) -> MembershipScores:
    """Score every record under the first models, with the rest as references: the game that has a bound."""
    records, population = reads.at(read, attack)
    references = np.arange(len(records)) >= n_targets
    return joined([_scored(attack, records, population, reads.member, references, target) for target in range(n_targets)])


def joined(parts: list[MembershipScores]) -> MembershipScores:
    """Put the scores of several models together."""
    names = ("score", "member", "model_id", "example_id")
    return MembershipScores(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _scored(
    attack: str, records: Floats, population: Floats, member: NDArray[np.bool_], references: NDArray[np.bool_], target: int
) -> MembershipScores:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)  # a record or two that no reference was trained on
        fitted = clone(ATTACKS[attack]).fit(records[references], member[references], population[references])
    n = records.shape[1]
    return MembershipScores(fitted.score(records[target], population[target]), member[target], np.full(n, target), np.arange(n))
