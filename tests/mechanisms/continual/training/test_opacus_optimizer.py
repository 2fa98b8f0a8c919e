"""Correlated noise inside real Opacus runs: what it adds, what it tells, how it is called."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine

from mechanisms.continual.training.noise_tensors import NoiseTensors
from mechanisms.continual.training.opacus_optimizer import CorrelatedNoiseOptimizer, correlated_noise
from mechanisms.continual.training.schedule import FixedOrder
from mechanisms.continual.training.training_noise import design_training_noise
from mechanisms.errors import InsecureNoiseWarning, PrivacyAuditError, UnsupportedClaimError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.continual.training.runs import DELTA, MECHANISMS, Run, fresh_engine


@pytest.mark.parametrize("rates", [None, np.linspace(0.2, 0.1, 12)], ids=["no rates", "rates"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_r_times_the_noise_is_the_base_noise(mechanism: str, rates: np.ndarray | None):
    """The noisy gradients of zero records, multiplied by R, are max_grad_norm m / batch times the source's draws, in order."""
    design = design_training_noise(12, participation=FixedOrder(3, 4), mechanism=mechanism, learning_rate=rates)
    like = [torch.zeros(3, 5, dtype=torch.float64), torch.zeros(7, dtype=torch.float64), torch.zeros(0)]
    noise, found = NoiseTensors(design, like, SeededNoise(5)), []
    for _ in range(12):
        with noise.step() as drawn:
            found.append(torch.cat([item.flatten().double() for item in drawn]).numpy())
    source = SeededNoise(5)
    base = np.array([np.concatenate([source.normal(1.0, 15), source.normal(1.0, 7)]) for _ in range(12)])
    np.testing.assert_allclose(design.right_matrix() @ np.array(found), base, atol=1e-9)
    np.testing.assert_allclose(np.array(found), np.linalg.solve(design.right_matrix(), base), atol=1e-9)


def test_the_optimizer_adds_it_before_the_learning_rate():
    run = Run(lr=0.25)
    found, weights = [], [np.zeros(40)]
    for _ in range(3):
        for x, _ in run.loader:
            found.append(run.step(x)[0])
            weights.append(run.net.weight.detach().numpy()[0].copy())
            run.optimizer.param_groups[0]["lr"] *= 1.3
    R = run.optimizer.design.right_matrix()
    source = SeededNoise(3)
    base = np.array([source.normal(1.0, 40) for _ in range(12)])
    np.testing.assert_allclose(R @ np.array(found) * 3 / (1.5 * 2.0), base, atol=1e-4)
    rates = 0.25 * 1.3 ** np.arange(12)
    np.testing.assert_allclose(np.diff(weights, axis=0), -rates[:, None] * np.array(found), atol=1e-4)


def test_weights_have_the_predicted_variance(rng: np.random.Generator):
    """Noise of 20,000 weights after each step, under changing rates; five standard errors of a variance: false alarm 12 x 6e-7."""
    rates = np.linspace(0.5, 0.05, 12)
    run = Run(seed=int(rng.integers(2**32)), dim=20_000, lr=0.5, learning_rate=rates, mechanism="scaled_square_root")
    expected = run.optimizer.design.weight_variances() * (1.5 * 2.0 / 3) ** 2
    for t in range(12):
        if t % 4 == 0:
            batches = iter(run.loader)
        run.optimizer.param_groups[0]["lr"] = rates[t]
        run.step(next(batches)[0])
        found = float(run.net.weight.detach().double().var())
        assert abs(found / expected[t] - 1) < 5 * np.sqrt(2 / 20_000)
    flat = run.optimizer.design.weight_variances(np.ones(12)) * (1.5 * 2.0 / 3) ** 2
    assert abs(found / flat[-1] - 1) > 5 * np.sqrt(2 / 20_000), "negative control: other rates, other variances"


@pytest.mark.parametrize("inner", [torch.optim.Adam, lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1)])
def test_other_optimizers_get_the_same_gradients(inner):
    assert np.array_equal(Run(inner=inner).epochs(3), Run().epochs(3))


