"""A public shift in place of the row maximum: equal values inside its range, refused outside."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from private_inference.config import PIGPTConfig
from private_inference.cost.public_shift import calibrate_public_shift
from private_inference.gpt import PIGPT


def model_of(rng: np.random.Generator, **fields: object) -> PIGPT:
    shape = {"n_layer": 3, "n_head": 2, "n_embd": 16, "block_size": 12, "vocab_size": 20, "init_std": 0.1, "variant": "sm_scfuffn"}
    return PIGPT(PIGPTConfig(**{**shape, **fields}), rng=rng)  # type: ignore[arg-type]


def ids_of(rng: np.random.Generator, n: int = 20) -> torch.Tensor:
    return torch.from_numpy(rng.integers(0, 20, size=(n, 12)))


def logits_of(model: PIGPT, ids: torch.Tensor) -> list[torch.Tensor]:
    """The naive way: one block, one head, one query at a time; (heads and queries and sequences) x keys seen."""
    found = []
    x = model.embed(ids)
    for block in model.blocks:
        read = x if block.attention_norm is None else block.attention_norm(x)
        q, k = block.attention.query(read), block.attention.key(read)
        size, rows = block.attention.head_size, []
        for head in range(block.attention.n_head):
            part = slice(head * size, (head + 1) * size)
            t = 1.0 if isinstance(block.attention.temperature, torch.nn.Identity) else block.attention.temperature.value[head]
            rows += [q[b, i, part] @ k[b, : i + 1, part].T / t / math.sqrt(size) for b in range(len(ids)) for i in range(ids.shape[1])]
        found.append(rows)
        x = block(x)
    return found


@pytest.mark.parametrize("variant", ["sm_scfuffn", "sm_t_scfuffn", "sm_ln_gelu"])
def test_shift_is_the_largest_logit_and_a_margin(variant: str, rng: np.random.Generator):
    model, ids = model_of(rng, variant=variant, init_std=0.05, temperature_init=1.0), ids_of(rng, n=3)
    found = calibrate_public_shift(model, ids, margin=0.5)
    with torch.no_grad():
        for layer, rows in enumerate(logits_of(model, ids)):
            maxima = [float(row.max()) for row in rows]
            assert found.largest_logit[layer] == pytest.approx(max(maxima), rel=1e-4, abs=1e-6)
            assert found.smallest_row_maximum[layer] == pytest.approx(min(maxima), rel=1e-4, abs=1e-6)
            assert found.shift[layer] == pytest.approx(max(maxima) + 0.5, rel=1e-4)
    assert max(found.depth) <= found.max_depth


def test_rounding_stays_small_at_the_largest_depth(rng: np.random.Generator):
    """18 fractional bits: a weight a of n keys moves by at most (1 + n a) u / S, u = 2^-19, S >= e^-6.9; twice as deep all is lost."""
    x = rng.normal(size=(200, 16))
    x += -6.9 - x.max(axis=1, keepdims=True)
    exact = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)

    def error(shifted: np.ndarray) -> np.ndarray:
        rounded = np.round(np.exp(shifted) * 2**18) / 2**18
        return np.abs(rounded / np.maximum(rounded.sum(axis=1, keepdims=True), 2**-18) - exact)

    assert np.all(error(x) <= (1 + 16 * exact) * 2**-19 / (math.exp(-6.9) - 16 * 2**-19))
    assert error(x - 6.9).max() > 0.05


def test_other_inputs_are_held_against_the_shift(rng: np.random.Generator):
    model, ids = model_of(rng), ids_of(rng)
    found = calibrate_public_shift(model, ids, margin=0.0)
    found.check(model, ids)
    loud = model_of(rng)
    loud.load_state_dict(model.state_dict())
    with torch.no_grad():
        loud.blocks[1].attention.query.weight.mul_(50)
    with pytest.raises(ValueError, match=r"layer 1 must be at most its shift"):
        found.check(loud, ids)


def test_rows_far_below_the_shift_are_refused(rng: np.random.Generator):
    model, ids = model_of(rng), ids_of(rng)
    with torch.no_grad():
        model.blocks[0].attention.query.weight.mul_(3000)
    with pytest.raises(ValueError, match=r"layer 0 must be at most 6.9 below .*softmax_rr"):
        calibrate_public_shift(model, ids)


@pytest.mark.parametrize(
    ("fields", "options", "sentence"),
    [
        ({"score": "quad2"}, {}, "score must be softmax"),
        ({}, {"margin": -1.0}, "margin must be non-negative"),
        ({}, {"max_depth": 0.0}, "max_depth must be positive"),
    ],
)
def test_bad_arguments(fields: dict[str, object], options: dict[str, float], sentence: str, rng: np.random.Generator):
    with pytest.raises(ValueError, match=sentence):
        calibrate_public_shift(model_of(rng, **fields), ids_of(rng), **options)


def test_no_sequences_and_diverged_models_are_refused(rng: np.random.Generator):
    model = model_of(rng)
    with pytest.raises(ValueError, match="at least one sequence"):
        calibrate_public_shift(model, ids_of(rng, n=0))
    with torch.no_grad():
        model.blocks[2].attention.key.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="layer 2 must be finite"):
        calibrate_public_shift(model, ids_of(rng))


def test_record_is_json_ready(rng: np.random.Generator):
    record = calibrate_public_shift(model_of(rng), ids_of(rng)).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["n_sequences"] == 20
