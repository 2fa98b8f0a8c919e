"""The games of several ratios: naming one, estimating it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.base import BaseEstimator
from sklearn.linear_model import Ridge

from attacks.distribution.defense import RebalanceDefense
from attacks.distribution.multi_ratio_game import MultiRatioGame
from attacks.distribution.regression_game import RatioRegressionGame
from attacks.distribution.views import ModelViews, QueryLabels
from attacks.distribution.which_ratio import AllPairs, of_pair
from tests.attacks.distribution.synthetic import Nothing, OutputLogistic, linear_trainer, table

RATIOS = (0.05, 0.5, 0.95)


class RidgeRatio(BaseEstimator):
    """Ridge regression of the ratio on the margins."""

    def fit(self, shadows, alphas):
        features = np.concatenate([views.margins[:, :, 0] for views in shadows])
        self.ridge_ = Ridge(alpha=100.0).fit(features, np.repeat(alphas, [len(views) for views in shadows]))
        return self

    def predict(self, victims):
        return np.clip(self.ridge_.predict(victims.margins[:, :, 0]), 0, 1)


class Half(BaseEstimator):
    """Always answers 1/2."""

    def fit(self, shadows, alphas):
        return self

    def predict(self, victims):
        return np.full(len(victims), 0.5)


def game(kind, rng, alphas=RATIOS, **options):
    X, y, prop = table(6000, rng)
    return kind(X, y, prop, alphas, 200, n_queries=99, trainer=linear_trainer(), **options)


def test_the_ratio_is_named_far_above_chance(rng):
    """180 victims; at chance 1/3 so many right answers have probability below 1e-6."""
    result = game(MultiRatioGame, rng).run([OutputLogistic(), RidgeRatio(), Nothing()], n_shadow=30, n_victim=60, rng=rng)
    assert result.selected in ("OutputLogistic", "RidgeRatio")
    assert result.chance == pytest.approx(1 / 3)
    for outcome in result.outcomes[:2]:
        assert binom.sf(sum(np.diag(outcome.confusion)) - 1, 180, 1 / 3) < 1e-6
        assert np.sum(outcome.confusion, axis=1).tolist() == [60, 60, 60]
    nothing = result.outcomes[2]
    assert np.sum(nothing.confusion, axis=0).tolist() == [180, 0, 0]  # world 0 of every pair: the first ratio beats all others
    assert nothing.accuracy == pytest.approx(1 / 3)
    assert result.n_leaked() > 0
    assert json.loads(json.dumps(result.to_dict()))["chance"] == pytest.approx(1 / 3)


def test_fixed_cells_leave_no_ratio_to_name(rng):
    """60 victims, false alarm below 1e-6: more than 40 right answers at chance 1/3 have probability 2e-8, fewer than 3 2e-8."""
    defended = game(MultiRatioGame, rng, (0.3, 0.5, 0.7), defense=RebalanceDefense())
    result = defended.run([OutputLogistic()], n_shadow=20, n_victim=20, rng=rng)
    right = sum(np.diag(result.outcomes[0].confusion))
    assert binom.sf(right - 1, 60, 1 / 3) > 1e-6
    assert result.findings == ()


def test_queries_come_from_every_ratio(rng):
    source = game(MultiRatioGame, rng).worlds(RATIOS, 200, rng=rng)
    assert np.bincount(source.query_world).tolist() == [33, 33, 33]
    assert source.queries.labels.world.sum() == 33


def test_a_pair_sees_its_own_queries(rng):
    views = ModelViews(rng.normal(size=(2, 6)), QueryLabels(np.array([0, 1] * 3), np.zeros(6)))
    seen = of_pair(views, np.array([0, 1, 2, 0, 1, 2]), (0, 2))
    assert seen.queries.world.tolist() == [False, True, False, True]
    assert np.array_equal(seen.logits, views.logits[:, [0, 2, 3, 5]])


def test_votes_and_ties():
    """Votes of three worlds: one clear winner; a circle, in which all are tied, goes to the first."""

    class Fixed(Nothing):
        def __init__(self, value=-1.0):
            self.value = value

        def _decide(self, victims):
            return np.full(len(victims), self.value)

    views = ModelViews(np.zeros((2, 3)), QueryLabels(np.array([0, 1, 0]), np.zeros(3)))
    namer = AllPairs(Fixed(), [0, 1, 2]).fit([views] * 3, RATIOS)
    cases = {(1, 1, 1): 2, (1, -1, -1): 1, (-1, -1, 1): 0, (1, 1, -1): 1, (-1, 1, -1): 0}  # of (0, 1), (0, 2), (1, 2); the last is a circle
    for values, expected in cases.items():
        for pair, value in zip(((0, 1), (0, 2), (1, 2)), values, strict=True):
            namer.attacks_[pair].value = float(value)
        assert namer.predict(views).tolist() == [expected] * 2


@pytest.mark.parametrize("prior", ["grid", "interval"])
def test_the_ratio_is_estimated_better_than_by_its_prior(rng, prior):
    result = game(RatioRegressionGame, rng, prior=prior).run({"ridge": RidgeRatio(), "half": Half()}, n_shadow=20, n_victim=20, rng=rng)
    assert result.selected == "ridge"
    assert result.mse < 0.7 * result.prior_variance
    assert abs(result.bias) < 0.2
    assert result.n_leaked() > 0
    ratios = {row["alpha"] for row in result.outcome.by_ratio()}
    assert ratios == set(RATIOS) if prior == "grid" else len(ratios) == 60
    assert json.loads(json.dumps(result.to_dict()))["prior"] == prior


def test_a_constant_leaks_nothing_though_its_error_at_one_half_is_zero(rng):
    result = game(RatioRegressionGame, rng).run([Half()], n_shadow=3, n_victim=4, rng=rng)
    by_ratio = result.outcome.by_ratio()
    assert [row["mse"] for row in by_ratio] == pytest.approx([0.45**2, 0, 0.45**2])
    assert [row["bias"] for row in by_ratio] == pytest.approx([0.45, 0, -0.45])
    assert result.mse == pytest.approx(result.prior_variance)
    assert result.n_leaked() == 0


def test_same_seed_same_result(rng):
    for kind, attack in ((MultiRatioGame, OutputLogistic()), (RatioRegressionGame, RidgeRatio())):
        played = game(kind, rng)
        assert played.run([attack], n_shadow=3, n_victim=2, rng=5) == played.run([attack], n_shadow=3, n_victim=2, rng=5)


def test_bad_input_is_refused(rng):
    with pytest.raises(ValueError, match="at least two rates"):
        game(MultiRatioGame, rng, (0.5, 0.5))
    with pytest.raises(ValueError, match="prior must be one of"):
        game(RatioRegressionGame, rng, prior="normal")
    with pytest.raises(ValueError, match="names of their own"):
        game(RatioRegressionGame, rng).run([Half(), Half()], rng=rng)
    with pytest.raises(ValueError, match="n_shadow must be a whole number >= 2"):
        game(MultiRatioGame, rng).run([OutputLogistic()], n_shadow=1, rng=rng)
    with pytest.raises(ValueError, match="at least 3 to choose"):
        game(MultiRatioGame, rng).run([OutputLogistic(), Nothing()], n_shadow=2, rng=rng)
