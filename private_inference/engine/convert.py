"""From torch modules to what the engine is asked: arrays in row-vector convention, and what is public.

LayerNorm     N(x) W = c(x) (diag(g) W) + b W: gain and bias go into the matrices that follow, at no cost
temperature   one a head goes into W_q; a table (H, T) becomes a public scale of the queries, 1 / (t sqrt(d_k))
1/sqrt(d_k)   a public scale of the logits, unless a fold or scaling "weights" has put it into W_q
gains         beta and 1/alpha are public scales: two numbers a layer
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from private_inference.attention import CausalAttention
from private_inference.cost.block_parts import BlockParts, Scaling, parts_of_config, parts_of_folded
from private_inference.cost.execution import Execution
from private_inference.cost.public_shift import ShiftCalibration
from private_inference.engine.question import Arrays, SecureBlock, SecureModel
from private_inference.feedforward import WideFeedforward
from private_inference.folding.folded_gpt import FoldedBlock, FoldedGPT
from private_inference.gpt import PIGPT, Block
from private_inference.leaves import Gain, HeadTemperature

Measurable = PIGPT | FoldedGPT | Block | FoldedBlock
_Named = dict[str, NDArray[np.float64]]


def blocks_of(model: Measurable) -> list[Block] | list[FoldedBlock]:
    """Return a model's blocks, or the one that was given.

    Raises
    ------
    TypeError : it is neither a PIGPT, nor what `fold` made of one, nor a block of either.
    """
    if isinstance(model, PIGPT | FoldedGPT):
        return list(cast("Iterable[Block]", model.blocks))
    if isinstance(model, Block):
        return [model]
    if isinstance(model, FoldedBlock):
        return [model]
    raise TypeError(f"model must be a PIGPT, a FoldedGPT, or a block of one, got {type(model).__name__}")


def secure_model(
    model: Measurable,
    T: int,
    execution: Execution,
    *,
    scaling: Scaling = "logits",
    output: bool = False,
    shift: ShiftCalibration | None = None,
) -> SecureModel:
    """Return what the engine runs for a model or a block, on contexts of T positions; `scaling` is for what is not folded.

    Raises
    ------
    TypeError : see `blocks_of`.
    """
    found = blocks_of(model)
    blocks = [folded_block(block) if isinstance(block, FoldedBlock) else plain_block(block, scaling) for block in found]
    shifts = [{}] * len(blocks) if shift is None else [{"shift": np.array(c)} for c in shift.shift]
    secure = tuple(_secure_block(*block, more, T) for block, more in zip(blocks, shifts, strict=True))
    heads = [block.n_head if isinstance(block, FoldedBlock) else block.attention.n_head for block in found]
    unembedding = _unembedding(model) if output else {}
    return SecureModel(heads[0], execution, secure, _single(unembedding), _has_final_norm(model))


def plain_block(block: Block, scaling: Scaling) -> tuple[BlockParts, _Named, _Named]:
    """Return parts, secret and public arrays of a block."""
    attention, norm = block.attention, block.attention_norm
    parts = parts_of_config(block.config, scaling=scaling)
    columns, public = _scales(attention, parts)
    secret = {"output": _rows(attention.output)}
    secret |= _after_norm(norm, "query", _rows(attention.query) * columns)
    secret |= _after_norm(norm, "key", _rows(attention.key)) | _after_norm(norm, "value", _rows(attention.value))
    if isinstance(block.feedforward, WideFeedforward):
        secret |= _after_norm(block.feedforward_norm, "inner", _rows(block.feedforward.inner)) | {"outer": _rows(block.feedforward.outer)}
    elif block.feedforward is not None:
        secret |= _after_norm(block.feedforward_norm, "fused", _rows(block.feedforward))
    gains = {"skip_gain": block.skip_gain, "feedforward_gain": block.feedforward_gain}
    public |= {name: _array(gain.gain[0]) for name, gain in gains.items() if isinstance(gain, Gain)}
    return parts, secret, public


def folded_block(block: FoldedBlock) -> tuple[BlockParts, _Named, _Named]:
    """Return parts, secret and public arrays of a folded block."""
    secret = _present(**{name: getattr(block, name) for name in ("query", "key", "value", "output", "product")})
    secret |= _present(**{f"{name}_bias": getattr(block, f"{name}_bias") for name in ("query", "key", "value")})
    left = block.feedforward
    if left is not None:
        name = "fused" if left.outer is None else "inner"
        secret |= _present(**{name: left.inner, f"{name}_bias": left.inner_bias, "outer": left.outer})
    return parts_of_folded(block), secret, _present(query_scale=block.query_scale)


def _secure_block(parts: BlockParts, secret: _Named, public: _Named, more: _Named, T: int) -> SecureBlock:
    if "query_scale" in public:
        public = public | {"query_scale": public["query_scale"][:, :T, None]}
    return SecureBlock(parts, _single(secret), _single(public | more))


def _scales(attention: CausalAttention, parts: BlockParts) -> tuple[NDArray[np.float64], _Named]:
    """Return the factor of each column of W_q, (d,), and the public scales of queries or logits."""
    table, scale = attention.temperature, 1 / math.sqrt(attention.head_size)
    if parts.scaled == "queries":
        return np.ones(1), {"query_scale": scale / _array(cast(HeadTemperature, table).value)}
    columns = np.ones(attention.n_head * attention.head_size)
    if isinstance(table, HeadTemperature):
        columns /= np.repeat(_array(table.value)[:, 0], attention.head_size)
    return (columns, {"logit_scale": np.array(scale)}) if parts.scaled == "logits" else (columns * scale, {})


def _unembedding(model: Measurable) -> _Named:
    if isinstance(model, PIGPT):
        return _after_norm(model.final_norm, "unembedding", _rows(model.unembedding))
    return _present(unembedding=model.output, unembedding_bias=model.output_bias) if isinstance(model, FoldedGPT) else {}


def _has_final_norm(model: Measurable) -> bool:
    if isinstance(model, PIGPT):
        return model.final_norm is not None
    return isinstance(model, FoldedGPT) and model.final_norm_eps is not None


def _after_norm(norm: nn.LayerNorm | None, name: str, matrix: NDArray[np.float64]) -> _Named:
    """Return a matrix and its bias, once the norm's gain and bias have gone through it."""
    if norm is None:
        return {name: matrix}
    return {name: _array(norm.weight)[:, None] * matrix, f"{name}_bias": _array(norm.bias) @ matrix}


def _rows(linear: nn.Module) -> NDArray[np.float64]:
    """Return a linear map's matrix in row-vector convention; static norms are baked in."""
    return _array(cast(Tensor, linear.weight)).T


def _present(**tensors: Tensor | None) -> _Named:
    return {name: _array(tensor) for name, tensor in tensors.items() if tensor is not None}


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


def _single(arrays: _Named) -> Arrays:
    return {name: array.astype(np.float32) for name, array in arrays.items()}
