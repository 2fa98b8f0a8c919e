"""Counted operations: closed forms, printed FLOPs, and what folds and packing leave."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_inference.config import VARIANTS, PIGPTConfig
from private_inference.cost.census import census
from private_inference.cost.operations import KINDS, Op
from private_inference.cost.program import program_of
from private_inference.folding.fold import fold
from tests.private_inference.small_models import config_of, random_model


def gpt2(variant: str = "sm_ln_gelu", n_layer: int = 12, **fields: object) -> PIGPTConfig:
    shape = {"n_layer": n_layer, "n_head": 12, "n_embd": 768, "block_size": 512, "vocab_size": 50257}
    return PIGPTConfig(**{**shape, "variant": variant, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("n_layer", "T", "ffn", "fused", "attention"),
    [
        (12, 128, "14.4955", "1.8119", "7.7007"),
        (12, 256, "28.991", "3.624", "16.307"),
        (12, 512, "57.982", "7.248", "36.239"),
        (18, 128, "21.743", "2.718", "11.551"),
    ],
)
def test_published_flops_to_the_printed_digit(n_layer: int, T: int, ffn: str, fused: str, attention: str):
    def printed(flops: int, like: str) -> str:
        return f"{flops / 1e9:.{len(like.split('.')[1])}f}"

    counted = census(gpt2("sm_scffn", n_layer), T)
    assert printed(counted.ffn_flops, ffn) == ffn
    assert printed(counted.attention_flops, attention) == attention
    assert printed(census(gpt2("sm_scffn", n_layer), T, fold="fused").ffn_flops, fused) == fused
    assert printed(census(gpt2("sm_scfuffn", n_layer), T).ffn_flops, fused) == fused
    assert census(gpt2("sm_scffn", n_layer), T, fold="full").ffn_flops == 0


shapes = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 40))


@given(shapes)
def test_closed_forms(shape: tuple[int, int, int, int]):
    L, H, size, T = shape
    d = H * size
    config = PIGPTConfig(n_layer=L, n_head=H, n_embd=d, block_size=T, vocab_size=17)
    counted, full = census(config, T), census(config, T, attention_count="full")
    assert (counted.matrices("softmax"), counted.elements("softmax")) == (L * H, L * H * T * T)
    assert (counted.matrices("layer_norm"), counted.elements("layer_norm")) == (2 * L + 1, (2 * L + 1) * T * d)
    assert (counted.matrices("gelu"), counted.elements("gelu")) == (L, 4 * L * T * d)
    assert counted.ffn_flops == 16 * d * d * T * L
    assert counted.attention_flops == L * (8 * d * d * T + 3 * T * T * d)
    assert full.attention_flops == L * (8 * d * d * T + 4 * T * T * d)
    [final] = [row for row in counted.rows if row.name == "final norm"]
    assert (final.matrices, final.shape) == (1, (T, d))


def test_norm_free_models_have_no_norm_at_all():
    counted = census(gpt2("sm_scfuffn"), 128)
    assert counted.matrices("layer_norm") == counted.matrices("gelu") == counted.matrices("relu") == 0
    assert counted.matrices("gain") == 24


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from(["softmax", "softmax_rr", "quad2"]))
def test_causal_packing_keeps_its_share_of_the_logits(packing: int, score: str):
    allowed = ["one_by_one"] if score == "softmax" else ["one_by_one", "at_once"]
    for packing_layout in allowed:
        (block, *_) = program_of(gpt2(), 128, packing=packing, score=score, packing_layout=packing_layout).blocks
        scored = [op for op in block if op.kind == score]
        assert len(scored) == (packing if packing_layout == "one_by_one" else 1)
        assert sum(op.elements for op in scored) == 12 * 128 * 128 * (packing + 1) / (2 * packing)
        assert sum(op.rows for op in scored) == 12 * 128
    kept = [op for op in block if op.name == "logits"]
    assert [op.matrices for op in kept] == [12] * packing  # all heads in one operation
    covered = {(i, j) for k, op in enumerate(kept) for i in range(op.shape[0] * k, op.shape[0] * (k + 1)) for j in range(op.shape[2])}
    assert {(i, j) for i in range(128) for j in range(i + 1)} <= covered  # no key that a query sees is left out


def test_joined_projections_and_scaling():
    joined = program_of(gpt2("sm"), 128, projections="joined", scaling="weights").blocks[0]
    assert joined[0].shape == (128, 768, 3 * 768)
    assert "logit_scaling" not in {op.kind for op in joined}
    for scaling in (None, "logits", "weights"):
        table = program_of(gpt2("sm_t_scfuffn", temperature="position"), 128, scaling=scaling)
        assert [op.shape for op in table.blocks[0] if "scaling" in op.kind] == [(128, 768)]
        assert table.scaling == "queries"


@given(st.integers(1, 9), st.integers(1, 40))
def test_halves_are_compared_until_one_element_a_row_is_left(pieces: int, m: int):
    def levels(n: int) -> int:
        return 0 if n == 1 else 1 + levels((n + 1) // 2)

    op = Op("weights", "softmax_rr", 3, (pieces * m, pieces * m), pieces)
    assert op.halvings == levels(m) + levels(pieces)


def test_fused_products_take_in_gains_and_residual():
    names = [op.name for op in program_of(gpt2("sm_scffn"), 128, fold="fused").blocks[0]]
    assert names[-2:] == ["residual", "FFN product"]
    assert [op.name for op in program_of(gpt2("sm_ln"), 128, fold="fused").blocks[0]][-3:] == ["FFN norm", "FFN", "FFN residual"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_has_a_program_of_known_kinds(variant: str):
    program = program_of(gpt2(variant), 16)
    assert {op.kind for op in program.ops} <= set(KINDS)
    assert len(program.blocks) == 12


def test_a_folded_model_says_itself_what_is_left(rng: np.random.Generator):
    model = random_model(config_of("sm_t_scfuffn", temperature="position"), rng)
    folded = fold(model, max_condition=3.0)
    boundaries = [block.product is not None for block in folded.blocks]
    assert True in boundaries
    assert False in boundaries
    program = program_of(folded, 12, score="softmax_rr", packing=2)
    for block, product in zip(program.blocks, boundaries, strict=True):
        names = ["query", "key", "value", "query scaling", *["logits"] * 2, "weights", *["mixed values"] * 2, "output", "residual"]
        assert [op.name for op in block] == names + ["FFN product"] * product
    assert (program.fold, program.scaling) == ("model", "queries")
    for options in ({"fold": "full"}, {"scaling": "logits"}):
        with pytest.raises(ValueError, match="already"):
            program_of(folded, 12, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("variant", "fold_of_config"), [("sm_scfuffn", "full"), ("sm_ln", "fused"), ("sm_t_scfuffn", "full")])
def test_a_config_is_folded_like_its_model(variant: str, fold_of_config: str, rng: np.random.Generator):
    config = config_of(variant)
    folded = program_of(fold(random_model(config, rng)), 12)
    assert program_of(config, 12, fold=fold_of_config).blocks == folded.blocks  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_relu", "sm_attention_only"])
def test_a_fold_takes_no_operation_of_what_is_not_linear_but_the_scaling(variant: str, rng: np.random.Generator):
    config = config_of(variant)
    assert program_of(fold(random_model(config, rng)), 12).blocks == program_of(config, 12, scaling="weights").blocks


def test_a_model_is_counted_by_its_config(rng: np.random.Generator):
    config = config_of("sm_ln_gelu")
    assert census(random_model(config, rng), 12) == census(config, 12)


@pytest.mark.parametrize(
    ("config", "T", "options", "sentence"),
    [
        (gpt2(), 513, {}, "T must be at most block_size = 512"),
        (gpt2(), 0, {}, "T must be a whole number"),
        (gpt2(), 128, {"packing": 3}, "packing must divide T = 128, got 3"),
        (gpt2(), 128, {"fold": "fused"}, "GELU between"),
        (gpt2("sm_ln"), 128, {"fold": "full"}, "LayerNorm before"),
        (gpt2("sm_attention_only"), 128, {"fold": "full"}, "no FFN"),
        (gpt2(), 128, {"score": "hardmax"}, "score must be one of"),
        (gpt2(), 128, {"projections": "both"}, "projections must be one of"),
        (gpt2(), 128, {"packing_layout": "joined"}, "packing_layout must be one of 'auto', 'one_by_one', 'at_once'"),
        (gpt2(), 128, {"packing": 4, "packing_layout": "at_once"}, "packing_layout must be 'one_by_one' for the stock softmax"),
        (gpt2(), 128, {"scaling": "nowhere"}, "scaling must be one of"),
        (gpt2(), 128, {"fold": "half"}, "fold must be one of"),
    ],
)
def test_impossible_programs_are_refused(config: PIGPTConfig, T: int, options: dict[str, object], sentence: str):
    with pytest.raises(ValueError, match=sentence):
        program_of(config, T, **options)  # type: ignore[arg-type]


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="PIGPTConfig or a model"):
        census(object(), 8)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="attention_count must be one of"):
        census(gpt2(), 8, attention_count="half")  # type: ignore[arg-type]


def test_record_is_json_ready():
    record = census(gpt2(), 128).to_dict()
    assert json.loads(json.dumps(record)) == record
    assert record["schema_version"] == 1
