"""Arguments and records of `measure_cost`, with interpreters that only pretend."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mechanisms.errors import EngineError
from private_inference.engine.measure import MeasuredCost, measure_cost
from private_inference.engine.plaintext import secure_input, with_score
from tests.private_inference.engine.conftest import FakeEngine
from tests.private_inference.engine.models import LENGTH, VOCABULARY, WIDTH, HandFoldedBlock, HandFoldedModel, drawn, small_model

ECHO = "np.savez(answer, output=asked['x'] + {}, version='0.9.5')\nprint(LOG)"
IDS = torch.arange(LENGTH) % VOCABULARY


@pytest.fixture
def block(rng: np.random.Generator) -> torch.nn.Module:
    return small_model(rng).blocks[0]


def measure_echo(fake_engine: FakeEngine, block: torch.nn.Module, x: torch.Tensor, added: str) -> MeasuredCost:
    fake_engine(ECHO.format(added))
    for parameter in block.attention.output.parameters():
        parameter.zero_()
    block.feedforward.weight.zero_()
    block.skip_gain.gain.fill_(1.0)  # now the block is the identity, as the fake engine is
    return measure_cost(block, x, packing=4, score="softmax_rr", layout="joined")


def test_record(fake_engine: FakeEngine, block: torch.nn.Module, rng: np.random.Generator):
    cost = measure_echo(fake_engine, block, drawn(rng, LENGTH, WIDTH), "0.25")
    assert cost.largest_difference == pytest.approx(0.25, abs=1e-6)
    assert (cost.bytes_sent, cost.bytes_received, cost.messages, cost.seconds) == (640, 320, 2, 0.5)
    assert (cost.n_blocks, cost.batch, cost.length, cost.width) == (1, 1, LENGTH, WIDTH)
    assert (cost.engine, cost.protocol, cost.field, cost.fraction_bits) == ("spu 0.9.5", "SEMI2K", 64, 18)
    assert (cost.score, cost.packing, cost.layout, cost.with_logits) == ("softmax_rr", 4, "joined", False)
    record = cost.to_dict()
    assert record["schema_version"] == 1
    assert record["by_operation"] == {"dot": 640}
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_output_that_is_no_number_is_infinitely_off(fake_engine: FakeEngine, block: torch.nn.Module, rng: np.random.Generator):
    cost = measure_echo(fake_engine, block, drawn(rng, LENGTH, WIDTH), "np.nan")
    assert cost.largest_difference == np.inf
    assert cost.to_dict()["largest_difference"] == "inf"


def test_wrong_shape_is_an_error(fake_engine: FakeEngine, rng: np.random.Generator):
    fake_engine(ECHO.format("0"))
    with pytest.raises(EngineError, match=r"must have shape \(1, 8, 20\), got \(1, 8, 16\)"):
        measure_cost(small_model(rng), IDS, with_logits=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "SPDZ"}, "protocol must be one of 'SEMI2K', 'CHEETAH', 'ABY3'"),
        ({"field": 32}, "field must be 64 or 128"),
        ({"fraction_bits": 0}, "fraction_bits must be a whole number >= 1"),
        ({"fraction_bits": 30}, "fraction_bits must be at most 21"),
        ({"score": "cubic"}, "score must be one of 'softmax'"),
        ({"packing": 3}, "packing must divide the context, got 3 and 8"),
        ({"packing": 0}, "packing must be a whole number >= 1"),
        ({"layout": "both"}, "layout must be one of 'split', 'joined'"),
        ({"layout": "joined"}, "the stock softmax takes whole rows"),
        ({"timeout": 0.0}, "timeout must be positive"),
        ({"with_logits": True}, "a Block has no logits"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str, block: torch.nn.Module, rng: np.random.Generator):
    with pytest.raises(ValueError, match=message):
        measure_cost(block, drawn(rng, LENGTH, WIDTH), **arguments)


@pytest.mark.parametrize("data", [torch.zeros(LENGTH, WIDTH), torch.zeros(1, 1, LENGTH, dtype=torch.long)])
def test_model_takes_ids(data: torch.Tensor, rng: np.random.Generator):
    with pytest.raises(ValueError, match=r"a PIGPT takes token ids \(T,\) or \(B, T\)"):
        measure_cost(small_model(rng), data)


@pytest.mark.parametrize("data", [IDS, torch.zeros(WIDTH)])
def test_block_takes_numbers(data: torch.Tensor, block: torch.nn.Module):
    with pytest.raises(ValueError, match=r"a Block takes real numbers \(T, d\) or \(B, T, d\)"):
        measure_cost(block, data)


def test_contexts_longer_than_the_model(rng: np.random.Generator):
    for model in (small_model(rng), HandFoldedModel(rng)):
        with pytest.raises(ValueError, match=r"ids must have shape \(batch, 1..8\), got \(1, 9\)"):
            measure_cost(model, torch.zeros(9, dtype=torch.long))


def test_one_sequence_is_a_batch_of_one(rng: np.random.Generator):
    model = small_model(rng)
    torch.testing.assert_close(secure_input(model, IDS), model.embed(IDS[None]))
    x = drawn(rng, LENGTH, WIDTH)
    torch.testing.assert_close(secure_input(HandFoldedBlock(rng), x), x[None])


def test_another_score_leaves_the_model_alone(rng: np.random.Generator):
    model = small_model(rng)
    changed = with_score(model, "quad2")
    assert with_score(model, None) is model
    assert {block.attention.score for block in model.blocks} == {"softmax"}
    assert {block.attention.score for block in changed.blocks} == {"quad2"}
    assert with_score(HandFoldedBlock(rng), "linear").score == "linear"
