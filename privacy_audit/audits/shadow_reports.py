"""From the signals of trained shadow models to an AuditReport: one function per game."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.errors import WeakEvidenceWarning
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from privacy_audit.audits.canary_game import canary_power, canary_scores
from privacy_audit.audits.power import one_run_power
from privacy_audit.audits.provenance import versions
from privacy_audit.audits.records_game import (
    ReferenceAttack,
    ShadowSignals,
    all_scores,
    guesses_per_side,
    records_bound,
    records_posterior,
    targets_of,
)
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.strategies.split import split_counts
from privacy_audit.estimate.thresholds import audit_scores
from privacy_audit.report.membership import MOST_RECORDS, ExposedRecord, MembershipEvidence
from privacy_audit.report.record import AuditReport

if TYPE_CHECKING:
    from attacks.shadow.run import ShadowRun

TOOLS = ("privacy-audit", "torch", "scikit-learn", "opacus", "numpy", "scipy")
_NOT_TESTED = "Attackers who see more than the final model's outputs; records other than those audited; better attacks than those shown."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAudit:
    """What both games need to write their report.

    Parameters
    ----------
    claim, level : what is tested, and at which level.
    n_models : models planned; fewer may exist.
    title : heading of the report.
    training : who trains: "training code" or "ShadowTrainer".
    seeds : entropy of the coins and of the trainings, as text.
    """

    claim: PrivacyGuarantee
    level: float
    n_models: int
    title: str
    training: str
    seeds: Mapping[str, str]

    @property
    def delta(self) -> float:
        """Where epsilon is taken."""
        return self.claim.delta


def records_report(
    audit: ShadowAudit,
    run: ShadowRun,
    *,
    n_records: int,
    registered: str,
    attacks: Mapping[str, ReferenceAttack],
    rng: np.random.Generator,
) -> AuditReport:
    """Attack the targets with the references, and report.

    Parameters
    ----------
    run : signals of all models; columns from `n_records` on are the population.
    registered, attacks : the attack that decides, and all by name.
    rng : for the power simulation.
    """
    signals = run.signals.astype(np.float64).mean(axis=2)
    evidence = ShadowSignals(
        signals=signals[:, :n_records],
        member=run.member[:, :n_records],
        population=signals[:, n_records:] if signals.shape[1] > n_records else None,
        is_target=run.model_id < targets_of(audit.n_models),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", WeakEvidenceWarning)
        scores, left_out = all_scores(evidence, attacks, registered=registered)
        posterior = records_posterior(scores[registered], delta=audit.delta)
    n_side = guesses_per_side(len(scores[registered]))
    n_targets = int(evidence.is_target.sum())
    return AuditReport(
        claim=audit.claim,
        bound=records_bound(scores[registered], delta=audit.delta, level=audit.level, n_coins=targets_of(audit.n_models) * n_records),
        posterior=posterior,
        scores=scores[registered],
        power=one_run_power(audit.claim, n_canaries=n_targets * n_records, n_in=n_side, n_out=n_side, level=audit.level, rng=rng),
        level=audit.level,
        threat_model={
            "attacker sees": "the outputs of the final model for every audited record (black box, final model)",
            "attacker knows": f"{len(run.model_id) - n_targets} reference models trained on records of the same data set",
            "training runs": str(len(run.model_id)),
            "targets": f"{n_targets} of them, named before training; each record in each of them by a fair coin",
        },
        settings={
            "records": n_records,
            "population records": signals.shape[1] - n_records,
            "attack that decides": registered,
            "guesses": f"{n_side} in, {n_side} out, fixed in advance",
            "posterior's counts": "at a threshold chosen on the first half of the targets, counted on the second half",
            **_weak_points(caught, left_out),
            **_common(audit, run),
        },
        versions=versions(*TOOLS),
        seeds=dict(audit.seeds),
        title=audit.title,
        membership=_membership(evidence, scores, registered, run),
    )


def canary_report(
    audit: ShadowAudit, run: ShadowRun, *, canary: int, auditor: SequentialAuditor | None, rng: np.random.Generator
) -> AuditReport:
    """Report the game of one canary.

    Parameters
    ----------
    run : signals of all models.
    canary : column of the canary.
    auditor : the anytime-valid test that decided when training ended; its bound then decides. None: all models were trained.
    """
    for_split, for_power = rng.spawn(2)
    scores = canary_scores(run, canary)
    bound = audit_scores(scores, delta=audit.delta, level=audit.level) if auditor is None else _sequential_bound(auditor)
    counts, _ = split_counts(scores, delta=audit.delta, rng=for_split)
    stopped = auditor is not None and auditor.rejected
    return AuditReport(
        claim=audit.claim,
        bound=bound,
        posterior=None if stopped else EpsilonPosterior(counts, delta=audit.delta),  # a stop that looked at the counts has no likelihood
        scores=scores,
        power=canary_power(audit.claim, n_models=audit.n_models, level=audit.level, rng=for_power) if auditor is None else None,
        level=audit.level,
        threat_model={
            "attacker sees": "the outputs of the final model for one record of their choice (black box, final model)",
            "attacker chooses": "one canary record; all other records are known",
            "training runs": str(len(run.model_id)),
            "canaries": f"1, in the data of {scores.n_members} models by a fair coin each",
        },
        settings={
            "records": canary,
            "models with the canary": scores.n_members,
            "models without the canary": scores.n_non_members,
            "stop": "never"
            if auditor is None
            else f"when the claim is refuted; {auditor.n} guesses judged, refuted: {'yes' if stopped else 'no'}",
            "posterior's counts": "at a threshold chosen on one half of the models, counted on the other half",
            "AUC of the canary": round(scores.auc, 4),
            **_common(audit, run),
        },
        versions=versions(*TOOLS),
        seeds=dict(audit.seeds),
        title=audit.title,
    )


def _sequential_bound(auditor: SequentialAuditor) -> EpsilonBound:
    """Return the auditor's bound; where the claim is the largest value it rejected, the bound is what lies just above the claim."""
    bound = auditor.bound()
    if auditor.rejected and bound.epsilon <= auditor.epsilon:
        return replace(bound, epsilon=math.nextafter(auditor.epsilon, math.inf))
    return bound


