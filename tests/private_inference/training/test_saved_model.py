"""Saved models: the same outputs after loading; what isn't one is refused."""

from __future__ import annotations

import pytest
import torch

from private_inference.config import VARIANTS
from private_inference.gpt import PIGPT
from private_inference.training.recipes import RECIPES
from private_inference.training.saved_model import load_model, save_model
from tests.private_inference.runs import T, config


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_loaded_model_is_the_saved_one(tmp_path, variant):
    model = PIGPT(config(variant, temperature="position", tied=variant != "sm"), rng=1)
    model = model.double() if variant == "sm_relu" else model
    save_model(model, tmp_path / "model.npz")
    loaded = load_model(tmp_path / "model.npz")
    ids = torch.arange(T)[None]
    assert loaded.config == model.config
    assert torch.equal(loaded(ids), model.eval()(ids))
    assert [file.name for file in tmp_path.iterdir()] == ["model.npz"]


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / "model.npz"
    save_model(PIGPT(config(), rng=1), path)
    for data in (b"", b"\x80\x04K\x01.", path.read_bytes()[:500]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"model\.npz must be a model that save_model wrote"):
            load_model(path)


def test_recipes_make_models_and_penalties():
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 8, "vocab_size": 12}
    guided, fused, baseline = (RECIPES[name] for name in ("toy_guided", "toy_fused", "toy_baseline"))
    assert guided.config(**shape).temperature_kind == "head"
    penalty = guided.entropy_penalty(guided.config(**shape))
    assert penalty is not None
    assert penalty.settings == guided.penalty
    assert fused.entropy_penalty(fused.config(**shape)) is None
    assert baseline.recipe.learning_rate < guided.recipe.learning_rate
    assert guided.to_dict()["variant"] == "sm_t_scfuffn"
