"""The model once more in numpy, sample by sample, head by head, query by query: the oracle of `PIGPT`."""

from __future__ import annotations

import math

import numpy as np

from private_inference.gpt import PIGPT


def plain_forward(model: PIGPT, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logits (B, T, V) and row entropies (B, L, H, T), NaN where the score has none."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    logits, entropies = zip(*(_sample(model, weights, row) for row in ids), strict=True)
    return np.array(logits), np.array(entropies)


def _sample(model, weights, tokens):
    config = model.config
    x = np.array([weights["token_embedding.weight"][token] + weights["position_embedding.weight"][i] for i, token in enumerate(tokens)])
    entropies = []
    for layer in range(config.n_layer):
        own = {name.removeprefix(f"blocks.{layer}."): value for name, value in weights.items() if name.startswith(f"blocks.{layer}.")}
        attended, entropy = _attention(config, own, _layer_norm(own, "attention_norm", x))
        y = x + attended
        x = y
        if config.parts.feedforward != "none":
            added = _feedforward(config, own, _layer_norm(own, "feedforward_norm", y))
            x = y * own.get("skip_gain.gain", 1.0) + added * own.get("feedforward_gain.gain", 1.0)
        entropies.append(entropy)
    return _layer_norm(weights, "final_norm", x) @ weights["unembedding.weight"].T, entropies


def _attention(config, own, x):
    length, size = len(x), config.head_size
    q, k, v = (x @ own[f"attention.{name}.weight"].T for name in ("query", "key", "value"))
    mixed, entropies = np.zeros_like(x), np.zeros((config.n_head, length))
    for head in range(config.n_head):
        part = slice(head * size, (head + 1) * size)
        for i in range(length):
            t = _temperature(own, head, i)
            row = [float(q[i, part] @ k[j, part]) / (t * math.sqrt(size)) for j in range(i + 1)]
            attention = score_by_hand(config.score, row)
            mixed[i, part] = sum(a * v[j, part] for j, a in enumerate(attention))
            entropies[head, i] = entropy_by_hand(attention)
    return mixed @ own["attention.output.weight"].T, entropies


def _temperature(own, head, i):
    if "attention.temperature.raw" not in own:
        return 1.0
    raw = own["attention.temperature.raw"][head]
    return math.log1p(math.exp(raw[0] if len(raw) == 1 else raw[i])) + 1e-4


def score_by_hand(score: str, row: list[float]) -> list[float]:
    n = len(row)
    if score in ("softmax", "softmax_rr"):
        top = max(row)
        return [math.exp(x - top) / sum(math.exp(z - top) for z in row) for x in row]
    if score == "quad2":
        return [(x + 5) ** 2 / sum((z + 5) ** 2 for z in row) for x in row]
    if score == "relu_over_n":
        return [max(x, 0.0) / n for x in row]
    if score == "sigmoid":
        return [1 / (1 + math.exp(math.log(n) - x)) for x in row]
    return [x / n for x in row]


def entropy_by_hand(attention: list[float]) -> float:
    if min(attention) < 0:
        return math.nan
    shares = [a / sum(attention) for a in attention] if sum(attention) > 0 else []
    return -sum(share * math.log(share) for share in shares if share > 0)


def _feedforward(config, own, y):
    if config.parts.feedforward == "fused":
        return y @ own["feedforward.weight"].T
    inner = y @ _normalized(config, own, "feedforward.inner").T
    if config.parts.activation == "relu":
        inner = np.maximum(inner, 0.0)
    if config.parts.activation == "gelu":
        inner = 0.5 * inner * (1 + np.tanh(math.sqrt(2 / math.pi) * (inner + 0.044715 * inner**3)))
    return inner @ _normalized(config, own, "feedforward.outer").T


def _normalized(config, own, name):
    if config.parts.weight_norm == "weight":
        direction = own[f"{name}.direction"]
        return own[f"{name}.length"] * direction / np.sqrt((direction**2).sum(axis=1, keepdims=True))
    if config.parts.weight_norm == "spectral":
        return own[f"{name}.raw"] / np.linalg.svd(own[f"{name}.raw"], compute_uv=False).max()
    return own[f"{name}.weight"]


def _layer_norm(weights, name, x):
    if f"{name}.weight" not in weights:
        return x
    centered = x - x.mean(axis=1, keepdims=True)
    return centered / np.sqrt((centered**2).mean(axis=1, keepdims=True) + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]
