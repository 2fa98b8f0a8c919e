"""DP-SGD accounting: the specification's figures, order of the accountants, closed form at full batch, round-off, calibration."""

from __future__ import annotations

import math

import pytest

from mechanisms import Neighboring, dp_sgd_epsilon, dp_sgd_noise_multiplier, gaussian_epsilon
from mechanisms.accounting import dp_sgd
from mechanisms.errors import UnsupportedClaimError

DIGITS = {"sample_rate": 1 / 15, "noise_multiplier": 1.0, "steps": 200, "delta": 1e-5}


def epsilon(sample_rate: float, noise_multiplier: float, steps: int, delta: float = 1e-5, accountant: str = "pld") -> float:
    return dp_sgd_epsilon(
        sample_rate=sample_rate, noise_multiplier=noise_multiplier, steps=steps, delta=delta, accountant=accountant
    ).epsilon


@pytest.mark.parametrize(
    ("setting", "pld"),
    [((0.01, 1, 1000), 1.8282), ((0.004, 0.8, 5000), 2.4991), ((0.01, 0.3, 500), 49.88), ((1, 1, 1), 4.377178), ((1 / 15, 1, 200), 6.4546)],
)
def test_pld_figures(setting: tuple[float, float, int], pld: float):
    assert epsilon(*setting) == pytest.approx(pld, rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "prv", "rdp"),
    [
        ((1 / 15, 1, 1), 1.296, 1.803),
        ((1 / 15, 1, 100), 4.680, 5.311),
        ((1 / 15, 1, 200), 6.465, 7.206),
        ((0.07, 1, 200), 6.808, 7.579),
        ((64 / 1797, 0.8, 1000), 12.009, 13.227),
        ((1, 10, 100), 4.387, 4.729),
        ((0.01, 1, 1000), 1.8384, 2.1014),
        ((0.004, 0.8, 5000), 2.5093, 2.9252),
        ((1, 1, 1), 4.3874, 4.7285),
    ],
)
def test_prv_and_rdp_figures(setting: tuple[float, float, int], prv: float, rdp: float):
    assert epsilon(*setting, accountant="prv") == pytest.approx(prv, abs=6e-4)
    assert epsilon(*setting, accountant="rdp") == pytest.approx(rdp, abs=6e-4)


@pytest.mark.slow
def test_prv_and_rdp_with_little_noise():
    assert epsilon(0.01, 0.3, 500, accountant="prv") == pytest.approx(49.893, abs=6e-4)
    assert epsilon(0.01, 0.3, 500, accountant="rdp") == pytest.approx(57.5, abs=0.06)


@pytest.mark.parametrize("setting", [(1 / 15, 1, 20), (0.2, 3, 50), (0.01, 0.6, 10)])
def test_accountants_are_ordered(setting: tuple[float, float, int]):
    assert epsilon(*setting) < epsilon(*setting, accountant="prv") < epsilon(*setting, accountant="rdp")


@pytest.mark.parametrize(("noise_multiplier", "steps", "delta"), [(1.0, 1, 1e-5), (10.0, 100, 1e-5), (0.5, 7, 1e-12), (0.01, 50, 1e-6)])
def test_full_batch_is_one_exact_gaussian(noise_multiplier: float, steps: int, delta: float):
    assert epsilon(1, noise_multiplier, steps, delta) == gaussian_epsilon(math.sqrt(steps) / noise_multiplier, delta)


@pytest.mark.parametrize(("steps", "delta"), [(1, 1e-5), (30, 1e-9), (1000, 1e-5), (1000, 1e-11)])
def test_grid_never_falls_below_the_exact_curve(steps: int, delta: float):
    """A rate of 1 - 1e-12 goes through the grid and the FFT; its exact epsilon is the full batch's up to 1e-9."""
    exact = gaussian_epsilon(1.0, delta)
    found = dp_sgd._pld_on_grid(1 - 1e-12, math.sqrt(steps), steps, delta - 1e-15 * steps, 1e-3)
    assert exact * (1 - 1e-8) <= found <= exact * 1.01


def test_round_off_is_on_the_safe_side_of_the_true_value():
    """Truth 2.98958 at delta 1e-9 by an exponentially tilted FFT, which keeps relative accuracy in the tail."""
    assert 2.98958 <= epsilon(0.01, 1, 1000, 1e-9) <= 2.98958 * (1 + 3e-4)


def test_delta_below_round_off_is_refused_and_rdp_stays():
    with pytest.raises(UnsupportedClaimError, match="round-off of its FFT may change delta by 1e-12; use accountant 'rdp'"):
        epsilon(0.01, 1, 1000, 1e-12)
    assert epsilon(0.01, 1, 1000, 1e-12, "rdp") > 3.9143  # the true value


def test_prv_is_refused_at_tiny_delta():
    with pytest.raises(UnsupportedClaimError, match="'prv' can't be trusted at delta 1e-10"):
        epsilon(0.01, 1, 10, 1e-10, "prv")


def test_gdp_is_refused_with_the_reason():
    with pytest.raises(UnsupportedClaimError, match=r"can lie below the true epsilon .* use 'pld', 'prv' or 'rdp'"):
        epsilon(0.01, 1, 1000, accountant="gdp")


def test_guarantee_says_what_it_assumes():
    guarantee = dp_sgd_epsilon(**DIGITS)
    assert (guarantee.neighboring, guarantee.delta, guarantee.privacy_unit) == (Neighboring.ADD_REMOVE, 1e-5, "record")
    assert guarantee.mechanism == "DP-SGD, sample rate 0.0666667, noise multiplier 1, 200 steps, PLD accountant"
    assert any("Poisson" in sentence for sentence in guarantee.assumptions)
    assert any("normalizer" in sentence for sentence in guarantee.assumptions)


def test_epsilon_moves_the_right_way():
    here = epsilon(0.02, 1.0, 50)
    assert epsilon(0.02, 1.0, 100) > here
    assert epsilon(0.04, 1.0, 50) > here
    assert epsilon(0.02, 1.2, 50) < here
    assert epsilon(0.02, 1.0, 50, 1e-4) < here
    assert here < epsilon(1, 1.0, 50)


@pytest.mark.parametrize("setting", [(1e-6, 1.0, 10), (0.5, 1000.0, 5)])
def test_nearly_nothing_costs_nearly_nothing(setting: tuple[float, float, int]):
    assert 0 <= epsilon(*setting) < 0.01


@pytest.mark.parametrize(
    "setting",
    [(7.43e-5, 0.347, 35_675, 1.9e-6), (0.0318, 0.0481, 466, 0.07), (1.26e-6, 0.0662, 312_350, 1.3e-7), (0.002, 0.00146, 13_941, 2e-5)],
)
def test_extreme_runs_stay_below_rdp(setting: tuple[float, float, int, float]):
    """Rare samples, hardly any noise, losses beyond the range of exp: a finite bound that is no looser than RDP."""
    assert 0 < epsilon(*setting) <= epsilon(*setting, accountant="rdp") < math.inf


def test_prv_refuses_grids_that_would_not_fit():
    with pytest.raises(UnsupportedClaimError, match="'prv' failed at these settings .* use accountant 'pld' or 'rdp'"):
        epsilon(0.002, 0.00146, 13_941, 2e-5, "prv")


@pytest.mark.parametrize("accountant", ["pld", "prv", "rdp"])
def test_epsilon_is_never_negative(accountant: str):
    assert epsilon(0.00118, 504, 6, 0.039, accountant) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample_rate": 0}, r"sample_rate must be in \(0, 1\], got 0"),
        ({"sample_rate": 64}, "sample_rate"),
        ({"noise_multiplier": 0}, "noise_multiplier must be positive"),
        ({"noise_multiplier": math.inf}, "noise_multiplier"),
        ({"steps": 0}, "steps must be a whole number >= 1"),
        ({"steps": 2.5}, "steps"),
        ({"delta": 0}, r"delta must be in \(0, 1\), got 0"),
        ({"delta": 1e5}, "did you mean 1e-05"),
        ({"accountant": "fdp"}, "accountant must be one of 'pld', 'prv', 'rdp', got 'fdp'"),
    ],
)
def test_bad_values_are_named(change: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        dp_sgd_epsilon(**{**DIGITS, **change})  # type: ignore[arg-type]


@pytest.mark.parametrize(("target", "sample_rate", "steps"), [(8.0, 1 / 15, 200), (0.5, 0.001, 5), (0.01, 0.01, 20), (2.0, 0.999, 10)])
def test_noise_multiplier_is_certified_and_smallest(target: float, sample_rate: float, steps: int):
    z = dp_sgd_noise_multiplier(epsilon=target, delta=1e-5, sample_rate=sample_rate, steps=steps)
    assert epsilon(sample_rate, z, steps) <= target
    assert epsilon(sample_rate, z * (1 - 3e-4), steps) > target


@pytest.mark.parametrize(("target", "steps"), [(4.3771780956812245, 100), (0.01, 3), (50.0, 17)])
def test_noise_multiplier_at_full_batch_is_exact(target: float, steps: int):
    z = dp_sgd_noise_multiplier(epsilon=target, delta=1e-5, sample_rate=1, steps=steps)
    assert epsilon(1, z, steps) <= target
    assert epsilon(1, z * (1 - 1e-12), steps) > target


@pytest.mark.slow
@pytest.mark.parametrize(("target", "sample_rate", "steps"), [(3.0, 0.001, 20_000), (50.0, 0.01, 500), (700.0, 0.2, 100)])
def test_noise_multiplier_of_long_runs(target: float, sample_rate: float, steps: int):
    test_noise_multiplier_is_certified_and_smallest(target, sample_rate, steps)


def test_noise_multiplier_refuses_bad_targets():
    with pytest.raises(ValueError, match="epsilon must be positive"):
        dp_sgd_noise_multiplier(epsilon=0, delta=1e-5, sample_rate=0.1, steps=1)
    with pytest.raises(ValueError, match="delta"):
        dp_sgd_noise_multiplier(epsilon=1, delta=0, sample_rate=0.1, steps=1)
    with pytest.raises(ValueError, match="below the probability 0.000239 that a record is sampled at all, got 0.0014"):
        dp_sgd_noise_multiplier(epsilon=0.1, delta=0.0014, sample_rate=2.66e-5, steps=9)
