"""Correlated noise inside real Opacus runs: what it adds, what it tells, what it refuses, how it resumes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mechanisms.continual.training.noise_tensors import NoiseTensors
from mechanisms.continual.training.opacus_optimizer import CorrelatedNoiseOptimizer, correlated_noise
from mechanisms.continual.training.schedule import FixedOrder, Participation
from mechanisms.continual.training.training_noise import design_training_noise
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, PrivacyAuditError, StateError, UnsupportedClaimError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SecureNoise, SeededNoise

DELTA = 1e-5
ADAPTIVE = {"target_unclipped_quantile": 0.5, "clipbound_learning_rate": 0.1, "max_clipbound": 1.0, "min_clipbound": 0.1}
ADAPTIVE |= {"unclipped_num_std": 1.0}
MECHANISMS = ["identity", "square_root", "banded_inverse", "buffered_toeplitz", "scaled_square_root"]


class Run:
    """A linear model without bias on zero records: gradients of the loss are zero, so noisy gradients are the noise."""

    def __init__(self, *, seed: int | None = 3, lr=0.1, inner=None, loader=None, private=None, dim=40, zeros=True, **options):
        x = torch.zeros(12, dim) if zeros else torch.linspace(-1, 1, 12 * dim).reshape(12, dim)
        self.data = TensorDataset(x, torch.zeros(12, 1))
        self.net = nn.Linear(dim, 1, bias=False)
        nn.init.zeros_(self.net.weight)
        self.engine = PrivacyEngine()
        made = inner(self.net.parameters()) if inner else torch.optim.SGD(self.net.parameters(), lr=lr)
        settings = {"noise_multiplier": 1.0, "max_grad_norm": 2.0, "poisson_sampling": False} | (private or {})
        served = DataLoader(self.data, batch_size=3) if loader is None else loader(self.data)
        self.private, self.plain, served = self.engine.make_private(module=self.net, optimizer=made, data_loader=served, **settings)
        noise = None if seed is None else SeededNoise(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureNoiseWarning)
            wanted = {"n_steps": 12, "noise_multiplier": 1.5, "mechanism": "banded_inverse"} | options
            self.optimizer, self.loader = correlated_noise(self.engine, self.plain, served, noise=noise, **wanted)

    def step(self, batch: torch.Tensor) -> np.ndarray:
        self.optimizer.zero_grad()
        self.private(batch).mean().backward()
        self.optimizer.step()
        return self.net.weight.grad.detach().numpy().copy()

    def epochs(self, n: int) -> np.ndarray:
        return np.array([self.step(x)[0] for _ in range(n) for x, _ in self.loader])


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
    plain, loader = _fresh(engine)
    with pytest.warns(InsecureNoiseWarning):
        correlated_noise(engine, plain, loader, n_steps=4, noise_multiplier=1.0, noise=SeededNoise(1))


def _fresh(engine: PrivacyEngine, **private):
    net = nn.Linear(4, 1)
    settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "poisson_sampling": False} | private
    made = engine.make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(torch.zeros(12, 4), torch.zeros(12, 1)), batch_size=3),
        **settings,
    )
    return made[1], made[-1]


def test_replacement_takes_twice_the_noise():
    zero, other = (Run(noise_multiplier=None, epsilon=2.0, delta=DELTA, neighboring=n) for n in (Neighboring.ZERO_OUT, Neighboring.REPLACE))
    assert other.optimizer.noise_multiplier == pytest.approx(2 * zero.optimizer.noise_multiplier)
    assert other.engine.get_epsilon(DELTA) == pytest.approx(zero.engine.get_epsilon(DELTA))


def test_the_old_accountant_and_the_old_optimizer_fall_silent():
    engine = PrivacyEngine()
    old = engine.accountant
    plain, loader = _fresh(engine)
    correlated_noise(engine, plain, loader, n_steps=12, noise_multiplier=1.0)
    with pytest.raises(UnsupportedClaimError, match="get_epsilon"):
        old.get_epsilon(DELTA)
    with pytest.raises(UnsupportedClaimError, match="independent noise"):
        plain.step_hook(plain)


def test_a_step_beyond_the_plan_is_refused():
    run = Run(n_steps=10)
    with pytest.raises(BudgetExhaustedError, match="10 steps"):
        run.epochs(3)
    assert run.optimizer.n_taken == 10


def test_a_record_takes_part_no_more_often_than_paid_for():
    run = Run(participation=Participation(2, 4))
    run.epochs(2)
    before = run.net.weight.detach().clone()
    with pytest.raises(BudgetExhaustedError, match="as often"):
        run.epochs(1)
    assert torch.equal(run.net.weight, before), "nothing moves in a refused step"


def test_another_order_of_batches_is_refused():
    def served(data: TensorDataset) -> DataLoader:
        return DataLoader(data, batch_sampler=Turning())

    for schedule in (FixedOrder(3, 4), Participation(3, 4)):
        run = Run(loader=served, participation=schedule)
        run.epochs(1)
        with pytest.raises(UnsupportedClaimError, match="return after 1 steps"):
            run.epochs(1)
    Run(loader=served, participation=Participation(3)).epochs(3)


class Turning(torch.utils.data.Sampler[list[int]]):
    """Batches of three, backward in every second epoch."""

    def __init__(self) -> None:
        self.epoch = 0

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Iterator[list[int]]:
        batches = [[3 * i, 3 * i + 1, 3 * i + 2] for i in range(4)]
        self.epoch += 1
        return iter(batches if self.epoch % 2 else batches[::-1])


def test_batches_and_steps_must_pair():
    run = Run()
    first = next(iter(run.loader))[0]
    run.step(first)
    with pytest.raises(UnsupportedClaimError, match="no batch was served"):
        run.step(first)
    run = Run()
    next(iter(run.loader))
    with pytest.raises(UnsupportedClaimError, match="served twice"):
        run.step(next(iter(run.loader))[0])


def test_a_batch_must_not_count_twice_in_a_step():
    run = Run(zeros=False)
    batch = next(iter(run.loader))[0]
    for _ in range(2):
        run.private(batch).mean().backward()
    with pytest.raises(UnsupportedClaimError, match="6 clipped gradients for 3 records"):
        run.optimizer.step()


def test_several_batches_may_make_one_step():
    """Their records take part in the same step, which then has a gap of fewer steps to the next epoch."""
    run = Run(participation=Participation(3, 2), n_steps=6)
    for _ in range(3):
        for i, (x, _) in enumerate(run.loader):
            run.private(x).mean().backward()
            if i % 2:
                run.optimizer.step()
                run.optimizer.zero_grad()
    assert run.optimizer.n_taken == 6
    assert (run.optimizer.ledger.n_taken == 3).all()


def test_worker_processes_serve_the_same_batches():
    noisy = Run(loader=lambda data: DataLoader(data, batch_size=3, num_workers=1), zeros=False)
    assert np.array_equal(noisy.epochs(3), Run(zeros=False).epochs(3))


def test_batches_split_for_memory_count_as_one_step():
    run, found = Run(zeros=False), []
    with BatchMemoryManager(data_loader=run.loader, max_physical_batch_size=2, optimizer=run.optimizer) as split:
        for _ in range(3):
            for x, _ in split:
                run.step(x)
                if not run.optimizer._is_last_step_skipped:
                    found.append(run.net.weight.grad[0].numpy().copy())
    np.testing.assert_allclose(np.array(found), Run(zeros=False).epochs(3), atol=1e-5)


@pytest.mark.parametrize("name", ["noise_multiplier", "max_grad_norm"])
def test_noise_and_clipping_must_not_change(name: str):
    run = Run()
    run.epochs(1)
    setattr(run.optimizer, name, 0.5)
    with pytest.raises(UnsupportedClaimError, match="must not change"):
        run.epochs(1)


def test_trained_parameters_must_not_change():
    run = Run()
    extra = nn.Parameter(torch.zeros(2))
    extra.summed_grad = None
    run.optimizer.param_groups.append({"params": [extra], "lr": 0.1})
    run.private(next(iter(run.loader))[0]).mean().backward()
    extra.grad_sample = torch.zeros(3, 2)
    with pytest.raises(UnsupportedClaimError, match="trained parameters"):
        run.optimizer.step()


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


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_resumed_run_goes_on_with_the_same_noise(mechanism: str):
    whole = Run(mechanism=mechanism, zeros=False)
    expected = whole.epochs(3)
    first = Run(mechanism=mechanism, zeros=False)
    first.epochs(1)
    file = io.BytesIO()
    torch.save({"weights": first.net.state_dict(), "optimizer": first.optimizer.state_dict(), "noise": first.optimizer.noise_state()}, file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    second = Run(mechanism=mechanism, zeros=False, seed=99)
    second.net.load_state_dict(saved["weights"])
    second.optimizer.load_state_dict(saved["optimizer"])
    with pytest.raises(StateError, match="load_noise_state"):
        second.epochs(1)
    second = Run(mechanism=mechanism, zeros=False, seed=99)
    second.net.load_state_dict(saved["weights"])
    second.optimizer.load_state_dict(saved["optimizer"])
    second.optimizer.load_noise_state(saved["noise"])
    np.testing.assert_array_equal(second.epochs(2), expected[4:])
    with pytest.raises(BudgetExhaustedError):
        second.epochs(1)


def test_a_secure_run_resumes_with_fresh_base_noise_that_cancels_the_old():
    """R times all noise is the base noise, before and after: of unit variance and uncorrelated. Five standard errors: false alarm 1e-6."""
    first = Run(seed=None, dim=4000)
    found = [first.epochs(1)]
    second = Run(seed=None, dim=4000)
    second.optimizer.load_noise_state(first.optimizer.noise_state())
    found.append(second.epochs(2))
    base = second.optimizer.design.right_matrix() @ np.concatenate(found) * 3 / (1.5 * 2.0)
    covariance = np.cov(base)
    assert np.abs(covariance - np.eye(12)).max() < 5 * np.sqrt(2 / 4000)
    apart = second.optimizer.design.right_matrix() @ np.concatenate([found[0], Run(seed=None, dim=4000).epochs(2)]) * 3 / (1.5 * 2.0)
    assert np.abs(np.cov(apart) - np.eye(12)).max() > 5 * np.sqrt(2 / 4000), "negative control: noise begun anew doesn't cancel"


def test_states_that_would_draw_a_noise_again_or_fit_nothing_are_refused():
    run = Run()
    state = run.optimizer.noise_state()
    run.epochs(1)
    with pytest.raises(StateError, match="drawn again"):
        run.optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="another design"):
        Run(n_steps=11).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="other parameters"):
        Run(dim=41).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="kind of noise source"):
        Run(seed=None).optimizer.load_noise_state(state)
    with pytest.raises(StateError, match="12 records|2 records"):
        Run().optimizer.load_noise_state({**state, "participations": [torch.zeros(2), torch.zeros(2)]})
    with pytest.raises(StateError, match="no state"):
        Run().optimizer.load_noise_state({})
    with pytest.raises(StateError, match="other noise"):
        Run().optimizer.load_state_dict(Run(n_steps=11).optimizer.state_dict())
    other = Run()
    other.optimizer.load_state_dict(run.optimizer.state_dict())
    with pytest.raises(StateError, match="the noise is of step 0"):
        other.optimizer.load_noise_state(state)


def test_an_interrupted_step_is_not_repeated():
    run = Run()

    class Failing(SecureNoise):
        def words(self, n: int):
            raise KeyboardInterrupt

    run.optimizer.noise.source = Failing()
    with pytest.raises(KeyboardInterrupt):
        run.epochs(1)
    with pytest.raises(StateError, match="interrupted"):
        run.epochs(1)
    with pytest.raises(StateError, match="no state to save"):
        run.optimizer.noise_state()


def test_published_states_hold_no_noise():
    run = Run(inner=lambda p: torch.optim.SGD(p, lr=0.1))
    run.epochs(1)
    tensors = [value for value in _leaves(run.optimizer.state_dict()) if isinstance(value, torch.Tensor)]
    assert tensors == []
    assert run.optimizer.state_dict()["correlated_noise"]["n_taken"] == 4


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


@pytest.mark.parametrize(
    ("private", "message"),
    [
        ({"poisson_sampling": True}, "Poisson"),
        ({"clipping": "per_layer", "max_grad_norm": [1.0, 1.0]}, "PerLayer"),
        ({"clipping": "adaptive", **ADAPTIVE}, "AdaClip"),
        ({"grad_sample_mode": "ghost"}, "FastGradientClipping"),
    ],
)
def test_engines_that_cannot_carry_the_claim(private: dict[str, object], message: str):
    engine = PrivacyEngine()
    optimizer, loader = _fresh(engine, **private)
    with pytest.raises(UnsupportedClaimError, match=message):
        correlated_noise(engine, optimizer, loader, n_steps=12, noise_multiplier=1.0)


def test_shuffling_anew_needs_a_schedule_that_pays_for_it():
    def shuffled(data: TensorDataset) -> DataLoader:
        return DataLoader(data, batch_size=3, shuffle=True)

    with pytest.raises(UnsupportedClaimError, match="shuffle once"):
        Run(loader=shuffled)
    with pytest.raises(UnsupportedClaimError, match="shuffles anew"):
        Run(loader=shuffled, participation=FixedOrder(3, 4))
    run = Run(loader=shuffled, participation=Participation(3))
    run.epochs(3)
    once = Run(loader=lambda data: DataLoader(data, batch_size=3, sampler=torch.randperm(12).tolist()))
    once.epochs(3)
    assert once.optimizer.design.participation == FixedOrder(3, 4)
    assert run.optimizer.design.sensitivity > once.optimizer.design.sensitivity


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
    optimizer, loader = _fresh(engine)
    engine.accountant.history = [(1.0, 0.1, 1)]
    with pytest.raises(PrivacyAuditError, match="before the first step"):
        correlated_noise(engine, optimizer, loader, n_steps=12, noise_multiplier=1.0)
    assert not isinstance(optimizer, CorrelatedNoiseOptimizer)


def test_the_engines_checkpoints_work(tmp_path):
    run = Run(seed=None)
    run.epochs(1)
    run.engine.save_checkpoint(path=tmp_path / "run.pt", module=run.private, optimizer=run.optimizer)
    other = Run(seed=None)
    other.engine.load_checkpoint(path=tmp_path / "run.pt", module=other.private, optimizer=other.optimizer)
    assert len(other.engine.accountant) == 4
    with pytest.raises(StateError, match="load_noise_state"):
        other.epochs(1)
    with pytest.raises(ValueError, match="correlated_noise"):
        PrivacyEngine().accountant.load_state_dict(run.engine.accountant.state_dict())
