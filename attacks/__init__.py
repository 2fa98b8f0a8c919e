"""Attacks: from a trained model or a training run to scores that say who was a member."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from attacks.canaries.correlated_noise import CorrelatedNoiseProbe as CorrelatedNoiseProbe
    from attacks.canaries.finding import Finding as Finding
    from attacks.canaries.preflight import preflight as preflight
    from attacks.canaries.probe import CanaryProbe as CanaryProbe
    from attacks.canaries.result import CanaryResult as CanaryResult
    from attacks.distribution import AffinityClassifier as AffinityClassifier
    from attacks.distribution import ChosenQueries as ChosenQueries
    from attacks.distribution import CombinedAttack as CombinedAttack
    from attacks.distribution import DegreeGame as DegreeGame
    from attacks.distribution import DistributionInferenceGame as DistributionInferenceGame
    from attacks.distribution import DistributionInferenceResult as DistributionInferenceResult
    from attacks.distribution import KLRatioRegressor as KLRatioRegressor
    from attacks.distribution import KLTest as KLTest
    from attacks.distribution import LabelOnly as LabelOnly
    from attacks.distribution import LossTest as LossTest
    from attacks.distribution import ModelViews as ModelViews
    from attacks.distribution import MultiRatioGame as MultiRatioGame
    from attacks.distribution import OutputMetaClassifier as OutputMetaClassifier
    from attacks.distribution import PermutationInvariantClassifier as PermutationInvariantClassifier
    from attacks.distribution import PerPointThresholdTest as PerPointThresholdTest
    from attacks.distribution import RatioRegressionGame as RatioRegressionGame
    from attacks.distribution import RatioRegressor as RatioRegressor
    from attacks.distribution import RebalanceDefense as RebalanceDefense
    from attacks.distribution import ThresholdTest as ThresholdTest
    from attacks.distribution import WorldAttack as WorldAttack
    from attacks.distribution import acc_ideal as acc_ideal
    from attacks.distribution import degree_law as degree_law
    from attacks.distribution import distribution_advantage_bound as distribution_advantage_bound
    from attacks.distribution import distribution_advantage_bound_gdp as distribution_advantage_bound_gdp
    from attacks.distribution import eps_lower_from_advantage as eps_lower_from_advantage
    from attacks.distribution import n_leaked as n_leaked
    from attacks.distribution import n_leaked_degree as n_leaked_degree
    from attacks.distribution import n_leaked_multi as n_leaked_multi
    from attacks.distribution import n_leaked_normal as n_leaked_normal
    from attacks.distribution import n_leaked_pmf as n_leaked_pmf
    from attacks.distribution import n_leaked_regression as n_leaked_regression
    from attacks.distribution import n_leaked_regression_published as n_leaked_regression_published
    from attacks.distribution import resample_ratio as resample_ratio
    from attacks.distribution import select_attack as select_attack
    from attacks.distribution import tv_bernoulli as tv_bernoulli
    from attacks.distribution import tv_pmf as tv_pmf
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

_DISTRIBUTION = (
    "AffinityClassifier",
    "ChosenQueries",
    "CombinedAttack",
    "DegreeGame",
    "DistributionInferenceGame",
    "DistributionInferenceResult",
    "KLRatioRegressor",
    "KLTest",
    "LabelOnly",
    "LossTest",
    "ModelViews",
    "MultiRatioGame",
    "OutputMetaClassifier",
    "PerPointThresholdTest",
    "PermutationInvariantClassifier",
    "RatioRegressionGame",
    "RatioRegressor",
    "RebalanceDefense",
    "ThresholdTest",
    "WorldAttack",
    "acc_ideal",
    "degree_law",
    "distribution_advantage_bound",
    "distribution_advantage_bound_gdp",
    "eps_lower_from_advantage",
    "n_leaked",
    "n_leaked_degree",
    "n_leaked_multi",
    "n_leaked_normal",
    "n_leaked_pmf",
    "n_leaked_regression",
    "n_leaked_regression_published",
    "resample_ratio",
    "select_attack",
    "tv_bernoulli",
    "tv_pmf",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CorrelatedNoiseProbe": "attacks.canaries.correlated_noise",
        **dict.fromkeys(_DISTRIBUTION, "attacks.distribution"),
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
