"""Small models whose every parameter differs from its start, and a folded model made by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT

WIDTH, HEADS, LENGTH, VOCABULARY = 16, 2, 8, 20


def small_model(rng: np.random.Generator, *, variant: str = "sm_scfuffn", n_layer: int = 1, **fields: object) -> PIGPT:
    """A model whose gains, norms and temperatures are off their starts, so that a conversion that forgets one is seen."""
    config = PIGPTConfig(n_layer, HEADS, WIDTH, LENGTH, VOCABULARY, variant=variant, init_std=0.15, temperature_init=0.5, **fields)  # type: ignore[arg-type]
    model = PIGPT(config, rng=rng)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.from_numpy(0.1 * rng.normal(size=tuple(parameter.shape))).float())
    return model.requires_grad_(False)


class HandFoldedBlock(nn.Module):
    """Attributes of a folded block with everything that may be there."""

    def __init__(self, rng: np.random.Generator, *, wide: bool = True) -> None:
        super().__init__()
        self.n_head, self.score, self.norm_eps = HEADS, "softmax", 1e-5
        for name in ("query", "key", "value", "output", "product"):
            self.register_buffer(name, drawn(rng, WIDTH, WIDTH))
        for name in ("query_bias", "key_bias", "value_bias"):
            self.register_buffer(name, drawn(rng, WIDTH))
        self.register_buffer("query_scale", 1 + drawn(rng, HEADS, LENGTH))
        n_inner = 2 * WIDTH if wide else WIDTH
        outer = drawn(rng, n_inner, WIDTH) if wide else None
        self.feedforward = SimpleNamespace(
            inner=drawn(rng, WIDTH, n_inner),
            inner_bias=drawn(rng, n_inner),
            outer=outer,
            activation="relu" if wide else "identity",
            norm_eps=1e-5,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Written from the formulas, one head at a time."""
        z, mixed = norm(x), []
        q, k, v = (z @ getattr(self, name) + getattr(self, f"{name}_bias") for name in ("query", "key", "value"))
        length, size = x.shape[1], WIDTH // HEADS
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            logits = (q[..., part] * self.query_scale[head, :length, None]) @ k[..., part].transpose(1, 2)
            hidden = torch.ones(length, length).triu(1).bool()
            mixed.append(torch.softmax(logits.masked_fill(hidden, -torch.inf), dim=-1) @ v[..., part])
        y = (x + torch.cat(mixed, dim=-1) @ self.output) @ self.product
        inner = norm(y) @ self.feedforward.inner + self.feedforward.inner_bias
        return y + (inner if self.feedforward.outer is None else inner.relu() @ self.feedforward.outer)


class HandFoldedModel(nn.Module):
    """Attributes of a folded model."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.config = PIGPTConfig(2, HEADS, WIDTH, LENGTH, VOCABULARY)
        self.register_buffer("embedding", drawn(rng, VOCABULARY, WIDTH))
        self.register_buffer("position_embedding", drawn(rng, LENGTH, WIDTH))
        self.register_buffer("output", drawn(rng, WIDTH, VOCABULARY))
        self.register_buffer("output_bias", drawn(rng, VOCABULARY))
        self.final_norm_eps = 1e-5
        self.blocks = nn.ModuleList([HandFoldedBlock(rng), HandFoldedBlock(rng, wide=False)])

    def forward(self, ids: Tensor) -> Tensor:
        """The logits."""
        x = self.embedding[ids] + self.position_embedding[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return norm(x) @ self.output + self.output_bias


def norm(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:])


def drawn(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(0.3 * rng.normal(size=shape)).float()
