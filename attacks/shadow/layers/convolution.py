"""Two-dimensional convolutions of K models: patches of the images, then an affine map of the patches.

Images are (K, B, C, H, W), made with the channels last in memory. `Unfold` has no parameters: where it comes first, the pool is unfolded
once. A patch is a row of k k C numbers, L = H_out W_out of them a record; weights are stored as (K, C_out, k, k, C), in that same order.
The gradient at the images, a sum over the k k shifts of a patch's gradient, is added up lines first: k sums of rows of k C numbers, then k
sums of rows of C.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from attacks.shadow.layers.affine import AffineGradients, gradient_is_smaller
from attacks.shadow.layers.stacked import StackedParameter, stacked


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the patches lie; pairs are (lines, columns), padding is (left, right, top, bottom)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]

    @classmethod
    def of(cls, module: nn.Conv2d) -> Geometry:
        """Read a module's settings."""
        (kh, kw), (sh, sw), (dh, dw) = module.kernel_size, module.stride, module.dilation
        return cls((kh, kw), (sh, sw), (dh, dw), _padding(module))

    def patches(self, height: int, width: int) -> tuple[int, int]:
        """Return the number of patches (lines, columns) in a padded image."""
        lines = (height - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1
        columns = (width - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.stride[1] + 1
        return lines, columns


class Unfold:
    """Images (K, B, C, H, W) to patches (K, B, H_out, W_out, k k C)."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        del prefix
        first = modules[0]
        assert isinstance(first, nn.Conv2d)
        self._geometry = Geometry.of(first)
        self._shape: torch.Size | None = None  # of the padded images, channels last
        self._floats = 0

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """None."""
        return ()

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Copy the patches out."""
        padded = x.permute(0, 1, 3, 4, 2)
        if any(self._geometry.padding):
            padded = functional.pad(padded, (0, 0, *self._geometry.padding))
        models, rows, height, width, channels = padded.shape
        places = self._geometry.patches(height, width)
        by_model, by_row, by_line, by_column, by_channel = padded.stride()
        outside = (by_model, by_row, by_line * self._geometry.stride[0], by_column * self._geometry.stride[1])
        inside = (by_line * self._geometry.dilation[0], by_column * self._geometry.dilation[1], by_channel)
        size = (models, rows, *places, *self._geometry.kernel, channels)
        patches = padded.as_strided(size, (*outside, *inside), padded.storage_offset()).reshape(models, rows, *places, -1)
        if keep:
            self._shape, self._floats = padded.shape, patches[0, 0].numel()
        return patches

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Add the patches' gradients up where they came from."""
        if not wanted:
            return None
        assert self._shape is not None
        _, _, height, width, channels = self._shape
        geometry = self._geometry
        models, rows, lines, columns, _ = gradient.shape
        shifts = gradient.reshape(models * rows, lines, columns, geometry.kernel[0], -1)
        by_line = gradient.new_zeros(models * rows, height, columns, geometry.kernel[1] * channels)
        for i in range(geometry.kernel[0]):
            by_line[:, _shift(i * geometry.dilation[0], geometry.stride[0], lines)] += shifts[:, :, :, i]
        image = gradient.new_zeros(models * rows, height, width, channels)
        for j in range(geometry.kernel[1]):
            part = by_line[..., j * channels : (j + 1) * channels]
            image[:, :, _shift(j * geometry.dilation[1], geometry.stride[1], columns)] += part
        left, right, top, bottom = geometry.padding
        inner = image[:, top : height - bottom, left : width - right]
        return inner.view(models, rows, *inner.shape[1:]).permute(0, 1, 4, 2, 3)

    def floats_per_record(self) -> int:
        """Patches and their gradients."""
        return 2 * self._floats


class StackedConv2d:
    """The affine map of `nn.Conv2d` with one group: patches (K, B, H_out, W_out, k k C) to images (K, B, C_out, H_out, W_out)."""

    def __init__(self, modules: Sequence[nn.Module], prefix: str) -> None:
        self._weight = stacked(modules, "weight", prefix, storage=(0, 2, 3, 1))
        self._bias = None if modules[0].bias is None else stacked(modules, "bias", prefix)
        self._patches: Tensor | None = None
        self._gradients: AffineGradients | None = None

    @property
    def parameters(self) -> tuple[StackedParameter, ...]:
        """Weight and, if there is one, bias."""
        return (self._weight,) if self._bias is None else (self._weight, self._bias)

    def forward(self, x: Tensor, *, keep: bool) -> Tensor:
        """Map every patch; the result's memory has the channels last."""
        flat = x.reshape(x.shape[0], -1, x.shape[-1])
        weight = self._weight.value.flatten(2).transpose(1, 2).contiguous()  # a product with few inputs is much faster so
        y = flat @ weight if self._bias is None else torch.baddbmm(self._bias.value.unsqueeze(1), flat, weight)
        if keep:
            self._patches = flat.view(*x.shape[:2], -1, x.shape[-1])
        return y.view(*x.shape[:-1], -1).permute(0, 1, 4, 2, 3)

    def backward(self, gradient: Tensor, *, wanted: bool) -> Tensor | None:
        """Keep the output gradient; return the patches' if wanted."""
        assert self._patches is not None
        places = gradient.permute(0, 1, 3, 4, 2)
        d = places.reshape(*self._patches.shape[:3], -1).contiguous()
        self._gradients = AffineGradients(self._patches, d, has_bias=self._bias is not None)
        if not wanted:
            return None
        flat = d.view(d.shape[0], -1, d.shape[-1]) @ self._weight.value.flatten(2)
        return flat.view(*places.shape[:-1], -1)

    def squared_norms(self) -> Tensor:
        """Squared gradient norm of every record, (K, B)."""
        assert self._gradients is not None
        return self._gradients.squared_norms()

    def add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], *, sign: int) -> None:
        """Add the rescaled sum of gradients to the targets."""
        assert self._gradients is not None
        weight, bias = targets[0].flatten(2), None if self._bias is None else targets[1]
        if factor is None:
            self._gradients.add_plain_sums(weight, bias, sign=sign)
        else:
            self._gradients.add_sums(factor, weight, bias, sign=sign)

    def floats_per_record(self) -> int:
        """Outputs and their gradients, and what the norms need."""
        assert self._patches is not None
        places, n_in = self._patches.shape[2:]
        n_out = self._weight.value.shape[1]
        return 3 * places * n_out + (n_in * n_out if gradient_is_smaller(places, n_in, n_out) else 2 * places * places)


def _shift(start: int, stride: int, count: int) -> slice:
    return slice(start, start + stride * (count - 1) + 1, stride)


def _padding(module: nn.Conv2d) -> tuple[int, int, int, int]:
    if isinstance(module.padding, str):  # "same": PyTorch puts the odd one at the right and at the bottom
        reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
        vertical, horizontal = reach if module.padding == "same" else (0, 0)
        return horizontal // 2, horizontal - horizontal // 2, vertical // 2, vertical - vertical // 2
    vertical, horizontal = (int(size) for size in module.padding)
    return horizontal, horizontal, vertical, vertical
