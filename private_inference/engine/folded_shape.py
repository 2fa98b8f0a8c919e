"""The shape of folded models, as the engine sees them: attributes alone, so that whatever makes them isn't imported."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeGuard

from torch import Tensor

from private_inference.config import Activation, PIGPTConfig, Score


class FoldedFeedforward(Protocol):
    """What is left of a folded FFN: x W_1 + b, or act(x W_1 + b) W_2."""

    inner: Tensor
    inner_bias: Tensor | None
    outer: Tensor | None
    activation: Activation
    norm_eps: float | None


class FoldedBlock(Protocol):
    """A folded block: matrices (d, d) for x W, with the scale 1/sqrt(d_k) in W_q; `query_scale` (H, T) multiplies query rows."""

    n_head: int
    score: Score
    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    query_bias: Tensor | None
    key_bias: Tensor | None
    value_bias: Tensor | None
    query_scale: Tensor | None
    norm_eps: float | None
    product: Tensor | None
    feedforward: FoldedFeedforward | None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        ...


class FoldedModel(Protocol):
    """A folded model: embeddings (V, d) and (T, d), folded blocks, and an output matrix (d, V)."""

    config: PIGPTConfig
    embedding: Tensor
    position_embedding: Tensor
    blocks: Iterable[FoldedBlock]
    output: Tensor
    output_bias: Tensor | None
    final_norm_eps: float | None

    def __call__(self, ids: Tensor) -> Tensor:
        """Return the logits."""
        ...


def is_folded_block(model: object) -> TypeGuard[FoldedBlock]:
    """Return whether a model has a folded block's attributes."""
    return all(hasattr(model, name) for name in FoldedBlock.__annotations__)


def is_folded_model(model: object) -> TypeGuard[FoldedModel]:
    """Return whether a model has a folded model's attributes."""
    return all(hasattr(model, name) for name in FoldedModel.__annotations__)