def _common(audit: ShadowAudit, run: ShadowRun) -> dict[str, JsonValue]:
    return {
        "models planned": audit.n_models,
        "models that exist": len(run.model_id),
        "groups trained now": run.n_trained,
        "groups taken from the store": run.n_reused,
        "trained by": audit.training,
        "not_tested": _NOT_TESTED,
    }


def _weak_points(caught: list[warnings.WarningMessage], left_out: tuple[str, ...]) -> dict[str, JsonValue]:
    texts = list(dict.fromkeys([*left_out, *(str(item.message) for item in caught)]))
    return {f"weak point {i + 1}": text for i, text in enumerate(texts)}


def _membership(evidence: ShadowSignals, scores: dict[str, MembershipScores], registered: str, run: ShadowRun) -> MembershipEvidence:
    references = ~evidence.is_target
    n_in = evidence.member[references].sum(axis=0)
    n_out = references.sum() - n_in
    return MembershipEvidence(
        scores=scores,
        registered=registered,
        most_exposed=_most_exposed(evidence, n_in, n_out),
        references_in=_spread(n_in),
        references_out=_spread(n_out),
        n_targets=int(evidence.is_target.sum()),
        n_models=len(run.model_id),
        failed_groups=tuple(f"group {group} could not be trained: {error}" for group, error in run.failed),
    )


def _most_exposed(evidence: ShadowSignals, n_in: NDArray[np.int64], n_out: NDArray[np.int64]) -> tuple[ExposedRecord, ...]:
    from attacks.membership.vulnerability import vulnerability

    references = ~evidence.is_target
    found = vulnerability(evidence.signals[references], evidence.member[references])
    return tuple(
        ExposedRecord(record=int(i), effect_size=float(found.effect_size[i]), n_in=int(n_in[i]), n_out=int(n_out[i]))
        for i in found.most_exposed(MOST_RECORDS)
    )


def _spread(counts: NDArray[np.int64]) -> tuple[int, float, int]:
    return int(counts.min()), float(np.median(counts)), int(counts.max())
