"""From logits to attention weights: softmax, and what is cheaper under secure computation.

Every function takes scaled logits (..., queries, keys) and which keys are allowed, and returns weights that are 0 elsewhere.

    softmax, softmax_rr   the same values; `rr` computes one reciprocal a row instead of a division an element
    quad2                 (x + c)^2 / sum, c = 5 (Li et al., MPCFormer, ICLR 2023)
    relu_over_n           max(x, 0) / number of allowed keys
    sigmoid               1 / (1 + exp(-(x - ln n)))
    linear                x / number of allowed keys: no nonlinearity at all

Rows of the first three sum to 1. Entropies of `relu_over_n` and `sigmoid` are those of their normalized rows; `linear` has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

QUAD_SHIFT = 5.0
ScoreFunction = Callable[[Tensor, Tensor], Tensor]


def softmax(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return exp(x) / sum exp(x)."""
    return torch.softmax(logits.masked_fill(~allowed, -torch.inf), dim=-1)


def softmax_row_reciprocal(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the same values by one reciprocal a row, the order of operations of the secure program."""
    masked = logits.masked_fill(~allowed, -torch.inf)
    exponentials = torch.exp(masked - masked.amax(dim=-1, keepdim=True).detach())
    return exponentials * exponentials.sum(dim=-1, keepdim=True).reciprocal()


def quad2(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return (x + 5)^2 over its row's sum; a row of nothing but -5 is NaN."""
    squares = (logits + QUAD_SHIFT).square().masked_fill(~allowed, 0.0)
    return squares * squares.sum(dim=-1, keepdim=True).reciprocal()


def relu_over_n(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return max(x, 0) over the number of allowed keys."""
    return torch.relu(logits).masked_fill(~allowed, 0.0) / _keys(logits, allowed)


def sigmoid(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the logistic function of x - ln n, n the number of allowed keys."""
    return torch.sigmoid(logits - _keys(logits, allowed).log()).masked_fill(~allowed, 0.0)


def linear(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return x over the number of allowed keys; weights may be negative."""
    return logits.masked_fill(~allowed, 0.0) / _keys(logits, allowed)


def entropy_of_scores(weights: Tensor) -> Tensor:
    """Return the entropy of rows after normalization, shape (..., queries); a row of zeros has entropy 0.

    Raises
    ------
    ValueError : a weight is negative: such a score has no entropy.
    """
    if bool((weights < 0).any()):
        raise ValueError("attention weights must be >= 0 to have an entropy; the score 'linear' has none")
    total = weights.sum(dim=-1, keepdim=True)
    shares = weights / total.masked_fill(total == 0, 1.0)
    seen = shares.masked_fill(shares == 0, 1.0)  # 0 ln 0 = 0, and its gradient is not the infinity of ln 0
    return -(seen * seen.log()).sum(dim=-1)


def _keys(logits: Tensor, allowed: Tensor) -> Tensor:
    return allowed.sum(dim=-1, keepdim=True).to(logits.dtype)


SCORE_FUNCTIONS: Mapping[str, ScoreFunction] = {
    "softmax": softmax,
    "softmax_rr": softmax_row_reciprocal,
    "quad2": quad2,
    "relu_over_n": relu_over_n,
    "sigmoid": sigmoid,
    "linear": linear,
}
