"""What a linear FFN does to the residual stream, how well that can be inverted, and a penalty that keeps it so in training.

    X' = Y M_l,  M_l = beta_l I + g_l W_f,  W_f = W_in W_out  (row vectors; g_l = 1/alpha_l)
    penalty = sum_l ||M_l^T M_l / s_l - I||_F^2 / d,  s_l = ||M_l||_F^2 / d the mean squared singular value

The penalty is 0 where every M_l is a multiple of an orthogonal matrix, and doesn't see a factor of M_l: it asks for no size. With
eigenvalues e_i of M_l^T M_l / s_l, whose mean is 1, it is their variance, so penalty p bounds the condition number of that layer by
sqrt((1 + sqrt(d p)) / (1 - sqrt(d p))) while d p < 1.

It reads parameters only. Under DP-SGD its gradient needs no noise: add it to the noisy gradient, not to the loss that is clipped.

Cost: L products of d x d matrices; a condition number takes one singular value decomposition of d x d.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from private_inference.config import Variant
from private_inference.feedforward import WideFeedforward
from private_inference.gpt import PIGPT, Block


def has_linear_feedforward(parts: Variant) -> bool:
    """Return whether a block's FFN, with its gains and skip, is one linear map of the residual stream."""
    return parts.feedforward != "none" and parts.activation == "identity" and not parts.layer_norm


def layer_maps(model: PIGPT) -> list[Tensor]:
    """Return M_l of every layer, (d, d), differentiable in the model's parameters.

    Raises
    ------
    ValueError : the model's FFN is not linear in the residual stream, or absent.
    """
    variant, parts = model.config.variant, model.config.parts
    if not has_linear_feedforward(parts):
        why = "no FFN" if parts.feedforward == "none" else "a norm or an activation in its FFN"
        raise ValueError(f"the variant must have a linear, norm-free FFN, but {variant!r} has {why}; use 'sm_scfuffn' or another one")
    return [_layer_map(cast(Block, block)) for block in model.blocks]


def conditioning_penalty(model: PIGPT) -> Tensor:
    """Return how far the maps of the linear FFNs are from multiples of orthogonal matrices; add it, weighted, to the training loss.

    Parameters
    ----------
    model : one with a linear, norm-free FFN.

    Returns
    -------
    sum_l ||M_l^T M_l / s_l - I||_F^2 / d, a scalar >= 0, differentiable.

    Raises
    ------
    ValueError : the model's FFN is not linear in the residual stream, or absent.

    Examples
    --------
    >>> from private_inference.config import PIGPTConfig
    >>> config = PIGPTConfig(n_layer=2, n_head=2, n_embd=8, block_size=16, vocab_size=32, variant="sm_scfuffn", init_std=0.3)
    >>> model = PIGPT(config, rng=0)
    >>> conditioning_penalty(model).item() > 1
    True
    """
    return torch.stack([_from_orthogonal(matrix) for matrix in layer_maps(model)]).sum()


def condition_number(matrix: Tensor) -> float:
    """Return the largest over the smallest singular value; infinity if that is 0 within rounding or the matrix overflows."""
    if not bool(torch.isfinite(matrix).all()):
        return float("inf")
    values = torch.linalg.svdvals(matrix)
    largest, smallest = float(values[0]), float(values[-1])
    rounding = largest * matrix.shape[0] * torch.finfo(matrix.dtype).eps
    return largest / smallest if smallest > rounding else float("inf")


def fused_weight(feedforward: nn.Module) -> Tensor:
    """Return W_f, (d, d), row-vector convention, of an FFN without activation; a weight or spectral norm is baked in."""
    if isinstance(feedforward, WideFeedforward):
        return row_weight(feedforward.inner) @ row_weight(feedforward.outer)
    return row_weight(feedforward)


def row_weight(linear: nn.Module) -> Tensor:
    """Return W of y = x W: torch keeps the transpose."""
    return cast(Tensor, linear.weight).T


def _layer_map(block: Block) -> Tensor:
    fused = fused_weight(cast(nn.Module, block.feedforward))
    skip = torch.eye(len(fused), dtype=fused.dtype, device=fused.device)
    if block.skip_gain is not None:
        skip = block.skip_gain.gain * skip
    if block.feedforward_gain is not None:
        fused = block.feedforward_gain.gain * fused
    return skip + fused


def _from_orthogonal(matrix: Tensor) -> Tensor:
    gram = matrix.T @ matrix
    distance = gram / gram.diagonal().mean() - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return distance.square().sum() / len(gram)
