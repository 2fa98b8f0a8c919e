"""Entropy of rows and heads: closed forms, identities, masks, gradients, and what must be refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from private_inference.heads.entropy import attention_entropy, causal_max_entropy, entropy_of_logits, head_entropy, normalized_head_entropy

MOST = {16: 1.9170, 64: 3.2058, 128: 3.8782, 256: 4.5596, 512: 5.2462}
RATIO = {16: 0.691, 64: 0.771, 128: 0.799, 256: 0.822, 512: 0.841}
Rng = np.random.Generator


def normal(rng: Rng, *shape: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal(shape))


def rows_of(weights: Tensor | None = None, logits: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    return attention_entropy(weights, logits, mask=mask, reduction="row")


def by_loop(weights: Tensor) -> float:
    return -sum(w * math.log(w) for w in weights.tolist() if w > 0)


def entropy_with_eps(weights: Tensor) -> Tensor:
    """The broken twin: `log(a + eps)` and a sum that drops NaN."""
    return -torch.nansum(weights * torch.log(weights + 1e-9), dim=-1)


@pytest.mark.parametrize("T", MOST)
def test_largest_causal_entropy(T: int) -> None:
    by_sum = math.fsum(math.log(i) for i in range(1, T + 1)) / T
    assert causal_max_entropy(T) == pytest.approx(by_sum, rel=1e-12)
    assert (round(causal_max_entropy(T), 4), round(causal_max_entropy(T) / math.log(T), 3)) == (MOST[T], RATIO[T])


@pytest.mark.parametrize("T", [1, 2, 16, 128])
def test_uniform_causal_head_reaches_the_largest_entropy(T: int) -> None:
    logits = torch.full((2, 3, T, T), 0.7, dtype=torch.float64)
    np.testing.assert_allclose(attention_entropy(logits=logits), causal_max_entropy(T), rtol=1e-12)
    np.testing.assert_allclose(rows_of(logits=logits)[0, 0], np.log(np.arange(1, T + 1)), rtol=1e-12, atol=1e-15)
    if T > 1:
        np.testing.assert_allclose(attention_entropy(logits=logits, reduction="normalized"), 1.0, rtol=1e-12)


def test_two_keys_in_closed_form() -> None:
    p = torch.tensor([0.0, 1e-300, 1e-9, 0.25, 0.5, 1.0], dtype=torch.float64)
    wanted = [0.0 if x in (0, 1) else -x * math.log(x) - (1 - x) * math.log1p(-x) for x in p.tolist()]
    np.testing.assert_allclose(rows_of(torch.stack([p, 1 - p], dim=-1)[:, None]).squeeze(-1), wanted, rtol=1e-12, atol=1e-16)


def test_logits_and_weights_agree_with_a_loop(rng: Rng) -> None:
    logits = 3 * normal(rng, 2, 2, 5, 5)
    weights = torch.softmax(logits.masked_fill(~torch.ones(5, 5, dtype=torch.bool).tril(), -torch.inf), dim=-1)
    wanted = np.array([[[by_loop(row) for row in head] for head in sample] for sample in weights])
    for rows in (rows_of(weights), rows_of(logits=logits)):
        np.testing.assert_allclose(rows, wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(attention_entropy(weights), wanted.mean(axis=(0, 2)), rtol=1e-12)
    normalized = (wanted[..., 1:] / np.log(np.arange(2, 6))).mean(axis=(0, 2))
    np.testing.assert_allclose(attention_entropy(logits=logits, reduction="normalized"), normalized, rtol=1e-12)
    np.testing.assert_array_equal(attention_entropy(weights, reduction="none"), rows_of(weights))


def test_constant_zero_logarithm_is_exact_where_eps_is_not() -> None:
    """Exact on a one-hot row, value and gradient; the twin with eps is biased, and NaN in half precision, where 1e-9 is 0."""
    one_hot = torch.eye(4)[None, None].requires_grad_()
    entropy = attention_entropy(one_hot)
    entropy.sum().backward()
    assert entropy.item() == 0
    assert one_hot.grad is not None
    assert one_hot.grad.isfinite().all()
    assert entropy_with_eps(torch.eye(4).double()).abs().min() > 0
    assert (-torch.eye(4).half() * torch.log(torch.eye(4).half() + 1e-9)).isnan().any()
    half = attention_entropy(torch.eye(4).half()[None, None])
    assert (half.dtype, half.item()) == (torch.float32, 0)


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=12), st.floats(0.05, 5), st.floats(-50, 50), st.randoms())
def test_identities(values: list[float], beta: float, shift: float, random: Random) -> None:
    z = torch.tensor(values, dtype=torch.float64)
    entropy = rows_of(logits=(beta * z)[None]).item()
    assert -1e-12 <= entropy <= math.log(len(values)) + 1e-12
    assert rows_of(logits=(beta * z + shift)[None]).item() == pytest.approx(entropy, abs=1e-11)
    assert rows_of(logits=(beta * z)[random.sample(range(len(values)), len(values))][None]).item() == pytest.approx(entropy, abs=1e-11)


def test_derivative_in_the_inverse_temperature(rng: Rng) -> None:
    """dE/dbeta = -beta Var_a(z), so entropy falls with beta."""
    z = normal(rng, 7, 9)
    for value in (0.1, 1.0, 4.0):
        beta = torch.tensor(value, dtype=torch.float64, requires_grad=True)
        everything = torch.ones(7, 9, dtype=torch.bool)
        (slope,) = torch.autograd.grad(rows_of(logits=beta * z, mask=everything).sum(), beta)
        a = torch.softmax(value * z, dim=-1)
        variance = (a * z.square()).sum(-1) - (a * z).sum(-1).square()
        assert slope.item() == pytest.approx(-value * variance.sum().item(), rel=1e-10)
        assert slope.item() < 0


@pytest.mark.parametrize("n_ties", [1, 2, 5])
def test_limits_of_the_temperature(n_ties: int, rng: Rng) -> None:
    z = torch.cat([torch.full((n_ties,), 2.0, dtype=torch.float64), 1.5 * normal(rng, 6).sigmoid()])[None]
    assert rows_of(logits=z / 1e9).item() == pytest.approx(math.log(z.numel()), rel=1e-12)
    assert rows_of(logits=z / 1e-9).item() == pytest.approx(math.log(n_ties), abs=1e-12)


@pytest.mark.parametrize("s", [0.5, 1.0])
def test_gaussian_logits(s: float, rng: Rng) -> None:
    """E ~ ln n - s^2/2 over 512 keys: 2,000 rows, standard error below 3e-3 against a margin of 0.02; false alarm below 1e-9."""

    def mean(scale: float) -> float:
        return rows_of(logits=scale * normal(rng, 2000, 512), mask=torch.ones(1, 512, dtype=torch.bool)).mean().item()

    wanted = math.log(512) - s**2 / 2
    assert mean(s) == pytest.approx(wanted, abs=0.02)
    assert mean(1.2 * s) != pytest.approx(wanted, abs=0.02)


def sliding(T: int, width: int) -> Tensor:
    return torch.ones(T, T, dtype=torch.bool).tril() & torch.ones(T, T, dtype=torch.bool).triu(1 - width)


def test_reference_of_a_sliding_mask_is_its_number_of_keys() -> None:
    mask = sliding(6, 3)
    logits = torch.zeros(2, 1, 6, 6, dtype=torch.float64)
    n_keys = np.array([1, 2, 3, 3, 3, 3])
    np.testing.assert_allclose(rows_of(logits=logits, mask=mask)[0, 0], np.log(n_keys), atol=1e-14)
    assert attention_entropy(logits=logits, mask=mask, reduction="normalized").item() == pytest.approx(1, rel=1e-12)
    assert attention_entropy(logits=logits, mask=mask).item() == pytest.approx(np.log(n_keys).mean(), rel=1e-12)


@pytest.mark.parametrize("given_as", ["weights", "logits"])
def test_padding_is_never_averaged_in(given_as: str, rng: Rng) -> None:
    """A padded batch has the entropies of its sequences; the twin that averages padding rows has not."""
    lengths, T = [3, 6], 6
    logits = 2 * normal(rng, 2, 2, T, T)
    real = torch.tensor([[i < n for i in range(T)] for n in lengths])
    mask = (torch.ones(T, T, dtype=torch.bool).tril() & real[:, None, :] & real[:, :, None])[:, None]
    weights = torch.softmax(logits.masked_fill(~mask, -1e30), dim=-1)  # padding rows are uniform, as libraries leave them
    attention = {given_as: {"weights": weights, "logits": logits}[given_as].requires_grad_()}
    parts = [rows_of(logits=logits[b : b + 1, :, :n, :n]) for b, n in enumerate(lengths)]
    wanted = torch.cat([part[0] for part in parts], dim=-1)
    np.testing.assert_allclose(attention_entropy(**attention, mask=mask).detach(), wanted.mean(dim=-1).detach(), rtol=1e-12)
    rows = rows_of(**attention, mask=mask)
    assert (rows[0, :, 3:] == 0).all()
    assert (rows.mean(dim=(0, 2)) < wanted.mean(dim=-1)).all()
    normalized = torch.cat([part[0, :, 1:] / torch.arange(2, n + 1).double().log() for part, n in zip(parts, lengths, strict=True)], dim=-1)
    result = attention_entropy(**attention, mask=mask, reduction="normalized")
    np.testing.assert_allclose(result.detach(), normalized.mean(dim=-1).detach(), rtol=1e-12)
    result.sum().backward()
    assert attention[given_as].grad.isfinite().all()


def test_default_mask_ends_at_the_last_key(rng: Rng) -> None:
    """Two queries after four remembered keys see five and six keys."""
    logits = normal(rng, 1, 1, 2, 6)
    rows = rows_of(logits=logits)[0, 0]
    assert rows[0].item() == pytest.approx(rows_of(logits=logits[0, 0, :1, :5]).item(), rel=1e-12)
    assert rows[1].item() == pytest.approx(rows_of(logits=logits[0, 0, 1:]).item(), rel=1e-12)


@pytest.mark.parametrize("reduction", ["row", "head", "normalized"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradients(reduction: str, masked: bool, rng: Rng) -> None:
    mask = sliding(5, 3) & torch.tensor([True, True, True, True, False])[:, None] if masked else None
    logits = normal(rng, 2, 2, 5, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: attention_entropy(logits=x, mask=mask, reduction=reduction), (logits,), atol=1e-6)

    def through_softmax(x: Tensor) -> Tensor:
        allowed = torch.ones(5, 5, dtype=torch.bool).tril() if mask is None else mask
        return attention_entropy(torch.softmax(x.masked_fill(~allowed, -1e30), dim=-1), mask=mask, reduction=reduction)

    assert torch.autograd.gradcheck(through_softmax, (logits,), atol=1e-6)


def test_head_means_of_model_rows(rng: Rng) -> None:
    rows = normal(rng, 3, 2, 4, 8).abs()
    np.testing.assert_allclose(head_entropy(rows), rows.mean(dim=(0, 3)), rtol=1e-12)
    wanted = (rows[..., 1:] / torch.arange(2, 9).double().log()).mean(dim=(0, 3))
    np.testing.assert_allclose(normalized_head_entropy(rows), wanted, rtol=1e-12)
    rows[1, 0, 2, 4] = torch.nan
    assert head_entropy(rows).isnan().tolist() == [[False, False, True, False], [False] * 4]


def causal_weights() -> Tensor:
    return torch.tril(torch.ones(1, 1, 4, 4)) / torch.arange(1.0, 5.0)[:, None]


def with_nan(weights: Tensor) -> Tensor:
    weights[0, 0, 2, 1] = torch.nan
    return weights


BAD: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "nan weight": (lambda: attention_entropy(with_nan(causal_weights())), ValueError, "NaN"),
    "nan logit": (lambda: attention_entropy(logits=with_nan(causal_weights())), ValueError, "NaN"),
    "sums": (lambda: attention_entropy(causal_weights() * 1.002), ValueError, "sum to 1 within 0.001 .*, 4 of 4 don't"),
    "not causal": (lambda: attention_entropy(torch.full((1, 1, 4, 4), 0.25)), ValueError, "3 of 4 don't.*mask="),
    "negative": (lambda: attention_entropy(torch.tensor([[[[1.0, 0.0], [1.1, -0.1]]]])), ValueError, "weights must be >= 0"),
    "one axis": (lambda: attention_entropy(torch.ones(4)), ValueError, "shape"),
    "empty": (lambda: attention_entropy(torch.ones(0, 1, 4, 4)), ValueError, "no empty axis"),
    "no batch": (lambda: attention_entropy(causal_weights()[0]), ValueError, "needs axes"),
    "more queries": (lambda: attention_entropy(logits=torch.zeros(1, 1, 4, 3)), ValueError, "at least as many keys"),
    "infinite logit": (lambda: attention_entropy(logits=torch.full((1, 1, 2, 2), -torch.inf)), ValueError, "finite at allowed keys"),
    "mask shape": (
        lambda: attention_entropy(causal_weights(), mask=torch.ones(3, 4, dtype=torch.bool)),
        ValueError,
        "broadcastable to the attention's shape",
    ),
    "blind head": (
        lambda: attention_entropy(logits=causal_weights(), mask=torch.zeros(4, 4, dtype=torch.bool)),
        ValueError,
        "no row with enough allowed keys",
    ),
    "only one key": (
        lambda: attention_entropy(torch.ones(2, 1, 1, 1), reduction="normalized"),
        ValueError,
        "no row with enough allowed keys",
    ),
    "mask type": (lambda: attention_entropy(causal_weights(), mask=torch.ones(4, 4)), TypeError, "bool"),
    "both": (lambda: attention_entropy(causal_weights(), causal_weights()), TypeError, "exactly one"),
    "neither": (lambda: attention_entropy(), TypeError, "exactly one"),
    "integers": (lambda: attention_entropy(torch.ones(1, 1, 1, 1, dtype=torch.int64)), TypeError, "floats"),
    "no tensor": (lambda: attention_entropy([[1.0]]), TypeError, "list"),  # type: ignore[arg-type]
    "reduction": (lambda: attention_entropy(causal_weights(), reduction="mean"), ValueError, "reduction"),  # type: ignore[arg-type]
    "T": (lambda: causal_max_entropy(0), ValueError, "T must be a whole number >= 1"),
    "rows": (lambda: head_entropy(torch.ones(3)), ValueError, "row entropies"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str) -> None:
    call, error, words = BAD[case]
    with pytest.raises(error, match=words):
        call()


def test_sums_within_the_tolerance_pass_and_a_dropped_nan_would_not_show() -> None:
    assert attention_entropy(causal_weights() * 1.0009).isfinite().all()
    assert entropy_with_eps(with_nan(causal_weights())).isfinite().all()


def test_hidden_logits_may_be_anything_finite_or_not(rng: Rng) -> None:
    logits = normal(rng, 1, 1, 5, 5)
    wanted = entropy_of_logits(logits, torch.ones(5, 5, dtype=torch.bool).tril())
    for filler in (-torch.inf, torch.inf, 1e300, 0.0):
        changed = logits.masked_fill(torch.ones(5, 5, dtype=torch.bool).triu(1), filler)
        np.testing.assert_array_equal(rows_of(logits=changed), wanted)
