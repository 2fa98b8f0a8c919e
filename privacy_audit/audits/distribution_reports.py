"""From the played games of pairs of ratios to an AuditReport."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.json_ready import JsonValue
from privacy_audit.audits.distribution_bound import PairEvidence, distribution_bound, largest_bound
from privacy_audit.audits.provenance import versions
from privacy_audit.report.distribution import DistributionEvidence, RatioPair, WorldsAttacked
from privacy_audit.report.plain_text import number
from privacy_audit.report.record import AuditReport

if TYPE_CHECKING:
    from attacks.distribution.result import AttackOutcome, DistributionInferenceResult
    from privacy_audit.audits.distribution_games import PlayedPair

TOOLS = ("privacy-audit", "torch", "scikit-learn", "numpy", "scipy")
_NOT_TESTED = "Attackers who see more of a model than the attacks named here; other ratios, other sizes of the training set, other data."
_ASSUMPTIONS = (
    "The attack of each pair was chosen by shadow models, before a victim was looked at; so was the number of victims.",
    "Victims are trained independently, each on a sample of its own from one pool, as the game draws it; training sees nothing else that "
    "depends on the world.",
    "The claim is about the whole way from these records to the model, preparations of the sample included.",
)
_SHARED_LEVEL = "The level is shared by the pairs of ratios (Bonferroni); the largest of their bounds is given."


@dataclass(frozen=True, slots=True, kw_only=True)
class DistributionAudit:
    """What a report needs beside the games: claim, level, title and seeds."""

    claim: PrivacyGuarantee
    level: float
    title: str
    seeds: Mapping[str, str]


def distribution_report(audit: DistributionAudit, played: Sequence[PlayedPair]) -> AuditReport:
    """Bound epsilon by the chosen attacks' advantage, and report.

    Parameters
    ----------
    played : pairs in the order of the page, at least one.
    """
    evidence = [PairEvidence(pair.result.counts, pair.coupling) for pair in played]
    asked = {"delta": audit.claim.delta, "level": audit.level, "neighboring": audit.claim.neighboring}
    assumptions = (*_ASSUMPTIONS, *((_SHARED_LEVEL,) if len(played) > 1 else ()))
    settings = played[0].result.settings
    return AuditReport(
        claim=audit.claim,
        bound=distribution_bound(evidence, assumptions=assumptions, **asked),  # type: ignore[arg-type]
        level=audit.level,
        threat_model=_threat_model(played),
        settings=_settings(played),
        versions=versions(*TOOLS),
        seeds=dict(audit.seeds),
        title=audit.title,
        distribution=DistributionEvidence(
            pairs=tuple(_ratio_pair(pair) for pair in played),
            n_train=settings.n_train,
            n_shadow=settings.n_shadow,
            sampling=settings.method,  # type: ignore[arg-type]
            reach=largest_bound(evidence, **asked),  # type: ignore[arg-type]
            label_rate=settings.label_rate,
            defense=_in_words(settings.defense),
        ),
    )


def _ratio_pair(pair: PlayedPair) -> RatioPair:
    result = pair.result
    first, second = result.settings.worlds
    return RatioPair(
        p=first,
        q=second,
        attacks=tuple(_attacked(outcome) for outcome in result.outcomes),
        chosen=result.selected,
        findings=tuple(finding.message for finding in result.findings if finding.name != "one_sided_answers"),  # the table shows those
        undefended=None if pair.undefended is None else _attacked(pair.undefended.outcome()),
    )


def _attacked(outcome: AttackOutcome) -> WorldsAttacked:
    return WorldsAttacked(name=outcome.name, access=outcome.access, counts=outcome.counts, shadow_accuracy=outcome.shadow_accuracy)


def _threat_model(played: Sequence[PlayedPair]) -> dict[str, str]:
    result = played[0].result
    access = sorted({outcome.access for outcome in result.outcomes})
    settings = result.settings
    return {
        "attacker sees": f"one trained model ({' or '.join(access)}), asked about {settings.n_queries:,} records of the attacker's own",
        "attacker knows": "both ratios, size and label rate of the training set, the training code, and data of the same kind",
        "attacker's models": f"{settings.n_shadow} shadow models of each world and pair, trained on records that no victim is trained on",
        "victims": f"{settings.n_victim} of each world and pair",
    }


def _settings(played: Sequence[PlayedPair]) -> dict[str, JsonValue]:
    settings = played[0].result.settings
    return {
        "ratios": [list(pair.result.settings.worlds) for pair in played],
        "records of a training sample": settings.n_train,
        "records that differ between the worlds": "; ".join(_differing(pair) for pair in played),
        "training records of victims": "; ".join(_sizes(pair.result) for pair in played),
        "sampling": settings.method,
        "rates of labels": [round(rate, 6) for rate in settings.label_rate],
        "records the attacker may use": settings.n_adversary_pool,
        "records victims may use": settings.n_victim_pool,
        "trained by": settings.trainer,
        "defense": settings.defense,
        **{f"caveat {k + 1}": text for k, text in enumerate(played[0].result.caveats)},
        "not_tested": _NOT_TESTED,
    }


def _differing(pair: PlayedPair) -> str:
    first, second = pair.result.settings.worlds
    about = "" if pair.coupling.chance == 1 else "on average at most "
    return f"{first:g} against {second:g}: {about}{number(round(pair.coupling.mean, 6), 4)}"


def _sizes(result: DistributionInferenceResult) -> str:
    parts = [f"{low:,}" if low == high else f"{low:,} to {high:,}" for low, high in result.training_sizes]
    return parts[0] if len(set(parts)) == 1 else " and ".join(parts)


def _in_words(defense: JsonValue) -> str:
    """Say a defense in words: its name and settings."""
    if defense is None:
        return ""
    if not isinstance(defense, dict):
        return str(defense)
    cells = defense.get("cells")
    if isinstance(cells, list):
        return f"each training sample is thinned to fixed counts of every (property, label) cell, {cells}"
    return ", ".join(f"{name} {value}" for name, value in defense.items() if value is not None)
