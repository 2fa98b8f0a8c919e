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
    from attacks.shadow.designs import half_split_design as half_split_design
    from attacks.shadow.designs import poisson_design as poisson_design
    from attacks.shadow.run import run_shadow as run_shadow
    from attacks.shadow.store import ShadowStore as ShadowStore

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AttackCounts": "attacks.scores",
        "MembershipScores": "attacks.scores",
        "CanaryProbe": "attacks.canaries.probe",
        "CanaryResult": "attacks.canaries.result",
        "Finding": "attacks.canaries.finding",
        "preflight": "attacks.canaries.preflight",
        "ShadowStore": "attacks.shadow.store",
        "half_split_design": "attacks.shadow.designs",
        "poisson_design": "attacks.shadow.designs",
        "run_shadow": "attacks.shadow.run",
    },
)
