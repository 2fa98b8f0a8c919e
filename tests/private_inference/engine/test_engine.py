"""The real engine, on 32 x 32: its bytes and messages are what the cost model says, and its output is torch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from private_inference.config import PIGPTConfig
from private_inference.cost.estimate import estimate_cost
from private_inference.cost.public_shift import calibrate_public_shift
from private_inference.engine.convert import secure_model
from private_inference.engine.measure import MeasuredCost, measure_cost
from private_inference.engine.question import EngineSettings
from private_inference.engine.run import ask_engine
from private_inference.folding.fold import fold
from private_inference.gpt import PIGPT
from tests.private_inference.engine.models import LENGTH, VOCABULARY, drawn, execution, hand_folded_model, small_model

pytestmark = pytest.mark.pi

WIDTH, HEADS, CONTEXT = 32, 4, 32
MOST = 1e-2  # of outputs near 1; the engine's exponential alone is off by up to 1e-3
TIMEOUT = 240.0


def config_of(variant: str, **fields: object) -> PIGPTConfig:
    shape = {"n_layer": 1, "n_head": HEADS, "n_embd": WIDTH, "block_size": CONTEXT, "vocab_size": 8, "init_std": 0.1}
    return PIGPTConfig(**{**shape, "variant": variant, **fields})  # type: ignore[arg-type]


def measured(config: PIGPTConfig, rng: np.random.Generator, **options: object) -> MeasuredCost:
    return measure_cost(PIGPT(config, rng=rng).blocks[0], drawn(rng, CONTEXT, WIDTH), timeout=TIMEOUT, **options)


@pytest.mark.parametrize(
    ("variant", "score", "options"),
    [
        ("sm_ln_gelu", "softmax", {}),
        ("sm_ln_relu", "softmax_rr", {"projections": "joined"}),
        ("sm_ln", "quad2", {"packing": 4}),
        ("sm_scffn", "softmax", {"packing": 2}),
        ("sm", "softmax_rr", {"packing": 4, "packing_layout": "at_once"}),
        ("sm_scfuffn", "softmax_rr", {"packing": 4, "packing_layout": "one_by_one"}),
        ("sm_t_scfuffn", "relu_over_n", {"packing": 2, "packing_layout": "one_by_one"}),
        ("sm_scfuffn", "sigmoid", {"scaling": "weights"}),
        ("sm_attention_only", "linear", {"packing": 4}),
    ],
)
def test_cost_is_the_estimate_and_values_are_torchs(
    variant: str, score: str, options: dict[str, object], engine: Path, rng: np.random.Generator
):
    config = config_of(variant, temperature="position" if score == "relu_over_n" else "auto")
    cost = measured(config, rng, score=score, **options)
    estimate = estimate_cost(config, CONTEXT, score=score, **options)  # type: ignore[arg-type]
    assert cost.bytes_sent == cost.bytes_received == sum(cost.by_operation.values()) == estimate.bytes_sent
    assert cost.messages == estimate.messages
    assert cost.largest_difference < MOST


def test_more_squarings_come_closer_to_torch(engine: Path, rng: np.random.Generator):
    """Heads with sharp logits, where the exponential is what is off; ten squarings are 24 bytes an exponential dearer than eight."""
    block = PIGPT(config_of("sm_t_scfuffn", init_std=0.3), rng=rng).blocks[0]
    x = drawn(rng, CONTEXT, WIDTH)
    eight, ten = (measure_cost(block, x, score="softmax_rr", exponential_squarings=k, timeout=TIMEOUT) for k in (8, 10))
    assert ten.largest_difference < eight.largest_difference / 2
    assert ten.bytes_sent - eight.bytes_sent == 24 * HEADS * CONTEXT**2


def test_cost_of_a_folded_model_is_its_estimate(engine: Path, rng: np.random.Generator):
    """A product stays where a segment ends, and rows have a public shift instead of their maximum."""
    model = PIGPT(config_of("sm_t_scfuffn", n_layer=4, init_std=0.08), rng=rng)
    ids = torch.from_numpy(rng.integers(0, 8, size=(4, CONTEXT)))
    folded = fold(model, max_condition=4.0)
    assert [block.product is not None for block in folded.blocks].count(True) >= 1
    shift = calibrate_public_shift(model, ids, margin=0.5)
    cost = measure_cost(folded, ids[0], score="softmax_shift", packing=2, output=True, shift=shift, timeout=TIMEOUT)
    estimate = estimate_cost(folded, CONTEXT, score="softmax_shift", packing=2, output=True)
    assert (cost.bytes_sent, cost.messages) == (estimate.bytes_sent, estimate.messages)
    assert cost.largest_difference < MOST


def test_everything_that_a_folded_model_may_have(engine: Path, rng: np.random.Generator):
    folded = hand_folded_model(rng)
    ids = torch.from_numpy(rng.integers(0, VOCABULARY, size=LENGTH))
    options = {"score": "softmax_rr", "packing": 2, "projections": "joined", "output": True}
    cost = measure_cost(folded, ids, timeout=TIMEOUT, **options)
    estimate = estimate_cost(folded, LENGTH, **options)  # type: ignore[arg-type]
    assert (cost.bytes_sent, cost.messages) == (estimate.bytes_sent, estimate.messages)
    assert cost.largest_difference < 5 * MOST  # logits near 10, after two norms


def test_three_parties_have_no_estimate(engine: Path, rng: np.random.Generator):
    config = config_of("sm_scfuffn")
    cost = measured(config, rng, protocol="ABY3", score="softmax_rr")
    assert cost.largest_difference < MOST
    assert cost.bytes_sent != estimate_cost(config, CONTEXT, score="softmax_rr").bytes_sent


def test_hidden_keys_stay_hidden_whatever_their_logits(engine: Path, rng: np.random.Generator):
    """The last key's logits are about 22 above all others, and only its own query sees it: a mask of -20 is off by more than 0.1 there."""
    block = small_model(rng, variant="sm_attention_only").blocks[0]
    x = drawn(rng, LENGTH, WIDTH // 2)
    block.attention.query.weight.copy_(torch.eye(WIDTH // 2))
    block.attention.key.weight.copy_(torch.eye(WIDTH // 2))
    x[:, [0, 8]] = 8.0
    x[-1, [0, 8]] = 16.0
    for score in ("softmax_rr", "softmax"):
        assert measure_cost(block, x, score=score, timeout=TIMEOUT).largest_difference < 3 * MOST


def test_another_block_is_seen(engine: Path, rng: np.random.Generator):
    one, other = (PIGPT(config_of("sm_scfuffn"), rng=rng).blocks[0] for _ in range(2))
    x = drawn(rng, 2, CONTEXT, WIDTH)
    answer = ask_engine(secure_model(one, CONTEXT, execution(CONTEXT)), x.numpy(), EngineSettings("SEMI2K", 64, 18, 8), timeout=TIMEOUT)
    with torch.no_grad():
        assert np.abs(answer.output - one(x).numpy()).max() < MOST < np.abs(answer.output - other(x).numpy()).max()
