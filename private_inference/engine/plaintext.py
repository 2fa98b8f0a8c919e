"""The same model in plaintext torch: what goes in, what comes out, and how far the secure output is from it.

The client looks its tokens up in the embedding itself, so the secure program starts at x (B, T, d).
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from private_inference.cost.execution import SecureScore
from private_inference.engine.convert import Measurable, blocks_of
from private_inference.folding.folded_gpt import FoldedGPT
from private_inference.gpt import PIGPT, Block


def with_score(model: Measurable, score: SecureScore) -> Measurable:
    """Return the model, or a copy whose heads all have another score function; a public shift changes no value of softmax."""
    plain = "softmax" if score == "softmax_shift" else score
    if score_of(model) == plain:
        return model
    changed = copy.deepcopy(model)
    for block in blocks_of(changed):
        part = block.attention if isinstance(block, Block) else block
        part.score = plain
    return changed


def score_of(model: Measurable) -> SecureScore:
    """Return the score function of the model's heads."""
    block = blocks_of(model)[0]
    return block.attention.score if isinstance(block, Block) else block.score


def secure_input(model: Measurable, data: Tensor) -> Tensor:
    """Return x (B, T, d): the embedded ids of a model, or a block's input as it is.

    Raises
    ------
    ValueError : ids aren't (T,) or (B, T), or a block's input isn't (T, d) or (B, T, d).
    """
    whole = isinstance(model, PIGPT | FoldedGPT)
    allowed = (1, 2) if whole else (2, 3)
    if data.ndim not in allowed or data.is_floating_point() == whole:
        wanted = "token ids (T,) or (B, T)" if whole else "real numbers (T, d) or (B, T, d)"
        raise ValueError(f"a {type(model).__name__} takes {wanted}, got {data.dtype} of shape {tuple(data.shape)}")
    batch = data[None] if data.ndim == allowed[0] else data
    return model.embed(batch) if isinstance(model, PIGPT | FoldedGPT) else batch


def plain_output(model: Measurable, data: Tensor, x: Tensor, *, output: bool) -> Tensor:
    """Return what the secure program should say: logits of a model, or the last block's output.

    Raises
    ------
    ValueError : logits of a block.
    """
    if output:
        if not isinstance(model, PIGPT | FoldedGPT):
            raise ValueError(f"a {type(model).__name__} has no logits; give the whole model, or output=False")
        return cast(Tensor, model(data if data.ndim == 2 else data[None]))
    for block in cast("list[nn.Module]", blocks_of(model)):
        x = block(x)
    return x


def largest_difference(secure: Tensor, plain: Tensor) -> float:
    """Return the largest absolute difference; infinity if the secure output holds a NaN."""
    return float(torch.nan_to_num((secure.double() - plain.double()).abs(), nan=torch.inf).max())
