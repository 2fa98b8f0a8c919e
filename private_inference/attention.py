"""Causal multi-head attention whose rows can be watched.

    s = (Q / t) K^T / sqrt(d_k);  A = score(s) over the keys j <= i;  MHA(X) = concat_h(A V) W_o

When nobody asks for entropies and the score is softmax, torch's fused kernel runs and no weights exist. When somebody asks, logits are
made in chunks of queries, so that memory stays below `_MOST_LOGITS` numbers, and each row's entropy comes from its logits.

Cost: entropies take one unfused attention, O(B H T^2) time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from private_inference.config import PIGPTConfig
from private_inference.entropy import entropy_of_logits
from private_inference.leaves import HeadTemperature
from private_inference.score_functions import SCORE_FUNCTIONS, entropy_of_scores

_MOST_LOGITS = 1 << 26  # 256 MB of float32
_SOFTMAX = {"softmax", "softmax_rr"}


class _Rows(NamedTuple):
    """Some queries of all heads: logits, which keys they see, their weights, and those keys' values."""

    logits: Tensor
    allowed: Tensor
    weights: Tensor
    values: Tensor


class CausalAttention(nn.Module):
    """Attention of one block, without biases.

    Parameters
    ----------
    config : shape, score and temperature.
    """

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
            return self._joined(nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True))
        return self._joined(torch.cat([rows.weights @ rows.values for rows in self._chunks(q, k, v)], dim=2))

    def with_entropy(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return MHA(x), (B, T, d), and the entropy of every row, (B, H, T).

        Raises
        ------
        ValueError : the score is `linear`, whose weights have no entropy.
        """
        mixed, entropy = [], []
        for rows in self._chunks(*self._heads(x)):
            mixed.append(rows.weights @ rows.values)
            of_logits = self.score in _SOFTMAX
            entropy.append(entropy_of_logits(rows.logits, rows.allowed) if of_logits else entropy_of_scores(rows.weights))
        return self._joined(torch.cat(mixed, dim=2)), torch.cat(entropy, dim=2)

    def _chunks(self, q: Tensor, k: Tensor, v: Tensor) -> Iterator[_Rows]:
        """Yield the queries in chunks, each with the keys that its last query sees."""
        batch, heads, length, _ = q.shape
        chunk = max(1, _MOST_LOGITS // (batch * heads * length))
        for start in range(0, length, chunk):
            stop = min(start + chunk, length)
            logits = q[:, :, start:stop] @ k[:, :, :stop].transpose(-2, -1) / math.sqrt(self.head_size)
            allowed = torch.ones(stop - start, stop, dtype=torch.bool, device=q.device).tril(diagonal=start)
            yield _Rows(logits, allowed, SCORE_FUNCTIONS[self.score](logits, allowed), v[:, :, :stop])

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x.shape
        q, k, v = (
            cast(Tensor, project(x)).view(batch, length, self.n_head, self.head_size).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        return self.temperature(q), k, v

    def _joined(self, mixed: Tensor) -> Tensor:
        batch, _, length, _ = mixed.shape
        return cast(Tensor, self.output(mixed.transpose(1, 2).reshape(batch, length, self.n_head * self.head_size)))
