"""Shuffled epochs: every member once an epoch, short last batches divided by their own size, unequal models side by side, no noise."""

from __future__ import annotations

import logging
import math
import pickle
from itertools import chain

import numpy as np
import pytest
import torch
from scipy.stats import chi2
from torch import nn

from attacks.shadow.batch_rules import EpochBatches, PoissonBatches
from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.shuffled import shuffled_batches
from attacks.shadow.streams import model_streams, new_module
from tests.attacks.shadow.networks import convolution, mlp, records, relative_error, tokens
from tests.attacks.shadow.test_ensemble import Behind

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # torch, when it convolves

POOL = 24
COUNTS = (23, 9, 5, 1, 10)  # with batches of 5: a short last batch, or none, or nothing else


def trainer(make=mlp, **changes) -> ShadowTrainer:
    options = {"lr": 0.05, "optimizer": "adam", "batches": "shuffled", "epochs": 3, "batch_size": 5, "seed": 4}
    return ShadowTrainer(make, **{**options, **changes})


def membership(counts, rng: np.random.Generator) -> np.ndarray:
    member = np.zeros((len(counts), POOL), dtype=bool)
    for row, count in zip(member, counts, strict=True):
        row[rng.choice(POOL, count, replace=False)] = True
    return member


def rows_of(batches, k: int) -> list[list[int]]:
    """Records of model k's own steps."""
    drawn = [batch.index[k][batch.weight[k] > 0].tolist() for batch in batches]
    return [rows for rows in drawn if rows]


