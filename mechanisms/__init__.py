"""The ground floor: what a privacy guarantee is, and everything that has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from mechanisms.accounting.discrete_curve import discrete_gaussian_delta as discrete_gaussian_delta
    from mechanisms.accounting.discrete_curve import discrete_gaussian_epsilon as discrete_gaussian_epsilon
    from mechanisms.accounting.discrete_curve import discrete_gaussian_rho as discrete_gaussian_rho
    from mechanisms.accounting.dp_sgd import dp_sgd_epsilon as dp_sgd_epsilon
    from mechanisms.accounting.dp_sgd import dp_sgd_noise_multiplier as dp_sgd_noise_multiplier
    from mechanisms.accounting.gaussian import gaussian_delta as gaussian_delta
    from mechanisms.accounting.gaussian import gaussian_epsilon as gaussian_epsilon
    from mechanisms.accounting.gaussian import gaussian_mu as gaussian_mu
    from mechanisms.accounting.ledger import Ledger as Ledger
    from mechanisms.accounting.zcdp import zcdp_delta as zcdp_delta
    from mechanisms.accounting.zcdp import zcdp_epsilon as zcdp_epsilon
    from mechanisms.accounting.zcdp import zcdp_rho as zcdp_rho
    from mechanisms.adaptive.finite_universe import FiniteUniverse as FiniteUniverse
    from mechanisms.adaptive.guess_and_check import GuessAndCheck as GuessAndCheck
    from mechanisms.adaptive.holdout_scorer import reusable_holdout_scorer as reusable_holdout_scorer
    from mechanisms.adaptive.multiplicative_weights import PrivateMultiplicativeWeights as PrivateMultiplicativeWeights
    from mechanisms.adaptive.query_answerer import StatisticalQueryAnswerer as StatisticalQueryAnswerer
    from mechanisms.adaptive.reusable_holdout import ReusableHoldout as ReusableHoldout
    from mechanisms.adaptive.sparse_validate import SparseValidate as SparseValidate
    from mechanisms.adaptive.stored_holdout import SharedHoldout as SharedHoldout
    from mechanisms.adaptive.stored_holdout import open_reusable_holdout as open_reusable_holdout
    from mechanisms.continual.counter import ContinualCounter as ContinualCounter
    from mechanisms.continual.distinct_count import DistinctCounter as DistinctCounter
    from mechanisms.continual.histogram import HistogramCounter as HistogramCounter
    from mechanisms.continual.max_sum import MaxSum as MaxSum
    from mechanisms.continual.plan import plan_counter as plan_counter
    from mechanisms.continual.sliding_window import SlidingWindowCounter as SlidingWindowCounter
    from mechanisms.continual.state import open_counter as open_counter
    from mechanisms.continual.stored_release import StoredRelease as StoredRelease
    from mechanisms.continual.stored_release import open_release as open_release
    from mechanisms.continual.sum_select import SumSelect as SumSelect
    from mechanisms.continual.training.schedule import FixedOrder as FixedOrder
    from mechanisms.continual.training.schedule import Participation as Participation
    from mechanisms.continual.training.training_noise import TrainingNoise as TrainingNoise
    from mechanisms.continual.training.training_noise import design_training_noise as design_training_noise
    from mechanisms.continual.training.training_noise import plan_training_noise as plan_training_noise
    from mechanisms.guarantee import Neighboring as Neighboring
    from mechanisms.guarantee import PrivacyGuarantee as PrivacyGuarantee
    from mechanisms.noise.source import NoiseSource as NoiseSource
    from mechanisms.noise.source import SecureNoise as SecureNoise
    from mechanisms.noise.source import SeededNoise as SeededNoise
    from mechanisms.selection.exponential import exponential_mechanism as exponential_mechanism
    from mechanisms.selection.permute_and_flip import permute_and_flip as permute_and_flip
    from mechanisms.selection.sparse_vector import SparseVector as SparseVector
    from mechanisms.selection.top_k import top_k as top_k

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "open_release": "mechanisms.continual.stored_release",
        "StoredRelease": "mechanisms.continual.stored_release",
        "FixedOrder": "mechanisms.continual.training.schedule",
        "Participation": "mechanisms.continual.training.schedule",
        "TrainingNoise": "mechanisms.continual.training.training_noise",
        "design_training_noise": "mechanisms.continual.training.training_noise",
        "plan_training_noise": "mechanisms.continual.training.training_noise",
        "discrete_gaussian_rho": "mechanisms.accounting.discrete_curve",
        "discrete_gaussian_delta": "mechanisms.accounting.discrete_curve",
        "discrete_gaussian_epsilon": "mechanisms.accounting.discrete_curve",
        "Ledger": "mechanisms.accounting.ledger",
        "SharedHoldout": "mechanisms.adaptive.stored_holdout",
        "FiniteUniverse": "mechanisms.adaptive.finite_universe",
        "StatisticalQueryAnswerer": "mechanisms.adaptive.query_answerer",
        "ReusableHoldout": "mechanisms.adaptive.reusable_holdout",
        "open_reusable_holdout": "mechanisms.adaptive.stored_holdout",
        "reusable_holdout_scorer": "mechanisms.adaptive.holdout_scorer",
        "PrivateMultiplicativeWeights": "mechanisms.adaptive.multiplicative_weights",
        "SparseValidate": "mechanisms.adaptive.sparse_validate",
        "GuessAndCheck": "mechanisms.adaptive.guess_and_check",
        "SumSelect": "mechanisms.continual.sum_select",
        "MaxSum": "mechanisms.continual.max_sum",
        "NoiseSource": "mechanisms.noise.source",
        "SecureNoise": "mechanisms.noise.source",
        "SeededNoise": "mechanisms.noise.source",
        "exponential_mechanism": "mechanisms.selection.exponential",
        "permute_and_flip": "mechanisms.selection.permute_and_flip",
        "top_k": "mechanisms.selection.top_k",
        "SparseVector": "mechanisms.selection.sparse_vector",
        "ContinualCounter": "mechanisms.continual.counter",
        "open_counter": "mechanisms.continual.state",
        "HistogramCounter": "mechanisms.continual.histogram",
        "SlidingWindowCounter": "mechanisms.continual.sliding_window",
        "DistinctCounter": "mechanisms.continual.distinct_count",
        "plan_counter": "mechanisms.continual.plan",
        "Neighboring": "mechanisms.guarantee",
        "PrivacyGuarantee": "mechanisms.guarantee",
        "gaussian_delta": "mechanisms.accounting.gaussian",
        "gaussian_epsilon": "mechanisms.accounting.gaussian",
        "gaussian_mu": "mechanisms.accounting.gaussian",
        "zcdp_rho": "mechanisms.accounting.zcdp",
        "zcdp_epsilon": "mechanisms.accounting.zcdp",
        "zcdp_delta": "mechanisms.accounting.zcdp",
        "dp_sgd_epsilon": "mechanisms.accounting.dp_sgd",
        "dp_sgd_noise_multiplier": "mechanisms.accounting.dp_sgd",
    },
)
