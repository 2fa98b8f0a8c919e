from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from private_inference.folding.conditioning import condition_number, conditioning_penalty, layer_maps
from private_inference.folding.fold import fold
from private_inference.gpt import PIGPT
from tests.private_inference.small_models import config_of, random_model, trained_model

LINEAR = ("sm", "sm_wn", "sm_sn", "sm_scffn", "sm_scfuffn")


def test_maps_are_what_the_block_does_to_its_input(rng: np.random.Generator):
    for variant in LINEAR:
        model = random_model(config_of(variant), rng)
        y = torch.from_numpy(rng.standard_normal((2, 3, 32)))
        for block, matrix in zip(model.blocks, layer_maps(model), strict=True):
            torch.testing.assert_close(block._after_attention(y), y @ matrix, rtol=1e-12, atol=1e-12)


def test_penalty_is_the_variance_of_normalized_squared_singular_values(rng: np.random.Generator):
    model = random_model(config_of("sm_scffn"), rng)
    expected = 0.0
    for matrix in layer_maps(model):
        squares = np.linalg.svd(matrix.detach().numpy(), compute_uv=False) ** 2
        expected += float(np.var(squares / squares.mean()))
    assert conditioning_penalty(model).item() == pytest.approx(expected, rel=1e-12)


def test_penalty_vanishes_at_multiples_of_turns(rng: np.random.Generator):
    model = random_model(config_of("sm_scfuffn"), rng)
    with torch.no_grad():
        for block in model.blocks:
            turn = torch.linalg.qr(torch.from_numpy(rng.standard_normal((32, 32))))[0]
            block.feedforward.weight.copy_((3 * turn - block.skip_gain.gain * torch.eye(32)) / block.feedforward_gain.gain)
    assert conditioning_penalty(model).item() == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize("variant", LINEAR)
def test_gradient_agrees_with_finite_differences(variant: str, rng: np.random.Generator):
    model = random_model(config_of(variant, n_layer=2), rng)
    conditioning_penalty(model).backward()
    moved = [(p, torch.from_numpy(rng.standard_normal(tuple(p.shape)))) for p in model.parameters() if p.grad is not None]
    assert len(moved) >= 2
    slope = sum(float((p.grad * direction).sum()) for p, direction in moved)

    def penalty_at(step: float) -> float:
        with torch.no_grad():
            for p, direction in moved:
                p += step * direction
            value = conditioning_penalty(model).item()
            for p, direction in moved:
                p -= step * direction
        return value

    assert (penalty_at(1e-6) - penalty_at(-1e-6)) / 2e-6 == pytest.approx(slope, rel=1e-6)
    assert slope != pytest.approx(2 * (penalty_at(1e-6) - penalty_at(-1e-6)) / 2e-6, rel=1e-3)  # a factor would be seen


def test_penalty_bounds_the_condition_number(rng: np.random.Generator):
    for std in (0.001, 0.003, 0.01):
        model = PIGPT(config_of("sm_scfuffn", n_layer=1, init_std=std), rng=rng).double()
        share = math.sqrt(32 * conditioning_penalty(model).item())
        condition = condition_number(layer_maps(model)[0].detach())
        assert 1 < condition <= math.sqrt((1 + share) / (1 - share))


def test_condition_number_of_known_matrices():
    assert condition_number(torch.diag(torch.tensor([8.0, 4.0, 2.0], dtype=torch.float64))) == pytest.approx(4)
    assert condition_number(torch.ones(3, 3, dtype=torch.float64)) == math.inf
    assert condition_number(torch.zeros(3, 3)) == math.inf


@pytest.mark.parametrize("variant", ["sm_ln", "sm_relu", "sm_attention_only"])
def test_models_without_linear_ffn_are_refused(variant: str):
    with pytest.raises(ValueError, match=f"must have a linear, norm-free FFN, but '{variant}' has"):
        conditioning_penalty(PIGPT(config_of(variant), rng=0))


def test_training_with_the_penalty_keeps_condition_numbers_low():
    config = config_of("sm_t_scfuffn", n_layer=4, block_size=32, vocab_size=128, init_std=0.1)
    free, kept = (fold(trained_model(config, np.random.default_rng(0), conditioning=weight)).fold_report for weight in (0.0, 1.0))
    assert all(a.condition > 1.5 * b.condition for a, b in zip(free.layers, kept.layers, strict=True))
    assert free.layers[-1].running > 10 * kept.layers[-1].running
    assert free.bits_lost > kept.bits_lost + 1
