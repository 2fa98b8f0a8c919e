"""Adam, weight decay and their private forms: as torch.optim and Opacus, together as alone, in lock-step as one by one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import nn

from attacks.shadow.batches import poisson_batches
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.streams import model_streams, new_module
from tests.attacks.shadow.networks import NETWORKS, SHAPES, clipped_sum, convolution, mlp, padded_tokens, records, relative_error, tokens
from tests.attacks.shadow.test_ensemble import Behind

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch, when it convolves

POOL = 24
PLAIN = {"noise_multiplier": 0.0, "max_grad_norm": math.inf}


def double(make: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: make().double()


def trainer(make=mlp, **changes) -> ShadowTrainer:
    options = {"lr": 0.01, "steps": 12, "sample_rate": 0.3, "noise_multiplier": 0.7, "max_grad_norm": 1.0, "optimizer": "adam"}
    return ShadowTrainer(make, **{**options, "seed": 4, "expected_batch_size": 4.0, "weight_decay": 0.1, **changes})


def membership(models: int, rng: np.random.Generator, n: int = POOL) -> np.ndarray:
    return rng.random((models, n)) < 0.5


def plain_loop(make, x, y, row, optimizer_of, max_grad_norm: float) -> dict[str, torch.Tensor]:
    """Train model 0 by a loop over records and torch's optimizer, in double precision."""
    streams = model_streams(4, 0)
    module = new_module(double(make), streams.module)
    optimizer = optimizer_of(module.parameters())
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    for batch in poisson_batches(row[None], [streams.coins], sample_rate=0.3, steps=12):
        rows = batch.index[0]
        for name, total in clipped_sum(module, inputs[rows], targets[rows], max_grad_norm).items():
            module.get_parameter(name).grad = total / 4.0
        optimizer.step()
    return module.state_dict()


@pytest.mark.parametrize("make", [make for make in NETWORKS if make is not padded_tokens], ids=lambda make: make.__name__)
@pytest.mark.parametrize("max_grad_norm", [0.5, math.inf])
def test_adam_is_that_of_torch_and_not_adamw(make, max_grad_norm, rng):
    (x, y), (row,) = records(make, POOL, rng), membership(1, rng)
    got = trainer(double(make), noise_multiplier=0.0, max_grad_norm=max_grad_norm).train(x, y, row).state_dict(0)
    adam, adamw = (
        plain_loop(make, x, y, row, lambda p, kind=kind: kind(p, lr=0.01, weight_decay=0.1), max_grad_norm)
        for kind in (torch.optim.Adam, torch.optim.AdamW)
    )
    assert relative_error(got, adam) < 1e-9
    assert relative_error(got, adamw) > 1e-3


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("max_grad_norm", [0.5, math.inf])
def test_weight_decay_of_sgd_is_that_of_torch(momentum, max_grad_norm, rng):
    (x, y), (row,) = records(mlp, POOL, rng), membership(1, rng)
    options = {"noise_multiplier": 0.0, "max_grad_norm": max_grad_norm, "optimizer": "sgd", "momentum": momentum}
    got = trainer(double(mlp), **options).train(x, y, row).state_dict(0)
    want = plain_loop(mlp, x, y, row, lambda p: torch.optim.SGD(p, lr=0.01, momentum=momentum, weight_decay=0.1), max_grad_norm)
    assert relative_error(got, want) < 1e-9


def test_clipped_adam_is_opacus_around_adam(rng):
    (x, y), (row,) = records(mlp, POOL, rng), membership(1, rng)
    got = trainer(double(mlp), noise_multiplier=0.0).train(x, y, row).state_dict(0)
    streams = model_streams(4, 0)
    module = GradSampleModule(new_module(double(mlp), streams.module), loss_reduction="sum")
    adam = torch.optim.Adam(module.parameters(), lr=0.01, weight_decay=0.1)
    optimizer = DPOptimizer(adam, noise_multiplier=0.0, max_grad_norm=1.0, expected_batch_size=4)
    for batch in poisson_batches(row[None], [streams.coins], sample_rate=0.3, steps=12):
        rows = batch.index[0]
        optimizer.zero_grad()
        output = module(torch.from_numpy(x)[rows].double())
        nn.CrossEntropyLoss(reduction="sum")(output, torch.from_numpy(y)[rows]).backward()
        optimizer.step()
    assert relative_error(got, module._module.state_dict()) < 1e-9


@pytest.mark.parametrize("make", [mlp, convolution, tokens])
@pytest.mark.parametrize("changes", [{}, PLAIN, {"noise_multiplier": 0.0}, {"optimizer": "sgd", "momentum": 0.9}])
def test_eight_at_once_equal_eight_alone_and_the_slow_road(make, changes, rng, caplog):
    (x, y), member = records(make, POOL, rng), membership(8, rng)
    sizes = rng.uniform(3, 6, 8)
    together = trainer(double(make), **changes).train(x, y, member, expected_batch_size=sizes)
    with caplog.at_level(logging.WARNING):
        slow = trainer(lambda: Behind(double(make)()), **changes).train(x, y, member, expected_batch_size=sizes)
    assert "one by one" in caplog.text
    np.testing.assert_allclose(slow.logits(x), together.logits(x), rtol=1e-9, atol=1e-10)
    for k in range(8):
        alone = trainer(double(make), **changes).train(x, y, member[k], model_ids=[k], expected_batch_size=sizes[k : k + 1])
        assert relative_error(alone.state_dict(0), together.state_dict(k)) < 1e-9


def test_eight_at_once_equal_eight_alone_in_single_precision(rng):
    (x, y), member = records(mlp, POOL, rng), membership(8, rng)
    together = trainer().train(x, y, member)
    for k in range(8):
        alone = trainer().train(x, y, member[k], model_ids=[k])
        assert relative_error(alone.state_dict(0), together.state_dict(k)) < 1e-5


def test_noise_goes_through_adam():
    """A first step of Adam has length lr whatever the gradient, so noise alone moves every weight by lr; with SGD its scale would show."""
    chosen = trainer(double(mlp), steps=1, weight_decay=0.0)
    first = new_module(double(mlp), model_streams(4, 0).module).state_dict()
    moved = chosen.train(np.zeros((2, *SHAPES[mlp])), np.zeros(2, dtype=int), np.zeros((1, 2))).state_dict(0)
    for name, value in first.items():
        torch.testing.assert_close((moved[name] - value).abs(), torch.full_like(value, 0.01), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "adamw"}, "optimizer must be one of"),
        ({"weight_decay": -0.1}, "weight_decay must be non-negative"),
        ({"momentum": 0.9}, "momentum must be 0 with optimizer='adam', got 0.9"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        trainer(**changes)
