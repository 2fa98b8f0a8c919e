"""Distribution inference: what a trained model tells about the distribution that its training data came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mechanisms.lazy import lazy_names

if TYPE_CHECKING:
    from attacks.distribution.affinity import AffinityClassifier as AffinityClassifier
    from attacks.distribution.attack import WorldAttack as WorldAttack
    from attacks.distribution.chosen_queries import ChosenQueries as ChosenQueries
    from attacks.distribution.combined import CombinedAttack as CombinedAttack
    from attacks.distribution.defense import RebalanceDefense as RebalanceDefense
    from attacks.distribution.degree_game import DegreeGame as DegreeGame
    from attacks.distribution.discrete_leakage import n_leaked_normal as n_leaked_normal
    from attacks.distribution.discrete_leakage import n_leaked_pmf as n_leaked_pmf
    from attacks.distribution.fold_variation import tv_pmf as tv_pmf
    from attacks.distribution.game import DistributionInferenceGame as DistributionInferenceGame
    from attacks.distribution.graph_degree import degree_law as degree_law
    from attacks.distribution.graph_degree import n_leaked_degree as n_leaked_degree
    from attacks.distribution.ideal_observer import acc_ideal as acc_ideal
    from attacks.distribution.ideal_observer import tv_bernoulli as tv_bernoulli
    from attacks.distribution.kl_ratio_regression import KLRatioRegressor as KLRatioRegressor
    from attacks.distribution.kl_test import KLTest as KLTest
    from attacks.distribution.label_only import LabelOnly as LabelOnly
    from attacks.distribution.leakage import n_leaked as n_leaked
    from attacks.distribution.loss_test import LossTest as LossTest
    from attacks.distribution.multi_ratio_game import MultiRatioGame as MultiRatioGame
    from attacks.distribution.output_meta_classifier import OutputMetaClassifier as OutputMetaClassifier
    from attacks.distribution.per_point import PerPointThresholdTest as PerPointThresholdTest
    from attacks.distribution.permutation_invariant import PermutationInvariantClassifier as PermutationInvariantClassifier
    from attacks.distribution.privacy_bound import distribution_advantage_bound as distribution_advantage_bound
    from attacks.distribution.privacy_bound import distribution_advantage_bound_gdp as distribution_advantage_bound_gdp
    from attacks.distribution.privacy_bound import eps_lower_from_advantage as eps_lower_from_advantage
    from attacks.distribution.ratio_regression import RatioRegressor as RatioRegressor
    from attacks.distribution.regression_game import RatioRegressionGame as RatioRegressionGame
    from attacks.distribution.regression_leakage import n_leaked_multi as n_leaked_multi
    from attacks.distribution.regression_leakage import n_leaked_regression as n_leaked_regression
    from attacks.distribution.regression_leakage import n_leaked_regression_published as n_leaked_regression_published
    from attacks.distribution.resample import resample_ratio as resample_ratio
    from attacks.distribution.result import DistributionInferenceResult as DistributionInferenceResult
    from attacks.distribution.selection import select_attack as select_attack
    from attacks.distribution.threshold_test import ThresholdTest as ThresholdTest
    from attacks.distribution.views import ModelViews as ModelViews

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "AffinityClassifier": "attacks.distribution.affinity",
        "ChosenQueries": "attacks.distribution.chosen_queries",
        "CombinedAttack": "attacks.distribution.combined",
        "DegreeGame": "attacks.distribution.degree_game",
        "DistributionInferenceGame": "attacks.distribution.game",
        "DistributionInferenceResult": "attacks.distribution.result",
        "KLRatioRegressor": "attacks.distribution.kl_ratio_regression",
        "KLTest": "attacks.distribution.kl_test",
        "LabelOnly": "attacks.distribution.label_only",
        "LossTest": "attacks.distribution.loss_test",
        "ModelViews": "attacks.distribution.views",
        "MultiRatioGame": "attacks.distribution.multi_ratio_game",
        "OutputMetaClassifier": "attacks.distribution.output_meta_classifier",
        "PerPointThresholdTest": "attacks.distribution.per_point",
        "PermutationInvariantClassifier": "attacks.distribution.permutation_invariant",
        "RatioRegressionGame": "attacks.distribution.regression_game",
        "RatioRegressor": "attacks.distribution.ratio_regression",
        "RebalanceDefense": "attacks.distribution.defense",
        "ThresholdTest": "attacks.distribution.threshold_test",
        "WorldAttack": "attacks.distribution.attack",
        "acc_ideal": "attacks.distribution.ideal_observer",
        "degree_law": "attacks.distribution.graph_degree",
        "distribution_advantage_bound": "attacks.distribution.privacy_bound",
        "distribution_advantage_bound_gdp": "attacks.distribution.privacy_bound",
        "eps_lower_from_advantage": "attacks.distribution.privacy_bound",
        "n_leaked": "attacks.distribution.leakage",
        "n_leaked_degree": "attacks.distribution.graph_degree",
        "n_leaked_multi": "attacks.distribution.regression_leakage",
        "n_leaked_normal": "attacks.distribution.discrete_leakage",
        "n_leaked_pmf": "attacks.distribution.discrete_leakage",
        "n_leaked_regression": "attacks.distribution.regression_leakage",
        "n_leaked_regression_published": "attacks.distribution.regression_leakage",
        "resample_ratio": "attacks.distribution.resample",
        "select_attack": "attacks.distribution.selection",
        "tv_bernoulli": "attacks.distribution.ideal_observer",
        "tv_pmf": "attacks.distribution.fold_variation",
    },
)
