"""Which modules have a lock-step form: (nested) Sequential of known layers, of exactly these types, without hooks, every weight trained.

A subclass may do anything in its own `forward`, so types are compared exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from attacks.shadow.layers.convolution import StackedConv2d, Unfold
from attacks.shadow.layers.embedding import StackedEmbedding
from attacks.shadow.layers.linear import StackedLinear
from attacks.shadow.layers.normalization import StackedNormalization
from attacks.shadow.layers.stacked import Layer
from attacks.shadow.layers.stateless import RecordWise, StackedFlatten, StackedMaxPool2d, StackedReLU, StackedTanh


class LayerType(Protocol):
    """Makes the layer of K models from K modules."""

    def __call__(self, modules: Sequence[nn.Module], prefix: str) -> Layer:
        """Stack them."""


RECORD_WISE = (
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.MaxPool1d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
    nn.Sigmoid,
    nn.GELU,
    nn.SiLU,
    nn.ELU,
    nn.LeakyReLU,
    nn.Softplus,
    nn.Softsign,
    nn.Hardtanh,
    nn.ReLU6,
)
LAYERS: dict[type[nn.Module], LayerType] = {
    nn.Linear: StackedLinear,
    nn.Conv2d: StackedConv2d,
    nn.Embedding: StackedEmbedding,
    nn.LayerNorm: StackedNormalization,
    nn.GroupNorm: StackedNormalization,
    nn.MaxPool2d: StackedMaxPool2d,
    nn.ReLU: StackedReLU,
    nn.Tanh: StackedTanh,
    **dict.fromkeys(RECORD_WISE, RecordWise),
}


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The layer that keeps a module from lock-step training: its type, its place and why."""

    layer: str
    place: str
    reason: str


def obstacle_of(module: nn.Module) -> Obstacle | None:
    """Return the first layer without a lock-step form, or None if the whole module has one."""
    trained: set[int] = set()
    for place, layer in _walk(module, ""):
        reason = _reason(layer)
        own = [id(parameter) for parameter in layer.parameters()]
        if reason is None and trained.intersection(own):
            reason = "shares its weights with another layer"
        if reason is not None:
            return Obstacle(type(layer).__name__, place.rstrip(".") or "the module itself", reason)
        trained.update(own)
    if not trained:
        return Obstacle(type(module).__name__, "the module itself", "has no trained weights")
    return None


def stack_layers(modules: Sequence[nn.Module]) -> list[Layer]:
    """Return the layers of K modules of one architecture, each recognized by `obstacle_of`."""
    return [layer for _, layer in stack_by_module(modules)]


def stack_by_module(modules: Sequence[nn.Module]) -> list[tuple[nn.Module, Layer]]:
    """Return these layers in the order they run, each with the first model's module; a convolution becomes two layers."""
    found: list[tuple[nn.Module, Layer]] = []
    for column in zip(*(_walk(module, "") for module in modules), strict=True):
        prefix, same = column[0][0], [layer for _, layer in column]
        if isinstance(same[0], nn.Conv2d):
            found.append((same[0], Unfold(same, prefix)))
        whole = isinstance(same[0], nn.Flatten) and (same[0].start_dim, same[0].end_dim) == (1, -1)
        make = StackedFlatten if whole else LAYERS[type(same[0])]
        found.append((same[0], make(same, prefix)))
    return found


def _walk(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Layers in the order they run, with their prefix in the state_dict; a Sequential with hooks counts as a layer of its own."""
    if type(module) is nn.Sequential and not _has_hooks(module):
        for name, child in zip(module._modules, module, strict=True):  # named_children() would leave out a layer that stands twice
            yield from _walk(child, f"{prefix}{name}.")
    else:
        yield prefix, module


def _reason(layer: nn.Module) -> str | None:
    if type(layer) not in LAYERS:
        return "is not among the known layers"
    if _has_hooks(layer):
        return "has hooks"
    if any(not parameter.requires_grad for parameter in layer.parameters()):
        return "has weights that are not trained"
    return _unusual_setting(layer)


def _has_hooks(layer: nn.Module) -> bool:
    return any((layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks))


def _unusual_setting(layer: nn.Module) -> str | None:
    if isinstance(layer, nn.Conv2d) and (layer.groups != 1 or layer.padding_mode != "zeros"):
        return "has several groups or padding other than zeros"
    if isinstance(layer, nn.Embedding) and (layer.max_norm is not None or layer.scale_grad_by_freq or layer.sparse):
        return "has max_norm, scale_grad_by_freq or sparse gradients"
    if (isinstance(layer, nn.Flatten) and layer.start_dim == 0) or (isinstance(layer, nn.Unflatten) and layer.dim == 0):
        return "reshapes across records"
    if getattr(layer, "return_indices", False):
        return "returns indices"
    if type(layer) is not nn.ReLU and getattr(layer, "inplace", False):
        return "overwrites its input"
    return None
