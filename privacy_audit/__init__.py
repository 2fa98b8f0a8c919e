"""privacy-audit: evidence about a claimed epsilon.

The face for users: every public name of the rooms below can be taken from here. Importing this package loads neither torch, pymc,
scikit-learn nor matplotlib; asking for a name loads the file it lives in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

__version__ = "0.1.0"

if TYPE_CHECKING:
    from attacks import RMIA as RMIA
    from attacks import AffinityClassifier as AffinityClassifier
    from attacks import AttackCounts as AttackCounts
    from attacks import BayesT as BayesT
    from attacks import CanaryProbe as CanaryProbe
    from attacks import CanaryResult as CanaryResult
    from attacks import ChosenQueries as ChosenQueries
    from attacks import CombinedAttack as CombinedAttack
    from attacks import CorrelatedNoiseProbe as CorrelatedNoiseProbe
    from attacks import DegreeGame as DegreeGame
    from attacks import DifficultyCalibrated as DifficultyCalibrated
    from attacks import DistributionInferenceGame as DistributionInferenceGame
    from attacks import DistributionInferenceResult as DistributionInferenceResult
    from attacks import Finding as Finding
    from attacks import KLRatioRegressor as KLRatioRegressor
    from attacks import KLTest as KLTest
    from attacks import LabelOnly as LabelOnly
    from attacks import LabelOnlyAttack as LabelOnlyAttack
    from attacks import LiRA as LiRA
    from attacks import LossAttack as LossAttack
    from attacks import LossTest as LossTest
    from attacks import MembershipScores as MembershipScores
    from attacks import ModelViews as ModelViews
    from attacks import MultiRatioGame as MultiRatioGame
    from attacks import OutputMetaClassifier as OutputMetaClassifier
    from attacks import PermutationInvariantClassifier as PermutationInvariantClassifier
    from attacks import PerPointThresholdTest as PerPointThresholdTest
    from attacks import QuantileAttack as QuantileAttack
    from attacks import RatioRegressionGame as RatioRegressionGame
    from attacks import RatioRegressor as RatioRegressor
    from attacks import RebalanceDefense as RebalanceDefense
    from attacks import ShadowModels as ShadowModels
    from attacks import ShadowStore as ShadowStore
    from attacks import ShadowTrainer as ShadowTrainer
    from attacks import ThresholdTest as ThresholdTest
    from attacks import WorldAttack as WorldAttack
    from attacks import acc_ideal as acc_ideal
    from attacks import attack_report as attack_report
    from attacks import degree_law as degree_law
    from attacks import distribution_advantage_bound as distribution_advantage_bound
    from attacks import distribution_advantage_bound_gdp as distribution_advantage_bound_gdp
    from attacks import eps_lower_from_advantage as eps_lower_from_advantage
    from attacks import half_split_design as half_split_design
    from attacks import leave_one_out_scores as leave_one_out_scores
    from attacks import logit_from_probabilities as logit_from_probabilities
    from attacks import logit_signal as logit_signal
    from attacks import loss_signal as loss_signal
    from attacks import n_leaked as n_leaked
    from attacks import n_leaked_degree as n_leaked_degree
    from attacks import n_leaked_multi as n_leaked_multi
    from attacks import n_leaked_normal as n_leaked_normal
    from attacks import n_leaked_pmf as n_leaked_pmf
    from attacks import n_leaked_regression as n_leaked_regression
    from attacks import n_leaked_regression_published as n_leaked_regression_published
    from attacks import poisson_design as poisson_design
    from attacks import preflight as preflight
    from attacks import resample_ratio as resample_ratio
    from attacks import run_shadow as run_shadow
    from attacks import select_attack as select_attack
    from attacks import tv_bernoulli as tv_bernoulli
    from attacks import tv_pmf as tv_pmf
    from attacks import vulnerability as vulnerability
    from mechanisms import ContinualCounter as ContinualCounter
    from mechanisms import DistinctCounter as DistinctCounter
    from mechanisms import FiniteUniverse as FiniteUniverse
    from mechanisms import FixedOrder as FixedOrder
    from mechanisms import GuessAndCheck as GuessAndCheck
    from mechanisms import HistogramCounter as HistogramCounter
    from mechanisms import MaxSum as MaxSum
    from mechanisms import Neighboring as Neighboring
    from mechanisms import NoiseSource as NoiseSource
    from mechanisms import Participation as Participation
    from mechanisms import PrivacyGuarantee as PrivacyGuarantee
    from mechanisms import PrivateMultiplicativeWeights as PrivateMultiplicativeWeights
    from mechanisms import ReusableHoldout as ReusableHoldout
    from mechanisms import SecureNoise as SecureNoise
    from mechanisms import SeededNoise as SeededNoise
    from mechanisms import SharedHoldout as SharedHoldout
    from mechanisms import SlidingWindowCounter as SlidingWindowCounter
    from mechanisms import SparseValidate as SparseValidate
    from mechanisms import SparseVector as SparseVector
    from mechanisms import StatisticalQueryAnswerer as StatisticalQueryAnswerer
    from mechanisms import SumSelect as SumSelect
    from mechanisms import design_training_noise as design_training_noise
    from mechanisms import discrete_gaussian_rho as discrete_gaussian_rho
    from mechanisms import dp_sgd_epsilon as dp_sgd_epsilon
    from mechanisms import dp_sgd_noise_multiplier as dp_sgd_noise_multiplier
    from mechanisms import exponential_mechanism as exponential_mechanism
    from mechanisms import gaussian_delta as gaussian_delta
    from mechanisms import gaussian_epsilon as gaussian_epsilon
    from mechanisms import gaussian_mu as gaussian_mu
    from mechanisms import open_counter as open_counter
    from mechanisms import open_release as open_release
    from mechanisms import open_reusable_holdout as open_reusable_holdout
    from mechanisms import permute_and_flip as permute_and_flip
    from mechanisms import plan_counter as plan_counter
    from mechanisms import plan_training_noise as plan_training_noise
    from mechanisms import reusable_holdout_scorer as reusable_holdout_scorer
    from mechanisms import top_k as top_k
    from mechanisms import zcdp_delta as zcdp_delta
    from mechanisms import zcdp_epsilon as zcdp_epsilon
    from mechanisms import zcdp_rho as zcdp_rho
    from mechanisms.continual.training.opacus_optimizer import correlated_noise as correlated_noise
    from privacy_audit.audits.distribution import audit_distribution as audit_distribution
    from privacy_audit.audits.shadow_models import audit_by_shadow_models as audit_by_shadow_models
    from privacy_audit.audits.training import audit_training as audit_training
    from privacy_audit.estimate.accuracy import AccuracyPosterior as AccuracyPosterior
    from privacy_audit.estimate.bound import EpsilonBound as EpsilonBound
    from privacy_audit.estimate.conformance import check_conformance as check_conformance
    from privacy_audit.estimate.correlated_effects import CorrelatedEpsilonPosterior as CorrelatedEpsilonPosterior
    from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior as HierarchicalEpsilonPosterior
    from privacy_audit.estimate.hierarchical_accuracy import HierarchicalAccuracyPosterior as HierarchicalAccuracyPosterior
    from privacy_audit.estimate.leakage import LeakagePosterior as LeakagePosterior
    from privacy_audit.estimate.lower_bound import epsilon_lower_bound as epsilon_lower_bound
    from privacy_audit.estimate.one_run import one_run_bound as one_run_bound
    from privacy_audit.estimate.pooled_leakage import PooledLeakage as PooledLeakage
    from privacy_audit.estimate.posterior import EpsilonPosterior as EpsilonPosterior
    from privacy_audit.estimate.raw_signals import raw_signal_posterior as raw_signal_posterior
    from privacy_audit.estimate.sequential import SequentialAuditor as SequentialAuditor
    from privacy_audit.estimate.thresholds import audit_chosen_threshold as audit_chosen_threshold
    from privacy_audit.estimate.thresholds import audit_curve as audit_curve
    from privacy_audit.estimate.thresholds import audit_scores as audit_scores
    from privacy_audit.estimate.worlds.accuracy_stop import AccuracyStopRule as AccuracyStopRule
    from privacy_audit.estimate.worlds.advantage import advantage_lower_bound as advantage_lower_bound
    from privacy_audit.report.distribution import DistributionEvidence as DistributionEvidence
    from privacy_audit.report.record import AuditReport as AuditReport
    from privacy_audit.report.synthetic_evaluation import evaluate_table as evaluate_table
    from privacy_audit.report.synthetic_record import TableEvaluation as TableEvaluation
    from private_inference import PIGPT as PIGPT
    from private_inference import EntropyPenalty as EntropyPenalty
    from private_inference import EntropyTracker as EntropyTracker
    from private_inference import PIGPTConfig as PIGPTConfig
    from private_inference import attention_entropy as attention_entropy
    from private_inference import causal_max_entropy as causal_max_entropy
    from private_inference import estimate_cost as estimate_cost
    from private_inference import fold as fold
    from private_inference import measure_cost as measure_cost
    from private_inference.cost import census as census
    from synth import AdaptiveRecipe as AdaptiveRecipe
    from synth import BinaryTreeMarginals as BinaryTreeMarginals
    from synth import BuyBounds as BuyBounds
    from synth import BuyCategories as BuyCategories
    from synth import BuyEdges as BuyEdges
    from synth import Categorical as Categorical
    from synth import Continuous as Continuous
    from synth import Datetime as Datetime
    from synth import DomainPlan as DomainPlan
    from synth import Forbidden as Forbidden
    from synth import Halfspace as Halfspace
    from synth import Marginals as Marginals
    from synth import OpenSchema as OpenSchema
    from synth import Ordinal as Ordinal
    from synth import Prefix as Prefix
    from synth import PrivateGSDSynthesizer as PrivateGSDSynthesizer
    from synth import Schema as Schema
    from synth import SynthesisRecord as SynthesisRecord
    from synth import buy_domain as buy_domain
    from synth import column_shares as column_shares
    from synth import count_source as count_source
    from synth import infer_schema as infer_schema
    from synth import read_open_schema as read_open_schema
    from synth import read_schema as read_schema
    from synth import read_table as read_table
    from synth import train_on_synthetic as train_on_synthetic
    from synth import workload_error as workload_error
    from synth import write_schema as write_schema
    from synth import write_table as write_table

_ATTACKS = (
    "CorrelatedNoiseProbe",
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
    "AttackCounts",
    "BayesT",
    "CanaryProbe",
    "CanaryResult",
    "DifficultyCalibrated",
    "Finding",
    "LabelOnlyAttack",
    "LiRA",
    "LossAttack",
    "MembershipScores",
    "QuantileAttack",
    "RMIA",
    "attack_report",
    "leave_one_out_scores",
    "logit_from_probabilities",
    "logit_signal",
    "loss_signal",
    "preflight",
    "vulnerability",
    "ShadowModels",
    "ShadowStore",
    "ShadowTrainer",
    "half_split_design",
    "poisson_design",
    "run_shadow",
)
_MECHANISMS = (
    "SharedHoldout",
    "FiniteUniverse",
    "StatisticalQueryAnswerer",
    "ReusableHoldout",
    "open_reusable_holdout",
    "reusable_holdout_scorer",
    "PrivateMultiplicativeWeights",
    "SparseValidate",
    "GuessAndCheck",
    "SumSelect",
    "MaxSum",
    "NoiseSource",
    "SecureNoise",
    "SeededNoise",
    "exponential_mechanism",
    "permute_and_flip",
    "top_k",
    "SparseVector",
    "ContinualCounter",
    "open_counter",
    "open_release",
    "discrete_gaussian_rho",
    "FixedOrder",
    "Participation",
    "design_training_noise",
    "plan_training_noise",
    "HistogramCounter",
    "SlidingWindowCounter",
    "DistinctCounter",
    "plan_counter",
    "Neighboring",
    "PrivacyGuarantee",
    "dp_sgd_epsilon",
    "dp_sgd_noise_multiplier",
    "gaussian_delta",
    "gaussian_epsilon",
    "gaussian_mu",
    "zcdp_delta",
    "zcdp_epsilon",
    "zcdp_rho",
)

_SYNTH = (
    "Schema",
    "Categorical",
    "Ordinal",
    "Continuous",
    "Datetime",
    "read_schema",
    "write_schema",
    "infer_schema",
    "Forbidden",
    "read_table",
    "write_table",
    "PrivateGSDSynthesizer",
    "AdaptiveRecipe",
    "workload_error",
    "train_on_synthetic",
    "column_shares",
    "Marginals",
    "BinaryTreeMarginals",
    "Prefix",
    "Halfspace",
    "count_source",
    "OpenSchema",
    "BuyBounds",
    "BuyEdges",
    "BuyCategories",
    "DomainPlan",
    "buy_domain",
    "read_open_schema",
    "SynthesisRecord",
)

_PRIVATE_INFERENCE = (
    "EntropyPenalty",
    "EntropyTracker",
    "PIGPT",
    "PIGPTConfig",
    "attention_entropy",
    "causal_max_entropy",
    "census",
    "estimate_cost",
    "fold",
    "measure_cost",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(_ATTACKS, "attacks"),
        **dict.fromkeys(_MECHANISMS, "mechanisms"),
        **dict.fromkeys(_SYNTH, "synth"),
        **dict.fromkeys(_PRIVATE_INFERENCE, "private_inference"),
        "correlated_noise": "mechanisms.continual.training.opacus_optimizer",
        "evaluate_table": "privacy_audit.report.synthetic_evaluation",
        "TableEvaluation": "privacy_audit.report.synthetic_record",
        "AuditReport": "privacy_audit.report.record",
        "DistributionEvidence": "privacy_audit.report.distribution",
        "AccuracyPosterior": "privacy_audit.estimate.accuracy",
        "LeakagePosterior": "privacy_audit.estimate.leakage",
        "HierarchicalAccuracyPosterior": "privacy_audit.estimate.hierarchical_accuracy",
        "PooledLeakage": "privacy_audit.estimate.pooled_leakage",
        "AccuracyStopRule": "privacy_audit.estimate.worlds.accuracy_stop",
        "advantage_lower_bound": "privacy_audit.estimate.worlds.advantage",
        "audit_distribution": "privacy_audit.audits.distribution",
        "EpsilonBound": "privacy_audit.estimate.bound",
        "EpsilonPosterior": "privacy_audit.estimate.posterior",
        "CorrelatedEpsilonPosterior": "privacy_audit.estimate.correlated_effects",
        "HierarchicalEpsilonPosterior": "privacy_audit.estimate.hierarchical",
        "SequentialAuditor": "privacy_audit.estimate.sequential",
        "audit_chosen_threshold": "privacy_audit.estimate.thresholds",
        "audit_curve": "privacy_audit.estimate.thresholds",
        "audit_scores": "privacy_audit.estimate.thresholds",
        "audit_by_shadow_models": "privacy_audit.audits.shadow_models",
        "audit_training": "privacy_audit.audits.training",
        "check_conformance": "privacy_audit.estimate.conformance",
        "epsilon_lower_bound": "privacy_audit.estimate.lower_bound",
        "one_run_bound": "privacy_audit.estimate.one_run",
        "raw_signal_posterior": "privacy_audit.estimate.raw_signals",
    },
)
