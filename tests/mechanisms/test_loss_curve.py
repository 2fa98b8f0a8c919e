"""The law of the total loss: published values, pessimistic accountants, closed forms, a naive convolution, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
from mechanisms.accounting.epsilon_draws import epsilon_draws
from mechanisms.accounting.gaussian import gaussian_delta, gaussian_epsilon
from mechanisms.accounting.loss_curve import loss_curve, step_loss
from mechanisms.errors import UnsupportedClaimError

RATE, STEPS = 1 / 15, 200


@pytest.fixture(scope="module")
def curve():
    return loss_curve(sample_rate=RATE, noise_multiplier=1.0, steps=STEPS)


class TestValuesOfTheSpecification:
    @pytest.mark.parametrize(("sigma", "area"), [(0.5, 0.98201), (0.8, 0.85946), (0.9, 0.82053), (1.0, 0.78746), (1.1, 0.75975)])
    def test_area(self, sigma, area):
        assert loss_curve(sample_rate=RATE, noise_multiplier=sigma, steps=STEPS).auc == pytest.approx(area, abs=1.5e-5)

    def test_spread_of_an_area(self, curve):
        v1, v0 = curve.auc_variances()
        assert math.sqrt(v1 / 500 + v0 / 500) == pytest.approx(0.01414, abs=1e-5)

    def test_mutual_information(self, curve):
        assert curve.mutual_information == pytest.approx(0.138187, abs=1e-5)


class TestAgainstAccountants:
    @pytest.mark.parametrize(
        ("rate", "sigma", "steps", "delta"),
        [(1 / 15, 1.0, 200, 1e-5), (0.01, 1.0, 1000, 1e-5), (0.1, 2.0, 500, 1e-5), (0.02, 0.6, 300, 1e-6), (0.5, 5.0, 50, 1e-5)],
    )
    def test_pessimistic_privacy_loss_distributions(self, rate, sigma, steps, delta):
        ours = loss_curve(sample_rate=rate, noise_multiplier=sigma, steps=steps).epsilon(delta)
        theirs = dp_sgd_epsilon(sample_rate=rate, noise_multiplier=sigma, steps=steps, delta=delta).epsilon
        assert ours == pytest.approx(theirs, rel=6e-5)

    @pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (10.0, 100), (0.5, 1), (3.0, 7)])
    def test_full_batches_are_gaussian(self, sigma, steps):
        curve, mu = loss_curve(sample_rate=1.0, noise_multiplier=sigma, steps=steps), math.sqrt(steps) / sigma
        assert curve.epsilon(1e-5) == pytest.approx(gaussian_epsilon(mu, 1e-5), rel=6e-5)
        assert curve.auc == pytest.approx(special.ndtr(mu / math.sqrt(2)), abs=2e-5)
        grid = np.array([0.0, 0.5, 2.0])
        assert curve.delta(grid) == pytest.approx(gaussian_delta(mu, grid), rel=1e-3, abs=1e-9)
        assert curve.trade_off(0.1) == pytest.approx(special.ndtr(special.ndtri(0.9) - mu), abs=1e-3)


class TestLaw:
    def test_it_is_the_naive_convolution(self):
        q, sigma = 0.3, 1.2
        curve = loss_curve(sample_rate=q, noise_multiplier=sigma, steps=2)
        grid = np.linspace(-9, 10, 1501)
        weight = stats.norm.pdf(grid, 0, sigma) * (grid[1] - grid[0])
        loss = step_loss(grid, q, sigma)
        total = loss[:, None] + loss
        out, inside = weight[:, None] * weight, (weight * np.exp(loss))[:, None] * (weight * np.exp(loss))
        for epsilon in (0.0, 0.3, 0.8):
            add = float(np.sum(np.maximum(inside - math.exp(epsilon) * out, 0)))
            remove = float(np.sum(np.maximum(out - math.exp(epsilon) * inside, 0)))
            assert curve.delta(epsilon) == pytest.approx(max(add, remove), rel=2e-3)
        assert curve.c0 @ curve.loss == pytest.approx(float(np.sum(out * total)), rel=1e-3)

    def test_the_two_laws_belong_together(self, curve):
        assert curve.c0.sum() == pytest.approx(1, abs=1e-12)
        assert float(curve.c0 @ np.exp(np.minimum(curve.loss, 0))) < 1
        some = curve.c0 > 1e-10  # where the transform's rounding is small, c1 is c0 e^l
        assert np.log(curve.c1[some] / curve.c0[some]) == pytest.approx(curve.loss[some], abs=0.02)

    def test_epsilon_and_delta_are_inverse(self, curve):
        for delta in (1e-9, 1e-5, 0.01, 0.2):
            assert curve.delta(curve.epsilon(delta)) == pytest.approx(delta, rel=1e-6)
        assert curve.epsilon(0.999) == 0.0
        assert curve.delta(math.inf) == 0.0

    def test_roc_holds_the_area_and_the_trade_off(self, curve):
        fpr, tpr = curve.roc
        assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
        assert np.trapezoid(tpr, fpr) == pytest.approx(curve.auc, abs=1e-6)
        assert curve.trade_off(np.array([0.0, 1.0])) == pytest.approx([1.0, 0.0], abs=1e-9)

    def test_an_extreme_engine_stays_finite(self):  # overflow would be a warning, and warnings are errors
        curve = loss_curve(sample_rate=0.05, noise_multiplier=0.05, steps=100)
        assert 1000 < curve.epsilon(1e-5) < math.inf
        assert curve.auc == pytest.approx(1, abs=0.01)

    @given(q=st.floats(0.01, 1), sigma=st.floats(0.5, 5), steps=st.integers(1, 300))
    @settings(max_examples=15)
    def test_more_noise_and_fewer_steps_leak_less(self, q, sigma, steps):
        here = loss_curve(sample_rate=q, noise_multiplier=sigma, steps=steps, resolution=0.1)
        noisier = loss_curve(sample_rate=q, noise_multiplier=1.2 * sigma, steps=steps, resolution=0.1)
        longer = loss_curve(sample_rate=q, noise_multiplier=sigma, steps=2 * steps, resolution=0.1)
        assert noisier.epsilon(1e-5) < here.epsilon(1e-5) * (1 + 1e-3) + 1e-6
        assert noisier.auc <= here.auc + 1e-6
        assert here.auc <= longer.auc + 1e-6

    def test_arrays_are_read_only(self, curve):
        with pytest.raises(ValueError, match="read-only"):
            curve.c0[0] = 1.0


class TestDraws:
    @pytest.mark.parametrize(("width", "error"), [(0.03, 1e-5), (0.3, 1e-4), (0.8, 1e-3)])
    def test_interpolated_epsilons(self, width, error, rng):
        sigma, logit = np.exp(rng.uniform(-width, width, 300)), special.logit(RATE) + rng.uniform(-width, width, 300)
        found = epsilon_draws(noise_multiplier=sigma, sample_rate=special.expit(logit), steps=STEPS, delta=1e-5)
        for i in range(0, 300, 30):
            exact = loss_curve(sample_rate=float(special.expit(logit[i])), noise_multiplier=float(sigma[i]), steps=STEPS)
            assert found[i] == pytest.approx(exact.epsilon(1e-5), rel=error)

    def test_full_batches_and_equal_draws(self):
        sigma = np.linspace(9, 11, 50)
        found = epsilon_draws(noise_multiplier=sigma, sample_rate=np.ones(50), steps=100, delta=1e-5)
        assert found == pytest.approx([gaussian_epsilon(10 / s, 1e-5) for s in sigma], rel=1e-4)
        same = epsilon_draws(noise_multiplier=np.ones(5), sample_rate=np.full(5, RATE), steps=STEPS, delta=1e-5)
        assert same == pytest.approx(np.full(5, 6.4546), rel=1e-4)

    def test_epsilons_near_zero(self):
        quiet = epsilon_draws(noise_multiplier=np.linspace(50, 500, 20), sample_rate=np.full(20, 0.1), steps=10, delta=1e-2)
        assert (quiet >= 0).all()
        assert quiet == pytest.approx(0, abs=1e-3)

    def test_bad_draws(self):
        one = np.ones(3)
        for options, message in [
            ({"noise_multiplier": one[:2]}, "lengths must agree"),
            ({"noise_multiplier": -one}, "positive"),
            ({"sample_rate": np.array([1, 0.5, 1])}, "1 in all draws or in none, got 2 of 3"),
            ({"delta": 0.0}, "delta"),
        ]:
            with pytest.raises(ValueError, match=message):
                epsilon_draws(**({"noise_multiplier": one, "sample_rate": one, "steps": 10, "delta": 1e-5} | options))


class TestFamily:
    def test_rungs_run_from_private_to_open(self):
        family = CurveFamily(RATE, STEPS)
        areas = [curve.auc for curve in family.rungs()]
        assert areas[0] < 0.51
        assert areas[-1] > 1 - 1e-6
        assert (np.diff(areas) > 0).all()

    @pytest.mark.parametrize("sigma", [0.45, 0.77, 1.03, 5.0])
    def test_interpolated_areas(self, sigma):
        family = CurveFamily(RATE, STEPS)
        table, low, high = family.interpolated(lambda curve: (curve.auc,))
        assert low < -math.log(sigma) < high
        assert float(table(-math.log(sigma))[0]) == pytest.approx(family.curve(sigma).auc, abs=2e-5)

    def test_records_that_are_never_sampled_stay_hidden(self):
        assert CurveFamily(0.5, 1).rungs()[-1].auc == pytest.approx(0.75, abs=1e-5)


class TestBadInput:
    @pytest.mark.parametrize(
        "options",
        [{"sample_rate": 0}, {"sample_rate": 1.5}, {"noise_multiplier": 0.0}, {"noise_multiplier": math.nan}, {"steps": 0}, {"steps": 1.5}],
    )
    def test_parameters(self, options):
        with pytest.raises(ValueError, match=next(iter(options))):
            loss_curve(**({"sample_rate": 0.1, "noise_multiplier": 1.0, "steps": 10} | options))

    def test_deltas_and_epsilons(self, curve):
        for delta in (0.0, 1e-13, 1.0, math.nan):
            with pytest.raises(ValueError, match="delta"):
                curve.epsilon(delta)
        with pytest.raises(ValueError, match="epsilon must hold numbers >= 0, got 1 of 2"):
            curve.delta(np.array([1.0, -1.0]))
        with pytest.raises(ValueError, match="fpr"):
            curve.trade_off(1.1)

    def test_what_cannot_be_resolved_is_refused(self):
        with pytest.raises(UnsupportedClaimError, match="use dp_sgd_epsilon"):
            loss_curve(sample_rate=1e-6, noise_multiplier=0.5, steps=10**9)


def test_a_far_corner_of_the_box_is_computed_more_coarsely():
    """A rate of 1e-5 needs more than 2^20 points at full resolution; as a node far from the draws it gets fewer."""
    with pytest.raises(UnsupportedClaimError):
        loss_curve(sample_rate=1.25839e-05, noise_multiplier=0.44, steps=STEPS)
    found = epsilon_draws(noise_multiplier=np.array([0.44, 0.5]), sample_rate=np.array([1.25839e-05, 1.3e-5]), steps=STEPS, delta=1e-5)
    assert np.isfinite(found).all()
    assert (found < 0.3).all()
