"""Score functions against loops by hand, and the entropy of their rows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from private_inference.score_functions import SCORE_FUNCTIONS, entropy_of_scores, softmax, softmax_row_reciprocal
from tests.private_inference.plain_gpt import entropy_by_hand, score_by_hand

NORMALIZED = ("softmax", "softmax_rr", "quad2")
CAUSAL = torch.ones(6, 6, dtype=torch.bool).tril()
SLIDING = CAUSAL & CAUSAL.T.tril(diagonal=2).T  # each query sees its last three keys

rows = st.lists(st.floats(-8, 8), min_size=1, max_size=7)


def logits(seed=0, scale=2.0):
    return scale * torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("allowed", [CAUSAL, SLIDING], ids=["causal", "sliding"])
@pytest.mark.parametrize("score", SCORE_FUNCTIONS)
def test_every_score_is_what_its_formula_says(score, allowed):
    scores, weights = logits(), SCORE_FUNCTIONS[score](logits(), allowed)
    for b, h, i in torch.cartesian_prod(torch.arange(2), torch.arange(3), torch.arange(6)).tolist():
        seen = allowed[i]
        by_hand = torch.tensor(score_by_hand(score, scores[b, h, i][seen].tolist()), dtype=torch.float64)
        torch.testing.assert_close(weights[b, h, i][seen], by_hand, rtol=1e-13, atol=1e-15)
        assert (weights[b, h, i][~seen] == 0).all()


@pytest.mark.parametrize("score", SCORE_FUNCTIONS)
def test_hidden_keys_change_nothing_whatever_they_hold(score):
    poisoned = logits().masked_fill(~CAUSAL, torch.nan).requires_grad_()
    weights = SCORE_FUNCTIONS[score](poisoned, CAUSAL)
    assert torch.equal(weights, SCORE_FUNCTIONS[score](logits(), CAUSAL))


@pytest.mark.parametrize("score", SCORE_FUNCTIONS)
def test_gradients_are_those_of_finite_differences(score):
    def of(scores):
        return SCORE_FUNCTIONS[score](scores, CAUSAL[:3, :3])

    assert torch.autograd.gradcheck(of, (logits()[:1, :1, :3, :3].contiguous().requires_grad_(),))


@given(rows, st.sampled_from(NORMALIZED))
def test_normalized_rows_sum_to_one(row, score):
    if score == "quad2" and all(x == -5 for x in row):
        return  # 0 / 0, as documented
    weights = SCORE_FUNCTIONS[score](torch.tensor([row], dtype=torch.float64), torch.ones(1, len(row), dtype=torch.bool))
    assert weights.sum().item() == pytest.approx(1, abs=1e-12)
    assert (weights >= 0).all()


@given(rows, st.floats(-1e4, 1e4))
def test_softmax_ignores_a_shift_and_the_reciprocal_changes_nothing(row, shift):
    scores, allowed = torch.tensor([row], dtype=torch.float64), torch.ones(1, len(row), dtype=torch.bool)
    for function in (softmax, softmax_row_reciprocal):  # exp of the shifted row overflows: only the difference may be exponentiated
        torch.testing.assert_close(function(scores + shift, allowed), softmax(scores, allowed), rtol=1e-10, atol=1e-10)


@given(st.lists(st.floats(0, 5), min_size=1, max_size=7), st.floats(1e-3, 1e3))
def test_entropy_of_rows_is_that_of_their_shares(row, scale):
    entropy = entropy_of_scores(torch.tensor([row], dtype=torch.float64) * scale).item()
    assert -1e-12 <= entropy <= math.log(len(row)) + 1e-12
    if sum(row) > 1e-6:
        assert entropy == pytest.approx(entropy_by_hand(row), abs=1e-9)


def test_entropy_of_a_row_of_zeros_is_zero_and_so_is_its_gradient():
    weights = torch.tensor([[0.0, 0.0], [0.0, 3.0], [1.0, 1.0]], requires_grad=True)
    entropy = entropy_of_scores(weights)
    torch.testing.assert_close(entropy, torch.tensor([0.0, 0.0, math.log(2)]))
    entropy.sum().backward()
    assert weights.grad.isfinite().all()


def test_entropy_refuses_negative_weights_and_hands_nan_on():
    with pytest.raises(ValueError, match="weights must be >= 0"):
        entropy_of_scores(torch.tensor([0.5, -0.5]))
    assert entropy_of_scores(torch.tensor([[0.5, math.nan], [0.5, 0.5]])).isnan().tolist() == [True, False]
