"""Small networks trained side by side: an ensemble of K members is one torch module whose parameters have a leading axis K.

    network(*inputs) -> (K, B)      inputs (K, B, ...): member k sees its own batch and learns from it alone

The sum of the members' losses has no cross terms, so one optimizer step moves every member as if it were alone. First weights are uniform
on +-1/sqrt(inputs), PyTorch's default for linear layers, drawn from a given generator.

Cost: an affine map of R rows takes 2 K R inputs outputs operations, in one call whatever K is.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

_MODELS_AT_ONCE = 128


class MemberAffine(nn.Module):
    """K affine maps of the last axis: (K, ..., inputs) to (K, ..., outputs)."""

    def __init__(self, n_members: int, inputs: int, outputs: int, *, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(max(inputs, 1))
        self.weight = nn.Parameter(_uniform((n_members, inputs, outputs), bound, generator))
        self.bias = nn.Parameter(_uniform((n_members, 1, outputs), bound, generator))

    def forward(self, x: Tensor) -> Tensor:
        """Apply member k's map to slice k."""
        rows = x.reshape(x.shape[0], -1, x.shape[-1])
        return torch.baddbmm(self.bias, rows, self.weight).view(*x.shape[:-1], -1)


class MemberMLP(nn.Module):
    """K multilayer perceptrons with ReLU between their layers, none at the end."""

    def __init__(self, n_members: int, sizes: Sequence[int], *, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleList(MemberAffine(n_members, i, o, generator=generator) for i, o in pairwise(sizes))

    def forward(self, x: Tensor) -> Tensor:
        """Apply member k's perceptron to slice k."""
        for place, layer in enumerate(self.layers):
            x = layer(x.relu() if place else x)
        return x


class MemberNetwork(nn.Module):
    """Base of networks that say which world a model is of, K members at once."""

    def __init__(self, n_members: int) -> None:
        super().__init__()
        self.n_members = n_members

    @abstractmethod
    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (K, B) log-odds of world 1 for inputs (K, B, ...)."""

    def log_odds(self, inputs: Sequence[Tensor]) -> Tensor:
        """Return (K, M) log-odds of world 1 that every member gives to every model; inputs are (M, ...)."""
        with torch.no_grad():
            starts = range(0, len(inputs[0]), _MODELS_AT_ONCE)
            pieces = [[x[start : start + _MODELS_AT_ONCE] for x in inputs] for start in starts]
            return torch.cat([self(*(x.expand(self.n_members, *x.shape) for x in piece)) for piece in pieces], dim=1)


def _uniform(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    return (2 * torch.rand(shape, generator=generator) - 1) * bound
