"""DistributionEvidence: what attacks on models found out about the distribution of their training sets, pair by pair of ratios.

    counts of a fixed attack on victims -> posterior of its accuracy -> posterior of n_leaked        one reading for each pair of ratios
    several pairs                       -> one number of records for all of them, with its spread

symbols: p, q = shares of the property in world 0 and world 1; world 1 stands where membership counts have "member", so
TPR = P[guess 1 | world 1]; accuracy = (TNR + TPR) / 2, balanced; n_leaked = records from which an ideal observer tells them apart as well.
Cost: for each pair a few thousand evaluations of n_leaked.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import in_range, one_of, whole_number
from privacy_audit.report.distribution_words import NOT_CONCLUDED
from privacy_audit.report.ratio_readings import PooledReading, RatioReading, pooled_reading, ratio_reading

SCHEMA_VERSION = 1
ACCESS = ("label only", "black box", "white box")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldsAttacked:
    """What one attack achieved on the victims of one pair of ratios.

    Parameters
    ----------
    name : of the attack.
    access : what it needs to see of a victim: "label only", "black box" or "white box".
    counts : guesses about victims, world 1 in the place of "member".
    shadow_accuracy : balanced accuracy by cross-validation on shadow models, in [0, 1]; None where it was not measured.

    Raises
    ------
    ValueError : an unknown access, or an accuracy out of range.
    """

    name: str
    access: str
    counts: AttackCounts
    shadow_accuracy: float | None = None

    def __post_init__(self) -> None:
        one_of(ACCESS, access=self.access)
        if self.shadow_accuracy is not None:
            object.__setattr__(self, "shadow_accuracy", in_range(0, 1, closed="both", shadow_accuracy=self.shadow_accuracy))

    @property
    def accuracy(self) -> float:
        """Balanced accuracy on victims, (TNR + TPR) / 2."""
        return (self.counts.tpr + 1 - self.counts.fpr) / 2

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        counts = self.counts
        return {
            "access": self.access,
            "shadow_accuracy": self.shadow_accuracy,
            "accuracy": self.accuracy,
            "right_in_world_0": counts.tn,
            "victims_of_world_0": counts.n_non_members,
            "right_in_world_1": counts.tp,
            "victims_of_world_1": counts.n_members,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioPair:
    """One pair of ratios: all attacks, of which one was chosen before a victim was looked at.

    Parameters
    ----------
    p, q : shares of the property in world 0 and world 1, different, in [0, 1].
    attacks : at least one, all about the same victims, names unique.
    chosen : name of the attack whose counts the posterior and the bound use.
    findings : sentences about what else than the property the worlds differ in, such as the size of what models are trained on.
    undefended : the attack chosen by shadow models without the defense, on the same victims: a non-adaptive adversary; None without one.

    Raises
    ------
    ValueError : equal shares, no attack, names that repeat, `chosen` not among them, or attacks on other numbers of victims.
    """

    p: float
    q: float
    attacks: tuple[WorldsAttacked, ...]
    chosen: str
    findings: tuple[str, ...] = ()
    undefended: WorldsAttacked | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", in_range(0, 1, closed="both", p=self.p))
        object.__setattr__(self, "q", in_range(0, 1, closed="both", q=self.q))
        if self.p == self.q:
            raise ValueError(f"p and q must differ, got {self.p:g} twice; equal ratios make one world")
        attacks = tuple(self.attacks)
        names = tuple(attack.name for attack in attacks)
        if len(set(names)) < max(1, len(names)):
            raise ValueError(f"attacks must be at least one with names that differ, got {', '.join(names) or 'none'}")
        one_of(names, chosen=self.chosen)
        if len({(attack.counts.n_members, attack.counts.n_non_members) for attack in attacks}) > 1:
            raise ValueError("all attacks of a pair must be about the same victims, but their numbers of victims differ")
        object.__setattr__(self, "attacks", attacks)
        object.__setattr__(self, "findings", tuple(self.findings))

    @property
    def name(self) -> str:
        """The pair in words: "0.5 against 0.2"."""
        return f"{self.p:g} against {self.q:g}"

    @property
    def attack(self) -> WorldsAttacked:
        """The chosen attack."""
        return next(attack for attack in self.attacks if attack.name == self.chosen)

    @property
    def counts(self) -> AttackCounts:
        """Counts of the chosen attack."""
        return self.attack.counts

    @property
    def accuracy(self) -> float:
        """Balanced accuracy of the chosen attack on victims."""
        return self.attack.accuracy

    @property
    def n_victims(self) -> int:
        """Victims of both worlds."""
        return self.counts.n_members + self.counts.n_non_members

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "ratios": [self.p, self.q],
            "chosen": self.chosen,
            "attacks": {attack.name: attack.to_dict() for attack in self.attacks},
            "undefended": None if self.undefended is None else self.undefended.to_dict(),
            "findings": list(self.findings),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionEvidence:
    """What attacks on the training distribution found.

    Parameters
    ----------
    pairs : pairs of ratios, at least one, no pair twice.
    n_train : records a training sample.
    n_shadow : shadow models of each world and pair.
    sampling : "quota" for fixed cell counts, "iid" for independent draws.
    reach : the largest epsilon that the bound could have shown, had every guess about a victim been right.
    label_rate : rates of the labels, the same in both worlds; empty where they follow the property.
    defense : what is done to a training sample before training, in words; empty if nothing.

    Raises
    ------
    ValueError, TypeError : no pair, a pair that repeats, or a number out of range.

    Notes
    -----
    Worlds are ratios, not records: these counts are never pooled with membership counts.
    """

    pairs: tuple[RatioPair, ...]
    n_train: int
    n_shadow: int
    sampling: Literal["quota", "iid"]
    reach: float
    label_rate: tuple[float, ...] = ()
    defense: str = ""

    def __post_init__(self) -> None:
        pairs = tuple(self.pairs)
        if not pairs or len({frozenset((pair.p, pair.q)) for pair in pairs}) < len(pairs):
            raise ValueError(f"pairs must hold at least one pair of ratios and none twice, got {len(pairs)}")
        object.__setattr__(self, "pairs", pairs)
        object.__setattr__(self, "n_train", whole_number(1, n_train=self.n_train))
        object.__setattr__(self, "n_shadow", whole_number(2, n_shadow=self.n_shadow))
        object.__setattr__(self, "reach", in_range(0, math.inf, closed="both", reach=self.reach))
        object.__setattr__(self, "label_rate", tuple(self.label_rate))
        one_of(("quota", "iid"), sampling=self.sampling)

    @property
    def n_victims(self) -> int:
        """Victims of all pairs and worlds."""
        return sum(pair.n_victims for pair in self.pairs)

    @property
    def findings(self) -> tuple[str, ...]:
        """Findings of all pairs, each with its ratios."""
        return tuple(f"{pair.name}: {finding}" for pair in self.pairs for finding in pair.findings)

    def readings(self, *, level: float = 0.95) -> dict[str, RatioReading]:
        """Return for each pair, by its name, the posterior of accuracy and of n_leaked with intervals at `level`."""
        return {pair.name: ratio_reading(pair.counts, pair.p, pair.q, level=level) for pair in self.pairs}

    def pooled(self, *, level: float = 0.95) -> PooledReading | None:
        """Return one number of records for all pairs; None where there is one pair only."""
        if len(self.pairs) == 1:
            return None
        return pooled_reading([(pair.counts, pair.p, pair.q) for pair in self.pairs], level=level)

    def to_dict(self, *, level: float = 0.95) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, rates and intervals; nothing of a record."""
        readings, pooled = self.readings(level=level), self.pooled(level=level)
        return {
            "schema_version": SCHEMA_VERSION,
            "level": level,
            "n_train": self.n_train,
            "n_shadow": self.n_shadow,
            "n_victims": self.n_victims,
            "sampling": self.sampling,
            "label_rate": list(self.label_rate),
            "defense": self.defense,
            "reach": json_ready(self.reach),
            "pairs": [pair.to_dict() | {"reading": readings[pair.name].to_dict()} for pair in self.pairs],
            "pooled": None if pooled is None else pooled.to_dict(),
            "not_concluded": list(NOT_CONCLUDED),
        }
