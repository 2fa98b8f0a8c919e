"""The real engine, on 32 x 32: its bytes are a closed form of shapes, and its output is torch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from private_inference.config import PIGPTConfig
from private_inference.engine.convert import secure_model
from private_inference.engine.measure import MeasuredCost, measure_cost
from private_inference.engine.run import EngineSettings, ask_engine
from private_inference.gpt import PIGPT, Block
from tests.private_inference.engine.models import LENGTH, VOCABULARY, HandFoldedModel, drawn, small_model

pytestmark = pytest.mark.pi

WIDTH, HEADS, CONTEXT = 32, 4, 32
MOST = 1e-2  # of outputs near 1; the engine's exponential alone is off by up to 1e-3
TIMEOUT = 240.0

MULTIPLY, TRUNCATE, COMPARE, EXP, RECIPROCAL, DIVIDE, ROOT, GELU, SIGMOID = 20, 4, 72, 100, 505, 525, 429, 396, 605


def product(m: int, k: int, n: int) -> int:
    return 8 * (m * k + k * n) + 4 * m * n


def expected_bytes(variant: str, score: str, packing: int) -> int:
    """Bytes sent by one party for one block, operation by operation."""
    t, d, h, size, step = CONTEXT, WIDTH, HEADS, WIDTH // HEADS, CONTEXT // packing
    widths = [step * (piece + 1) for piece in range(packing)]
    n_logits, n_rows = h * step * sum(widths), h * t
    total = 4 * product(t, d, d) + TRUNCATE * n_logits
    total += h * sum(product(step, size, width) + product(step, width, size) for width in widths)
    total += {
        "softmax": (COMPARE + EXP + DIVIDE) * n_logits,
        "softmax_rr": COMPARE * (n_logits - n_rows) + (EXP + MULTIPLY) * n_logits + RECIPROCAL * n_rows,
        "quad2": 2 * MULTIPLY * n_logits + RECIPROCAL * n_rows,
        "relu_over_n": (COMPARE + TRUNCATE) * n_logits,
        "sigmoid": SIGMOID * n_logits,
        "linear": TRUNCATE * n_logits,
    }[score]
    if "_ln" in variant:
        total += 2 * ((2 * MULTIPLY) * t * d + (ROOT + 2 * TRUNCATE) * t)
    if variant == "sm_attention_only":
        return total
    total += product(t, d, d) if "scfuffn" in variant else product(t, d, 4 * d) + product(t, 4 * d, d)
    total += {"gelu": GELU, "relu": COMPARE}.get(variant.rpartition("_")[2], 0) * 4 * t * d
    return total + (2 * TRUNCATE * t * d if "sc" in variant else 0)


def block_of(variant: str, rng: np.random.Generator) -> Block:
    return PIGPT(PIGPTConfig(1, HEADS, WIDTH, CONTEXT, 8, variant=variant, init_std=0.1), rng=rng).blocks[0]


def measured(block: Block, rng: np.random.Generator, **arguments: object) -> MeasuredCost:
    return measure_cost(block, drawn(rng, CONTEXT, WIDTH), timeout=TIMEOUT, **arguments)


@pytest.mark.parametrize(
    ("variant", "score", "packing"),
    [
        ("sm_ln_gelu", "softmax", 1),
        ("sm_ln_relu", "softmax_rr", 1),
        ("sm_scffn", "softmax", 2),
        ("sm", "quad2", 1),
        ("sm_t_scfuffn", "relu_over_n", 2),
        ("sm_scfuffn", "sigmoid", 1),
        ("sm_attention_only", "linear", 4),
    ],
)
def test_bytes_are_the_closed_form_and_values_are_torchs(variant: str, score: str, packing: int, engine: Path, rng: np.random.Generator):
    cost = measured(block_of(variant, rng), rng, score=score, packing=packing)
    assert cost.bytes_sent == cost.bytes_received == sum(cost.by_operation.values()) == expected_bytes(variant, score, packing)
    assert cost.largest_difference < MOST


def test_pieces_at_once_send_equal_bytes_in_fewer_messages(engine: Path, rng: np.random.Generator):
    block = block_of("sm_attention_only", rng)
    split, joined = (measured(block, rng, score="softmax_rr", packing=4, layout=layout) for layout in ("split", "joined"))
    assert split.bytes_sent == joined.bytes_sent == expected_bytes("sm_attention_only", "softmax_rr", 4)
    assert (split.messages, joined.messages) == (432, 168)
    assert max(split.largest_difference, joined.largest_difference) < MOST


def test_everything_that_a_folded_model_may_have(engine: Path, rng: np.random.Generator):
    ids = torch.from_numpy(rng.integers(0, VOCABULARY, size=(2, LENGTH)))
    cost = measure_cost(HandFoldedModel(rng), ids, score="softmax_rr", packing=2, layout="joined", with_logits=True, timeout=TIMEOUT)
    assert cost.largest_difference < 5 * MOST  # logits near 10, after two norms
    assert (cost.n_blocks, cost.batch, cost.length) == (2, 2, LENGTH)


def test_three_parties(engine: Path, rng: np.random.Generator):
    cost = measured(block_of("sm_scfuffn", rng), rng, protocol="ABY3", score="softmax_rr")
    assert cost.largest_difference < MOST
    assert cost.bytes_sent != expected_bytes("sm_scfuffn", "softmax_rr", 1)


def test_hidden_keys_stay_hidden_whatever_their_logits(engine: Path, rng: np.random.Generator):
    """The last key's logits are about 22 above all others, and only its own query sees it: the stock -20 isn't enough there."""
    block = small_model(rng, variant="sm_attention_only").blocks[0]
    x = drawn(rng, LENGTH, WIDTH // 2)
    block.attention.query.weight.copy_(torch.eye(WIDTH // 2))
    block.attention.key.weight.copy_(torch.eye(WIDTH // 2))
    x[:, [0, 8]] = 8.0
    x[-1, [0, 8]] = 16.0
    left_out = measure_cost(block, x, score="softmax_rr", timeout=TIMEOUT)
    shifted = measure_cost(block, x, score="softmax", timeout=TIMEOUT)
    assert left_out.largest_difference < 3 * MOST
    assert shifted.largest_difference > 10 * MOST


def test_another_block_is_seen(engine: Path, rng: np.random.Generator):
    one, other = block_of("sm_scfuffn", rng), block_of("sm_scfuffn", rng)
    x = drawn(rng, 1, CONTEXT, WIDTH)
    answer = ask_engine(secure_model(one, length=CONTEXT), x.numpy(), EngineSettings("SEMI2K", 64, 18), timeout=TIMEOUT)
    with torch.no_grad():
        assert np.abs(answer.output - one(x).numpy()).max() < MOST < np.abs(answer.output - other(x).numpy()).max()
