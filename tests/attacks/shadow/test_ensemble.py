"""The trainer: groups do not matter, plain SGD is plain SGD, the noise has its scale, other modules take the slow road, bad input."""

from __future__ import annotations

import logging
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest
from torch import nn

from attacks import ShadowTrainer
from attacks.shadow.batches import poisson_batches
from attacks.shadow.streams import model_streams, new_module
from tests.attacks.shadow.networks import clipped_sum, convolution, mlp, records, relative_error, short_sequence, tokens

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch, when it convolves

POOL = 24


def trainer(make=mlp, **changes) -> ShadowTrainer:
    options = {"lr": 0.3, "steps": 12, "sample_rate": 0.3, "noise_multiplier": 0.7, "max_grad_norm": 1.0}
    return ShadowTrainer(make, **{**options, "seed": 4, "expected_batch_size": 4.0, **changes})


def membership(models: int, rng: np.random.Generator, n: int = POOL) -> np.ndarray:
    return rng.random((models, n)) < 0.5


class Behind(nn.Module):
    """A network that the trainer does not look into."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)


@pytest.mark.parametrize("make", [mlp, convolution, short_sequence, tokens])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_eight_at_once_equal_eight_alone(make, momentum, rng):
    (x, y), member = records(make, POOL, rng), membership(8, rng)
    chosen = trainer(make, momentum=momentum)
    together = chosen.train(x, y, member)
    for k in range(8):
        alone = chosen.train(x, y, member[k], model_ids=[k])
        assert relative_error(alone.state_dict(0), together.state_dict(k)) < 1e-5


@pytest.mark.parametrize("at_once", [1, 3, 8])
def test_size_of_groups_does_not_matter(at_once, rng):
    (x, y), member = records(mlp, POOL, rng), membership(8, rng)
    grouped, whole = (trainer(models_at_once=size).train(x, y, member).logits(x) for size in (at_once, None))
    np.testing.assert_allclose(grouped, whole, rtol=1e-5, atol=1e-5)


@settings(max_examples=15)
@given(st.permutations(range(5)))
def test_order_of_models_does_not_matter(order):
    rng = np.random.default_rng(0)
    (x, y), member = records(mlp, POOL, rng), membership(5, rng)
    straight = trainer(steps=4).train(x, y, member).logits(x)
    shuffled = trainer(steps=4).train(x, y, member[list(order)], model_ids=order).logits(x)
    np.testing.assert_allclose(shuffled, straight[list(order)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("max_grad_norm", [0.5, math.inf])
def test_training_equals_a_plain_loop_in_double_precision(max_grad_norm, momentum, rng):
    (x, y), member = records(mlp, POOL, rng), membership(2, rng)
    chosen = trainer(noise_multiplier=0.0, max_grad_norm=max_grad_norm, momentum=momentum)
    models = chosen.train(x, y, member)
    inputs, targets = torch.from_numpy(x).double(), torch.from_numpy(y)
    for k in range(2):
        streams = model_streams(4, k)
        module = new_module(mlp, streams.module).double()
        optimizer = torch.optim.SGD(module.parameters(), lr=0.3, momentum=momentum)
        for batch in poisson_batches(member[k : k + 1], [streams.coins], sample_rate=0.3, steps=12):
            rows = batch.index[0]
            for name, total in clipped_sum(module, inputs[rows], targets[rows], max_grad_norm).items():
                module.get_parameter(name).grad = total / 4.0
            optimizer.step()
        assert relative_error(models.state_dict(k), module.state_dict()) < 1e-5


@pytest.mark.parametrize("noise_multiplier", [0.0, 0.7])
@pytest.mark.parametrize("make", [mlp, convolution, tokens])
def test_slow_road_agrees_and_is_logged(make, noise_multiplier, rng, caplog):
    (x, y), member = records(make, POOL, rng), membership(2, rng)
    fast = trainer(make, noise_multiplier=noise_multiplier, momentum=0.5).train(x, y, member)
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        slow = trainer(lambda: Behind(make()), noise_multiplier=noise_multiplier, momentum=0.5).train(x, y, member)
    assert "one by one (Opacus), not in lock-step: Behind at the module itself" in caplog.text
    np.testing.assert_allclose(slow.logits(x), fast.logits(x), rtol=1e-4, atol=1e-5)


def test_slow_road_without_clipping_is_plain_torch(rng, caplog):
    (x, y), member = records(mlp, POOL, rng), membership(2, rng)
    plain = {"noise_multiplier": 0.0, "max_grad_norm": math.inf}
    with caplog.at_level(logging.WARNING):
        slow = trainer(lambda: Behind(mlp()), **plain).train(x, y, member)
    assert "(torch)" in caplog.text
    np.testing.assert_allclose(slow.logits(x), trainer(**plain).train(x, y, member).logits(x), rtol=1e-4, atol=1e-5)


def test_dropout_repeats_and_leaves_the_default_generator_alone(rng):
    (x, y), member = records(mlp, POOL, rng), membership(2, rng)
    chosen = trainer(lambda: nn.Sequential(nn.Linear(6, 5), nn.Dropout(0.5), nn.Linear(5, 4)))
    before = torch.get_rng_state()
    first, again = chosen.train(x, y, member), chosen.train(x, y, member[1], model_ids=[1])
    assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(first.logits(x)[1], again.logits(x)[0])


def test_batch_norm_is_refused_under_clipping_only(rng):
    (x, y), member = records(mlp, POOL, rng), membership(1, rng)

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))

    with pytest.raises(ValueError, match="BatchNorm by GroupNorm"):
        trainer(make).train(x, y, member)
    plain = trainer(make, noise_multiplier=0.0, max_grad_norm=math.inf, sample_rate=1.0).train(x, y, member)
    assert int(plain.state_dict(0)["1.num_batches_tracked"]) == 12


def noise_of_empty_batches(noise_multiplier: float, rng: np.random.Generator, models: int = 60) -> np.ndarray:
    """What nine steps without any record add to the weights, over its standard deviation for noise multiplier 1: (models, 1050)."""

    def make() -> nn.Module:
        return nn.Linear(20, 50)

    chosen = trainer(make, noise_multiplier=noise_multiplier, max_grad_norm=2.0, steps=9, seed=int(rng.integers(2**31)), lr=0.5)
    trained = chosen.train(np.zeros((2, 20)), np.zeros(2, dtype=int), np.zeros((models, 2)))
    rows = []
    for k in range(models):
        first = new_module(make, model_streams(chosen.seed, k).module).state_dict()
        rows.append(torch.cat([(value - first[name]).flatten() for name, value in trained.state_dict(k).items()]))
    return torch.stack(rows).double().numpy() / (0.5 / 4.0 * 2.0 * 3)


def test_empty_batches_still_get_noise_of_the_right_scale(rng):  # 63,000 draws; false alarm 1e-6, noise x 0.8 gives p < 1e-40
    assert kstest(noise_of_empty_batches(1.0, rng).ravel(), "norm").pvalue > 1e-6
    assert kstest(noise_of_empty_batches(0.8, rng).ravel(), "norm").pvalue < 1e-6


def test_models_do_not_share_their_noise(rng):
    """1,770 pairs of 1,050 products; P(any |z| > 7) < 2e-7 by Chernoff's bound (1 - s^2)^(-n/2) e^(-s t)."""
    noise = noise_of_empty_batches(1.0, rng)

    def largest(rows: np.ndarray) -> float:
        z = rows @ rows.T / math.sqrt(rows.shape[1])
        return float(np.abs(z[np.triu_indices(len(rows), 1)]).max())

    assert largest(noise) < 7
    assert largest(np.vstack([noise, noise[:1]])) > 7


