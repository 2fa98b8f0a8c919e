"""Networks with every kind of layer that goes in lock-step, with inputs for them, and plain loops as oracles."""

from __future__ import annotations

import copy
import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attacks.shadow.losses import LOSSES

CLASSES = 4


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, CLASSES))


def no_bias() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 5, bias=False), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, CLASSES, bias=False))


def short_sequence() -> nn.Module:  # (n, 2, 6): Gram form
    return nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.LayerNorm([2, 5]), nn.Linear(5, 3), nn.Flatten(), nn.Linear(6, CLASSES))


def long_sequence() -> nn.Module:  # (n, 9, 2): gradients are smaller
    return nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), nn.Linear(3, 2, bias=False), nn.Flatten(), nn.Linear(18, CLASSES))


def convolution() -> nn.Module:  # (n, 2, 7, 6)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(3, 8, 2, padding="same", bias=False), nn.GroupNorm(2, 8), nn.SiLU()),
        nn.Flatten(),
        nn.Linear(72, CLASSES),
    )


def strided() -> nn.Module:  # (n, 84): reshaped; stride, dilation, unequal sizes, overlapping pools
    return nn.Sequential(
        nn.Unflatten(1, (2, 7, 6)),
        nn.AvgPool2d(2, stride=1),
        nn.Conv2d(2, 4, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1)),
        nn.LayerNorm([4, 6, 3]),
        nn.ELU(),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 5, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, CLASSES),
    )


def tokens() -> nn.Module:  # (n, 5) whole numbers below 7, with repeats
    return nn.Sequential(nn.Embedding(7, 3), nn.LayerNorm(3, elementwise_affine=False), nn.Flatten(), nn.Linear(15, CLASSES))


def padded_tokens() -> nn.Module:
    return nn.Sequential(nn.Embedding(7, 3, padding_idx=0), nn.Flatten(), nn.Tanh(), nn.Linear(15, CLASSES))


SHAPES = {
    mlp: (6,),
    no_bias: (6,),
    short_sequence: (2, 6),
    long_sequence: (9, 2),
    convolution: (2, 7, 6),
    strided: (84,),
    tokens: (5,),
    padded_tokens: (5,),
}
NETWORKS = list(SHAPES)


def records(make: object, n: int, rng: np.random.Generator) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """n records for a network of the list, and labels."""
    shape = SHAPES[make]  # type: ignore[index]
    x = rng.integers(0, 7, (n, *shape)) if make in (tokens, padded_tokens) else rng.standard_normal((n, *shape)).astype(np.float32)
    return x, rng.integers(0, CLASSES, n)


def clipped_sum(module: nn.Module, x: Tensor, y: Tensor, max_grad_norm: float, loss: str = "cross_entropy") -> dict[str, Tensor]:
    """The sum of clipped gradients by a loop over records, in float64."""
    module = copy.deepcopy(module).double()
    names, parameters = zip(*module.named_parameters(), strict=True)
    sums = [torch.zeros_like(parameter) for parameter in parameters]
    for i in range(len(x)):
        record = x[i : i + 1].double() if x.is_floating_point() else x[i : i + 1]
        target = y[i : i + 1].double() if y.is_floating_point() else y[i : i + 1]
        gradients = torch.autograd.grad(LOSSES[loss].value(module(record), target).sum(), parameters)
        norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
        for total, gradient in zip(sums, gradients, strict=True):
            total += min(1.0, max_grad_norm / (norm + 1e-6)) * gradient
    return dict(zip(names, sums, strict=True))


def relative_error(got: dict[str, Tensor], want: dict[str, Tensor]) -> float:
    """||got - want|| / ||want|| over all parameters; 0 / 0 is 0."""
    assert list(got) == list(want)
    difference = math.sqrt(sum(float((got[name].double() - want[name].double()).square().sum()) for name in want))
    size = math.sqrt(sum(float(value.double().square().sum()) for value in want.values()))
    return difference / size if size else difference
