"""The driver's programs once more, in numpy and float64, as the oracle of conversions; grouping products and scores changes no value."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from private_inference.engine.question import SecureBlock, SecureModel
from private_inference.score_functions import SCORE_FUNCTIONS

Floats = NDArray[np.float64]
ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
}


def run_plainly(model: SecureModel, x: Floats) -> Floats:
    for block in model.blocks:
        x = block_output(model, block, x)
    if "unembedding" not in model.unembedding:
        return x
    return normalized(x, model.final_norm) @ model.unembedding["unembedding"] + model.unembedding.get("unembedding_bias", 0.0)


def block_output(model: SecureModel, block: SecureBlock, x: Floats) -> Floats:
    parts, secret = block.parts, block.secret
    y = x + attention(model, block, normalized(x, parts.attention_norm))
    if parts.product:
        y = y @ secret["product"]
    if parts.feedforward == "none":
        return y
    name = "fused" if parts.feedforward == "fused" else "inner"
    hidden = ACTIVATIONS[parts.activation](normalized(y, parts.feedforward_norm) @ secret[name] + secret.get(f"{name}_bias", 0.0))
    added = hidden @ secret["outer"] if name == "inner" else hidden
    return block.public["skip_gain"] * y + block.public["feedforward_gain"] * added if parts.gains else y + added


def attention(model: SecureModel, block: SecureBlock, x: Floats) -> Floats:
    secret = block.secret
    q, k, v = (heads(model, x @ secret[name] + secret.get(f"{name}_bias", 0.0)) for name in ("query", "key", "value"))
    q = q * block.public["query_scale"] if block.parts.scaled == "queries" else q
    logits = q @ k.swapaxes(-1, -2) * (block.public["logit_scale"] if block.parts.scaled == "logits" else 1.0)
    allowed = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
    weights = SCORE_FUNCTIONS[model.execution.score](torch.from_numpy(logits), allowed).numpy()
    return (weights @ v).swapaxes(1, 2).reshape(x.shape) @ secret["output"]


def heads(model: SecureModel, x: Floats) -> Floats:
    return x.reshape(*x.shape[:2], model.n_head, -1).swapaxes(1, 2)


def normalized(x: Floats, wanted: bool) -> Floats:
    if not wanted:
        return x
    centered = x - x.mean(axis=-1, keepdims=True)
    return centered / np.sqrt(np.square(centered).mean(axis=-1, keepdims=True) + 1e-5)
