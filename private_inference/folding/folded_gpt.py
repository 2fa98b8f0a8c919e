"""A model after folding: plain matrices and the operations that remain, for inference only.

    R <- R + concat_h(score(Q_h K_h^T) V_h) W_o,   Q = N(R) W_q + b_q  (times `query_scale`),  K, V alike
    R <- R P                                       where a block has `product`, the end of a segment
    R <- R + act(N(R) W_1 + b_1) W_2               where a block has a `feedforward`
    logits = N(R) W_out + b_out

N is the centering and the inverse root of a LayerNorm without gain and bias, or nothing. Matrices are in row-vector convention, y = x W,
shape (inputs, outputs). The scale 1/sqrt(d_k) stands in W_q. What is None isn't computed, so that the module can be read like a list of
operations.

Cost: scores other than softmax keep B H T^2 weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from private_inference.config import Activation, PIGPTConfig
from private_inference.folding.fold_report import FoldReport
from private_inference.score_functions import SCORE_FUNCTIONS

_SOFTMAX = {"softmax", "softmax_rr"}
_BLOCK_TENSORS = ("query", "key", "value", "output", "query_bias", "key_bias", "value_bias", "query_scale", "product")
_FEEDFORWARD_TENSORS = ("inner", "inner_bias", "outer")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeedforwardWeights:
    """What is left of an FFN.

    Parameters
    ----------
    inner : W_1, (d, n).
    inner_bias : b_1, (n,), a LayerNorm's bias that went through W_1.
    outer : W_2, (n, d); None if the two are one matrix, n = d.
    activation : between the two.
    norm_eps : the LayerNorm's epsilon; None without a norm.
    """

    inner: Tensor
    inner_bias: Tensor | None = None
    outer: Tensor | None = None
    activation: Activation = "identity"
    norm_eps: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BlockWeights:
    """Weights of one folded block.

    Parameters
    ----------
    query, key, value, output : (d, d), heads side by side in the columns of the first three and the rows of the last.
    query_bias, key_bias, value_bias : (d,), a LayerNorm's bias that went through the matrix.
    query_scale : (H, T), a plaintext scaling of each head's query rows: a temperature for each position.
    norm_eps : epsilon of the LayerNorm before attention; None without a norm.
    product : (d, d), multiplied into the stream after attention: a boundary between segments.
    feedforward : what is left of the FFN.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    query_bias: Tensor | None = None
    key_bias: Tensor | None = None
    value_bias: Tensor | None = None
    query_scale: Tensor | None = None
    norm_eps: float | None = None
    product: Tensor | None = None
    feedforward: FeedforwardWeights | None = None


class FoldedFeedforward(nn.Module):
    """What is left of an FFN; attributes are the fields of `FeedforwardWeights`."""

    inner: Tensor
    inner_bias: Tensor | None
    outer: Tensor | None

    def __init__(self, weights: FeedforwardWeights) -> None:
        super().__init__()
        self.activation, self.norm_eps = weights.activation, weights.norm_eps
        _register(self, weights, _FEEDFORWARD_TENSORS)

    def forward(self, x: Tensor) -> Tensor:
        """Return what the FFN adds to the stream, (B, T, d)."""
        hidden = _plus(_normalized(x, self.norm_eps) @ self.inner, self.inner_bias)
        if self.activation != "identity":
            hidden = nn.functional.gelu(hidden, approximate="tanh") if self.activation == "gelu" else torch.relu(hidden)
        return hidden if self.outer is None else hidden @ self.outer


