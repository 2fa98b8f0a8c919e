"""Softmax and entropy at once are softmax and entropy apart, in value and gradient."""

from __future__ import annotations

import pytest
import torch

from private_inference.heads.entropy import entropy_of_logits
from private_inference.watched_softmax import watched_softmax

CAUSAL = torch.ones(6, 6, dtype=torch.bool).tril()


def logits(rng, scale=1.0):
    return torch.from_numpy(rng.normal(scale=scale, size=(2, 3, 6, 6))).requires_grad_()


def apart(s):
    return torch.softmax(s.masked_fill(~CAUSAL, -torch.inf), dim=-1), entropy_of_logits(s, CAUSAL)


def slopes(function, s, of_weights, of_entropy):
    weights, entropy = function(s)
    (found,) = torch.autograd.grad((weights * of_weights).sum() + (entropy * of_entropy).sum(), s)
    return found


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1000.0])
def test_values_and_gradients_are_those_of_the_two_apart(rng, scale):
    s = logits(rng, scale)
    for ours, theirs in zip(watched_softmax(s, CAUSAL), apart(s), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)
    of_weights, of_entropy = torch.from_numpy(rng.normal(size=(2, 3, 6, 6))), torch.from_numpy(rng.normal(size=(2, 3, 6)))
    ours, theirs = (slopes(function, s, of_weights, of_entropy) for function in (lambda s: watched_softmax(s, CAUSAL), apart))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)
    assert not ours[..., ~CAUSAL].any()


def test_gradients_are_those_of_finite_differences(rng):
    assert torch.autograd.gradcheck(lambda s: watched_softmax(s, CAUSAL), logits(rng))


def test_gradients_of_each_sample_by_vmap(rng):
    def loss(s):
        weights, entropy = watched_softmax(s, CAUSAL)
        return (weights.square().sum() + entropy.square().sum()) / 2

    s = logits(rng)
    each = torch.func.vmap(torch.func.grad(loss))(s.detach())
    torch.testing.assert_close(each, torch.autograd.grad(loss(s), s)[0])


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_broken_rows_stay_broken(rng, bad):
    s = logits(rng).detach()
    s[0, 0, 3, 1] = bad
    weights, entropy = watched_softmax(s, CAUSAL)
    assert entropy[0, 0, 3].isnan()
    assert weights[0, 0, 3].isnan().any()
    assert entropy.isnan().sum() == 1
