"""From torch modules to what the engine is asked: arrays in row-vector convention, and what is public.

LayerNorm     N(x) W = c(x) (diag(g) W) + b W: gain and bias go into the matrices that follow, at no cost
temperature   one a head goes into W_q; a table (H, T) becomes a public scale of the queries, 1 / (t sqrt(d_k))
1/sqrt(d_k)   a public scale of the logits, unless a fold has put it into W_q
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
from private_inference.config import Activation, Feedforward
from private_inference.engine.folded_shape import FoldedBlock, FoldedModel, is_folded_block, is_folded_model
from private_inference.engine.program import Arrays, BlockProgram, BlockWeights, Layout, SecureModel
from private_inference.feedforward import WideFeedforward
from private_inference.gpt import PIGPT, Block
from private_inference.leaves import Gain, HeadTemperature

Measurable = Block | PIGPT | FoldedBlock | FoldedModel
_Parts = dict[str, NDArray[np.float64]]
_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.GELU: "gelu", nn.ReLU: "relu", nn.Identity: "identity"}


def secure_model(model: Measurable, *, length: int, packing: int = 1, layout: Layout = "split", with_logits: bool = False) -> SecureModel:
    """Return what the engine runs for a model or a block, on contexts of `length` positions.

    Raises
    ------
    TypeError : it is neither a PIGPT, nor a Block, nor one of a folded model.
    """
    if isinstance(model, Block):
        return SecureModel((block_weights(model, length=length, packing=packing, layout=layout),), {})
    if isinstance(model, PIGPT):
        blocks = tuple(block_weights(block, length=length, packing=packing, layout=layout) for block in cast(Iterable[Block], model.blocks))
        unembedding = _after_norm(model.final_norm, "unembedding", _rows(model.unembedding)) if with_logits else {}
        return SecureModel(blocks, _single(unembedding), model.final_norm is not None)
    if is_folded_model(model):
        blocks = tuple(folded_block_weights(block, length=length, packing=packing, layout=layout) for block in model.blocks)
        unembedding = _present(unembedding=model.output, unembedding_bias=model.output_bias) if with_logits else {}
        return SecureModel(blocks, _single(unembedding), model.final_norm_eps is not None)
    if is_folded_block(model):
        return SecureModel((folded_block_weights(model, length=length, packing=packing, layout=layout),), {})
    raise TypeError(f"model must be a PIGPT, a Block, a folded model or one of its blocks, got {type(model).__name__}")


def block_weights(block: Block, *, length: int, packing: int = 1, layout: Layout = "split") -> BlockWeights:
    """Return what the engine runs for a block."""
    attention, norm = block.attention, block.attention_norm
    secret = {"output": _rows(attention.output)}
    secret |= _after_norm(norm, "query", _rows(attention.query) * _query_columns(attention))
    secret |= _after_norm(norm, "key", _rows(attention.key)) | _after_norm(norm, "value", _rows(attention.value))
    kind: Feedforward = "none"
    activation: Activation = "identity"
    if isinstance(block.feedforward, WideFeedforward):
        kind, activation = "wide", _ACTIVATIONS[type(block.feedforward.activation)]
        secret |= _after_norm(block.feedforward_norm, "inner", _rows(block.feedforward.inner)) | {"outer": _rows(block.feedforward.outer)}
    elif block.feedforward is not None:
        kind = "fused"
        secret |= _after_norm(block.feedforward_norm, "fused", _rows(block.feedforward))
    gains = {"skip_gain": block.skip_gain, "feedforward_gain": block.feedforward_gain}
    public = _query_scale(attention, length) | {name: _array(gain.gain[0]) for name, gain in gains.items() if isinstance(gain, Gain)}
    program = BlockProgram(attention.n_head, norm is not None, activation, kind, attention.score, packing, layout)
    return BlockWeights(program, _single(secret), _single(public))


def folded_block_weights(block: FoldedBlock, *, length: int, packing: int = 1, layout: Layout = "split") -> BlockWeights:
    """Return what the engine runs for a folded block."""
    secret = _present(**{name: getattr(block, name) for name in ("query", "key", "value", "output", "product")})
    secret |= _present(**{f"{name}_bias": getattr(block, f"{name}_bias") for name in ("query", "key", "value")})
    public = {} if block.query_scale is None else {"query_scale": _array(block.query_scale)[:, :length, None]}
    kind: Feedforward = "none"
    activation: Activation = "identity"
    left = block.feedforward
    if left is not None:
        kind, activation = "fused" if left.outer is None else "wide", left.activation
        name = "fused" if left.outer is None else "inner"
        secret |= _present(**{name: left.inner, f"{name}_bias": left.inner_bias, "outer": left.outer})
    has_product = block.product is not None
    program = BlockProgram(block.n_head, block.norm_eps is not None, activation, kind, block.score, packing, layout, has_product)
    return BlockWeights(program, _single(secret), _single(public))


def _query_columns(attention: CausalAttention) -> NDArray[np.float64]:
    """Return the factor of each column of W_q, (d,): 1 / t of its head where a head has one temperature."""
    columns = np.ones(attention.n_head * attention.head_size)
    table = attention.temperature
    if isinstance(table, HeadTemperature) and table.value.shape[1] == 1:
        columns /= np.repeat(_array(table.value)[:, 0], attention.head_size)
    return columns


def _query_scale(attention: CausalAttention, length: int) -> _Parts:
    """Return the public scale of the logits, or of the queries where each position has a temperature."""
    scale, table = 1 / math.sqrt(attention.head_size), attention.temperature
    if isinstance(table, HeadTemperature) and table.value.shape[1] > 1:
        return {"query_scale": scale / _array(table.value)[:, :length, None]}
    return {"logit_scale": np.array(scale)}


def _after_norm(norm: nn.LayerNorm | None, name: str, matrix: NDArray[np.float64]) -> _Parts:
    """Return a matrix and its bias, once the norm's gain and bias have gone through it."""
    if norm is None:
        return {name: matrix}
    return {name: _array(norm.weight)[:, None] * matrix, f"{name}_bias": _array(norm.bias) @ matrix}


def _rows(linear: nn.Module) -> NDArray[np.float64]:
    """Return a linear map's matrix in row-vector convention; static norms are baked in."""
    return _array(cast(Tensor, linear.weight)).T


def _present(**tensors: Tensor | None) -> _Parts:
    return {name: _array(tensor) for name, tensor in tensors.items() if tensor is not None}


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


def _single(arrays: _Parts) -> Arrays:
    return {name: array.astype(np.float32) for name, array in arrays.items()}
