"""MembershipEvidence: what attacks on models with many reference models found, without any record's score.

In an audit by shadow models some models are targets; an attack guesses for each target which records it was trained on, with the other
models as references (Carlini et al. 2022). The record keeps the scores, for rates and curves; what it writes are counts, rates, record
indices and effect sizes. Threat model: black box, final model. Cost: one sort of the scores per attack.

References
----------
Carlini, Chien, Nasr, Song, Terzis, Tramer, Membership Inference Attacks From First Principles, S&P 2022.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from attacks.membership.attack_report import AttackReport, attack_report
from attacks.scores import MembershipScores
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import in_range, one_of, whole_number

SCHEMA_VERSION = 1
THREAT_MODEL = "black box, final model"
MOST_RECORDS = 20


@dataclass(frozen=True, slots=True)
class ExposedRecord:
    """A record whose presence shows in the models.

    Parameters
    ----------
    record : its index in the data set.
    effect_size : (mean signal of models trained with it - mean of models trained without it) / standard deviation; may be infinite.
    n_in, n_out : how many reference models of each kind, each >= 1.

    Raises
    ------
    ValueError, TypeError : a count or an index that is negative or not whole, no model of one kind, an effect size that is NaN.
    """

    record: int
    effect_size: float
    n_in: int
    n_out: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "record", whole_number(record=self.record))
        object.__setattr__(self, "effect_size", in_range(-math.inf, math.inf, closed="both", effect_size=self.effect_size))
        object.__setattr__(self, "n_in", whole_number(1, n_in=self.n_in))
        object.__setattr__(self, "n_out", whole_number(1, n_out=self.n_out))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"record": self.record, "effect_size": json_ready(self.effect_size), "n_in": self.n_in, "n_out": self.n_out}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MembershipEvidence:
    """What membership inference with reference models found.

    Parameters
    ----------
    scores : attack name -> its scores of all targets, `model_id` telling the targets apart; in the order of the page.
    registered : the attack that was fixed beforehand; it alone gives the bound.
    most_exposed : records with the largest effect sizes, most exposed first, at most 20.
    references_in, references_out : (least, median, most) reference models per record that had it in training, and that had not.
    n_targets : attacked models.
    n_models : trained models, targets included.
    failed_groups : one sentence for each group of models that could not be trained.

    Raises
    ------
    ValueError, TypeError : no attack, `registered` not among them, attacks that guessed about different records or models, a number of
        target models other than `n_targets`, fewer models than targets, too many, repeated or unordered exposed records, or
        (least, median, most) out of order.

    Notes
    -----
    Guesses about one model share its training randomness, and with several targets they are pooled here as if they did not: AUC and TPR
    and their intervals describe these guesses within these models. They are no bounds on epsilon, and say little about models that
    another training would give. The largest effect sizes of many records are too large by selection.
    """

    scores: Mapping[str, MembershipScores]
    registered: str
    most_exposed: tuple[ExposedRecord, ...]
    references_in: tuple[int, float, int]
    references_out: tuple[int, float, int]
    n_targets: int
    n_models: int
    failed_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.scores:
            raise ValueError("scores must hold at least one attack")
        object.__setattr__(self, "scores", dict(self.scores))
        one_of(tuple(self.scores), registered=self.registered)
        object.__setattr__(self, "n_targets", whole_number(1, n_targets=self.n_targets))
        object.__setattr__(self, "n_models", whole_number(1, n_models=self.n_models))
        if self.n_models < self.n_targets:
            raise ValueError(f"n_models counts the targets too, so it must be at least n_targets = {self.n_targets}, got {self.n_models}")
        _require_same_guesses(self.scores, self.registered)
        n_seen = len(np.unique(self.scores[self.registered].model_id))
        if n_seen != self.n_targets:
            raise ValueError(f"scores must be of n_targets = {self.n_targets} models, got {n_seen} different model_id")
        object.__setattr__(self, "most_exposed", _in_order(self.most_exposed))
        object.__setattr__(self, "references_in", _spread("references_in", self.references_in))
        object.__setattr__(self, "references_out", _spread("references_out", self.references_out))
        object.__setattr__(self, "failed_groups", tuple(self.failed_groups))

    def attack_reports(self, *, level: float = 0.95) -> dict[str, AttackReport]:
        """Return for each attack its AUC and its TPR at FPR 0.01, at 0.001 and without a false positive, with intervals at `level`.

        What the number of non-members cannot show is a sentence instead: "needs >= 1000 non-members, got 250".
        """
        return {name: attack_report(scores, level=level) for name, scores in self.scores.items()}

    def to_dict(self, *, level: float = 0.95) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, rates, record indices and effect sizes; no score and nothing of a record."""
        one = self.scores[self.registered]
        return {
            "schema_version": SCHEMA_VERSION,
            "threat_model": THREAT_MODEL,
            "registered": self.registered,
            "level": level,
            "n_members": one.n_members,
            "n_non_members": one.n_non_members,
            "n_targets": self.n_targets,
            "n_models": self.n_models,
            "attacks": {name: rates.to_dict() for name, rates in self.attack_reports(level=level).items()},
            "most_exposed": [record.to_dict() for record in self.most_exposed],
            "references_in": list(self.references_in),
            "references_out": list(self.references_out),
            "failed_groups": list(self.failed_groups),
        }


def _require_same_guesses(scores: Mapping[str, MembershipScores], registered: str) -> None:
    first = _sorted_guesses(scores[registered])
    for name, other in scores.items():
        if other is not scores[registered] and not np.array_equal(first, _sorted_guesses(other)):
            raise ValueError(f"all attacks must guess about the same records of the same models, but {name!r} and {registered!r} do not")


def _sorted_guesses(scores: MembershipScores) -> NDArray[np.int64]:
    """Return (model, record, truth) of every guess, in an order that the order of the rows does not change."""
    order = np.lexsort((scores.example_id, scores.model_id))
    return np.stack([scores.model_id[order], scores.example_id[order], scores.member[order].astype(np.int64)])


def _in_order(records: tuple[ExposedRecord, ...]) -> tuple[ExposedRecord, ...]:
    records = tuple(records)
    if len(records) > MOST_RECORDS:
        raise ValueError(f"most_exposed must hold at most {MOST_RECORDS} records, got {len(records)}")
    if len({record.record for record in records}) < len(records):
        raise ValueError("most_exposed must name each record once")
    if any(before.effect_size < after.effect_size for before, after in pairwise(records)):
        raise ValueError("most_exposed must begin with the largest effect size; sort the records by falling effect size")
    return records


def _spread(name: str, spread: tuple[int, float, int]) -> tuple[int, float, int]:
    least, median, most = spread
    least, most = whole_number(**{f"{name}[0]": least}), whole_number(**{f"{name}[2]": most})
    if not least <= median <= most:
        raise ValueError(f"{name} must be (least, median, most) in rising order, got {tuple(spread)}")
    return least, float(median), most
