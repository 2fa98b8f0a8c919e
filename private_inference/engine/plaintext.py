"""The same model in plaintext torch: what goes in, what comes out, and how far the secure output is from it.

The client looks its tokens up in the embedding itself, so the secure program starts at x (B, T, d).
"""

from __future__ import annotations

import copy
from typing import cast

import torch
from torch import Tensor, nn

from private_inference.config import Score
from private_inference.engine.convert import Measurable
from private_inference.engine.folded_shape import is_folded_model
from private_inference.gpt import PIGPT


def with_score(model: Measurable, score: Score | None) -> Measurable:
    """Return the model, or a copy whose heads all have another score function."""
    if score is None:
        return model
    changed = copy.deepcopy(model)
    for part in cast(nn.Module, changed).modules():
        if hasattr(part, "score"):
            part.score = score  # type: ignore[assignment]
    return changed


def secure_input(model: Measurable, data: Tensor) -> Tensor:
    """Return x (B, T, d): the embedded ids of a model, or a block's input as it is.

    Raises
    ------
    ValueError : ids aren't (T,) or (B, T), or a block's input isn't (T, d) or (B, T, d).
    """
    whole = _is_whole(model)
    allowed = (1, 2) if whole else (2, 3)
    if data.ndim not in allowed or data.is_floating_point() == whole:
        wanted = "token ids (T,) or (B, T)" if whole else "real numbers (T, d) or (B, T, d)"
        raise ValueError(f"a {type(model).__name__} takes {wanted}, got {data.dtype} of shape {tuple(data.shape)}")
    batch = data[None] if data.ndim == allowed[0] else data
    if isinstance(model, PIGPT):
        return model.embed(batch)
    if not is_folded_model(model):
        return batch
    length, longest = batch.shape[1], model.config.block_size
    if length > longest:
        raise ValueError(f"ids must have shape (batch, 1..{longest}), got {tuple(batch.shape)}")
    return nn.functional.embedding(batch, model.embedding) + model.position_embedding[:length]


def plain_output(model: Measurable, data: Tensor, x: Tensor, *, with_logits: bool) -> Tensor:
    """Return what the secure program should say: logits of a model, or the last block's output.

    Raises
    ------
    ValueError : logits of a block.
    """
    if not _is_whole(model):
        if with_logits:
            raise ValueError(f"a {type(model).__name__} has no logits; give the whole model, or with_logits=False")
        return cast(nn.Module, model)(x)  # type: ignore[no-any-return]
    if with_logits:
        return cast(nn.Module, model)(data if data.ndim == 2 else data[None])  # type: ignore[no-any-return]
    for block in cast(PIGPT, model).blocks:
        x = block(x)
    return x


def largest_difference(secure: Tensor, plain: Tensor) -> float:
    """Return the largest absolute difference; infinity if the secure output holds a NaN."""
    return float(torch.nan_to_num((secure.double() - plain.double()).abs(), nan=torch.inf).max())


def _is_whole(model: Measurable) -> bool:
    return isinstance(model, PIGPT) or is_folded_model(model)