def test_the_engine_tells_the_epsilon_of_the_whole_run_and_of_nothing_else():
    run = Run(seed=None, noise_multiplier=None, epsilon=2.0, delta=DELTA)
    design, m = run.optimizer.design, run.optimizer.noise_multiplier
    before = run.engine.get_epsilon(DELTA)
    assert before == pytest.approx(2.0, rel=1e-6)
    assert before <= 2.0
    assert before == design.guarantee(m, DELTA).epsilon
    run.epochs(2)
    assert run.engine.get_epsilon(DELTA) == before
    assert len(run.engine.accountant) == 8
    assert run.engine.accountant.guarantee(DELTA).assumptions == design.guarantee(m, DELTA).assumptions


def test_a_seed_is_an_assumption():
    assert any("seed" in sentence for sentence in Run().engine.accountant.guarantee(DELTA).assumptions)
    engine = PrivacyEngine()
    plain, loader = fresh_engine(engine)
    with pytest.warns(InsecureNoiseWarning):
        correlated_noise(engine, plain, loader, n_steps=4, noise_multiplier=1.0, noise=SeededNoise(1))


def test_replacement_takes_twice_the_noise():
    zero, other = (Run(noise_multiplier=None, epsilon=2.0, delta=DELTA, neighboring=n) for n in (Neighboring.ZERO_OUT, Neighboring.REPLACE))
    assert other.optimizer.noise_multiplier == pytest.approx(2 * zero.optimizer.noise_multiplier)
    assert other.engine.get_epsilon(DELTA) == pytest.approx(zero.engine.get_epsilon(DELTA))


def test_the_old_accountant_and_the_old_optimizer_fall_silent():
    engine = PrivacyEngine()
    old = engine.accountant
    plain, loader = fresh_engine(engine)
    correlated_noise(engine, plain, loader, n_steps=12, noise_multiplier=1.0)
    with pytest.raises(UnsupportedClaimError, match="get_epsilon"):
        old.get_epsilon(DELTA)
    with pytest.raises(UnsupportedClaimError, match="independent noise"):
        plain.step_hook(plain)


def test_declared_learning_rates_are_held_to():
    rates = 0.1 * 0.9 ** np.arange(12)
    run = Run(learning_rate=rates)
    schedule = torch.optim.lr_scheduler.ExponentialLR(run.optimizer.original_optimizer, 0.9)
    for _ in range(3):
        for x, _ in run.loader:
            run.step(x)
            schedule.step()
    assert run.optimizer.n_taken == 12
    run = Run(learning_rate=rates)
    with pytest.raises(UnsupportedClaimError, match="learning rate of step 2 was declared"):
        run.epochs(1)
    assert run.optimizer.n_taken == 1


def test_a_design_made_before_is_used_as_it_is():
    design = design_training_noise(12, participation=FixedOrder(3, 4), mechanism="banded_inverse")
    run = Run(mechanism=design)
    assert run.optimizer.design is design
    assert np.array_equal(run.epochs(3), Run().epochs(3))
    with pytest.raises(ValueError, match="n_steps"):
        Run(mechanism=design, n_steps=11)
    with pytest.raises(ValueError, match="leave them out"):
        Run(mechanism=design, participation=FixedOrder(3, 4))


def test_bad_calls():
    with pytest.raises(ValueError, match="epsilon and delta"):
        Run(noise_multiplier=None)
    with pytest.raises(ValueError, match="epsilon and delta"):
        Run(epsilon=1.0, delta=DELTA)
    with pytest.raises(ValueError, match="epsilon and delta"):
        Run(noise_multiplier=None, epsilon=1.0)
    with pytest.raises(ValueError, match="add_remove"):
        Run(neighboring=Neighboring.ADD_REMOVE)
    with pytest.raises(ValueError, match="steps_per_epoch"):
        Run(participation=FixedOrder(4, 3))
    engine = PrivacyEngine()
    optimizer, loader = fresh_engine(engine)
    engine.accountant.history = [(1.0, 0.1, 1)]
    with pytest.raises(PrivacyAuditError, match="before the first step"):
        correlated_noise(engine, optimizer, loader, n_steps=12, noise_multiplier=1.0)
    assert not isinstance(optimizer, CorrelatedNoiseOptimizer)
