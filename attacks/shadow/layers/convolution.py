"""Two-dimensional convolutions of K models as affine maps of unfolded patches.

Images are (K, B, C, H, W), kept with the channels last in memory; a patch is a row of k k C numbers, L = H_out W_out patches a record.
Weights are stored as (K, C_out, k, k, C): rows of the patches' own order. The gradient at the input is added up from the k k shifts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from attacks.shadow.layers.affine import AffineGradients, gradient_is_smaller
from attacks.shadow.layers.stacked import StackedParameter, stacked


class StackedConv2d:
    """`nn.Conv2d` with one group and zero padding."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        first = modules[0]
        assert isinstance(first, nn.Conv2d)
        self._weight = stacked(modules, "weight", prefix, storage=(0, 2, 3, 1))
        self._bias = None if first.bias is None else stacked(modules, "bias", prefix)
        self._kernel, self._stride, self._dilation = first.kernel_size, first.stride, first.dilation
        self._padding = _padding(first)  # left, right, top, bottom
        self._patches: Tensor | None = None
        self._shape: torch.Size | None = None  # of the padded input, channels last
        self._gradients: AffineGradients | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """Weight and, if there is one, bias."""
        return (self._weight,) if self._bias is None else (self._weight, self._bias)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Convolve; the result's memory has the channels last."""
        padded = x.permute(0, 1, 3, 4, 2)
        if any(self._padding):
            padded = functional.pad(padded, (0, 0, *self._padding))
        height, width = self._output_size(padded.shape)
        patches = self._unfold(padded, height, width)  # (K, B, L, k k C)
        flat = patches.view(patches.shape[0], -1, patches.shape[-1])
        weight = self._weight.value.flatten(2).transpose(1, 2)
        y = flat @ weight if self._bias is None else torch.baddbmm(self._bias.value.unsqueeze(1), flat, weight)
        if keep:
            self._patches, self._shape = patches, padded.shape
        return y.view(*x.shape[:2], height, width, -1).permute(0, 1, 4, 2, 3)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Keep the output gradient; return the input's if wanted."""
        assert self._patches is not None
        d = gradient.permute(0, 1, 3, 4, 2).reshape(*self._patches.shape[:3], -1)
        self._gradients = AffineGradients(self._patches, d, has_bias=self._bias is not None)
        return self._fold(d, gradient.shape[3], gradient.shape[4]) if wanted else None

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        assert self._gradients is not None
        return self._gradients.squared_norms()

    def add_sums(self, factor: Tensor, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the targets."""
        assert self._gradients is not None
        self._gradients.add_sums(factor, targets[0].flatten(2), None if self._bias is None else targets[1], sign=sign)

    def floats_per_record(self) -> int:
        """Patches and their gradients, outputs and theirs, and what the norms need."""
        assert self._patches is not None
        places, n_in = self._patches.shape[2:]
        n_out = self._weight.value.shape[1]
        norms = n_in * n_out if gradient_is_smaller(places, n_in, n_out) else 2 * places * places
        return places * (2 * n_in + 3 * n_out) + norms

    def _output_size(self, shape: torch.Size) -> tuple[int, int]:
        reach = [dilation * (kernel - 1) + 1 for dilation, kernel in zip(self._dilation, self._kernel, strict=True)]
        height, width = ((shape[2 + i] - reach[i]) // self._stride[i] + 1 for i in range(2))
        return height, width

    def _unfold(self, padded: Tensor, height: int, width: int) -> Tensor:
        models, rows, _, _, channels = padded.shape
        by_model, by_row, by_line, by_column, by_channel = padded.stride()
        size = (models, rows, height, width, *self._kernel, channels)
        places = (by_line * self._stride[0], by_column * self._stride[1])
        inside = (by_line * self._dilation[0], by_column * self._dilation[1], by_channel)
        view = padded.as_strided(size, (by_model, by_row, *places, *inside), padded.storage_offset())
        return view.reshape(models, rows, height * width, -1)

    def _fold(self, d: Tensor, height: int, width: int) -> Tensor:
        assert self._shape is not None
        models, rows = d.shape[:2]
        patches = d.view(models, -1, d.shape[-1]) @ self._weight.value.flatten(2)
        shifts = patches.view(models, rows, height, width, *self._kernel, -1)
        padded = d.new_zeros(self._shape)
        for i in range(self._kernel[0]):
            lines = _shift(i * self._dilation[0], self._stride[0], height)
            for j in range(self._kernel[1]):
                padded[:, :, lines, _shift(j * self._dilation[1], self._stride[1], width)] += shifts[:, :, :, :, i, j]
        left, right, top, bottom = self._padding
        inner = padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]
        return inner.permute(0, 1, 4, 2, 3)


def _shift(start: int, stride: int, count: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)


def _padding(module: nn.Conv2d) -> tuple[int, int, int, int]:
    if module.padding == "valid":
        return 0, 0, 0, 0
    if module.padding == "same":  # PyTorch puts the odd one at the right and at the bottom
        vertical, horizontal = (d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True))
        return horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2
    vertical, horizontal = int(module.padding[0]), int(module.padding[1])
    return horizontal, horizontal, vertical, vertical
