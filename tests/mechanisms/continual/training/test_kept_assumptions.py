"""What a run with correlated noise refuses: whatever its guarantee assumes is checked at each step."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from opacus import PrivacyEngine
from opacus.utils.batch_memory_manager import BatchMemoryManager
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from mechanisms.continual.training.opacus_optimizer import correlated_noise
from mechanisms.continual.training.schedule import FixedOrder, Participation
from mechanisms.errors import BudgetExhaustedError, UnsupportedClaimError
from tests.mechanisms.continual.training.runs import Run, fresh_engine

ADAPTIVE = {"target_unclipped_quantile": 0.5, "clipbound_learning_rate": 0.1, "max_clipbound": 1.0, "min_clipbound": 0.1}
ADAPTIVE |= {"unclipped_num_std": 1.0}


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
    optimizer, loader = fresh_engine(engine, **private)
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
