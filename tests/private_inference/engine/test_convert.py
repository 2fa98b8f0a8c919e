"""Arrays and programs say the same as the torch model: a numpy program reads them, and torch is the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from private_inference.config import VARIANTS
from private_inference.engine.convert import secure_model
from private_inference.engine.plaintext import score_of, secure_input
from tests.private_inference.engine.models import (
    LENGTH,
    VOCABULARY,
    WIDTH,
    drawn,
    execution,
    hand_folded_block,
    hand_folded_model,
    small_model,
)
from tests.private_inference.engine.plain_program import run_plainly

TOLERANCE = 2e-5  # arrays are float32


def off_by(model: object, data: torch.Tensor, **options: object) -> float:
    x = secure_input(model, data)
    secure = secure_model(model, x.shape[1], execution(x.shape[1], score_of(model)), **options)
    plain = model(data)
    return float(np.abs(run_plainly(secure, x.double().numpy()) - plain.double().numpy()).max())


@pytest.mark.parametrize("scaling", ["logits", "weights"])
@pytest.mark.parametrize("temperature", ["none", "head", "position"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_block_says_what_torch_says(variant: str, temperature: str, scaling: str, rng: np.random.Generator):
    block = small_model(rng, variant=variant, temperature=temperature).blocks[0]
    assert off_by(block, drawn(rng, 3, LENGTH - 2, WIDTH) * 3, scaling=scaling) < TOLERANCE


@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_t_scfuffn"])
def test_model_says_what_torch_says(variant: str, rng: np.random.Generator):
    ids = torch.from_numpy(rng.integers(0, VOCABULARY, size=(2, LENGTH)))
    assert off_by(small_model(rng, variant=variant, n_layer=3), ids, output=True) < TOLERANCE


def test_folded_model_says_what_torch_says(rng: np.random.Generator):
    ids = torch.from_numpy(rng.integers(0, VOCABULARY, size=(2, LENGTH - 1)))
    assert off_by(hand_folded_model(rng), ids, output=True) < TOLERANCE


@pytest.mark.parametrize("wide", [True, False])
def test_folded_block_says_what_torch_says(wide: bool, rng: np.random.Generator):
    assert off_by(hand_folded_block(rng, wide=wide), drawn(rng, 1, LENGTH, WIDTH)) < TOLERANCE


@pytest.mark.parametrize("score", ["softmax_rr", "quad2", "relu_over_n", "sigmoid", "linear"])
def test_every_score_says_what_torch_says(score: str, rng: np.random.Generator):
    assert off_by(small_model(rng, score=score).blocks[0], drawn(rng, 1, LENGTH, WIDTH)) < TOLERANCE


@pytest.mark.parametrize(
    ("side", "name"), [("secret", "query"), ("secret", "inner_bias"), ("public", "query_scale"), ("secret", "value_bias")]
)
def test_a_lost_array_is_seen(side: str, name: str, rng: np.random.Generator):
    block = small_model(rng, variant="sm_ln_gelu", temperature="position").blocks[0]
    x = drawn(rng, 1, LENGTH, WIDTH) * 3
    secure = secure_model(block, LENGTH, execution(LENGTH))
    arrays = getattr(secure.blocks[0], side)
    arrays[name] = np.zeros_like(arrays[name])
    assert np.abs(run_plainly(secure, x.double().numpy()) - block(x).double().numpy()).max() > 100 * TOLERANCE


def test_what_is_public_is_shapes_and_scales(rng: np.random.Generator):
    (block,) = secure_model(small_model(rng, variant="sm_t_scfuffn"), LENGTH, execution(LENGTH)).blocks
    assert set(block.public) == {"logit_scale", "skip_gain", "feedforward_gain"}
    assert all(array.shape == () for array in block.public.values())
    assert set(block.secret) == {"query", "key", "value", "output", "fused"}


def test_arrays_are_single_and_named_by_owner(rng: np.random.Generator):
    arrays = secure_model(small_model(rng, variant="sm_ln", n_layer=2), LENGTH, execution(LENGTH), output=True).arrays()
    assert {"secret/0/query", "secret/1/inner_bias", "public/1/logit_scale", "secret/model/unembedding"} <= set(arrays)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="got Linear"):
        secure_model(torch.nn.Linear(2, 2), 4, execution(4))  # type: ignore[arg-type]
