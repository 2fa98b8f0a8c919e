import numpy as np
import pytest
from scipy.linalg import solve
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from attacks.distribution.features import OutputFeatures
from attacks.distribution.output_meta_classifier import OutputMetaClassifier, simplest_good
from attacks.distribution.span import in_own_span, ridge_logistic, shrinkage_lda
from attacks.distribution.views import ModelViews
from tests.attacks.distribution.simulated import SimulatedModels


@pytest.mark.parametrize("shape", [(12, 60), (60, 12), (20, 20)])
def test_the_span_keeps_rows_and_inner_products(shape, rng):
    features = rng.normal(size=shape)
    coordinates, axes = in_own_span(features)
    assert np.allclose(coordinates @ axes.T, features)
    assert np.allclose(axes.T @ axes, np.eye(axes.shape[1]))
    assert coordinates.shape[1] <= min(shape)


@pytest.mark.parametrize("strength", [1e-5, 1e-3, 1e-1, 10.0])
def test_ridge_logistic_is_scikit_learns_on_all_features(strength, rng):
    """One world twice as large: both are weighted alike."""
    x, world = rng.normal(size=(36, 150)), np.arange(36) >= 12
    coordinates, axes = in_own_span(x)
    line = ridge_logistic(coordinates, world, strength)
    other = LogisticRegression(C=strength, class_weight="balanced", tol=1e-12, max_iter=10_000).fit(x, world)
    assert np.allclose(axes @ line.weight, other.coef_[0], atol=2e-4 * np.abs(other.coef_).max())
    assert line.intercept == pytest.approx(other.intercept_[0], abs=1e-3)
    warm = ridge_logistic(coordinates, world, strength, start=ridge_logistic(coordinates, world, strength / 3))
    assert np.allclose(warm.weight, line.weight, atol=2e-4 * np.abs(line.weight).max())


def test_lda_is_the_dense_formula(rng):
    x, world = rng.normal(size=(40, 15)) * np.arange(1, 16), np.arange(40) >= 15
    gap = x[world].mean(axis=0) - x[~world].mean(axis=0)
    within = np.concatenate([x[~world] - x[~world].mean(axis=0), x[world] - x[world].mean(axis=0)])
    weight = solve(ledoit_wolf(within, assume_centered=True)[0], gap)
    line = shrinkage_lda(x, world)
    assert np.allclose(line.weight, weight)
    assert line((x[world].mean(axis=0) + x[~world].mean(axis=0)) / 2) == pytest.approx(0, abs=1e-9)


def test_the_whole_attack_is_scikit_learn_on_standardized_margins(rng):
    law = SimulatedModels(rng, queries=80)
    first, second, victims = law.of(0, 20), law.of(1, 25), law.of(1, 9)
    attack = OutputMetaClassifier(strengths=(1e-2,), with_lda=False).fit(first, second)
    margins = np.concatenate([first.margins, second.margins])[:, :, 0]
    x, world = (margins - margins.mean(axis=0)) / margins.std(axis=0), np.arange(45) >= 20
    other = LogisticRegression(C=1e-2, class_weight="balanced", tol=1e-12, max_iter=10_000).fit(x, world)
    expected = other.decision_function((victims.margins[:, :, 0] - margins.mean(axis=0)) / margins.std(axis=0))
    assert np.allclose(attack.decision_function(victims), expected, atol=1e-3 * np.abs(expected).max())
    assert attack.chosen_ == "logistic C=0.01"


def test_one_standard_error_rule():
    """100 models, best 0.8: its standard error is 0.04."""
    assert simplest_good(np.array([0.70, 0.77, 0.80, 0.79]), 100) == 1
    assert simplest_good(np.array([0.70, 0.75, 0.80, 0.79]), 100) == 2
    assert simplest_good(np.array([0.5, 0.5]), 100) == 0
    assert simplest_good(np.array([0.9, 1.0, 1.0]), 100) == 1


def test_a_quiet_difference_beside_a_loud_direction_needs_a_weak_penalty(rng):
    """The worlds differ by (1, -1) on pairs of queries, quietly; all models vary loudly by (4, 3), which has a share of the difference."""
    law = SimulatedModels(rng, rank=1, noise=0.05)
    law.effect[:] = 0
    law.effect[:, 1] = np.where(np.arange(60) % 2 == 0, 0.3, -0.3)
    law.directions[0] = 0
    law.directions[0, :, 1] = np.where(np.arange(60) % 2 == 0, 4.0, 3.0)
    shadows, victims = (law.of(0, 60), law.of(1, 60)), (law.of(0, 100), law.of(1, 100))
    chosen = OutputMetaClassifier().fit(*shadows)
    strong = OutputMetaClassifier(strengths=(1e-5,), with_lda=False).fit(*shadows)
    assert chosen.chosen_ != "logistic C=1e-05"
    assert chosen.held_out_accuracy_.keys() >= {"logistic C=1e-05", "shrinkage_lda"}
    assert chosen.score(*victims) > strong.score(*victims) + 0.1


def test_features_are_clipped_and_constant_ones_are_nothing(rng):
    law = SimulatedModels(rng)
    views = law.of(0, 6)
    logits = views.logits.copy()
    logits[:, 0] = [0.0, 1e6]
    logits[0, 1] = [0.0, 1e6]
    features = OutputFeatures.learned("logits", ModelViews(logits, views.queries))(ModelViews(logits, views.queries))
    assert (features[:, 0] == 0).all()
    assert np.abs(features).max() < 6**0.5


def test_wrong_settings_are_refused(rng):
    law = SimulatedModels(rng)
    for attack, message in (
        (OutputMetaClassifier(strengths=(), with_lda=False), "strengths must not be empty"),
        (OutputMetaClassifier(strengths=(0.0,)), "strength must be positive"),
        (OutputMetaClassifier(folds=1), "folds must be a whole number >= 2"),
    ):
        with pytest.raises(ValueError, match=message):
            attack.fit(law.of(0, 4), law.of(1, 4))
