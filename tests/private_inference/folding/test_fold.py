from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mechanisms.errors import FoldingError
from private_inference.config import VARIANTS, PIGPTConfig, Score, Variant
from private_inference.folding.change_of_basis import Basis
from private_inference.folding.fold import fold
from private_inference.folding.folded_gpt import FoldedGPT
from private_inference.gpt import PIGPT
from tests.private_inference.small_models import config_of, random_ids, random_model, relative_error, trained_model

LINEAR = ("sm", "sm_wn", "sm_sn", "sm_scffn", "sm_scfuffn", "sm_t_scfuffn")
NORMED = ("sm_ln_gelu", "sm_ln_relu", "sm_ln")


@pytest.mark.parametrize("temperature", ["auto", "none", "head", "position"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_stay(variant: str, temperature: str, rng: np.random.Generator):
    config = config_of(variant, temperature=temperature)
    model, ids = random_model(config, rng), random_ids(config, rng)
    expected = model(ids)
    assert relative_error(fold(model)(ids), expected) < 1e-13
    assert relative_error(fold(model)(ids[:, :5]), model(ids[:, :5])) < 1e-13
    single = fold(model.float())(ids)
    assert single.dtype == torch.float32
    assert relative_error(single, expected) < 4e-6  # measured 1e-7 to 7e-7, as far as the unfolded model in float32


@pytest.mark.parametrize("score", get_args(Score))
@pytest.mark.parametrize("variant", ["sm_t_scfuffn", "sm_ln"])
def test_logits_stay_under_every_score(variant: str, score: str, rng: np.random.Generator):
    config = config_of(variant, score=score, temperature="head", tied=False)
    model, ids = random_model(config, rng), random_ids(config, rng)
    assert relative_error(fold(model)(ids), model(ids)) < 1e-12


@pytest.mark.parametrize("variant", ["sm_t_scfuffn", "sm_wn"])
def test_logits_of_a_trained_model_stay(variant: str, rng: np.random.Generator):
    config = config_of(variant, n_layer=4, block_size=32, vocab_size=128)
    model, ids = trained_model(config, rng), random_ids(config, rng)
    single = model(ids)
    expected = model.double()(ids)
    assert relative_error(fold(model)(ids), expected) < 1e-12
    assert relative_error(fold(model.float())(ids), expected) < 20 * relative_error(single, expected)


@settings(max_examples=60)
@given(data=st.data())
def test_logits_of_any_small_model_stay(data: st.DataObject):
    heads, size = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 4))
    config = PIGPTConfig(
        n_layer=data.draw(st.integers(1, 4)),
        n_head=heads,
        n_embd=heads * size,
        block_size=data.draw(st.integers(1, 6)),
        vocab_size=5,
        variant=data.draw(st.sampled_from(list(VARIANTS))),
        temperature=data.draw(st.sampled_from(["auto", "head", "position"])),
        score=data.draw(st.sampled_from(get_args(Score))),
        init_std=data.draw(st.sampled_from([0.02, 0.2, 0.5])),
        tied=data.draw(st.booleans()),
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    model, ids = random_model(config, rng), random_ids(config, rng)
    limit = data.draw(st.sampled_from([1.5, 10.0, 1e4]))
    try:
        folded = fold(model, max_condition=limit)
    except FoldingError:
        assume(False)
    exact = model(ids)
    assert folded.fold_report.worst_condition <= limit
    # in a deep narrow model scores can be steep: what one rounding of the embeddings does is the measure
    with torch.no_grad():
        model.token_embedding.weight *= 1 + 1e-9
    steepness = relative_error(model(ids), exact) / 1e-9
    assert relative_error(folded(ids), exact) < 1e-13 * (1 + folded.fold_report.worst_condition) * (1 + steepness)


@pytest.mark.parametrize("variant", LINEAR)
def test_no_product_of_a_linear_ffn_remains(variant: str, rng: np.random.Generator):
    model = random_model(config_of(variant), rng)
    folded = fold(model)
    assert folded.fold_report.products == 0
    assert folded.fold_report.products_before == 6 * (1 if variant.endswith("fuffn") else 2)
    assert all(block.product is None and block.feedforward is None for block in folded.blocks)
    shapes = {tuple(weight.shape) for block in folded.blocks for weight in block.buffers()}
    assert shapes == {(32, 32)}


def test_the_linear_model_is_an_attention_only_model(rng: np.random.Generator):
    config = config_of("sm_scfuffn")
    model, ids = random_model(config, rng), random_ids(config, rng)
    twin = PIGPT(config_of("sm_attention_only", tied=False), rng=0).double()
    folded = fold(model)
    with torch.no_grad():
        twin.token_embedding.weight.copy_(folded.embedding)
        twin.position_embedding.weight.copy_(folded.position_embedding)
        twin.unembedding.weight.copy_(folded.output.T)
        for block, weights in zip(twin.blocks, folded.blocks, strict=True):
            block.attention.query.weight.copy_(weights.query.T * config.head_size**0.5)
            block.attention.key.weight.copy_(weights.key.T)
            block.attention.value.weight.copy_(weights.value.T)
            block.attention.output.weight.copy_(weights.output.T)
    assert relative_error(twin(ids), model(ids)) < 1e-13


def test_what_remains_of_the_other_variants(rng: np.random.Generator):
    remains = {}
    for variant in ("sm_ln_gelu", "sm_ln", "sm_relu", "sm_attention_only"):
        block = fold(random_model(config_of(variant), rng)).blocks[0]
        ffn = block.feedforward
        inner = None if ffn is None else (tuple(ffn.inner.shape), ffn.activation, ffn.outer is not None, ffn.inner_bias is not None)
        remains[variant] = (block.norm_eps, inner)
    assert remains == {
        "sm_ln_gelu": (1e-5, ((32, 128), "gelu", True, True)),
        "sm_ln": (1e-5, ((32, 32), "identity", False, True)),
        "sm_relu": (None, ((32, 128), "relu", True, False)),
        "sm_attention_only": (None, None),
    }


@pytest.mark.parametrize("limit", [2.0, 4.0, 20.0])
def test_segments_keep_within_the_limit(limit: float, rng: np.random.Generator):
    config = config_of("sm_scfuffn", init_std=0.03)
    model, ids = random_model(config, rng), random_ids(config, rng)
    folded = fold(model, max_condition=limit)
    report = folded.fold_report
    assert report.worst_condition <= limit
    assert report.products == len(report.segments) - 1 == sum(block.product is not None for block in folded.blocks)
    assert [layer for first, last in report.segments for layer in range(first, last + 1)] == list(range(6))
    assert relative_error(folded(ids), model(ids)) < 1e-13


def test_smaller_limits_leave_more_products(rng: np.random.Generator):
    model = random_model(config_of("sm_scfuffn"), rng)
    reports = [fold(model, max_condition=limit).fold_report for limit in (3.0, 1e4)]
    assert reports[0].products > reports[1].products == 0
    assert reports[0].worst_condition < reports[1].worst_condition


def test_it_raises_when_nothing_folds(rng: np.random.Generator):
    with pytest.raises(FoldingError, match=r"no FFN folds: .* max_condition is 1; raise it, train with conditioning_penalty"):
        fold(random_model(config_of("sm_scfuffn"), rng), max_condition=1)


def test_one_layer_always_folds(rng: np.random.Generator):
    config = config_of("sm_scfuffn", n_layer=1)
    model, ids = random_model(config, rng), random_ids(config, rng)
    with torch.no_grad():
        model.blocks[0].skip_gain.gain.zero_()
        model.blocks[0].feedforward.weight[0] = 0  # singular, but nothing is written after it
    folded = fold(model, max_condition=1)
    assert folded.fold_report.layers[0].condition == np.inf
    assert relative_error(folded(ids), model(ids)) < 1e-13


def test_a_singular_map_is_refused(rng: np.random.Generator):
    model = random_model(config_of("sm_scfuffn"), rng)
    with torch.no_grad():
        model.blocks[2].skip_gain.gain.zero_()
        model.blocks[2].feedforward.weight[3] = model.blocks[2].feedforward.weight[4]
    with pytest.raises(FoldingError, match="map of layer 2 is singular"):
        fold(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(value: float, rng: np.random.Generator):
    model = random_model(config_of("sm_ln_gelu"), rng)
    with torch.no_grad():
        model.blocks[1].attention.key.weight[0, 0] = value
    with pytest.raises(ValueError, match=r"blocks\.1\.attention\.key\.weight must be finite"):
        fold(model)


def test_overflow_is_refused(rng: np.random.Generator):
    model = random_model(config_of("sm_scfuffn"), rng)
    with torch.no_grad():
        model.blocks[1].feedforward.weight.fill_(1e308)
        model.blocks[1].feedforward_gain.gain.fill_(10)
    with pytest.raises(FoldingError, match="map of layer 1 overflows"):
        fold(model)
    with torch.no_grad():
        for block in model.blocks:
            block.feedforward.weight.copy_(1e200 * torch.eye(32, dtype=torch.float64))
            block.feedforward_gain.gain.fill_(1)
    with pytest.raises(FoldingError, match=r"overflow torch\.float64"):
        fold(model)
    narrow = random_model(config_of("sm_t_scfuffn", temperature_init=0.01), rng).half()
    with torch.no_grad():
        narrow.blocks[0].attention.query.weight.fill_(6e4)
    with pytest.raises(FoldingError, match=r"overflow torch\.float16"):
        fold(narrow)


@pytest.mark.parametrize("limit", [0.5, np.inf, np.nan, -1])
def test_the_limit_is_checked(limit: float):
    with pytest.raises(ValueError, match="max_condition must be"):
        fold(PIGPT(config_of("sm"), rng=0), max_condition=limit)


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="must be a PIGPT, got Linear"):
        fold(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


def test_a_scaled_ffn_that_is_not_linear_is_refused(monkeypatch: pytest.MonkeyPatch):
    variants = {**VARIANTS, "sm_scaled_relu": Variant(False, "relu", scaled=True)}
    monkeypatch.setattr("private_inference.config.VARIANTS", variants)
    with pytest.raises(FoldingError, match="'sm_scaled_relu' scales an FFN that isn't linear"):
        fold(PIGPT(config_of("sm_scaled_relu"), rng=0))


def test_the_given_model_is_left_alone(rng: np.random.Generator):
    model = random_model(config_of("sm_t_scfuffn"), rng).float().train()
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    folded = fold(model)
    with torch.no_grad():
        for weight in folded.buffers():
            weight.zero_()
    assert model.training
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_a_folded_model_is_for_inference(rng: np.random.Generator):
    config = config_of("sm_t_scfuffn", temperature="position")
    folded = fold(random_model(config, rng))
    assert not list(folded.parameters())
    assert not folded(random_ids(config, rng)).requires_grad
    assert folded.blocks[0].query_scale.shape == (4, 12)
    for bad in (torch.zeros(1, 13, dtype=torch.long), torch.zeros(3, dtype=torch.long)):
        with pytest.raises(ValueError, match=r"ids must have shape \(batch, 1\.\.12\)"):
            folded(bad)


@pytest.mark.parametrize("forgotten", ["write", "read"])
def test_a_forgotten_basis_is_caught(forgotten: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    config = config_of("sm_scfuffn")
    model, ids = random_model(config, rng), random_ids(config, rng)
    monkeypatch.setattr(Basis, forgotten, lambda basis, weight: weight)
    assert relative_error(fold(model)(ids), model(ids)) > 1e-3


def spoilt(folded: FoldedGPT, name: str) -> FoldedGPT:
    """A folded model without one of its parts."""
    holder: torch.nn.Module = folded
    *path, last = name.split(".")
    for step in path:
        holder = getattr(holder, step)
    tensor = getattr(holder, last)
    if last == "product":
        tensor.copy_(torch.eye(len(tensor)))
    else:
        tensor.fill_(1 if last == "query_scale" else 0)
    return folded


@pytest.mark.parametrize(
    ("variant", "part"),
    [
        ("sm_ln_relu", "blocks.1.query_bias"),
        ("sm_ln_relu", "blocks.1.value_bias"),
        ("sm_ln_relu", "blocks.0.feedforward.inner_bias"),
        ("sm_ln", "output_bias"),
        ("sm_scfuffn", "blocks.0.query_scale"),
    ],
)
def test_a_forgotten_part_is_caught(variant: str, part: str, rng: np.random.Generator):
    config = config_of(variant, temperature="position")
    model, ids = random_model(config, rng), random_ids(config, rng)
    assert relative_error(spoilt(fold(model), part)(ids), model(ids)) > 1e-6


def test_a_forgotten_product_is_caught(rng: np.random.Generator):
    config = config_of("sm_scfuffn")
    model, ids = random_model(config, rng), random_ids(config, rng)
    folded = fold(model, max_condition=3)
    layer = folded.fold_report.segments[0][1]
    assert relative_error(spoilt(folded, f"blocks.{layer}.product")(ids), model(ids)) > 1e-3
