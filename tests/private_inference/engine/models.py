"""Small models whose every parameter differs from its start, and folded ones with every part at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from private_inference.config import PIGPTConfig
from private_inference.cost.execution import Execution, SecureScore, execution_of
from private_inference.folding.fold import fold
from private_inference.folding.folded_gpt import BlockWeights, FeedforwardWeights, FoldedBlock, FoldedGPT
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


def hand_folded_block(rng: np.random.Generator, *, wide: bool = True) -> FoldedBlock:
    """A folded block with everything that may be there, more than any fold leaves at once."""
    n_inner = 4 * WIDTH if wide else WIDTH
    feedforward = FeedforwardWeights(
        inner=drawn(rng, WIDTH, n_inner),
        inner_bias=drawn(rng, n_inner),
        outer=drawn(rng, n_inner, WIDTH) if wide else None,
        activation="relu" if wide else "identity",
        norm_eps=1e-5,
    )
    matrices = {name: drawn(rng, WIDTH, WIDTH) for name in ("query", "key", "value", "output", "product")}
    biases = {f"{name}_bias": drawn(rng, WIDTH) for name in ("query", "key", "value")}
    scale = 1 + drawn(rng, HEADS, LENGTH)
    weights = BlockWeights(**matrices, **biases, query_scale=scale, norm_eps=1e-5, feedforward=feedforward)
    return FoldedBlock(PIGPTConfig(2, HEADS, WIDTH, LENGTH, VOCABULARY), weights)


def hand_folded_model(rng: np.random.Generator) -> FoldedGPT:
    """A folded model of two such blocks."""
    folded = fold(small_model(rng, variant="sm_ln_relu", n_layer=2))
    folded.blocks = nn.ModuleList([hand_folded_block(rng), hand_folded_block(rng, wide=False)])
    return folded


def execution(T: int, score: SecureScore = "softmax", **options: object) -> Execution:
    """Choices with the defaults of the public functions."""
    defaults: dict[str, object] = {"packing": 1, "packing_layout": "auto", "projections": "separate"}
    return execution_of(T, score=score, **{**defaults, **options})  # type: ignore[arg-type]


def drawn(rng: np.random.Generator, *shape: int) -> Tensor:
    return torch.from_numpy(0.3 * rng.normal(size=shape)).float()
