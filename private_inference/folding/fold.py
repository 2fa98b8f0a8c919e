"""Exact simplification of a trained model: what is linear goes into the neighboring weights.

    scale         W_q columns of head h times 1 / (t_h sqrt(d_k)); a table t of (H, T) stays as a plaintext scaling of query rows
    norms         weight and spectral norm are baked in; LayerNorm: N(x) = c(x) diag(g) + b, so N(x) W = c(x) (diag(g) W) + b W
    fusing        an FFN without activation is one matrix, W_f = W_in W_out
    linear FFN    X' = Y M_l, M_l = beta_l I + W_f / alpha_l; with P_{l+1} = P_l M_l, P_m = I and X = R P_l:
                  W_q' = P_l W_q, W_k' = P_l W_k, W_v' = P_l W_v, W_o' = W_o P_l^{-1}, R <- R + MHA'(R),
                  W_out' = P_L W_out, and the embeddings times P_0^{-1} = M_0 ... M_{m-1}

(row vectors, y = x W). So a softmax-only model with a linear FFN expresses exactly what an attention-only model does: such an FFN helps in
training alone, and costs nothing at inference. All of it is exact in real arithmetic, whatever the score, as a score sees scaled logits
only; weights are computed in float64 and then cast. P_L isn't inverted, so the last map may have any condition number.

Rounding errors grow by about cond(P_l), hence `max_condition`: where it would be passed, one d x d product stays and a new segment begins
(`change_of_basis`). A ring of 64 bits with 18 fractional ones has few bits to lose: use max_condition = 64 there.

Cost: O(L^2 d^3) once.

References
----------
Jha, Reagen, AERO: Entropy-Guided Framework for Private LLM Inference, 2025 (fused FFN). He, Hofmann, Simplifying Transformer Blocks,
ICLR 2024.
"""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn

from mechanisms.errors import FoldingError
from mechanisms.validation import in_range
from private_inference.attention import CausalAttention
from private_inference.config import PIGPTConfig
from private_inference.feedforward import WideFeedforward
from private_inference.folding.change_of_basis import BasisPlan, LayerBasis, identity_plan, plan_bases
from private_inference.folding.conditioning import fused_weight, has_linear_feedforward, layer_maps, row_weight
from private_inference.folding.fold_report import FoldReport, LayerFold
from private_inference.folding.folded_gpt import BlockWeights, FeedforwardWeights, FoldedGPT
from private_inference.gpt import PIGPT, Block
from private_inference.leaves import HeadTemperature


def fold(model: PIGPT, *, max_condition: float = 1e4) -> FoldedGPT:
    """Return a model with the same logits and fewer operations; the given one isn't changed.

    Parameters
    ----------
    model : any variant, any score.
    max_condition : the largest condition number of a matrix that is inverted, >= 1; 64 for a fixed-point ring of 64 bits.

    Returns
    -------
    The folded model, of the given one's dtype and device; its `fold_report` says what was folded, what was not, and why.

    Raises
    ------
    FoldingError : an FFN's map that has to be inverted is singular, no FFN folds within `max_condition`, or a folded weight overflows.
    ValueError : a weight is NaN or infinite, or `max_condition` is out of range.
    TypeError : the model is no PIGPT.

    Examples
    --------
    >>> config = PIGPTConfig(n_layer=2, n_head=2, n_embd=8, block_size=16, vocab_size=32, variant="sm_t_scfuffn", init_std=0.1)
    >>> model = PIGPT(config, rng=0).double()
    >>> folded, ids = fold(model), torch.arange(16).view(1, 16)
    >>> torch.allclose(folded(ids), model(ids), rtol=1e-12, atol=1e-14)
    True
    >>> folded.fold_report.headline
    'FFN products a token: 2 before, all gone.'
    """
    limit = in_range(1, math.inf, closed="left", max_condition=max_condition)
    exact = _exact_copy(model)
    with torch.no_grad():
        plan = _plan(exact, limit)
        blocks = [_folded_block(exact.config, cast(Block, block), layer) for block, layer in zip(exact.blocks, plan.layers, strict=True)]
        output, output_bias = _through_norm(exact.final_norm, plan.end @ row_weight(exact.unembedding))
        folded = FoldedGPT(
            exact.config,
            embedding=exact.token_embedding.weight @ plan.start,
            position_embedding=exact.position_embedding.weight @ plan.start,
            blocks=blocks,
            output=output,
            output_bias=output_bias,
            final_norm_eps=_eps(exact.final_norm),
            report=_report(exact.config, plan.layers, limit),
        )
    return _cast(folded, model.token_embedding.weight)


def _exact_copy(model: PIGPT) -> PIGPT:
    """Return the model in float64 on the processor, after checking its weights."""
    if not isinstance(model, PIGPT):
        raise TypeError(f"model must be a PIGPT, got {type(model).__name__}; unwrap it first")
    for name, weight in model.named_parameters():
        if not bool(torch.isfinite(weight).all()):
            raise ValueError(f"weight {name} must be finite, but holds NaN or infinity: the run has diverged; fold an earlier checkpoint")
    return copy.deepcopy(model).to(device="cpu", dtype=torch.float64)


def _plan(model: PIGPT, limit: float) -> BasisPlan:
    if has_linear_feedforward(model.config.parts):
        return plan_bases(layer_maps(model), limit)
    return identity_plan(model.config.n_layer, model.config.n_embd)