def test_expected_batch_size_default_and_per_model(rng):
    x, y = records(mlp, POOL, rng)
    member = np.tile(np.arange(POOL) % 2 == 0, (2, 1))
    default = trainer(expected_batch_size=None).train(x, y, member)
    given_size = trainer(expected_batch_size=0.3 * POOL / 2).train(x, y, member)
    np.testing.assert_array_equal(default.logits(x), given_size.logits(x))
    two = trainer().train(x, y, member, expected_batch_size=[4.0, 0.3 * POOL / 2])
    np.testing.assert_allclose(two.logits(x)[0], trainer().train(x, y, member).logits(x)[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(two.logits(x)[1], default.logits(x)[1], rtol=1e-5, atol=1e-6)


def test_default_size_is_refused_far_from_half(rng):
    x, y = records(mlp, 100, rng)
    with pytest.raises(ValueError, match="expected_batch_size must be given"):
        trainer(expected_batch_size=None).train(x, y, np.ones((1, 100)))


def test_models_learn(rng):
    y = rng.integers(0, 4, 200)
    x = (np.eye(6)[y] + 0.1 * rng.standard_normal((200, 6))).astype(np.float32)
    models = trainer(steps=150, lr=1.0, noise_multiplier=0.5, expected_batch_size=None).train(x, y, membership(4, rng, 200))
    assert (models.logits(x).argmax(axis=2) == y).mean() > 0.9


def test_modules_and_states(rng):
    x, y = records(convolution, POOL, rng)
    models = trainer(convolution).train(x, y, membership(3, rng), model_ids=[5, 9, 2])
    assert len(models) == 3
    assert models.model_ids == (5, 9, 2)
    assert repr(models) == "ShadowModels(n_models=3, architecture=Sequential)"
    module = models.module(1)
    assert not module.training
    assert list(models.state_dict(1)) == list(convolution().state_dict())
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(x)).numpy(), models.logits(x)[1], rtol=1e-5, atol=1e-6)
    for k in (-1, 3):
        with pytest.raises(IndexError, match="k must be from 0 to 2"):
            models.state_dict(k)


