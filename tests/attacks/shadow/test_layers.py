"""Sums of clipped gradients of K models at once, against a float64 loop over records and against Opacus."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from attacks.shadow.batches import Batch
from attacks.shadow.layers.affine import gradient_is_smaller
from attacks.shadow.layers.recognize import obstacle_of
from attacks.shadow.lockstep import LockStep, run_ahead
from attacks.shadow.settings import TrainingSettings
from attacks.shadow.streams import model_streams, new_module
from tests.attacks.shadow.networks import NETWORKS, clipped_sum, convolution, mlp, padded_tokens, records, relative_error, tokens

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch, when it convolves

MODELS, POOL, ROWS = 3, 12, 6
WITHOUT_PADDING = [make for make in NETWORKS if make is not padded_tokens]  # Opacus 1.6.0 gives the padding token a gradient, torch none


def settings(max_grad_norm: float, loss: str = "cross_entropy") -> TrainingSettings:
    return TrainingSettings(lr=0.1, noise_multiplier=0.0, max_grad_norm=max_grad_norm, momentum=0.0, loss=loss)


def fresh(make: Callable[[], nn.Module], n: int = MODELS) -> list[nn.Module]:
    return [new_module(make, model_streams(5, k).module) for k in range(n)]


def engine(modules: list[nn.Module], max_grad_norm: float, *, n_ahead: int = 0, loss: str = "cross_entropy") -> LockStep:
    return LockStep(modules, settings(max_grad_norm, loss), [1.0] * len(modules), [torch.Generator()] * len(modules), n_ahead=n_ahead)


def ragged_batch(rng: np.random.Generator) -> Batch:
    """Model 0 draws 6 records, model 1 three, model 2 none."""
    index = torch.from_numpy(rng.integers(0, POOL, (MODELS, ROWS)))
    weight = (torch.arange(ROWS) < torch.tensor([[ROWS], [3], [0]])).float()
    return Batch(index, weight)


def drawn(batch: Batch, k: int) -> Tensor:
    return batch.index[k][batch.weight[k] > 0]


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("max_grad_norm", [0.1, 1.0, 100.0, math.inf])
def test_clipped_sums_equal_a_loop_in_double_precision(make, max_grad_norm, rng):
    modules, (x, y) = fresh(make), map(torch.from_numpy, records(make, POOL, rng))
    batch = ragged_batch(rng)
    got = engine(modules, max_grad_norm).clipped_sums(x, y, batch)
    for k, module in enumerate(modules):
        want = clipped_sum(module, x[drawn(batch, k)], y[drawn(batch, k)], max_grad_norm)
        assert relative_error({name: value[k] for name, value in got.items()}, want) < 1e-5


@pytest.mark.parametrize("make", WITHOUT_PADDING, ids=lambda make: make.__name__)
@pytest.mark.parametrize("max_grad_norm", [0.1, 1.0, 100.0])
def test_clipped_sums_equal_those_of_opacus(make, max_grad_norm, rng):
    modules, (x, y) = fresh(make), map(torch.from_numpy, records(make, POOL, rng))
    batch = ragged_batch(rng)
    got = engine(modules, max_grad_norm).clipped_sums(x, y, batch)
    for k, module in enumerate(modules[:2]):
        wrapped = GradSampleModule(module)
        optimizer = DPOptimizer(
            torch.optim.SGD(wrapped.parameters(), lr=0.1), noise_multiplier=0, max_grad_norm=max_grad_norm, expected_batch_size=1
        )
        nn.CrossEntropyLoss()(wrapped(x[drawn(batch, k)]), y[drawn(batch, k)]).backward()
        optimizer.clip_and_accumulate()
        want = {name: parameter.summed_grad for name, parameter in module.named_parameters()}
        assert relative_error({name: value[k] for name, value in got.items()}, want) < 1e-5


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_layers_before_any_weight_may_be_run_ahead(make, rng):
    modules, (x, y) = fresh(make), map(torch.from_numpy, records(make, POOL, rng))
    batch = ragged_batch(rng)
    ahead, n_ahead = run_ahead(modules[0], x)
    got = engine(modules, 1.0, n_ahead=n_ahead).clipped_sums(ahead, y, batch)
    assert relative_error(got, engine(modules, 1.0).clipped_sums(x, y, batch)) < 1e-6


def test_convolution_of_the_pool_is_unfolded_once(rng):
    (module,) = fresh(convolution, 1)
    assert run_ahead(module, torch.zeros(2, 2, 7, 6))[1] == 1
    assert run_ahead(fresh(mlp, 1)[0], torch.zeros(2, 6))[1] == 0


@pytest.mark.parametrize("make", [mlp, convolution, tokens])
@pytest.mark.parametrize("rows", [0, 4])
def test_empty_and_all_padded_batches_sum_to_zero(make, rows, rng):
    modules, (x, y) = fresh(make), map(torch.from_numpy, records(make, POOL, rng))
    batch = Batch(torch.zeros((MODELS, rows), dtype=torch.int64), torch.zeros(MODELS, rows))
    got = engine(modules, 1.0).clipped_sums(x, y, batch)
    assert all(value.abs().max() == 0 for value in got.values())


@pytest.mark.parametrize(("loss", "outputs"), [("binary_cross_entropy", 1), ("squared_error", 1), ("squared_error", 3)])
def test_other_losses(loss, outputs, rng):
    modules = fresh(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, outputs)))
    x = torch.from_numpy(rng.standard_normal((POOL, 6)).astype(np.float32))
    y = torch.from_numpy(rng.random((POOL, outputs)).astype(np.float32))
    batch = ragged_batch(rng)
    got = engine(modules, 0.3, loss=loss).clipped_sums(x, y, batch)
    for k, module in enumerate(modules):
        want = clipped_sum(module, x[drawn(batch, k)], y[drawn(batch, k)], 0.3, loss)
        assert relative_error({name: value[k] for name, value in got.items()}, want) < 1e-5


def test_equal_values_in_a_pool_send_the_gradient_where_torch_does(rng):
    modules = fresh(convolution)
    x, y = torch.zeros(POOL, 2, 7, 6), torch.arange(POOL) % 4
    batch = ragged_batch(rng)
    got = engine(modules, 1.0).clipped_sums(x, y, batch)
    want = clipped_sum(modules[0], x[drawn(batch, 0)], y[drawn(batch, 0)], 1.0)
    assert relative_error({name: value[0] for name, value in got.items()}, want) < 1e-5


def test_rule_that_picks_the_form():
    assert not gradient_is_smaller(1, 1, 1)
    assert gradient_is_smaller(64, 9, 16)
    assert not gradient_is_smaller(16, 144, 32)


def _hooked() -> nn.Module:
    module = mlp()
    module[0].register_forward_hook(lambda *_: None)  # type: ignore[index]
    return module


def _frozen() -> nn.Module:
    module = mlp()
    module[0].bias.requires_grad_(False)  # type: ignore[index,union-attr]
    return module


def _shared() -> nn.Module:
    layer = nn.Linear(6, 6)
    return nn.Sequential(layer, nn.ReLU(), layer)


class _Subclass(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("make", "layer", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.Sequential(nn.Dropout())), "Dropout", "known layers"),
        (lambda: nn.Sequential(_Subclass(6, 4)), "_Subclass", "known layers"),
        (lambda: nn.Sequential(nn.Conv2d(2, 4, 1, groups=2)), "Conv2d", "groups"),
        (lambda: nn.Sequential(nn.Conv2d(2, 4, 1, padding_mode="reflect")), "Conv2d", "groups or padding"),
        (lambda: nn.Sequential(nn.Embedding(3, 2, max_norm=1.0)), "Embedding", "max_norm"),
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.Flatten(0)), "Flatten", "across records"),
        (lambda: nn.Sequential(nn.Linear(6, 4), nn.ELU(inplace=True)), "ELU", "overwrites"),
        (lambda: nn.Sequential(nn.ReLU()), "Sequential", "no trained weights"),
        (_hooked, "Linear", "hooks"),
        (_frozen, "Linear", "not trained"),
        (_shared, "Linear", "shares"),
    ],
)
def test_obstacle_is_named(make, layer, reason):
    obstacle = obstacle_of(make())
    assert obstacle is not None
    assert obstacle.layer == layer
    assert reason in obstacle.reason


def test_one_activation_may_stand_twice(rng):
    relu = nn.ReLU(inplace=True)

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 5), relu, nn.Linear(5, 5), relu, nn.Linear(5, 4))

    assert obstacle_of(make()) is None
    modules, (x, y) = fresh(make), map(torch.from_numpy, records(mlp, POOL, rng))
    batch = ragged_batch(rng)
    got = engine(modules, 1.0).clipped_sums(x, y, batch)
    want = clipped_sum(modules[0], x[drawn(batch, 0)], y[drawn(batch, 0)], 1.0)
    assert relative_error({name: value[0] for name, value in got.items()}, want) < 1e-5
