"""The design of training noise: filters, sensitivities and errors against dense matrices, and the guarantee's closed forms."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.continual.buffered_toeplitz import BufferedToeplitz
from mechanisms.continual.exponential_sums import root_as_exponentials
from mechanisms.continual.participation import participation_bound, participation_by_enumeration
from mechanisms.continual.square_root import SquareRoot, inverse_root_coefficients
from mechanisms.continual.training.fitted_filter import MAKERS
from mechanisms.continual.training.noise_filter import ExponentialFilter, NoiseFilter, TapFilter
from mechanisms.continual.training.schedule import FixedOrder, Participation, Schedule, schedule_sensitivity
from mechanisms.continual.training.training_noise import TrainingNoise, design_training_noise, plan_training_noise
from mechanisms.guarantee import Neighboring

SCHEDULES: list[Schedule] = [FixedOrder(3, 4), FixedOrder(12, 1), Participation(1), Participation(3, 4), Participation(2)]
few = settings(max_examples=25)


def filters(T: int, seed: int) -> list[NoiseFilter]:
    p = 1 + seed % T
    return [TapFilter(np.ones(1)), TapFilter(inverse_root_coefficients(p)), ExponentialFilter(root_as_exponentials(T))]


def dense(noise_filter: NoiseFilter, scale: np.ndarray, gain: np.ndarray) -> np.ndarray:
    c = noise_filter.coefficients(len(scale))
    return scale[:, None] * np.tril(linalg.toeplitz(c)) / gain


def by_patterns(R: np.ndarray, k: int, b: int) -> float:
    """The oracle of a fixed order: every pattern's columns added up."""
    T = len(R)
    return max(float(np.linalg.norm(R[:, list(range(first, T, b))[:k]].sum(axis=1))) for first in range(min(b, T)))


@pytest.mark.parametrize("T", [257, 300])
def test_long_filters_agree_with_short_ones(T: int, rng: np.random.Generator):
    """Beyond 256 steps the filters' recursions are used: they must say what the matrices say."""
    scale, gain = rng.uniform(0.3, 2, T), rng.uniform(0.3, 2, T)
    made = ExponentialFilter(root_as_exponentials(T))
    F = np.tril(linalg.toeplitz(made.coefficients(T)))
    np.testing.assert_allclose(made.filtered_by_squares(gain), F**2 @ gain, rtol=1e-9)
    L = np.tril(np.ones((T, T))) @ (gain[:, None] * np.linalg.inv(F) / scale)
    np.testing.assert_allclose(made.variances(scale, gain), (L**2).sum(axis=1), rtol=1e-7)


@few
@given(T=st.integers(1, 30), seed=st.integers(0, 2**32))
def test_filters_are_inverse_and_their_variances_are_those_of_the_rows(T: int, seed: int):
    rng = np.random.default_rng(seed)
    scale, gain = rng.uniform(0.3, 2, T), rng.uniform(0.3, 2, T)
    values = rng.normal(size=(T, 2))
    for made in filters(T, seed):
        F = np.tril(linalg.toeplitz(made.coefficients(T)))
        G = np.tril(linalg.toeplitz(made.inverse_coefficients(T)))
        np.testing.assert_allclose(F @ G, np.eye(T), atol=1e-10)
        np.testing.assert_allclose(made.filtered(values), F @ values, atol=1e-10)
        np.testing.assert_allclose(made.filtered_by_squares(gain), F**2 @ gain, rtol=1e-9)
        L = np.tril(np.ones((T, T))) @ (gain[:, None] * G / scale)
        np.testing.assert_allclose(made.variances(scale, gain), (L**2).sum(axis=1), rtol=1e-8)


@few
@given(k=st.integers(1, 4), b=st.integers(1, 4), rest=st.integers(0, 3), seed=st.integers(0, 2**32), flat=st.booleans())
def test_sensitivity_of_a_fixed_order_is_the_largest_over_its_patterns(k: int, b: int, rest: int, seed: int, flat: bool):
    rng = np.random.default_rng(seed)
    T = max(1, k * b - min(rest, b - 1))
    scale, gain = (np.ones(T), np.ones(T)) if flat else (rng.uniform(0.3, 2, T), rng.uniform(0.3, 2, T))
    for made in filters(T, seed):
        R = dense(made, scale, gain)
        exact = by_patterns(R, k, b)
        found = schedule_sensitivity(made, scale, gain, FixedOrder(k, b))
        assert found == pytest.approx(exact, rel=1e-9)
        signed = rng.choice([-1, 1], size=(T, 1)) * (np.arange(T) % b == seed % b)[:, None]
        assert np.linalg.norm(R @ signed) <= found * (1 + 1e-9), "contributions of any sign, some of them none"


