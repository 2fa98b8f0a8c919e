"""Arguments and records of `measure_cost`, with interpreters that only pretend."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mechanisms.errors import EngineError
from private_inference.cost.public_shift import calibrate_public_shift
from private_inference.engine.measure import MeasuredCost, measure_cost
from private_inference.engine.plaintext import secure_input, with_score
from tests.private_inference.engine.conftest import FakeEngine
from tests.private_inference.engine.models import LENGTH, VOCABULARY, WIDTH, drawn, hand_folded_block, hand_folded_model, small_model

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
    return measure_cost(block, x, packing=4, score="softmax_rr")


def test_record(fake_engine: FakeEngine, block: torch.nn.Module, rng: np.random.Generator):
    cost = measure_echo(fake_engine, block, drawn(rng, LENGTH, WIDTH), "0.25")
    assert cost.largest_difference == pytest.approx(0.25, abs=1e-6)
    assert (cost.bytes_sent, cost.bytes_received, cost.messages, cost.seconds) == (640, 320, 2, 0.5)
    assert (cost.n_layer, cost.n_head, cost.batch, cost.T, cost.n_embd) == (1, 2, 1, LENGTH, WIDTH)
    assert (cost.engine, cost.protocol, cost.ring_bits, cost.fraction_bits) == ("spu 0.9.5", "SEMI2K", 64, 18)
    assert cost.exponential_squarings == 8
    assert (cost.score, cost.packing, cost.packing_layout, cost.projections) == ("softmax_rr", 4, "at_once", "separate")
    assert (cost.scaling, cost.output) == ("logits", False)
    assert "softmax_rr, causal packing 4 at once" in cost.words
    assert "spu 0.9.5, SEMI2K, 64-bit ring" in cost.words
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
        measure_cost(small_model(rng), IDS, output=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "SPDZ"}, "protocol must be one of 'SEMI2K', 'CHEETAH', 'ABY3'"),
        ({"ring_bits": 32}, "ring_bits must be 64 or 128"),
        ({"fraction_bits": 0}, "fraction_bits must be a whole number >= 1"),
        ({"fraction_bits": 30}, "fraction_bits must be at most 21"),
        ({"exponential_squarings": 7}, "exponential_squarings must be 8 to fraction_bits = 18, got 7"),
        ({"exponential_squarings": 19}, "exponential_squarings must be 8 to fraction_bits = 18, got 19"),
        ({"score": "cubic"}, "score must be one of 'softmax'"),
        ({"packing": 3}, "packing must divide T = 8, got 3"),
        ({"packing": 0}, "packing must be a whole number >= 1"),
        ({"packing_layout": "both"}, "packing_layout must be one of 'auto', 'one_by_one', 'at_once'"),
        ({"packing_layout": "at_once"}, "the stock softmax, which takes whole rows"),
        ({"projections": "both"}, "projections must be one of 'separate', 'joined'"),
        ({"scaling": "nowhere"}, "scaling must be one of 'logits', 'weights'"),
        ({"score": "softmax_shift"}, "score 'softmax_shift' needs shift="),
        ({"timeout": 0.0}, "timeout must be positive"),
        ({"output": True}, "a Block has no logits"),
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
    for model in (small_model(rng), hand_folded_model(rng)):
        with pytest.raises(ValueError, match=r"ids must have shape \(batch, 1..8\), got \(1, 9\)"):
            measure_cost(model, torch.zeros(9, dtype=torch.long))


def test_one_sequence_is_a_batch_of_one(rng: np.random.Generator):
    model = small_model(rng)
    torch.testing.assert_close(secure_input(model, IDS), model.embed(IDS[None]))
    x = drawn(rng, LENGTH, WIDTH)
    torch.testing.assert_close(secure_input(hand_folded_block(rng), x), x[None])


def test_what_a_fold_or_a_calibration_has_settled(rng: np.random.Generator):
    model, x = small_model(rng), drawn(rng, LENGTH, WIDTH)
    with pytest.raises(ValueError, match="scaling in the weights already"):
        measure_cost(hand_folded_block(rng), x, scaling="logits")
    shift = calibrate_public_shift(model, IDS[None])
    with pytest.raises(ValueError, match="no other score takes one"):
        measure_cost(model, IDS, score="softmax_rr", shift=shift)
    with pytest.raises(ValueError, match="one number a layer, got 1 for 2 layers"):
        measure_cost(hand_folded_model(rng), IDS, score="softmax_shift", shift=shift)


def test_another_score_leaves_the_model_alone(rng: np.random.Generator):
    model = small_model(rng)
    changed = with_score(model, "quad2")
    assert with_score(model, "softmax") is with_score(model, "softmax_shift") is model
    assert {block.attention.score for block in model.blocks} == {"softmax"}
    assert {block.attention.score for block in changed.blocks} == {"quad2"}
    assert with_score(hand_folded_block(rng), "linear").score == "linear"