def test_double_precision_and_progress(rng):
    (x, y), member = records(mlp, POOL, rng), membership(5, rng)
    calls: list[tuple[int, int, str]] = []
    models = trainer(lambda: mlp().double(), models_at_once=2).train(x, y, member, progress=lambda *call: calls.append(call))
    assert models.logits(x).dtype == np.float64
    assert calls == [(2, 5, "shadow models"), (4, 5, "shadow models"), (5, 5, "shadow models")]


def test_trainer_travels_to_other_processes():
    assert pickle.loads(pickle.dumps(trainer())) == trainer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noise_multiplier": -0.1}, "noise_multiplier must be non-negative"),
        ({"noise_multiplier": math.nan}, "noise_multiplier must be a number"),
        ({"max_grad_norm": 0.0}, r"max_grad_norm must be in \(0, inf\]"),
        ({"max_grad_norm": -1.0}, "max_grad_norm must be in"),
        ({"max_grad_norm": math.inf}, "noise_multiplier must be 0 without clipping"),
        ({"sample_rate": 0.0}, r"sample_rate must be in \(0, 1\]"),
        ({"sample_rate": 1.2}, "sample_rate must be in"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"steps": 0}, "steps must be a whole number >= 1"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"loss": "hinge"}, "loss must be one of"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"expected_batch_size": 0}, "expected_batch_size must be positive"),
        ({"models_at_once": 0}, "models_at_once must be a whole number >= 1"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        trainer(**changes)
    with pytest.raises(TypeError, match="make_model must be callable"):
        trainer(nn.Linear(2, 2).weight)


GOOD = {"inputs": np.zeros((6, 6), dtype=np.float32), "targets": np.arange(6) % 4, "member": np.eye(2, 6)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": np.full((6, 6), np.nan)}, "inputs must be finite, got 36 NaN or infinite values of 36"),
        ({"inputs": np.zeros((6, 5), dtype=np.float32)}, "inputs must fit the module, got torch.float32 and shape"),
        ({"inputs": np.zeros((6, 6), dtype=np.int64)}, "tokens are whole numbers, all else is floats"),
        ({"inputs": np.zeros((0, 6))}, "inputs must hold at least one record"),
        ({"inputs": np.full((6, 6), "a")}, "inputs must hold numbers"),
        ({"targets": np.arange(5)}, r"targets must hold one row per record, got shape \(5,\) for 6 records"),
        ({"targets": np.full(6, 4)}, "targets must be classes from 0 to 3, got 6 labels out of range"),
        ({"targets": np.full(6, -1)}, "6 labels out of range"),
        ({"targets": np.zeros(6)}, "targets must be whole numbers"),
        ({"member": np.eye(2, 5)}, r"member must have shape \(models, 6\), got \(2, 5\)"),
        ({"member": np.full((2, 6), 0.5)}, "member must hold only true/false or 0/1"),
        ({"member": np.zeros((0, 6))}, "member must have shape"),
        ({"model_ids": [1, 1]}, "model_ids must be 2 distinct numbers"),
        ({"model_ids": [1]}, "model_ids must be 2 distinct numbers"),
        ({"model_ids": [-1, 0]}, "model_ids must be a whole number"),
        ({"expected_batch_size": [1.0]}, "expected_batch_size must hold 2 positive numbers"),
        ({"expected_batch_size": [1.0, -1.0]}, "expected_batch_size must hold 2 positive numbers"),
    ],
)
def test_bad_records(changes, message):
    with pytest.raises(ValueError, match=message):
        trainer().train(**{**GOOD, **changes})


def test_tokens_out_of_range_and_outputs_of_another_shape(rng):
    x, y = records(tokens, POOL, rng)
    x[-1, -1] = 7
    with pytest.raises(ValueError, match="inputs must hold tokens from 0 to 6, got 1 out of range"):
        trainer(tokens).train(x, y, membership(1, rng))
    with pytest.raises(ValueError, match=r"the module must map 2 records to shape \(2, outputs\), got \(2, 2, 6\)"):
        trainer(nn.Identity).train(np.zeros((4, 2, 6)), np.zeros(4, dtype=int), membership(1, rng, 4))
    with pytest.raises(ValueError, match=r"targets must have shape \(6, 4\)"):
        trainer(loss="squared_error").train(GOOD["inputs"], np.zeros(6), GOOD["member"])


def test_messages_hold_no_value_of_a_record():
    secret = np.full((6, 6), 123456.75)
    secret[0, 0] = np.inf
    with pytest.raises(ValueError, match="inputs") as caught:
        trainer().train(secret, GOOD["targets"], GOOD["member"])
    assert "123456" not in str(caught.value)
