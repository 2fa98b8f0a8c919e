"""Configs: what they refuse, what "auto" stands for, and the way to a record and back."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_inference.config import VARIANTS, PIGPTConfig

SHAPE = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 16, "vocab_size": 32}


@st.composite
def configs(draw):
    n_head = draw(st.integers(1, 5))
    return PIGPTConfig(
        n_layer=draw(st.integers(1, 20)),
        n_head=n_head,
        n_embd=n_head * draw(st.integers(1, 64)),
        block_size=draw(st.integers(1, 512)),
        vocab_size=draw(st.integers(1, 50_000)),
        variant=draw(st.sampled_from(sorted(VARIANTS))),
        temperature=draw(st.sampled_from(["auto", "none", "head", "position"])),
        temperature_init=draw(st.floats(1.1e-4, 1e3)),
        score=draw(st.sampled_from(["softmax", "softmax_rr", "quad2", "relu_over_n", "sigmoid", "linear"])),
        init_std=draw(st.floats(1e-6, 10)),
        tied=draw(st.booleans()),
    )


@given(configs())
def test_a_config_survives_the_way_to_json_and_back(config):
    assert PIGPTConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_unknown_missing_and_foreign_keys_are_refused():
    record = PIGPTConfig(**SHAPE).to_dict()
    with pytest.raises(ValueError, match=r"no \['n_heads'\]"):
        PIGPTConfig.from_dict(record | {"n_heads": 2})
    del record["n_embd"]
    with pytest.raises(ValueError, match=r"needs \['n_embd'\]"):
        PIGPTConfig.from_dict(record)
    with pytest.raises(ValueError, match="schema_version must be 1, got 2"):
        PIGPTConfig.from_dict(record | {"schema_version": 2})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_head": 3}, ValueError, "multiple of n_head, got 8 and 3"),
        ({"n_layer": 0}, ValueError, "n_layer must be a whole number >= 1"),
        ({"n_layer": 1.5}, ValueError, "n_layer"),
        ({"vocab_size": True}, TypeError, "vocab_size"),
        ({"block_size": "64"}, TypeError, "block_size"),
        ({"variant": "SM+LN+G"}, ValueError, "variant must be one of 'sm_ln_gelu'"),
        ({"temperature": "heads"}, ValueError, "temperature"),
        ({"score": "softplus"}, ValueError, "score"),
        ({"temperature_init": 1e-4}, ValueError, "temperature_init must be in"),
        ({"temperature_init": math.inf}, ValueError, "temperature_init"),
        ({"init_std": 0.0}, ValueError, "init_std"),
        ({"init_std": math.nan}, ValueError, "init_std"),
        ({"tied": 1}, TypeError, "tied must be True or False, got int"),
    ],
)
def test_values_out_of_range_are_named(change, error, message):
    with pytest.raises(error, match=message):
        PIGPTConfig(**(SHAPE | change))


def test_whole_floats_and_numpy_numbers_become_plain_numbers():
    config = PIGPTConfig(**(SHAPE | {"n_layer": 3.0, "n_embd": np.int64(8), "init_std": np.float32(0.5)}))
    assert (config.n_layer, config.init_std) == (3, 0.5)
    assert {type(config.n_layer), type(config.n_embd)} == {int}
    assert type(config.init_std) is float


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_auto_temperature_belongs_to_tempered_variants_only(variant):
    assert PIGPTConfig(**SHAPE, variant=variant).temperature_kind == ("head" if variant == "sm_t_scfuffn" else "none")
    assert PIGPTConfig(**SHAPE, variant=variant, temperature="position").temperature_kind == "position"


def test_the_table_of_variants_is_read_only_and_says_what_the_papers_say():
    with pytest.raises(TypeError):
        VARIANTS["sm"] = VARIANTS["sm_ln"]
    assert having(lambda parts: parts.layer_norm) == {"sm_ln_gelu", "sm_ln_relu", "sm_ln"}
    assert having(lambda parts: parts.activation != "identity") == {"sm_ln_gelu", "sm_ln_relu", "sm_gelu", "sm_relu"}
    assert having(lambda parts: parts.scaled) == {"sm_scffn", "sm_scfuffn", "sm_t_scfuffn"}
    assert having(lambda parts: parts.feedforward == "fused") == {"sm_scfuffn", "sm_t_scfuffn"}


def having(trait):
    return {name for name, parts in VARIANTS.items() if trait(parts)}
