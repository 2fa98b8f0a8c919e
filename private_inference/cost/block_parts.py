"""What one block computes besides Q K^T and A V, told by a config or by a folded block; the cost model and the engine start from it.

[N]; Q, K, V; A V; W_o; residual; [product]; [N; FFN; gains; residual]
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from mechanisms.validation import one_of
from private_inference.config import Activation, Feedforward, PIGPTConfig

if TYPE_CHECKING:
    from private_inference.folding.folded_gpt import FoldedBlock

Fold = Literal["none", "fused", "full"]
Scaling = Literal["logits", "weights"]
Scaled = Literal["logits", "queries", "weights"]  # a temperature for each position multiplies queries, wherever 1 / sqrt(d_k) stands


@dataclass(frozen=True, slots=True)
class BlockParts:
    """The parts of one block.

    Parameters
    ----------
    attention_norm, feedforward_norm : LayerNorms; their gain and bias are in the matrices that follow.
    scaled : where 1 / sqrt(d_k) is multiplied: "logits", "queries" together with a temperature for each position, or "weights" (in W_q).
    product : X' = Y M, the stream times one d x d matrix.
    feedforward, activation : what is left of the FFN.
    gains : both sides of the FFN's residual are multiplied by public scales.
    """

    attention_norm: bool
    scaled: Scaled
    product: bool = False
    feedforward: Feedforward = "none"
    activation: Activation = "identity"
    feedforward_norm: bool = False
    gains: bool = False


def scaling_of(scaling: Scaling | None, *, folded: bool) -> Scaling:
    """Return where 1 / sqrt(d_k) is multiplied; None is in the weights once they are folded, and at the logits otherwise.

    Raises
    ------
    ValueError : an unknown name.
    """
    if scaling is None:
        return "weights" if folded else "logits"
    return cast(Scaling, one_of(get_args(Scaling), scaling=scaling))


def parts_of_config(config: PIGPTConfig, *, fold: Fold = "none", scaling: Scaling = "logits") -> BlockParts:
    """Return the parts of each block of a model that is not folded, or that would be by `fold`.

    Raises
    ------
    ValueError : a fold that the variant doesn't allow.
    """
    parts = config.parts
    norm, feedforward = parts.layer_norm, parts.feedforward
    scaled: Scaled = "queries" if config.temperature_kind == "position" else scaling
    if fold == "none":
        return BlockParts(norm, scaled, False, feedforward, parts.activation, norm and feedforward != "none", parts.scaled)
    if parts.activation != "identity" or feedforward == "none":
        lacks = "has no FFN" if feedforward == "none" else f"has {parts.activation.upper()} between its FFN's matrices"
        raise ValueError(f"fold must be 'none' for {config.variant}, which {lacks}, got {fold!r}")
    if norm and fold == "full":
        raise ValueError(f"fold must be 'none' or 'fused' for {config.variant}, whose FFN has a LayerNorm before it, got 'full'")
    if norm:
        return BlockParts(norm, scaled, feedforward="fused", feedforward_norm=True)
    return BlockParts(norm, scaled, product=fold == "fused")


def parts_of_folded(block: FoldedBlock) -> BlockParts:
    """Return the parts of a folded block: None stands where nothing is computed."""
    norm, left = block.norm_eps is not None, block.feedforward
    scaled: Scaled = "weights" if block.query_scale is None else "queries"
    product = block.product is not None
    if left is None:
        return BlockParts(norm, scaled, product)
    return BlockParts(norm, scaled, product, "fused" if left.outer is None else "wide", left.activation, left.norm_eps is not None)
