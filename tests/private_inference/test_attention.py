"""Watched attention is unwatched attention, in chunks or whole; causality; limits of the temperature; NaN is never dropped."""

import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from private_inference.attention import CausalAttention, NonFiniteAttentionError, finite_entropies
from private_inference.config import PIGPTConfig

SCORES = ("softmax", "softmax_rr", "quad2", "relu_over_n", "sigmoid")
B, H, T, D = 2, 3, 7, 12


def attention(score="softmax", **changes):
    settings = {"n_layer": 1, "n_head": H, "n_embd": D, "block_size": 16, "vocab_size": 5, "score": score, "temperature_init": 0.7}
    module = CausalAttention(PIGPTConfig(**(settings | changes))).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return module


def inputs(length=T, batch=B, seed=1):
    return torch.randn(batch, length, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("temperature", ["none", "head", "position"])
@pytest.mark.parametrize("score", SCORES)
def test_watching_changes_no_output(score, temperature):
    module = attention(score, temperature=temperature)
    torch.testing.assert_close(module.with_entropy(inputs())[0], module(inputs()), rtol=1e-12, atol=1e-14)


def gradients(module, x, watched):
    mixed, entropy = module.with_entropy(x) if watched else (module(x), torch.zeros(()))
    loss = mixed.square().sum() + entropy.square().sum()
    return [mixed, entropy, *torch.autograd.grad(loss, [x, *module.parameters()])]


@settings(max_examples=25)
@given(st.sampled_from(SCORES), st.integers(1, B * H * T * T), st.booleans())
def test_chunks_change_no_output_entropy_or_gradient(score, most_logits, watched):
    module, x = attention(score, temperature="position"), inputs().requires_grad_()
    whole = gradients(module, x, watched)
    module.most_logits = most_logits
    for of_chunks, of_whole in zip(gradients(module, x, watched), whole, strict=True):
        torch.testing.assert_close(of_chunks, of_whole, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("most_logits", [B * H * T * T, 2 * B * H * T])
def test_chunks_bound_what_is_kept_for_the_backward_pass(most_logits):
    module, kept = attention(), []
    module.most_logits = most_logits
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tuple(tensor.shape)) or tensor, lambda tensor: tensor):
        module.with_entropy(inputs().requires_grad_())
    of_rows = [shape for shape in kept if shape[:2] == (B, H) and shape[-1] > D // H]
    assert bool(of_rows) == (most_logits == B * H * T * T)  # rows of logits are kept if there is one chunk, and only then


@given(st.integers(0, T - 1), st.sampled_from(SCORES))
def test_no_row_sees_a_later_token(position, score):
    module, x = attention(score), inputs()
    changed = x.clone()
    changed[:, position] += 1.0
    for before, after in zip(module.with_entropy(x), module.with_entropy(changed), strict=True):
        time = 1 if before.shape == x.shape else 2
        assert torch.equal(before.narrow(time, 0, position), after.narrow(time, 0, position))
    assert not torch.equal(module(x)[:, position], module(changed)[:, position])


def at_temperature(module, t):
    with torch.no_grad():
        module.temperature.raw.fill_(math.log(math.expm1(t - 1e-4)) if t < 30 else t - 1e-4)
    return module


def test_a_hot_head_is_uniform():
    _, entropy = at_temperature(attention(temperature="head"), 1e7).with_entropy(inputs())
    torch.testing.assert_close(entropy, torch.arange(1, T + 1).double().log().expand_as(entropy), rtol=0, atol=1e-9)


def test_a_cold_head_looks_at_its_largest_logits_alone():
    module = attention(n_head=1, n_embd=2, temperature="head")
    with torch.no_grad():
        for layer in (module.query, module.key, module.value, module.output):
            layer.weight.copy_(torch.eye(2))
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    _, entropy = at_temperature(module, 5e-4).with_entropy(torch.stack([a, b, a, a, b, a]).double()[None])
    ties = torch.tensor([1, 1, 2, 3, 2, 4])  # each query's own kind is its largest logit: how often was it seen so far?
    torch.testing.assert_close(entropy[0, 0], ties.double().log(), rtol=0, atol=1e-12)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 10))
def test_entropy_rises_with_the_temperature(t, factor):
    module = attention(temperature="head")
    _, cold = at_temperature(module, t).with_entropy(inputs())
    _, hot = at_temperature(module, t * factor).with_entropy(inputs())
    assert (hot >= cold - 1e-12).all()


def test_the_linear_score_has_outputs_and_no_entropy():
    module = attention("linear")
    assert module(inputs()).shape == (B, T, D)
    with pytest.raises(ValueError, match="score 'linear' has weights of both signs"):
        module.with_entropy(inputs())


@pytest.mark.parametrize("score", [*SCORES, "linear"])
def test_the_empty_batches_of_poisson_sampling_pass(score):
    module = attention(score)
    assert module(inputs(batch=0)).shape == (0, T, D)
    if score != "linear":
        assert module.with_entropy(inputs(batch=0))[1].shape == (0, H, T)


@pytest.mark.parametrize(("score", "bad"), [*((score, math.nan) for score in SCORES), ("softmax", math.inf), ("softmax_rr", math.inf)])
def test_a_broken_query_makes_its_rows_nan(score, bad):
    x = inputs()
    x[1, 3, 0] = bad
    _, entropy = attention(score).with_entropy(x)
    assert not entropy[1, :, 3:].isfinite().any()
    assert entropy[0].isfinite().all()
    assert entropy[1, :, :3].isfinite().all()


@pytest.mark.parametrize("broken", ["query", "key", "value"])
def test_unwatched_attention_shows_nan_as_well(broken):
    """Torch's fused kernel alone doesn't: a row whose logits are all NaN comes out as zeros (pytorch issue 141128)."""
    module = attention()
    with torch.no_grad():
        getattr(module, broken).weight.fill_(math.nan)
    assert module(inputs()).isnan().all()


def test_entropies_that_are_not_finite_are_refused_by_layer():
    entropy = torch.rand(2, 4, 3, 5)
    assert finite_entropies(entropy) is entropy
    entropy[1, 2, 0, 3], entropy[0, 3] = math.nan, math.inf
    with pytest.raises(NonFiniteAttentionError, match=r"layer 2 .* in 1 of 30 rows") as caught:
        finite_entropies(entropy)
    assert caught.value.layer == 2
    assert isinstance(caught.value, ValueError)
    again = pickle.loads(pickle.dumps(caught.value))  # from a worker's process
    assert (str(again), again.layer) == (str(caught.value), 2)
