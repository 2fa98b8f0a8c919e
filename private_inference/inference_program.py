"""From a model, or from its config alone, to the program that two servers run.

    N, Q = N W_q, K, V; logits = Q K^T (1 / sqrt(d_k)); A = score(logits); A V; W_o; residual; [N; FFN; gains; residual]

Simplifications that are exact in real arithmetic are options:

    fold "fused"         an FFN without activation is one d x d product; without a norm it takes in both gains and the residual,
                         X' = Y (beta I + W_f / alpha)
    fold "full"          that product goes into the next layer's weights: no FFN is left (norm-free models without activation)
    packing nb           queries in nb blocks, block k against its first k T / nb keys: (nb + 1) / (2 nb) of the logits
    projections "joined" one product with (W_q | W_k | W_v): the activations are opened once, not three times
    scaling "weights"    1 / (t sqrt(d_k)) stands in W_q

Gains, temperatures and LayerNorm's epsilon are public constants of the program; LayerNorm's gain and bias are folded into the next
matrix. All heads are one operation; residuals, masks that are added, and biases are local.

References
----------
Ma et al., SecretFlow-SPU, USENIX ATC 2023. Jha, Reagen, AERO: Entropy-Guided Framework for Private LLM Inference, 2025.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from mechanisms.validation import one_of, whole_number
from private_inference.block_program import SCORES, BlockProgram, ModelProgram, Op
from private_inference.config import Activation, Feedforward, PIGPTConfig

Fold = Literal["none", "fused", "full"]
Projections = Literal["separate", "joined"]
Scaling = Literal["logits", "weights"]


class HasConfig(Protocol):
    """A model: `PIGPT`, or what `fold` made of it."""

    @property
    def config(self) -> PIGPTConfig:
        """Return the config."""


class _FoldedFeedforward(Protocol):
    outer: object | None
    activation: Activation
    norm_eps: float | None


class _FoldedBlock(Protocol):
    """What a folded block says of itself: None where nothing is computed."""

    query_scale: object | None
    norm_eps: float | None
    product: object | None
    feedforward: _FoldedFeedforward | None


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a block has left."""

    attention_norm: bool
    scaled: str  # "logits", "weights" or "queries"
    product: bool = False  # X' = Y M, the stream times one matrix
    feedforward: Feedforward = "none"
    activation: Activation = "identity"
    feedforward_norm: bool = False
    gains: bool = False


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is equal in all blocks."""

    config: PIGPTConfig
    T: int
    score: str
    packing: int
    projections: str


def program_of(
    model_or_config: PIGPTConfig | HasConfig,
    T: int,
    *,
    fold: Fold = "none",
    packing: int = 1,
    score: str | None = None,
    projections: Projections = "separate",
    scaling: Scaling = "logits",
) -> ModelProgram:
    """Return the program of a config, of a model, or of a folded model.

    Parameters
    ----------
    model_or_config : a config, or anything with one. A folded model says itself what it has left and where its scaling stands.
    T : context length, at most block_size.
    fold, packing, score, projections, scaling : see above; `score` None is the config's, "softmax_shift" is softmax with a public shift
        in place of the row maximum.

    Raises
    ------
    ValueError : T is above block_size or no multiple of `packing`, a fold that the variant doesn't allow, or `fold` or `scaling` given
        for a model that is folded.
    TypeError : neither a config nor an object with one.

    Examples
    --------
    >>> config = PIGPTConfig(n_layer=2, n_head=4, n_embd=128, block_size=128, vocab_size=512, variant="sm_scfuffn")
    >>> [op.name for op in program_of(config, 128, fold="full").blocks[0].ops]
    ['query', 'key', 'value', 'logits', 'logit scaling', 'weights', 'mixed values', 'output', 'residual']
    """
    config = model_or_config if isinstance(model_or_config, PIGPTConfig) else getattr(model_or_config, "config", None)
    if not isinstance(config, PIGPTConfig):
        raise TypeError(f"a PIGPTConfig or a model that has one is needed, got {type(model_or_config).__name__}")
    layout = _layout(config, T, packing, score, projections)
    one_of(("none", "fused", "full"), fold=fold)
    one_of(("logits", "weights"), scaling=scaling)
    kept: str = fold
    if getattr(model_or_config, "fold_report", None) is None:
        parts = [_parts_of_config(config, fold, scaling)] * config.n_layer
    else:
        if fold != "none" or scaling != "logits":
            raise ValueError("a folded model has its folds and its scaling already; leave fold and scaling out")
        parts = [_parts_of_folded(block) for block in cast("Iterable[_FoldedBlock]", getattr(model_or_config, "blocks", ()))]
        kept, scaling = "model", "weights"
    return ModelProgram(
        config=config,
        T=layout.T,
        score=layout.score,
        fold=kept,
        packing=layout.packing,
        projections=layout.projections,
        scaling=scaling,
        blocks=tuple(_block(layout, part) for part in parts),
        output=_output(config, layout.T),
    )


def _layout(config: PIGPTConfig, T: int, packing: int, score: str | None, projections: str) -> _Layout:
    T, packing = whole_number(1, T=T), whole_number(1, packing=packing)
    if config.block_size < T:
        raise ValueError(f"T must be at most block_size = {config.block_size}, got {T}")
    if T % packing:
        raise ValueError(f"packing must divide T = {T}, got {packing}; take 1 for no packing")
    chosen = one_of(SCORES, score=config.score if score is None else score)
    return _Layout(config, T, chosen, packing, one_of(("separate", "joined"), projections=projections))


def _parts_of_config(config: PIGPTConfig, fold: Fold, scaling: Scaling) -> _Parts:
    parts, scaled = config.parts, str(scaling)
    if scaling == "weights" and config.temperature_kind == "position":
        scaled = "queries"  # a temperature for each position can't stand in a matrix
    norm, feedforward = parts.layer_norm, parts.feedforward
    if fold == "none":
        return _Parts(norm, scaled, False, feedforward, parts.activation, norm and feedforward != "none", parts.scaled)
    if parts.activation != "identity" or feedforward == "none":
        lacks = "has no FFN" if feedforward == "none" else f"has {parts.activation.upper()} between its FFN's matrices"
        raise ValueError(f"fold must be 'none' for {config.variant}, which {lacks}, got {fold!r}")
    if norm and fold == "full":
        raise ValueError(f"fold must be 'none' or 'fused' for {config.variant}, whose FFN has a LayerNorm before it, got 'full'")
    return _Parts(norm, scaled, feedforward="fused", feedforward_norm=True) if norm else _Parts(norm, scaled, product=fold == "fused")


def _parts_of_folded(block: _FoldedBlock) -> _Parts:
    norm, left = block.norm_eps is not None, block.feedforward
    scaled, product = "weights" if block.query_scale is None else "queries", block.product is not None
    if left is None:
        return _Parts(norm, scaled, product)
    return _Parts(norm, scaled, product, "fused" if left.outer is None else "wide", left.activation, left.norm_eps is not None)


def _block(layout: _Layout, parts: _Parts) -> BlockProgram:
    return BlockProgram((*_attention(layout, parts), *_feedforward(layout, parts)))


def _attention(layout: _Layout, parts: _Parts) -> list[Op]:
    T, d, H = layout.T, layout.config.n_embd, layout.config.n_head
    ops = [Op("attention norm", "layer_norm", 1, (T, d))] if parts.attention_norm else []
    if layout.projections == "joined":
        ops.append(Op("query, key, value", "product", 1, (T, d, 3 * d)))
    else:
        ops += [Op(name, "product", 1, (T, d, d)) for name in ("query", "key", "value")]
    if parts.scaled == "queries":
        ops.append(Op("query scaling", "query_scaling", 1, (T, d)))
    queries, size = T // layout.packing, layout.config.head_size
    for k in range(1, layout.packing + 1):
        keys = k * queries
        ops.append(Op("logits", "attention_product", H, (queries, size, keys)))
        if parts.scaled == "logits" and layout.score != "linear":  # there, it joins the public table 1 / n
            ops.append(Op("logit scaling", "logit_scaling", H, (queries, keys)))
        ops.append(Op("weights", layout.score, H, (queries, keys)))
        ops.append(Op("mixed values", "attention_product", H, (queries, keys, size)))
    return [*ops, Op("output", "product", 1, (T, d, d)), Op("residual", "residual", 1, (T, d))]


def _feedforward(layout: _Layout, parts: _Parts) -> list[Op]:
    T, d = layout.T, layout.config.n_embd
    ops = [Op("FFN product", "product", 1, (T, d, d))] if parts.product else []
    if parts.feedforward == "none":
        return ops
    ops += [Op("FFN norm", "layer_norm", 1, (T, d))] if parts.feedforward_norm else []
    if parts.feedforward == "fused":
        ops.append(Op("FFN", "product", 1, (T, d, d)))
    else:
        ops.append(Op("FFN in", "product", 1, (T, d, 4 * d)))
        ops += [Op("activation", parts.activation, 1, (T, 4 * d))] if parts.activation != "identity" else []
        ops.append(Op("FFN out", "product", 1, (T, 4 * d, d)))
    ops += [Op("gains", "gain", 1, (T, d))] * 2 if parts.gains else []
    return [*ops, Op("FFN residual", "residual", 1, (T, d))]


def _output(config: PIGPTConfig, T: int) -> tuple[Op, ...]:
    norm = (Op("final norm", "layer_norm", 1, (T, config.n_embd)),) if config.parts.layer_norm else ()
    return (*norm, Op("output matrix", "output_product", 1, (T, config.n_embd, config.vocab_size)))
