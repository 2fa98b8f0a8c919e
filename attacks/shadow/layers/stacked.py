"""What a layer of K models is: stacked parameters, a forward pass, a backward pass, and sums of rescaled per-record gradients.

Axis 0 of every tensor is the model, axis 1 the record. No autograd graph spans the network: each layer keeps what its own backward pass
needs, from `forward(keep=True)` until the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

_ALIGNED = 16


@dataclass(frozen=True, slots=True, eq=False)
class StackedParameter:
    """One parameter of K models.

    Parameters
    ----------
    name : in the module's state_dict.
    value : contiguous, K first, in the order that the layer computes with.
    axes : permutation of `value`'s axes that gives PyTorch's order, K first; empty if both are the same.
    """

    name: str
    value: Tensor
    axes: tuple[int, ...] = ()

    def in_torch_order(self, tensor: Tensor) -> Tensor:
        """View a tensor shaped like `value` in PyTorch's order."""
        return tensor.permute(self.axes) if self.axes else tensor

    def in_layer_order(self, tensor: Tensor) -> Tensor:
        """Return a tensor in PyTorch's order, K first, contiguous in the order of `value`."""
        return tensor.permute([self.axes.index(axis) for axis in range(len(self.axes))]).contiguous() if self.axes else tensor.contiguous()


class Layer(Protocol):
    """One layer of K models; records never mix."""

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """What is trained, in the module's own order; empty for a layer without parameters."""

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Map (K, B, ...) to (K, B, ...), keeping what the backward pass needs if asked to."""

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Take the gradient of the summed loss at the output; return the one at the input if it is wanted."""

    def floats_per_record(self) -> int:
        """Floats that one record of one model takes during a step, after a forward pass that kept what it needs."""


@runtime_checkable
class TrainedLayer(Layer, Protocol):
    """A layer with parameters: after `backward`, norms first, then one sum (which may overwrite what `backward` kept)."""

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record over all parameters of this layer, (K, B)."""

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add sign * sum_b factor[k, b] * gradient[k, b] to the targets, which are shaped like the parameters' values; None is 1."""


def stacked(modules: Sequence[nn.Module], attribute: str, prefix: str, *, storage: tuple[int, ...] = ()) -> StackedParameter:
    """Copy one parameter of K modules into a stack.

    Parameters
    ----------
    storage : order of the parameter's own axes (K not counted) in which the layer computes; empty keeps PyTorch's.
    """
    first = modules[0].get_parameter(attribute)
    value = first.new_empty((len(modules), *first.shape), requires_grad=False)
    for k, module in enumerate(modules):
        value[k].copy_(module.get_parameter(attribute).detach())
    if not storage:
        return StackedParameter(prefix + attribute, value)
    back = tuple(1 + storage.index(axis) for axis in range(len(storage)))
    return StackedParameter(prefix + attribute, value.permute(0, *(1 + axis for axis in storage)).contiguous(), (0, *back))


def in_one_buffer(parameters: Sequence[StackedParameter]) -> Tensor:
    """Move the parameters' values, one after the other, into one flat tensor that they are views of from now on; gaps hold 0."""
    buffer = parameters[0].value.new_zeros(sum(map(_room, parameters)))
    for parameter, view in zip(parameters, views_of(buffer, parameters), strict=True):
        view.copy_(parameter.value)
        parameter.value.set_(view)  # type: ignore[call-overload]
    return buffer


def views_of(buffer: Tensor, parameters: Sequence[StackedParameter]) -> list[Tensor]:
    """Cut a flat tensor into views shaped like the parameters' values."""
    parts = torch.split(buffer, [_room(parameter) for parameter in parameters])
    return [part[: parameter.value.numel()].view(parameter.value.shape) for part, parameter in zip(parts, parameters, strict=True)]


def _room(parameter: StackedParameter) -> int:
    """Floats up to the next multiple of 64 bytes: BLAS takes its sums in another order where a matrix starts elsewhere."""
    return -(-parameter.value.numel() // _ALIGNED) * _ALIGNED
