"""Outputs of K trained models for the same n records, in lock-step: logits, and what every layer says.

The records are one tensor that all models read: layers before any weight run once, from there on axis 0 is the model. Records go in parts
small enough for a working set of 32 MB. Cost: one batched product per layer and part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.layers.recognize import stack_by_module
from attacks.shadow.layers.stacked import Layer

_WORKING_SET = 32 * 2**20  # bytes of one layer's input and output
_MAPS = (nn.Linear, nn.Conv2d)
_AFTER_A_MAP = (
    nn.ReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Softplus,
    nn.Softsign,
    nn.Hardtanh,
    nn.ReLU6,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.Identity,
)

Stack = list[tuple[nn.Module, Layer]]


def stacked_logits(architecture: nn.Module, weights: Mapping[str, Tensor], records: Tensor) -> Tensor:
    """Return every model's output for every record, (K, n, C).

    Parameters
    ----------
    architecture : a module in which `obstacle_of` finds no obstacle.
    weights : (K, ...) by name.
    records : (n, ...), as the module takes them.
    """
    stack, models = _loaded(architecture, weights)
    parts = []
    for part in _parts(stack, records, models):
        *_, (_, _, logits) = _run(stack, part, models)
        parts.append(logits)
    return torch.cat(parts, dim=1)


def stacked_activations(architecture: nn.Module, weights: Mapping[str, Tensor], records: Tensor) -> list[Tensor]:
    """Return the output of every Linear and Conv2d after the activations and normalizations that directly follow it, (K, n, units) each."""
    stack, models = _loaded(architecture, weights)
    parts: list[list[Tensor]] = []
    for part in _parts(stack, records, models):
        found: list[Tensor] = []
        follows = False
        for module, layer, x in _run(stack, part, models):
            if isinstance(module, _MAPS) and layer.parameters:  # not the patches of a convolution
                found.append(x)
                follows = True
            elif follows and isinstance(module, _AFTER_A_MAP):
                found[-1] = x
            else:
                follows = False
        parts.append([x.flatten(2) for x in found])
    return [torch.cat(pieces, dim=1) for pieces in zip(*parts, strict=True)]


def _loaded(architecture: nn.Module, weights: Mapping[str, Tensor]) -> tuple[Stack, int]:
    """Layers of all K models, and K; they share the memory of `weights` where the order of axes allows it."""
    stack = stack_by_module([architecture])
    for _, layer in stack:
        for parameter in layer.parameters:
            parameter.value.set_(parameter.in_layer_order(weights[parameter.name]))  # type: ignore[call-overload]
    return stack, len(next(iter(weights.values())))


def _run(stack: Stack, records: Tensor, models: int) -> Iterator[tuple[nn.Module, Layer, Tensor]]:
    """Yield each layer with its output; (1, n, ...) before the first weight, (K, n, ...) after it."""
    x = records.unsqueeze(0)
    for module, layer in stack:
        if layer.parameters and len(x) != models:
            x = x.expand(models, *x.shape[1:])
        x = layer.forward(x, keep=False)
        yield module, layer, x


def _parts(stack: Stack, records: Tensor, models: int) -> Sequence[Tensor]:
    """Cut the records so that no layer's input and output outgrow the working set."""
    largest, before = 0, records[0].numel()
    for _, _, x in _run(stack, records[:1], models):
        largest, before = max(largest, before + x[0].numel()), x[0].numel()
    return torch.split(records, max(1, _WORKING_SET // (largest * models * x.element_size())))
