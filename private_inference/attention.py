"""Causal multi-head attention whose rows can be watched.

    s = (Q / t) K^T / sqrt(d_k);  A = score(s) over the keys j <= i;  MHA(X) = concat_h(A V) W_o

When nobody asks for entropies and the score is softmax, torch's fused kernel runs and no weights exist. Otherwise logits are made for a
chunk of queries at a time, at most `most_logits` numbers; with gradients on, a chunk's logits are made anew in the backward pass
instead of being kept. Each row's entropy comes from its logits.

Cost: entropies take one unfused attention, O(B H T^2) time and a few times `most_logits` numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from private_inference.config import PIGPTConfig
from private_inference.leaves import HeadTemperature
from private_inference.score_functions import SCORE_FUNCTIONS, entropy_of_scores
from private_inference.watched_softmax import watched_softmax

_SOFTMAX = {"softmax", "softmax_rr"}
_Chunk = tuple[Tensor, Tensor, Tensor]  # some queries of all heads, the keys that the last of them sees, and those keys' values
_Result = TypeVar("_Result")


class NonFiniteAttentionError(ValueError):
    """Attention holds a NaN or an infinity: the run is broken, and its entropies mean nothing.

    Attributes
    ----------
    layer : where it was seen first, from 0.
    """

    def __init__(self, message: str, *, layer: int = 0) -> None:  # a default, because unpickling hands over the message alone
        super().__init__(message)
        self.layer = layer


def finite_entropies(entropy: Tensor) -> Tensor:
    """Return the entropies of a model's rows, (B, L, H, T), if all are finite.

    One NaN among a row's logits, with softmax one infinity too, makes its entropy NaN: nothing is dropped.

    Raises
    ------
    NonFiniteAttentionError : the message names the first layer and counts its rows, `layer` is its number.
    """
    finite = entropy.isfinite()
    if bool(finite.all()):
        return entropy
    of_layer = finite.transpose(0, 1).flatten(1)
    layer = int(of_layer.all(dim=1).logical_not().nonzero()[0, 0])
    n_bad, n_rows = int(of_layer[layer].logical_not().sum()), of_layer.shape[1]
    raise NonFiniteAttentionError(
        f"attention of layer {layer} (the first is 0) is not finite in {n_bad} of {n_rows} rows: weights or logits hold NaN or have "
        "overflowed; the run has diverged, go back to an earlier state or lower the learning rate",
        layer=layer,
    )


class CausalAttention(nn.Module):
    """Attention of one block, without biases.

    Parameters
    ----------
    config : shape, score and temperature.

    Attributes
    ----------
    most_logits : how many logits exist at a time, at least those of one query of all heads; 2^24 are 64 MB of float32.
    """

    most_logits: int = 1 << 24

    def __init__(self, config: PIGPTConfig) -> None:
        super().__init__()
        self.n_head, self.head_size, self.score = config.n_head, config.head_size, config.score
        d = config.n_embd
        self.query, self.key, self.value, self.output = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.temperature: nn.Module = nn.Identity()
        if config.temperature_kind != "none":
            n_positions = config.block_size if config.temperature_kind == "position" else 1
            self.temperature = HeadTemperature(config.n_head, n_positions, config.temperature_init)

    def forward(self, x: Tensor) -> Tensor:
        """Return MHA(x), shape (B, T, d)."""
        q, k, v = self._heads(x)
        if self.score in _SOFTMAX:
            mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self._joined(mixed + 0.0 * (q + k).detach())  # the kernel gives 0 for rows of NaN: a broken run would look sound
        return self._joined(torch.cat(_each(self._attend, self._chunks(q, k, v)), dim=2))

    def with_entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return MHA(x), (B, T, d), and the entropy of every row, (B, H, T), in nats.

        Raises
        ------
        ValueError : the score is `linear`, whose weights have no entropy.
        """
        if self.score == "linear":
            raise ValueError("score 'linear' has weights of both signs and so no entropy; ask for logits alone, or use another score")
        mixed, entropy = zip(*_each(self._attend_watched, self._chunks(*self._heads(x))), strict=True)
        return self._joined(torch.cat(mixed, dim=2)), torch.cat(entropy, dim=2)

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x.shape
        q, k, v = (
            cast(Tensor, project(x)).view(batch, length, self.n_head, self.head_size).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        return self.temperature(q), k, v

    def _chunks(self, q: Tensor, k: Tensor, v: Tensor) -> list[_Chunk]:
        """Return the queries in chunks, each with the keys and values that its last query sees."""
        batch, heads, length, _ = q.shape
        chunk = max(1, self.most_logits // max(1, batch * heads * length))  # batches of Poisson sampling may be empty
        starts = range(0, length, chunk)
        return [(q[:, :, start : start + chunk], k[:, :, : start + chunk], v[:, :, : start + chunk]) for start in starts]

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return SCORE_FUNCTIONS[self.score](*self._logits(q, k)) @ v

    def _attend_watched(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        logits, allowed = self._logits(q, k)
        if self.score in _SOFTMAX:
            weights, entropy = watched_softmax(logits, allowed)
        else:
            weights = SCORE_FUNCTIONS[self.score](logits, allowed)
            entropy = entropy_of_scores(weights)
        return weights @ v, entropy

    def _logits(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Return scaled logits of the last queries, and which keys each of them sees."""
        n_queries, n_keys = q.shape[2], k.shape[2]
        logits = q @ k.transpose(-2, -1) / math.sqrt(self.head_size)
        return logits, torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device).tril(diagonal=n_keys - n_queries)

    def _joined(self, mixed: Tensor) -> Tensor:
        batch, _, length, _ = mixed.shape
        return cast(Tensor, self.output(mixed.transpose(1, 2).reshape(batch, length, self.n_head * self.head_size)))


def _each(attend: Callable[[Tensor, Tensor, Tensor], _Result], chunks: list[_Chunk]) -> list[_Result]:
    """Attend chunk by chunk; several chunks don't keep their logits for the backward pass, or all would be there at once."""
    if len(chunks) == 1 or not torch.is_grad_enabled():
        return [attend(*chunk) for chunk in chunks]
    return [cast(_Result, checkpoint(attend, *chunk, use_reentrant=False, preserve_rng_state=False)) for chunk in chunks]