@few
@given(k=st.integers(1, 3), b=st.integers(1, 4), T=st.integers(1, 10), seed=st.integers(0, 2**32))
def test_sensitivity_of_a_minimal_gap_is_never_below_all_patterns(k: int, b: int, T: int, seed: int):
    rng = np.random.default_rng(seed)
    scale, gain = rng.uniform(0.3, 2, T), rng.uniform(0.3, 2, T)
    for made in filters(T, seed):
        R = dense(made, scale, gain)
        exact = participation_by_enumeration(R, n_participations=k, min_gap=b)
        found = schedule_sensitivity(made, scale, gain, Participation(k, b))
        assert exact * (1 - 1e-9) <= found <= participation_bound(R, n_participations=k, min_gap=b) * (1 + 1e-9)
        flat = dense(made, np.ones(T), np.ones(T))
        exact = participation_by_enumeration(flat, n_participations=k, min_gap=b)
        assert schedule_sensitivity(made, np.ones(T), np.ones(T), Participation(k, b)) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
@pytest.mark.parametrize("mechanism", MAKERS)
@pytest.mark.parametrize("rates", [None, np.linspace(1, 0, 12), np.r_[np.ones(6), np.full(6, 0.1)]], ids=["none", "linear", "step"])
def test_designs_say_what_their_matrices_do(mechanism: str, schedule: Schedule, rates: np.ndarray | None):
    noise = design_training_noise(12, participation=schedule, mechanism=mechanism, learning_rate=rates)
    R = noise.right_matrix()
    assert (R >= 0).all()
    assert np.allclose(R, np.tril(R)), "the adaptive proof needs a lower triangular R"
    eta = np.ones(12) if rates is None else rates
    L = np.tril(np.ones((12, 12))) @ (eta[:, None] * np.linalg.inv(R))
    np.testing.assert_allclose(noise.weight_variances(), (L**2).sum(axis=1), rtol=1e-7, atol=1e-12)
    if isinstance(schedule, FixedOrder):
        assert noise.sensitivity == pytest.approx(by_patterns(R, schedule.n_epochs, schedule.steps_per_epoch), rel=1e-9)
    else:
        k, b = schedule.n_participations, schedule.min_gap
        assert noise.sensitivity >= participation_by_enumeration(R, n_participations=k, min_gap=b) * (1 - 1e-9)


def test_one_participation_gives_the_counters_of_the_same_name():
    square = design_training_noise(50, participation=Participation(1), mechanism="square_root")
    counter = SquareRoot(50)
    assert square.sensitivity == pytest.approx(counter.l2_sensitivity)
    np.testing.assert_allclose(square.weight_variances(), counter.squared_row_norms(), rtol=1e-10)
    fitted = design_training_noise(50, participation=Participation(1), mechanism="buffered_toeplitz")
    assert fitted.mean_error() <= BufferedToeplitz(50).mean_error() * (1 + 1e-9)


@pytest.mark.parametrize("schedule", [FixedOrder(10, 14), Participation(1), FixedOrder(20, 7)], ids=str)
def test_correlation_beats_independent_noise_at_equal_privacy(schedule: Schedule):
    plan = plan_training_noise(140, participation=schedule)
    errors = {noise.name: noise.mean_error() for noise in plan}
    assert list(errors.values()) == sorted(errors.values())
    assert errors["identity"] == pytest.approx(70.5 * schedule.n_participations)
    assert min(errors.values()) < errors["identity"] / 4
    square_root = design_training_noise(140, participation=schedule, mechanism="square_root").mean_error()
    banded = design_training_noise(140, participation=schedule, mechanism="banded_inverse", max_state=64)
    assert banded.n_state <= 64
    assert banded.mean_error() < square_root
    assert errors["buffered_toeplitz"] < square_root


def test_noise_fitted_to_learning_rates_has_less_error_under_them():
    rates = np.r_[np.ones(70), np.full(70, 0.1)]
    order = FixedOrder(10, 14)
    blind = design_training_noise(140, participation=order, mechanism="scaled_square_root")
    fitted = design_training_noise(140, participation=order, mechanism="scaled_square_root", learning_rate=rates)
    assert fitted.mean_error() == pytest.approx(fitted.mean_error(rates))
    assert fitted.mean_error() < 0.9 * blind.mean_error(rates)
    assert blind.mean_error() < fitted.mean_error(np.ones(140)), "and more under other ones: the error is a statement about rates"


def test_the_guarantee_is_one_gaussian_and_is_never_amplified():
    noise = design_training_noise(40, participation=FixedOrder(8, 5), mechanism="identity")
    assert noise.sensitivity == pytest.approx(math.sqrt(8))
    claim = noise.guarantee(2.0, 1e-5)
    assert claim.epsilon == pytest.approx(gaussian_epsilon(math.sqrt(8) / 2, 1e-5), rel=1e-9)
    assert claim.neighboring is Neighboring.ZERO_OUT
    replaced = noise.guarantee(2.0, 1e-5, Neighboring.REPLACE)
    assert replaced.epsilon == pytest.approx(gaussian_epsilon(math.sqrt(8), 1e-5), rel=1e-9)
    with pytest.raises(ValueError, match="add_remove"):
        noise.guarantee(2.0, 1e-5, Neighboring.ADD_REMOVE)


@few
@given(epsilon=st.floats(0.05, 20), delta=st.floats(1e-12, 1e-2), replaced=st.booleans())
def test_a_calibrated_noise_multiplier_keeps_the_epsilon(epsilon: float, delta: float, replaced: bool):
    noise = design_training_noise(20, participation=FixedOrder(4, 5), mechanism="banded_inverse")
    relation = Neighboring.REPLACE if replaced else Neighboring.ZERO_OUT
    multiplier = noise.noise_multiplier(epsilon=epsilon, delta=delta, neighboring=relation)
    assert noise.guarantee(multiplier, delta, relation).epsilon <= epsilon
    assert noise.guarantee(multiplier * 0.999, delta, relation).epsilon > epsilon * (1 + 1e-5)


def game_losses(noise: TrainingNoise, m: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Privacy losses of n plays against an adversary who turns its contributions, of norm 1, after what was released so far."""
    R, T = noise.right_matrix(), noise.n_steps
    order = noise.participation
    assert isinstance(order, FixedOrder)
    G = np.linalg.inv(R)
    z = rng.normal(size=(n, T, 2))
    changes, loss, last = np.zeros((n, T, 2)), np.zeros(n), np.zeros((n, 2))
    for t in range(T):
        if t % order.steps_per_epoch == 0:
            angle = np.arctan2(last[:, 1], last[:, 0]) if t else np.zeros(n)
            changes[:, t] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        shift = np.einsum("s,nsi->ni", R[t, : t + 1], changes[:, : t + 1]) / m
        loss += (shift * z[:, t]).sum(axis=1) + (shift**2).sum(axis=1) / 2
        last = changes[:, t] + m * np.einsum("s,nsi->ni", G[t, : t + 1], z[:, : t + 1])
    return loss


def test_an_adaptive_adversary_gains_no_more_than_the_gaussian(rng: np.random.Generator):
    """E[(1 - exp(epsilon - loss))+] is the true delta of the played game; mean of 40,000 plays, five standard errors: false alarm 6e-7."""
    noise = design_training_noise(12, participation=FixedOrder(3, 4), mechanism="buffered_toeplitz")
    m = noise.sensitivity
    loss = game_losses(noise, m, 40_000, rng)
    hockey = np.maximum(0, 1 - np.exp(1.0 - loss))
    claimed = 0.126936737507  # delta of mu = 1 at epsilon = 1
    spread = 5 * hockey.std() / math.sqrt(len(hockey))
    assert hockey.mean() - spread < claimed
    assert hockey.mean() > 0.3 * claimed, "the adversary is no straw man"
    once = schedule_sensitivity(noise.noise_filter, noise.scale, noise.gain, Participation(1))  # the broken twin pays for one participation
    cheap = np.maximum(0, 1 - np.exp(1.0 - game_losses(noise, once, 40_000, rng)))
    assert cheap.mean() - 5 * cheap.std() / math.sqrt(len(cheap)) > claimed


def test_hashes_tell_designs_apart():
    order = FixedOrder(3, 4)
    made = [design_training_noise(12, participation=order, mechanism=name) for name in MAKERS]
    made += [design_training_noise(11, participation=order), design_training_noise(12, participation=FixedOrder(4, 3))]
    made += [design_training_noise(12, participation=order, mechanism="identity", learning_rate=np.ones(12))]
    assert len({noise.config_hash() for noise in made}) == len(made)
    again = design_training_noise(12, participation=order, mechanism="square_root")
    assert again.config_hash() == made[1].config_hash()
    assert again.to_dict()["name"] == "square_root"


def test_tables_are_read_only_and_copied():
    rates = np.ones(12)
    noise = design_training_noise(12, participation=FixedOrder(3, 4), learning_rate=rates)
    rates[:] = 7
    assert noise.learning_rate is not None
    assert (noise.learning_rate == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        noise.scale[0] = 2
    assert replace(noise, sensitivity=1.0).sensitivity == 1.0


def test_the_design_needs_no_torch():
    modules = "mechanisms.continual.training.training_noise", "mechanisms.continual.training.ledger"
    code = f"import sys, {', '.join(modules)}; print({{'torch', 'opacus'}} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_refusals():
    with pytest.raises(ValueError, match="covers|cover"):
        design_training_noise(13, participation=FixedOrder(3, 4))
    with pytest.raises(ValueError, match="learning_rate"):
        design_training_noise(12, participation=FixedOrder(3, 4), learning_rate=np.ones(11))
    with pytest.raises(ValueError, match="learning_rate"):
        design_training_noise(2, participation=FixedOrder(1, 2), learning_rate=[0.1, -0.1])
    with pytest.raises(ValueError, match="mechanism"):
        design_training_noise(12, participation=FixedOrder(3, 4), mechanism="tree")
    with pytest.raises(TypeError, match="participation"):
        design_training_noise(12, participation=(3, 4))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="min_gap"):
        Participation(2, 0)
    rising, flat = np.arange(1.0, 3001), np.ones(3000)
    with pytest.raises(ValueError, match="FixedOrder"):
        schedule_sensitivity(TapFilter(np.ones(1)), rising, flat, Participation(2, 5))
