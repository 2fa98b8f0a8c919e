"""The FFN and its static normalizations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from private_inference.config import PIGPTConfig
from private_inference.feedforward import SpectralNormLinear, WeightNormLinear, feedforward, largest_singular_value


def config(variant):
    return PIGPTConfig(n_layer=1, n_head=1, n_embd=6, block_size=4, vocab_size=3, variant=variant)


def matrix(n_rows, n_columns, seed=0):
    return torch.randn(n_rows, n_columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(module):
    with torch.no_grad():
        for k, parameter in enumerate(module.parameters()):
            parameter.copy_(matrix(*parameter.shape, seed=k))
    return module.double()


@settings(max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
def test_the_largest_singular_value_and_its_gradient_are_those_of_the_svd(n_rows, n_columns, seed):
    weight = matrix(n_rows, n_columns, seed).requires_grad_()
    sigma = largest_singular_value(weight)
    left, values, right = np.linalg.svd(weight.detach().numpy(), full_matrices=False)
    assert sigma.item() == pytest.approx(values[0], rel=1e-12)
    (gradient,) = torch.autograd.grad(sigma.sum(), weight)
    gap = 1 - values[1] / values[0] if len(values) > 1 else 1.0
    np.testing.assert_allclose(gradient.numpy(), np.outer(left[:, 0], right[0]), atol=1e-13 / gap)


def test_equal_singular_values_still_have_a_subgradient():
    weight = torch.eye(4, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(largest_singular_value(weight).sum(), weight)
    assert np.linalg.svd(gradient.numpy(), compute_uv=False).sum() == pytest.approx(1)  # in the convex hull of all u v^T


@pytest.mark.parametrize("shape", [(6, 24), (24, 6), (6, 6)])
def test_a_spectrally_normalized_map_has_norm_one_at_any_scale(shape):
    layer = filled(SpectralNormLinear(*shape))
    weight = layer.weight.detach().clone()
    assert np.linalg.norm(weight.numpy(), 2) == pytest.approx(1, rel=1e-12)
    with torch.no_grad():
        layer.raw.mul_(1e-3)
    torch.testing.assert_close(layer.weight, weight, rtol=1e-10, atol=1e-12)
    x = matrix(5, shape[0], seed=1)
    torch.testing.assert_close(layer(x), x @ weight.T)


def test_gradients_through_both_normalizations_are_those_of_finite_differences():
    def spectral(raw, x):
        return x @ (raw / largest_singular_value(raw)).T

    assert torch.autograd.gradcheck(spectral, (matrix(3, 4).requires_grad_(), matrix(2, 4, seed=1).requires_grad_()))
    layer = filled(WeightNormLinear(4, 3))

    def weighted(direction, length, x):
        return torch.func.functional_call(layer, {"direction": direction, "length": length}, (x,))

    assert torch.autograd.gradcheck(weighted, (matrix(3, 4).requires_grad_(), matrix(3, 1, seed=2).requires_grad_(), matrix(2, 4, seed=1)))


def test_a_weight_normalized_row_has_its_length_and_forgets_the_scale_of_its_direction():
    layer = filled(WeightNormLinear(4, 3))
    torch.testing.assert_close(layer.weight.norm(dim=1, keepdim=True), layer.length.abs())
    weight = layer.weight.detach().clone()
    with torch.no_grad():
        layer.direction.mul_(torch.tensor([[0.1], [2.0], [7.0]]))
    torch.testing.assert_close(layer.weight, weight)
    layer.start_as_drawn()
    torch.testing.assert_close(layer.weight, layer.direction)


def test_a_wide_ffn_without_activation_is_the_product_of_its_matrices():
    wide, y = filled(feedforward(config("sm"))), matrix(5, 6, seed=9)
    torch.testing.assert_close(wide(y), y @ (wide.outer.weight @ wide.inner.weight).T)
    assert wide.inner.weight.shape == (24, 6)
    nonlinear = filled(feedforward(config("sm_relu")))
    assert not torch.allclose(nonlinear(y), wide(y))  # the same weights: it's the activation that differs
    torch.testing.assert_close(nonlinear(y), (y @ wide.inner.weight.T).clamp_min(0) @ wide.outer.weight.T)


def test_a_fused_ffn_is_one_matrix_and_attention_only_has_none():
    assert [tuple(parameter.shape) for parameter in feedforward(config("sm_scfuffn")).parameters()] == [(6, 6)]
    assert feedforward(config("sm_attention_only")) is None
