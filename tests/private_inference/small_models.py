"""Small models with every parameter away from its start, and a toy that trains in a second."""

from __future__ import annotations

import json.decoder
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from private_inference.config import PIGPTConfig
from private_inference.folding.conditioning import conditioning_penalty
from private_inference.gpt import PIGPT, next_token_loss


def config_of(variant: str, **changes: object) -> PIGPTConfig:
    """Six layers of width 32, with weights so large that the product of a linear FFN's maps has a condition number of 10 to 40."""
    std = 0.06 if variant.endswith("fuffn") else 0.08
    start = {"n_layer": 6, "n_head": 4, "n_embd": 32, "block_size": 12, "vocab_size": 40, "temperature_init": 0.7, "init_std": std}
    return PIGPTConfig(**{**start, "variant": variant, **changes})  # type: ignore[arg-type]


def random_model(config: PIGPTConfig, rng: np.random.Generator) -> PIGPT:
    """A float64 model whose gains, norms and temperatures are drawn too, a little off their starts."""
    model = PIGPT(config, rng=rng).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.from_numpy(rng.standard_normal(tuple(parameter.shape)))
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight *= torch.from_numpy(rng.uniform(0.5, 2.0, module.weight.shape))
                module.bias += torch.from_numpy(rng.standard_normal(module.bias.shape))
    return model


def random_ids(config: PIGPTConfig, rng: np.random.Generator, n_sequences: int = 3) -> Tensor:
    """Sequences of the longest context."""
    return torch.from_numpy(rng.integers(config.vocab_size, size=(n_sequences, config.block_size)))


def trained_model(config: PIGPTConfig, rng: np.random.Generator, *, n_steps: int = 60, conditioning: float = 0.0) -> PIGPT:
    """A model of characters, trained for a moment on source text; the same draws whatever the penalty's weight."""
    text = torch.tensor([min(ord(letter), config.vocab_size - 1) for letter in Path(json.decoder.__file__).read_text()])
    model = PIGPT(config, rng=rng)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(n_steps):
        starts = torch.from_numpy(rng.integers(len(text) - config.block_size - 1, size=8))
        windows = text[starts[:, None] + torch.arange(config.block_size + 1)]
        loss = next_token_loss(model(windows[:, :-1]), windows[:, 1:]).mean()
        if conditioning:
            loss = loss + conditioning * conditioning_penalty(model)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model


def relative_error(got: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest expected value."""
    return float((got.double() - expected.double()).abs().max().detach() / expected.double().abs().max().detach())
