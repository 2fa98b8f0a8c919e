import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from attacks.distribution.kl_ratio_regression import KLRatioRegressor
from attacks.distribution.kl_test import clipped_logs
from attacks.distribution.ratio_regression import RatioRegressor
from attacks.distribution.which_ratio import NearestRatio
from tests.attacks.distribution.simulated import SimulatedModels

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9)
REGRESSORS = [RatioRegressor(), KLRatioRegressor()]


def games(law, n):
    return [law.of(alpha, n) for alpha in ALPHAS]


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: type(r).__name__)
def test_estimates_are_near_and_calibrated(regressor, rng):
    """Effect well above the noise: error below 3/4 of the variance of the prior, 0.08, slope of truth on estimate near 1."""
    law = SimulatedModels(rng, effect=1.5)
    regressor.fit(games(law, 30), ALPHAS)
    truth = np.repeat(ALPHAS, 40)
    estimate = np.concatenate([regressor.predict(views) for views in games(law, 40)])
    assert np.mean((estimate - truth) ** 2) < 0.75 * 0.08
    assert np.polyfit(estimate, truth, 1)[0] == pytest.approx(1, abs=0.25)
    assert estimate.min() >= 0.1
    assert estimate.max() <= 0.9
    assert regressor.predict(law.of(5.0, 3)).max() <= 0.9  # clipped to the support


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: type(r).__name__)
def test_where_nothing_leaks_the_estimate_is_the_priors_mean(regressor, rng):
    """Mean squared error within 25 % of the prior's variance 0.08, which a constant reaches."""
    law = SimulatedModels(rng, effect=0.0)
    regressor.fit(games(law, 30), ALPHAS)
    truth = np.repeat(ALPHAS, 40)
    estimate = np.concatenate([regressor.predict(views) for views in games(law, 40)])
    assert np.mean((estimate - truth) ** 2) < 1.25 * 0.08


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: type(r).__name__)
def test_one_victim_at_a_time(regressor, rng):
    law = SimulatedModels(rng, classes=3)
    regressor.fit(games(law, 8), ALPHAS)
    victims = law.of(0.3, 5)
    assert np.allclose(regressor.predict(victims), [regressor.predict(victims[k])[0] for k in range(5)], atol=1e-12)
    assert NearestRatio(regressor).fit(games(law, 8), ALPHAS).predict(victims).shape == (5,)


def test_weights_are_those_of_the_most_alike(rng):
    """Plain loop of softmax(-KL / tau) over the shadows of each share; weights by KL itself would put most on the most unlike."""
    law = SimulatedModels(rng, effect=3.0, queries=12, noise=0.05)
    law.directions *= 0.05
    shadows, victims = games(law, 4), law.of(0.9, 3)
    fitted = KLRatioRegressor(temperatures=(0.02,)).fit(shadows, ALPHAS)
    estimates, upside_down = [], []
    for log in clipped_logs(victims):
        far = np.array([np.mean([np.mean(np.sum(np.exp(p) * (p - log), axis=1)) for p in clipped_logs(views)]) for views in shadows])
        weights = np.exp(-far / 0.02) / np.exp(-far / 0.02).sum()
        estimates.append(weights @ ALPHAS)
        upside_down.append(far / far.sum() @ ALPHAS)
    assert np.allclose(fitted.predict(victims), np.clip(fitted.offset_ + fitted.slope_ * np.array(estimates), 0.1, 0.9), atol=1e-9)
    assert np.min(estimates) > 0.75 > 0.5 > np.max(upside_down)


@pytest.mark.parametrize("regressor", REGRESSORS, ids=lambda r: type(r).__name__)
def test_bad_shares_are_refused(regressor, rng):
    law = SimulatedModels(rng)
    with pytest.raises(ValueError, match="one share per view"):
        regressor.fit(games(law, 3), ALPHAS[:4])
    with pytest.raises(ValueError, match="at least two different"):
        regressor.fit([law.of(0, 3), law.of(0, 3)], (0.5, 0.5))
    with pytest.raises(ValueError, match="at least 2 shadow models"):
        regressor.fit([law.of(0, 3), law.of(1, 1)], (0.2, 0.5))
    with pytest.raises(NotFittedError):
        type(regressor)().predict(law.of(0, 1))
