"""The ideal signal and its likelihood ratio: closed forms."""

import numpy as np
import pytest
from scipy import special, stats

from attacks.canaries.likelihood import fitted_noise_multiplier, log_likelihood_ratio, simulate_signals
from attacks.scores import MembershipScores


def test_the_ratio_is_the_ratio_of_densities(rng):
    signals = rng.normal(size=(7, 5))
    q, sigma = 0.3, 0.8
    inside = q * stats.norm.pdf(signals, 1, sigma) + (1 - q) * stats.norm.pdf(signals, 0, sigma)
    oracle = np.log(inside / stats.norm.pdf(signals, 0, sigma)).sum(axis=0)
    np.testing.assert_allclose(log_likelihood_ratio(signals, noise_multiplier=sigma, sample_rate=q), oracle, rtol=1e-12)


def test_full_batch_is_the_sum_of_signals(rng):
    signals = rng.normal(size=(100, 4))
    llr = log_likelihood_ratio(signals, noise_multiplier=10.0, sample_rate=1.0)
    np.testing.assert_allclose(llr, (signals.sum(axis=0) - 50) / 100, rtol=1e-12)


def test_extreme_signals_stay_finite():
    llr = log_likelihood_ratio(np.array([[1e9, -1e9]]), noise_multiplier=0.01, sample_rate=0.01)
    assert np.isfinite(llr).all()
    assert llr[1] == pytest.approx(np.log(0.99))


def test_mean_of_the_exponential_ratio_is_one_for_non_members(rng):  # false alarm 6e-7
    member = np.zeros(200_000, dtype=bool)
    signals, _ = simulate_signals(member, noise_multiplier=2.0, sample_rate=0.2, steps=5, rng=rng)
    ratio = np.exp(log_likelihood_ratio(signals, noise_multiplier=2.0, sample_rate=0.2))
    assert abs(ratio.mean() - 1) < 5 * ratio.std() / np.sqrt(len(ratio))
    wrong = np.exp(log_likelihood_ratio(signals, noise_multiplier=1.9, sample_rate=0.2))  # negative control
    assert abs(wrong.mean() - 1) > 5 * wrong.std() / np.sqrt(len(wrong))


def test_auc_of_full_batch_is_phi_of_mu_over_root_two(rng):  # mu = 1: 0.7602; false alarm 6e-7
    member = np.arange(40_000) % 2 == 0
    signals, _ = simulate_signals(member, noise_multiplier=10.0, sample_rate=1.0, steps=100, rng=rng)
    auc = MembershipScores(log_likelihood_ratio(signals, noise_multiplier=10.0, sample_rate=1.0), member).auc
    assert abs(auc - special.ndtr(1 / np.sqrt(2))) < 5 * 0.0024
    assert abs(auc - special.ndtr(1.1 / np.sqrt(2))) > 5 * 0.0024


@pytest.mark.parametrize("rate", [1 / 15, 1.0])
@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_fitted_noise_needs_no_coins(sigma, rate, rng):  # sd of the estimate 0.4 %, resolution 0.1 %: false alarm below 1e-6
    member = rng.random(400) < 0.5
    signals, _ = simulate_signals(member, noise_multiplier=sigma, sample_rate=rate, steps=100, rng=rng)
    assert abs(fitted_noise_multiplier(signals, sample_rate=rate) / sigma - 1) < 0.025
    assert abs(fitted_noise_multiplier(0.9 * signals, sample_rate=rate) / sigma - 1) > 0.025  # negative control


def test_fitted_noise_of_an_engine_without_noise_stays_finite(rng):
    member = rng.random(200) < 0.5
    signals = ((rng.random((50, 200)) < 0.2) & member).astype(float)
    sigma = fitted_noise_multiplier(signals, sample_rate=0.2)
    assert 0 < sigma < 0.1
    assert MembershipScores(log_likelihood_ratio(signals, noise_multiplier=sigma, sample_rate=0.2), member).auc > 0.99
    with pytest.raises(ValueError, match="signals"):
        fitted_noise_multiplier(np.zeros((3, 4)), sample_rate=0.2)


def test_bad_settings_are_refused():
    member = np.array([True, False])
    for wrong in ({"noise_multiplier": -1.0}, {"sample_rate": 0.0}, {"sample_rate": 1.5}, {"steps": 0}):
        settings = {"noise_multiplier": 1.0, "sample_rate": 0.5, "steps": 3} | wrong
        with pytest.raises(ValueError, match=next(iter(wrong))):
            simulate_signals(member, **settings)
