"""Outputs of all models at once against one module after the other; parts of an ensemble."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from attacks.shadow import outputs
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.layers.convolution import Unfold
from attacks.shadow.layers.recognize import stack_by_module
from attacks.shadow.shadow_models import ShadowModels, concatenate
from tests.attacks.shadow.networks import NETWORKS, convolution, long_sequence, mlp, no_bias, records, short_sequence, strided, tokens
from tests.attacks.shadow.test_ensemble import Behind

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch, when it convolves

POOL = 24
AFTER = {  # the module whose output is each Linear's or Conv2d's, by its place
    mlp: ("1", "2"),
    no_bias: ("2", "3"),
    short_sequence: ("2", "3", "5"),
    long_sequence: ("1", "2", "4"),
    convolution: ("1", "3.2", "5"),
    strided: ("4", "6", "9"),
    tokens: ("3",),
}


def trained(make, rng: np.random.Generator, models: int = 3, **changes) -> tuple[ShadowModels, np.ndarray]:
    x, y = records(make if make in NETWORKS else mlp, POOL, rng)
    member = rng.random((models, POOL)) < 0.5
    options = {"lr": 0.3, "steps": 3, "sample_rate": 0.5, "seed": 4, "expected_batch_size": 6.0}
    return ShadowTrainer(make, **{**options, **changes}).train(x, y, member), x


def loop(models: ShadowModels, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return np.stack([models.module(k)(torch.from_numpy(x)).numpy() for k in range(len(models))])


def hooked(models: ShadowModels, x: np.ndarray, place: str) -> np.ndarray:
    """What the module at `place` returns, one model after the other, everything of a record in one row."""
    rows: list[np.ndarray] = []
    for k in range(len(models)):
        module = models.module(k)
        module.get_submodule(place).register_forward_hook(lambda _, __, y: rows.append(y.flatten(1).detach().numpy()))
        module(torch.from_numpy(x))
    return np.stack(rows)


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("working_set", [outputs._WORKING_SET, 1])
def test_logits_equal_a_loop_over_modules(make, working_set, rng, monkeypatch):
    monkeypatch.setattr(outputs, "_WORKING_SET", working_set)
    models, x = trained(make, rng)
    got = models.logits(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, loop(models, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", list(AFTER), ids=lambda make: make.__name__)
@pytest.mark.parametrize("working_set", [outputs._WORKING_SET, 1])
def test_activations_are_outputs_after_what_directly_follows(make, working_set, rng, monkeypatch):
    monkeypatch.setattr(outputs, "_WORKING_SET", working_set)
    models, x = trained(make, rng)
    found = models.activations(x)
    assert len(found) == len(AFTER[make])
    for got, place in zip(found, AFTER[make], strict=True):
        np.testing.assert_allclose(got, hooked(models, x, place), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found[-1], models.logits(x), rtol=1e-5, atol=1e-5)


def test_layers_come_with_their_modules_and_patches_before_a_convolution():
    stack = stack_by_module([convolution()])
    assert [type(module) for module, _ in stack][:3] == [nn.Conv2d, nn.Conv2d, nn.ReLU]
    assert isinstance(stack[0][1], Unfold)


def test_asking_leaves_weights_alone_and_keeps_precision(rng):
    models, x = trained(lambda: mlp().double(), rng)
    before = {name: value.clone() for name, value in models.weights.items()}
    assert models.logits(x).dtype == models.activations(x)[0].dtype == np.float64
    assert all(torch.equal(models.weights[name], value) for name, value in before.items())


def test_other_modules_are_asked_one_by_one_and_have_no_activations(rng):
    models, x = trained(lambda: Behind(mlp()), rng)
    np.testing.assert_array_equal(models.logits(x), loop(models, x))
    with pytest.raises(ValueError, match=r"activations need a module of known layers, got Behind at the module itself, which is not among"):
        models.activations(x)


def test_select_and_concatenate(rng):
    models, x = trained(mlp, rng, models=4)
    some = models.select([2, 0])
    assert some.model_ids == (2, 0)
    np.testing.assert_allclose(some.logits(x), models.logits(x)[[2, 0]], rtol=1e-6, atol=1e-6)
    assert models.select(np.array([False, True, False, True])).model_ids == (1, 3)
    both = concatenate([some, models.select(3)])
    assert both.model_ids == (2, 0, 3)
    np.testing.assert_allclose(both.logits(x), models.logits(x)[[2, 0, 3]], rtol=1e-6, atol=1e-6)
    some.weights["0.bias"].zero_()
    assert models.weights["0.bias"].abs().max() > 0


def test_bad_parts(rng):
    models, _ = trained(mlp, rng)
    for places, message in (([], "places must"), ([True, False], "places must be whole numbers or 3 booleans"), ([0.5], "places must be")):
        with pytest.raises(ValueError, match=message):
            models.select(places)
    with pytest.raises(IndexError, match="k must be from 0 to 2"):
        models.select([3])
    with pytest.raises(ValueError, match="at least one ensemble"):
        concatenate([])
    other, _ = trained(lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4)), rng)
    with pytest.raises(ValueError, match="must have one architecture, got 2 different ones in 2 ensembles"):
        concatenate([models, other])