def _folded_block(config: PIGPTConfig, block: Block, layer: LayerBasis) -> BlockWeights:
    attention, norm = block.attention, block.attention_norm
    scale, rows = _query_scale(attention)
    query, query_bias = _through_norm(norm, layer.basis.read(row_weight(attention.query)) * scale)
    key, key_bias = _through_norm(norm, layer.basis.read(row_weight(attention.key)))
    value, value_bias = _through_norm(norm, layer.basis.read(row_weight(attention.value)))
    return BlockWeights(
        query=query,
        key=key,
        value=value,
        output=layer.basis.write(row_weight(attention.output)),
        query_bias=query_bias,
        key_bias=key_bias,
        value_bias=value_bias,
        query_scale=rows,
        norm_eps=_eps(norm),
        product=layer.product,
        feedforward=_remaining_feedforward(config, block),
    )


def _query_scale(attention: CausalAttention) -> tuple[Tensor, Tensor | None]:
    """Return the factor of W_q's columns, (d,), and the factors of query rows, (H, T), that can't go into them."""
    columns = torch.full((attention.n_head * attention.head_size,), 1 / math.sqrt(attention.head_size), dtype=torch.float64)
    if not isinstance(attention.temperature, HeadTemperature):
        return columns, None
    inverse = 1 / attention.temperature.value
    if inverse.shape[1] > 1:
        return columns, inverse
    return columns * inverse[:, 0].repeat_interleave(attention.head_size), None


def _through_norm(norm: nn.LayerNorm | None, weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the weight and the bias that follow the centering and inverse root, once gain and bias have gone through the weight."""
    if norm is None:
        return weight, None
    return norm.weight[:, None] * weight, norm.bias @ weight


def _eps(norm: nn.LayerNorm | None) -> float | None:
    return None if norm is None else norm.eps


def _remaining_feedforward(config: PIGPTConfig, block: Block) -> FeedforwardWeights | None:
    """Return what stays of an FFN behind a norm or with an activation."""
    if block.feedforward is None or has_linear_feedforward(config.parts):
        return None
    if block.skip_gain is not None or block.feedforward_gain is not None:
        raise FoldingError(f"the variant {config.variant!r} scales an FFN that isn't linear, which can't be folded; run the model unfolded")
    activation, norm = config.parts.activation, block.feedforward_norm
    if activation == "identity":
        inner, bias = _through_norm(norm, fused_weight(block.feedforward))
        return FeedforwardWeights(inner=inner, inner_bias=bias, norm_eps=_eps(norm))
    wide = cast(WideFeedforward, block.feedforward)
    inner, bias = _through_norm(norm, row_weight(wide.inner))
    return FeedforwardWeights(inner=inner, inner_bias=bias, outer=row_weight(wide.outer), activation=activation, norm_eps=_eps(norm))


def _cast(folded: FoldedGPT, like: Tensor) -> FoldedGPT:
    folded = folded.to(device=like.device, dtype=like.dtype).eval()
    if not all(bool(torch.isfinite(weight).all()) for weight in folded.buffers()):
        raise FoldingError(f"folded weights overflow {like.dtype}; fold model.double(), or an earlier checkpoint if the run diverged")
    return folded


def _report(config: PIGPTConfig, plan: list[LayerBasis], limit: float) -> FoldReport:
    parts, n_layer = config.parts, config.n_layer
    a_layer = {"wide": 2, "fused": 1, "none": 0}[parts.feedforward]
    layers = _layer_rows(plan) if has_linear_feedforward(parts) else ()
    if layers:
        products = sum(row.product for row in layers)
    else:
        products = n_layer * (1 if parts.feedforward == "wide" and parts.activation == "identity" else a_layer)
    return FoldReport(
        variant=config.variant,
        n_layer=n_layer,
        max_condition=limit,
        layers=layers,
        products_before=n_layer * a_layer,
        products=products,
        folded=_what_folded(config, n_layer - products),
        left=_what_stays(config, [row.layer for row in layers if row.product], limit),
    )


def _layer_rows(plan: list[LayerBasis]) -> tuple[LayerFold, ...]:
    return tuple(
        LayerFold(number, layer.segment, layer.condition, layer.running, layer.of_basis, layer.product is not None)
        for number, layer in enumerate(plan)
    )


def _what_folded(config: PIGPTConfig, n_gone: int) -> tuple[str, ...]:
    parts = config.parts
    wide_identity = parts.feedforward == "wide" and parts.activation == "identity"
    happened = {
        "the scale 1/sqrt(d_k) into W_q": True,
        "the temperature of each head into W_q": config.temperature_kind == "head",
        f"the {parts.weight_norm} norm of the FFNs into their matrices": parts.weight_norm != "none",
        "gain and bias of each LayerNorm into the matrices that follow": parts.layer_norm,
        "W_in W_out of each FFN into one matrix": wide_identity,
        f"the FFN of {n_gone} of {config.n_layer} layers, with its skip, into attention and output matrices": has_linear_feedforward(parts),
    }
    return tuple(sentence for sentence, true in happened.items() if true)


def _what_stays(config: PIGPTConfig, boundaries: list[int], limit: float) -> tuple[str, ...]:
    parts = config.parts
    linear = parts.activation == "identity"
    hidden = linear and parts.layer_norm and parts.feedforward != "none"
    table = config.temperature_kind == "position"
    where = ", ".join(map(str, boundaries))
    happened = {
        f"attention: its products and the score {config.score}": True,
        "the temperature table: a plaintext scaling of query rows, as positions differ and W_q doesn't": table,
        "centering and inverse root of each LayerNorm, as they depend on the data": parts.layer_norm,
        "one matrix of each FFN, as a LayerNorm stands between it and the residual stream": hidden,
        f"{parts.activation} and two matrices of each FFN, as it is not linear": not linear,
        f"one d x d product after layer {where}, as the condition number would pass {limit:g}": bool(boundaries),
    }
    return tuple(sentence for sentence, true in happened.items() if true)
