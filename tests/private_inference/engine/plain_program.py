"""The driver's programs once more, in numpy and float64, as the oracle of conversions: packing and layouts change no value."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from private_inference.engine.program import BlockProgram, BlockWeights, SecureModel
from private_inference.score_functions import SCORE_FUNCTIONS

Floats = NDArray[np.float64]
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2,
}


def run_plainly(model: SecureModel, x: Floats) -> Floats:
    for block in model.blocks:
        x = block_output(block, x)
    if "unembedding" not in model.unembedding:
        return x
    return normalized(x, model.final_norm) @ model.unembedding["unembedding"] + model.unembedding.get("unembedding_bias", 0.0)


def block_output(block: BlockWeights, x: Floats) -> Floats:
    program, secret = block.program, block.secret
    y = x + attention(block, normalized(x, program.layer_norm))
    if program.product:
        y = y @ secret["product"]
    if program.feedforward == "none":
        return y
    name = "fused" if program.feedforward == "fused" else "inner"
    hidden = ACTIVATIONS[program.activation](normalized(y, program.layer_norm) @ secret[name] + secret.get(f"{name}_bias", 0.0))
    added = hidden @ secret["outer"] if name == "inner" else hidden
    return block.public.get("skip_gain", 1.0) * y + block.public.get("feedforward_gain", 1.0) * added


def attention(block: BlockWeights, x: Floats) -> Floats:
    program, secret = block.program, block.secret
    q, k, v = (heads(program, x @ secret[name] + secret.get(f"{name}_bias", 0.0)) for name in ("query", "key", "value"))
    logits = (q * block.public.get("query_scale", 1.0)) @ k.swapaxes(-1, -2) * block.public.get("logit_scale", 1.0)
    allowed = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
    weights = SCORE_FUNCTIONS[program.score](torch.from_numpy(logits), allowed).numpy()
    return (weights @ v).swapaxes(1, 2).reshape(x.shape) @ secret["output"]


def heads(program: BlockProgram, x: Floats) -> Floats:
    return x.reshape(*x.shape[:2], program.n_head, -1).swapaxes(1, 2)


def normalized(x: Floats, wanted: bool) -> Floats:
    if not wanted:
        return x
    centered = x - x.mean(axis=-1, keepdims=True)
    return centered / np.sqrt(np.square(centered).mean(axis=-1, keepdims=True) + 1e-5)