def test_an_epoch_holds_every_member_once_in_a_fresh_order(rng):
    member = membership(COUNTS, rng)
    batches = list(shuffled_batches(member, [np.random.default_rng(k) for k in range(5)], batch_size=5, epochs=4))
    assert len(batches) == 4 * 5
    for k, count in enumerate(COUNTS):
        rows, per_epoch = rows_of(batches, k), math.ceil(count / 5)
        assert len(rows) == 4 * per_epoch == EpochBatches(5, 4).n_steps(count)
        epochs = [list(chain.from_iterable(rows[e * per_epoch : (e + 1) * per_epoch])) for e in range(4)]
        assert all(sorted(epoch) == np.flatnonzero(member[k]).tolist() for epoch in epochs)
        assert [len(some) for some in rows[:per_epoch]] == [5] * (count // 5) + [count % 5] * (count % 5 > 0)
        if count > 10:
            assert len(set(map(tuple, epochs))) == 4


def test_sizes_are_those_of_the_batches_and_only_unequal_ones_are_padded(rng):
    streams = [np.random.default_rng(k) for k in range(5)]
    for batch in shuffled_batches(membership(COUNTS, rng), streams, batch_size=5, epochs=2):
        assert batch.size.flatten().tolist() == batch.weight.sum(dim=1).clamp(min=1).tolist()
        assert batch.padded
    for batch in shuffled_batches(membership((12, 12), rng), streams[:2], batch_size=5, epochs=2):
        assert not batch.padded
        assert (batch.size == batch.n_rows).all()
        assert (batch.weight == 1).all()


def p_of_places(epochs: np.ndarray) -> float:
    """Whether record 0 of 12 stands at every place equally often."""
    counts = np.bincount(np.nonzero(epochs == 0)[1], minlength=12)
    expected = len(epochs) / 12
    return float(chi2.sf(((counts - expected) ** 2 / expected).sum(), 11))


def test_orders_are_uniform(rng):  # false alarm 1e-6; without shuffling p = 0
    stream = np.random.default_rng(rng.integers(2**32))
    batches = shuffled_batches(np.ones((1, 12), dtype=bool), [stream], batch_size=12, epochs=2_000)
    epochs = np.array([batch.index[0].numpy() for batch in batches])
    assert p_of_places(epochs) > 1e-6
    assert p_of_places(np.tile(np.arange(12), (2_000, 1))) < 1e-6


def plain_loop(row: np.ndarray, x: np.ndarray, y: np.ndarray, number: int, *, divisor: int | None = None) -> dict[str, torch.Tensor]:
    """Mean loss and torch's Adam on shuffled minibatches; `divisor` in place of a batch's own size is the broken twin."""
    streams = model_streams(4, number)
    module = new_module(lambda: mlp().double(), streams.module)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    loss = nn.CrossEntropyLoss(reduction="sum")
    for _ in range(3):
        for rows in torch.from_numpy(streams.coins.permutation(np.flatnonzero(row))).split(5):
            optimizer.zero_grad()
            total = loss(module(torch.from_numpy(x)[rows].double()), torch.from_numpy(y)[rows])
            (total / (divisor or len(rows))).backward()
            optimizer.step()
    return module.state_dict()


def test_training_equals_mean_losses_and_torchs_adam(rng):
    (x, y), member = records(mlp, POOL, rng), membership(COUNTS, rng)
    models = trainer(lambda: mlp().double()).train(x, y, member)
    for k in range(5):
        assert relative_error(models.state_dict(k), plain_loop(member[k], x, y, k)) < 1e-9
    assert relative_error(models.state_dict(0), plain_loop(member[0], x, y, 0, divisor=5)) > 1e-3


@pytest.mark.parametrize("make", [mlp, convolution, tokens])
@pytest.mark.parametrize("changes", [{}, {"max_grad_norm": 0.5}, {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.1}])
@pytest.mark.parametrize("counts", [COUNTS, (12,) * 5], ids=["unequal", "equal"])
def test_five_at_once_equal_five_alone_and_the_slow_road(make, changes, counts, rng, caplog):
    (x, y), member = records(make, POOL, rng), membership(counts, rng)
    chosen = trainer(lambda: make().double(), **changes)
    together = chosen.train(x, y, member)
    for k in range(5):
        alone = chosen.train(x, y, member[k], model_ids=[k])
        assert relative_error(alone.state_dict(0), together.state_dict(k)) < 1e-9
    with caplog.at_level(logging.WARNING):
        slow = trainer(lambda: Behind(make().double()), **changes).train(x, y, member)
    assert "one by one" in caplog.text
    np.testing.assert_allclose(slow.logits(x), together.logits(x), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_models_come_back_in_the_order_of_their_rows(at_once, rng):
    (x, y), member = records(mlp, POOL, rng), membership(COUNTS, rng)
    ids = [3, 0, 7, 5, 2]
    models = trainer(models_at_once=at_once).train(x, y, member, model_ids=ids)
    assert models.model_ids == tuple(ids)
    for k, number in enumerate(ids):
        alone = trainer().train(x, y, member[k], model_ids=[number])
        assert relative_error(alone.state_dict(0), models.state_dict(k)) < 1e-5


def test_models_learn(rng):
    y = rng.integers(0, 4, POOL)
    x = (np.eye(6)[y] + 0.1 * rng.standard_normal((POOL, 6))).astype(np.float32)
    models = trainer(epochs=60).train(x, y, membership((16,) * 3, rng))
    assert (models.logits(x).argmax(axis=2) == y).mean() > 0.9


def test_rules_say_how_many_steps_and_rows():
    assert [EpochBatches(100, 20).n_steps(n) for n in (1000, 1001, 99)] == [200, 220, 20]
    assert [EpochBatches(100, 20).rows(n) for n in (1000, 60)] == [100, 60]
    assert PoissonBatches(0.1, 7).n_steps(1000) == 7
    assert PoissonBatches(0.1, 7).rows(1000) == 100 + 3 * 10 + 1
    assert trainer().rule == EpochBatches(5, 3)
    assert pickle.loads(pickle.dumps(trainer())) == trainer()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"noise_multiplier": 1.0, "max_grad_norm": 1.0},
            "must be 0 with batches='shuffled', got 1.0; accounting for Poisson",
        ),
        ({"batches": "fixed"}, "batches must be one of"),
        ({"batch_size": 0}, "batch_size must be a whole number >= 1"),
        ({"epochs": 0}, "epochs must be a whole number >= 1"),
        ({"epochs": None}, "epochs must be given with batches='shuffled', got None; it needs batch_size and epochs"),
        ({"steps": 3}, "steps must be None with batches='shuffled', got 3; that rule takes batch_size and epochs"),
        ({"sample_rate": 0.1}, "sample_rate must be None with batches='shuffled'"),
        ({"batches": "poisson"}, "sample_rate must be given with batches='poisson'"),
        ({"batches": "poisson", "steps": 3, "sample_rate": 0.1}, "batch_size must be None with batches='poisson', got 5"),
        ({"expected_batch_size": 5.0}, "expected_batch_size must be None with batches='shuffled', got 5.0"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        trainer(**changes)


def test_bad_records(rng):
    x, y = records(mlp, POOL, rng)
    with pytest.raises(ValueError, match="member must give every model a record with batches='shuffled', got 2 models without"):
        trainer().train(x, y, membership((0, 3, 0), rng))
    with pytest.raises(ValueError, match="expected_batch_size must be None with batches='shuffled', got one per model"):
        trainer().train(x, y, membership((3,), rng), expected_batch_size=[5.0])
