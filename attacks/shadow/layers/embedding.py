"""Embedding tables of K models.

A record's gradient has one row per distinct token, the sum of d_l over that token's places, so
||g||^2 = sum over pairs of places with equal tokens of <d_l, d_l'>: L^2 D operations instead of a table of V D floats a record.
The padding token has no gradient, as in torch. Opacus 1.6.0 gives it one; that is the only layer where clipped sums differ from its own.

References
----------
Li et al., Large Language Models Can Be Strong Differentially Private Learners, ICLR 2022, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.layers.stacked import StackedParameter, stacked


class StackedEmbedding:
    """`nn.Embedding` on tokens (K, B) or (K, B, ...); the padding token, if any, has no gradient."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        first = modules[0]
        assert isinstance(first, nn.Embedding)
        self._weight = stacked(modules, "weight", prefix)  # (K, V, D)
        self._padding = first.padding_idx
        self._tokens: Tensor | None = None
        self._d: Tensor | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """The table."""
        return (self._weight,)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Look the tokens up."""
        if keep:
            self._tokens = x.reshape(*x.shape[:2], -1)
        rows = self._table(self._weight.value).index_select(0, self._rows(x.reshape(x.shape[0], -1)))
        return rows.view(*x.shape, -1)

    def backward(self, gradient: Tensor, *, wanted: bool) -> None:
        """Keep the output gradient; tokens have none."""
        assert not wanted
        assert self._tokens is not None
        self._d = gradient.reshape(*self._tokens.shape, -1)
        if self._padding is not None:
            self._d = self._d * (self._tokens != self._padding).unsqueeze(-1)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        assert self._tokens is not None
        assert self._d is not None
        if self._tokens.shape[2] == 1:
            return self._d.square().sum(dim=(2, 3))
        same = self._tokens.unsqueeze(2) == self._tokens.unsqueeze(3)
        return (self._d @ self._d.transpose(2, 3)).mul_(same).sum(dim=(2, 3)).clamp_(min=0)

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the target."""
        assert self._tokens is not None
        assert self._d is not None
        d = self._d if factor is None else self._d * factor[:, :, None, None]
        self._table(targets[0]).index_add_(0, self._rows(self._tokens.flatten(1)), d.flatten(0, 2), alpha=sign)

    def floats_per_record(self) -> int:
        """Tokens, outputs and gradients, and the Gram matrix of equal tokens."""
        assert self._tokens is not None
        places = self._tokens.shape[2]
        return places * (2 + 4 * self._weight.value.shape[2]) + 2 * places * places

    def _table(self, tensor: Tensor) -> Tensor:
        return tensor.view(-1, tensor.shape[-1])

    def _rows(self, tokens: Tensor) -> Tensor:
        models, vocabulary = self._weight.value.shape[:2]
        return (tokens + torch.arange(models).unsqueeze(1) * vocabulary).flatten()
