"""Losses of the lock-step trainer: per-record loss of a batch, and its gradient with respect to the network's output.

`cross_entropy`: -log softmax(u)_y, classes as whole numbers. `binary_cross_entropy`: one logit v, targets in [0, 1]. `squared_error`: mean
over a record's outputs of (u - y)^2. Each is a loss of one record alone; batches sum it. Cost: a few passes over the outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Loss:
    """Per-record loss: `value` (n, C), targets -> (n,); `gradient` (K, B, C), targets (K, B, ...) -> (K, B, C)."""

    value: Callable[[Tensor, Tensor], Tensor]
    gradient: Callable[[Tensor, Tensor], Tensor]
    has_classes: bool = False


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.cross_entropy(output, target, reduction="none")


def _cross_entropy_gradient(output: Tensor, target: Tensor) -> Tensor:
    gradient = torch.softmax(output, dim=-1)
    return gradient.scatter_add_(-1, target.unsqueeze(-1), gradient.new_tensor(-1.0).expand(*target.shape, 1))


def _binary_cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(output, target.reshape_as(output), reduction="none").flatten(1).mean(1)


def _binary_cross_entropy_gradient(output: Tensor, target: Tensor) -> Tensor:
    gradient = torch.sigmoid(output).sub_(target.reshape_as(output))
    return gradient if output.shape[-1] == 1 else gradient.div_(output.shape[-1])


def _squared_error(output: Tensor, target: Tensor) -> Tensor:
    return (output - target.reshape_as(output)).square().flatten(1).mean(1)


def _squared_error_gradient(output: Tensor, target: Tensor) -> Tensor:
    return (output - target.reshape_as(output)) * (2 / output.shape[-1])


LOSSES = {
    "cross_entropy": Loss(_cross_entropy, _cross_entropy_gradient, has_classes=True),
    "binary_cross_entropy": Loss(_binary_cross_entropy, _binary_cross_entropy_gradient),
    "squared_error": Loss(_squared_error, _squared_error_gradient),
}
