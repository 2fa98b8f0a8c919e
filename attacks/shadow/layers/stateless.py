"""Layers without parameters and without chance: activations, pooling, reshaping. Models and records share one batch axis.

ReLU, Tanh, MaxPool2d and Flatten have their gradient written out; for the others torch differentiates this one layer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.layers.stacked import StackedParameter


class RecordWise:
    """Any module that maps every record by itself, without parameters: runs it on (K B, ...)."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        del prefix
        self._module = modules[0]
        self._kept: tuple[Tensor, Tensor] | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """None."""
        return ()

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Run the module."""
        differentiate = keep and x.is_floating_point()
        flat = x.flatten(0, 1).detach().requires_grad_(differentiate)
        with torch.set_grad_enabled(differentiate):
            y = self._module(flat)
        if keep:
            self._kept = flat, y
        return _by_model(y.detach(), x.shape)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient at the input if it is wanted."""
        if not wanted:
            return None
        assert self._kept is not None
        flat, y = self._kept
        (result,) = torch.autograd.grad(y, flat, gradient.flatten(0, 1))
        return _by_model(result, gradient.shape)

    def floats_per_record(self) -> int:
        """Input, output and their gradients."""
        assert self._kept is not None
        return 2 * (self._kept[0][0].numel() + self._kept[1][0].numel())


class _Elementwise:
    """An activation whose gradient needs its output only."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        del modules, prefix
        self._output: Tensor | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """None."""
        return ()

    def floats_per_record(self) -> int:
        """Output and gradient."""
        assert self._output is not None
        return 2 * self._output[0, 0].numel()


class StackedReLU(_Elementwise):
    """`nn.ReLU`."""

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return max(x, 0)."""
        y = torch.relu(x)
        if keep:
            self._output = y
        return y

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient where the output is positive."""
        assert self._output is not None
        return torch.ops.aten.threshold_backward(gradient, self._output, 0) if wanted else None


class StackedTanh(_Elementwise):
    """`nn.Tanh`."""

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return tanh x."""
        y = torch.tanh(x)
        if keep:
            self._output = y
        return y

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient times 1 - tanh^2 x."""
        assert self._output is not None
        return torch.ops.aten.tanh_backward(gradient, self._output) if wanted else None


class StackedMaxPool2d:
    """`nn.MaxPool2d`; a tie sends the gradient where torch sends it, to the first of the largest."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        del prefix
        first = modules[0]
        assert isinstance(first, nn.MaxPool2d)
        kernel, stride, padding, dilation = (_pair(size) for size in (first.kernel_size, first.stride, first.padding, first.dilation))
        self._where = (kernel, stride, padding, dilation, first.ceil_mode)
        self._kept: tuple[Tensor, Tensor] | None = None  # input and place of the largest, both (K B, C, H, W)

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """None."""
        return ()

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return the largest value of each window."""
        flat = x.flatten(0, 1)
        y, place = torch.ops.aten.max_pool2d_with_indices(flat, *self._where)
        if keep:
            self._kept = flat, place
        return _by_model(y, x.shape)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Return each window's gradient at its largest value."""
        if not wanted:
            return None
        assert self._kept is not None
        flat, place = self._kept
        result = torch.ops.aten.max_pool2d_with_indices_backward(gradient.flatten(0, 1), flat, *self._where, place)
        return _by_model(result, gradient.shape)

    def floats_per_record(self) -> int:
        """Input and its gradient, output, its gradient and its places (64 bits)."""
        assert self._kept is not None
        return 2 * self._kept[0][0].numel() + 4 * self._kept[1][0].numel()


class StackedFlatten:
    """`nn.Flatten` over all axes of a record."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        del modules, prefix
        self._shape: torch.Size | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """None."""
        return ()

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return (K, B, everything)."""
        if keep:
            self._shape = x.shape
        return x.reshape(*x.shape[:2], -1)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Return the gradient in the input's shape."""
        assert self._shape is not None
        return gradient.view(self._shape) if wanted else None

    def floats_per_record(self) -> int:
        """A copy of the input."""
        assert self._shape is not None
        return math.prod(self._shape[2:])


def _pair(size: int | tuple[int, ...]) -> list[int]:
    return [size, size] if isinstance(size, int) else list(size)


def _by_model(flat: Tensor, shape: torch.Size) -> Tensor:
    """(K B, ...) -> (K, B, ...)."""
    return flat.view(*shape[:2], *flat.shape[1:])
