"""Linear layers of K models, on records (K, B, I) or sequences (K, B, ..., I)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.layers.affine import AffineGradients, add_plain_sums, gradient_is_smaller
from attacks.shadow.layers.stacked import StackedParameter, stacked


class StackedLinear:
    """`nn.Linear`: forward by one `baddbmm`, gradients by `AffineGradients`."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        self._weight = stacked(modules, "weight", prefix)  # (K, O, I)
        self._bias = None if modules[0].bias is None else stacked(modules, "bias", prefix)
        self._places = 1
        self._a: Tensor | None = None  # (K, B L, I)
        self._d: Tensor | None = None  # (K, B L, O)
        self._gradients: AffineGradients | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """Weight and, if there is one, bias."""
        return (self._weight,) if self._bias is None else (self._weight, self._bias)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Return W x + b at every place."""
        flat = x if x.dim() == 3 else x.reshape(x.shape[0], -1, x.shape[-1])
        weight = self._weight.value.transpose(1, 2)
        y = flat @ weight if self._bias is None else torch.baddbmm(self._bias.value.unsqueeze(1), flat, weight)
        if keep:
            self._a, self._places = flat, flat.shape[1] // x.shape[1]
        return y if x.dim() == 3 else y.view(*x.shape[:-1], -1)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Keep the output gradient; return W^T times it if wanted."""
        d = (gradient if gradient.dim() == 3 else gradient.reshape(gradient.shape[0], -1, gradient.shape[-1])).contiguous()
        self._d, self._gradients = d, None
        if not wanted:
            return None
        flat = d @ self._weight.value
        return flat if gradient.dim() == 3 else flat.view(*gradient.shape[:-1], -1)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        assert self._a is not None
        assert self._d is not None
        by_place = [flat.view(flat.shape[0], -1, self._places, flat.shape[-1]) for flat in (self._a, self._d)]
        self._gradients = AffineGradients(*by_place, has_bias=self._bias is not None)
        return self._gradients.squared_norms()

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the targets."""
        bias = None if self._bias is None else targets[1]
        if factor is None:
            assert self._a is not None
            assert self._d is not None
            add_plain_sums(self._a, self._d, targets[0], bias, sign=sign)
        else:
            assert self._gradients is not None
            self._gradients.add_sums(factor, targets[0], bias, sign=sign)

    def floats_per_record(self) -> int:
        """Input, output and its gradient, and what the norms need."""
        assert self._a is not None
        places, n_in = self._places, self._a.shape[2]
        n_out = self._weight.value.shape[1]
        norms = 0 if places == 1 else n_in * n_out if gradient_is_smaller(places, n_in, n_out) else 2 * places * places
        return places * (n_in + 3 * n_out) + norms
