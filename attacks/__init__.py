"""Attacks: from a trained model or a training run to scores that say who was a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from attacks.canaries.finding import Finding as Finding
    from attacks.canaries.preflight import preflight as preflight
    from attacks.canaries.probe import CanaryProbe as CanaryProbe
    from attacks.canaries.result import CanaryResult as CanaryResult
    from attacks.membership.attack_report import attack_report as attack_report
    from attacks.membership.bayes_t import BayesT as BayesT
    from attacks.membership.difficulty_calibrated import DifficultyCalibrated as DifficultyCalibrated
    from attacks.membership.label_only import LabelOnlyAttack as LabelOnlyAttack
    from attacks.membership.lira import LiRA as LiRA
    from attacks.membership.loss import LossAttack as LossAttack
    from attacks.membership.quantile import QuantileAttack as QuantileAttack
    from attacks.membership.rmia import RMIA as RMIA
    from attacks.membership.targets import leave_one_out_scores as leave_one_out_scores
    from attacks.membership.vulnerability import vulnerability as vulnerability
    from attacks.scores import AttackCounts as AttackCounts
    from attacks.scores import MembershipScores as MembershipScores
    from attacks.shadow.designs import half_split_design as half_split_design
    from attacks.shadow.designs import poisson_design as poisson_design
    from attacks.shadow.ensemble import ShadowTrainer as ShadowTrainer
    from attacks.shadow.run import run_shadow as run_shadow
    from attacks.shadow.shadow_models import ShadowModels as ShadowModels
    from attacks.shadow.store import ShadowStore as ShadowStore
    from attacks.signals import logit_from_probabilities as logit_from_probabilities
    from attacks.signals import logit_signal as logit_signal
    from attacks.signals import loss_signal as loss_signal

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
        "LossAttack": "attacks.membership.loss",
        "DifficultyCalibrated": "attacks.membership.difficulty_calibrated",
        "LiRA": "attacks.membership.lira",
        "RMIA": "attacks.membership.rmia",
        "QuantileAttack": "attacks.membership.quantile",
        "BayesT": "attacks.membership.bayes_t",
        "LabelOnlyAttack": "attacks.membership.label_only",
        "attack_report": "attacks.membership.attack_report",
        "leave_one_out_scores": "attacks.membership.targets",
        "vulnerability": "attacks.membership.vulnerability",
        "logit_signal": "attacks.signals",
        "loss_signal": "attacks.signals",
        "logit_from_probabilities": "attacks.signals",
        "ShadowModels": "attacks.shadow.shadow_models",
        "ShadowTrainer": "attacks.shadow.ensemble",
    },
)