class FoldedBlock(nn.Module):
    """One block; attributes are the fields of `BlockWeights`."""

    query: Tensor
    key: Tensor
    value: Tensor
    output: Tensor
    query_bias: Tensor | None
    key_bias: Tensor | None
    value_bias: Tensor | None
    query_scale: Tensor | None
    product: Tensor | None

    def __init__(self, config: PIGPTConfig, weights: BlockWeights) -> None:
        super().__init__()
        self.n_head, self.score, self.norm_eps = config.n_head, config.score, weights.norm_eps
        _register(self, weights, _BLOCK_TENSORS)
        self.feedforward = None if weights.feedforward is None else FoldedFeedforward(weights.feedforward)

    def forward(self, x: Tensor) -> Tensor:
        """Return the stream after the block, (B, T, d)."""
        x = x + self._attention(_normalized(x, self.norm_eps))
        if self.product is not None:
            x = x @ self.product
        return x if self.feedforward is None else x + self.feedforward(x)

    def _attention(self, x: Tensor) -> Tensor:
        q = self._heads(_plus(x @ self.query, self.query_bias))
        k = self._heads(_plus(x @ self.key, self.key_bias))
        v = self._heads(_plus(x @ self.value, self.value_bias))
        length = x.shape[1]
        if self.query_scale is not None:
            q = q * self.query_scale[:, :length, None]
        if self.score in _SOFTMAX:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
        else:
            allowed = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
            mixed = SCORE_FUNCTIONS[self.score](q @ k.transpose(-2, -1), allowed) @ v
        return mixed.transpose(1, 2).reshape(x.shape) @ self.output

    def _heads(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.n_head, width // self.n_head).transpose(1, 2)


class FoldedGPT(nn.Module):
    """A folded model; made by `private_inference.folding.fold.fold`.

    Parameters
    ----------
    config : the model's.
    embedding, position_embedding : (V, d) and (T, d).
    blocks : weights of each block.
    output, output_bias : (d, V), and (V,) or None.
    final_norm_eps : epsilon of the last LayerNorm; None without.
    report : what was folded, kept as `fold_report`.
    """

    embedding: Tensor
    position_embedding: Tensor
    output: Tensor
    output_bias: Tensor | None

    def __init__(
        self,
        config: PIGPTConfig,
        *,
        embedding: Tensor,
        position_embedding: Tensor,
        blocks: list[BlockWeights],
        output: Tensor,
        output_bias: Tensor | None,
        final_norm_eps: float | None,
        report: FoldReport,
    ) -> None:
        super().__init__()
        self.config, self.final_norm_eps, self.fold_report = config, final_norm_eps, report
        self.register_buffer("embedding", embedding.detach().clone())
        self.register_buffer("position_embedding", position_embedding.detach().clone())
        self.register_buffer("output", output.detach().contiguous())
        self.register_buffer("output_bias", output_bias)
        self.blocks = nn.ModuleList(FoldedBlock(config, weights) for weights in blocks)

    def forward(self, ids: Tensor) -> Tensor:
        """Return next-token logits, (B, T, V).

        Raises
        ------
        ValueError : `ids` is not (B, T), or T is above block_size.
        """
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return _plus(_normalized(x, self.final_norm_eps) @ self.output, self.output_bias)

    def embed(self, ids: Tensor) -> Tensor:
        """Return the sum of token and position embeddings, (B, T, d), in the basis of the first block.

        Raises
        ------
        ValueError : `ids` is not (B, T), or T is above block_size.
        """
        longest = self.config.block_size
        if ids.ndim != 2 or not 1 <= ids.shape[1] <= longest:
            raise ValueError(f"ids must have shape (batch, 1..{longest}), got {tuple(ids.shape)}")
        return nn.functional.embedding(ids, self.embedding) + self.position_embedding[: ids.shape[1]]


def _register(module: nn.Module, weights: BlockWeights | FeedforwardWeights, names: tuple[str, ...]) -> None:
    """Keep the record's tensors, and its absent ones, as buffers."""
    for name in names:
        tensor: Tensor | None = getattr(weights, name)
        module.register_buffer(name, None if tensor is None else tensor.detach().contiguous())


def _normalized(x: Tensor, eps: float | None) -> Tensor:
    return x if eps is None else nn.functional.layer_norm(x, x.shape[-1:], eps=eps)


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias
