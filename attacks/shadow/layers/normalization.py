"""LayerNorm and GroupNorm of K models: both normalize within a record, so a record's gradient is its own.

y = gamma x^ + beta, with x^ the normalized input. A record's gradient is d x^ summed over the places that share a gamma, and d summed
likewise for beta: as small as the parameters themselves, so it is made. The input's gradient comes from torch's own normalization.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from attacks.shadow.layers.stacked import StackedParameter, stacked


class StackedNormalization:
    """`nn.LayerNorm` or `nn.GroupNorm`, with or without gamma and beta."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        first = modules[0]
        assert isinstance(first, nn.LayerNorm | nn.GroupNorm)
        self._normalize = _normalization(first)
        self._n_axes = len(first.normalized_shape) if isinstance(first, nn.LayerNorm) else None
        names = [name for name, _ in first.named_parameters()]
        self._weight = stacked(modules, "weight", prefix) if "weight" in names else None
        self._bias = stacked(modules, "bias", prefix) if "bias" in names else None
        self._kept: tuple[Tensor, Tensor] | None = None  # input (leaf) and x^, on (K B, ...)
        self._made: list[Tensor] = []

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """Gamma and beta, those that exist."""
        return tuple(parameter for parameter in (self._weight, self._bias) if parameter is not None)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Normalize each record, then scale and shift by the model's own gamma and beta."""
        flat = x.flatten(0, 1).detach().requires_grad_(keep)
        with torch.set_grad_enabled(keep):
            normalized = self._normalize(flat)
        if keep:
            self._kept = flat, normalized
        y = normalized.detach().view(x.shape)
        if self._weight is not None:
            y = y * self._spread(self._weight.value, x.dim())
        return y if self._bias is None else y + self._spread(self._bias.value, x.dim())

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Make the per-record gradients; return the input's gradient if wanted."""
        assert self._kept is not None
        flat, normalized = self._kept
        self._made = []
        scaled = gradient
        if self._weight is not None:
            self._made.append(self._summed(gradient * normalized.detach().view(gradient.shape)))
            scaled = gradient * self._spread(self._weight.value, gradient.dim())
        if self._bias is not None:
            self._made.append(self._summed(gradient))
        if not wanted:
            return None
        (result,) = torch.autograd.grad(normalized, flat, scaled.flatten(0, 1))
        return result.view(gradient.shape)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        return torch.stack([made.square().sum(dim=-1) for made in self._made]).sum(dim=0)

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the targets."""
        for target, made in zip(targets, self._made, strict=True):
            flat = target.view(target.shape[0], 1, -1)
            if factor is None:
                flat.add_(made.sum(dim=1, keepdim=True), alpha=sign)
            else:
                flat.baddbmm_(factor.unsqueeze(1), made, alpha=sign)

    def floats_per_record(self) -> int:
        """Input, x^, output and their gradients."""
        assert self._kept is not None
        return 8 * self._kept[0][0].numel()

    def _spread(self, parameter: Tensor, n_axes: int) -> Tensor:
        """(K, ...) -> something that broadcasts against (K, B, ...)."""
        if self._n_axes is None:
            return parameter.view(parameter.shape[0], 1, -1, *[1] * (n_axes - 3))
        return parameter.view(parameter.shape[0], *[1] * (n_axes - 1 - self._n_axes), *parameter.shape[1:])

    def _summed(self, product: Tensor) -> Tensor:
        """Sum over the places that share a parameter: (K, B, ...) -> (K, B, number of parameters)."""
        if self._n_axes is None:
            return product.flatten(3).sum(dim=3) if product.dim() > 3 else product
        kept = product.flatten(product.dim() - self._n_axes)
        return kept.flatten(2, -2).sum(dim=2) if kept.dim() > 3 else kept


def _normalization(module: nn.LayerNorm | nn.GroupNorm) -> Callable[[Tensor], Tensor]:
    if isinstance(module, nn.GroupNorm):
        n_groups, epsilon = module.num_groups, module.eps
        return lambda x: functional.group_norm(x, n_groups, None, None, epsilon)
    shape, epsilon = module.normalized_shape, module.eps
    return lambda x: functional.layer_norm(x, shape, None, None, epsilon)
