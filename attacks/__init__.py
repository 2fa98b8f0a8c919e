"""Attacks: from a trained model or a training run to scores that say who was a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from attacks.canaries.finding import Finding as Finding
    from attacks.canaries.preflight import preflight as preflight
    from attacks.canaries.probe import CanaryProbe as CanaryProbe
    from attacks.canaries.result import CanaryResult as CanaryResult
    from attacks.scores import AttackCounts as AttackCounts
    from attacks.scores import MembershipScores as MembershipScores
    from attacks.shadow.ensemble import ShadowTrainer as ShadowTrainer
    from attacks.shadow.shadow_models import ShadowModels as ShadowModels

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AttackCounts": "attacks.scores",
        "MembershipScores": "attacks.scores",
        "CanaryProbe": "attacks.canaries.probe",
        "CanaryResult": "attacks.canaries.result",
        "Finding": "attacks.canaries.finding",
        "preflight": "attacks.canaries.preflight",
        "ShadowModels": "attacks.shadow.shadow_models",
        "ShadowTrainer": "attacks.shadow.ensemble",
    },
)
