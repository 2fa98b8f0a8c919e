"""Linear layers of K models, on records (K, B, I) or sequences (K, B, ..., I)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.layers.affine import AffineGradients, gradient_is_smaller
from attacks.shadow.layers.stacked import StackedParameter, stacked


class StackedLinear:
    """`nn.Linear`: forward by one `baddbmm`, gradients by `AffineGradients`."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        self._weight = stacked(modules, "weight", prefix)  # (K, O, I)
        self._bias = None if modules[0].bias is None else stacked(modules, "bias", prefix)
        self._input: Tensor | None = None
        self._gradients: AffineGradients | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """Weight and, if there is one, bias."""
        return (self._weight,) if self._bias is None else (self._weight, self._bias)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return W x + b at every place."""
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        weight = self._weight.value.transpose(1, 2)
        y = flat @ weight if self._bias is None else torch.baddbmm(self._bias.value.unsqueeze(1), flat, weight)
        if keep:
            self._input = flat.view(*x.shape[:2], -1, x.shape[-1])
        return y.view(*x.shape[:-1], -1)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Keep the output gradient; return W^T times it if wanted."""
        assert self._input is not None
        n_out = gradient.shape[-1]
        d = gradient.reshape(*self._input.shape[:3], n_out).contiguous()
        self._gradients = AffineGradients(self._input, d, has_bias=self._bias is not None)
        if not wanted:
            return None
        flat = d.view(d.shape[0], -1, n_out) @ self._weight.value
        return flat.view(*gradient.shape[:-1], -1)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        assert self._gradients is not None
        return self._gradients.squared_norms()

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the targets."""
        assert self._gradients is not None
        self._gradients.add_sums(factor, targets[0], None if self._bias is None else targets[1], sign=sign)

    def floats_per_record(self) -> int:
        """Input, output and its gradient, and what the norms need."""
        assert self._input is not None
        places, n_in = self._input.shape[2:]
        n_out = self._weight.value.shape[1]
        norms = 0 if places == 1 else n_in * n_out if gradient_is_smaller(places, n_in, n_out) else 2 * places * places
        return places * (n_in + 3 * n_out) + norms
