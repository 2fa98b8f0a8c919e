"""The gradient of DP-SGD: per-sequence gradients, clipped, summed, made noisy, divided by a number that doesn't look at the data.

    g = (sum_i clip_C(grad_i) + z C N(0, I)) / B          i in a Poisson sample; B the expected batch size, not the drawn one

Per-sequence gradients come from Opacus's hooks. Coins and noise come from a `NoiseSource`: the sample must stay as unknown as the noise,
because the accountant counts on it.

Guarantee
---------
Add/remove one sequence, at a `sample_rate` that doesn't hang on it. A sequence's loss, penalty included, depends on that sequence and the
parameters only, so it changes one summand, of norm at most C: the sum has sensitivity C whatever the loss is. A gradient that isn't finite
counts as zero, of norm 0 <= C; if a sequence breaks the forward pass of its batch, each sequence of the batch is taken alone, so it can't
take others along. Coins are independent with probability at most `sample_rate`. One step is a Poisson-subsampled Gaussian mechanism with
noise multiplier z.

References
----------
Abadi et al., Deep Learning with Differential Privacy, CCS 2016. Yousefpour et al., Opacus, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from opacus import GradSampleModule
from torch import Tensor, nn

from mechanisms.noise.source import NoiseSource
from private_inference.attention import NonFiniteAttentionError

_BLOCK = 2**16  # draws of noise at once
_LARGEST_WORD = 2**64 - 1

Losses = Callable[[nn.Module, Tensor], Tensor]


def poisson_sample(n: int, sample_rate: float, source: NoiseSource) -> NDArray[np.int64]:
    """Return which of n sequences enter a step: each by a coin of its own, heads with probability at most `sample_rate`, within 2^-52."""
    threshold = np.uint64(min(int(sample_rate * 2.0**64), _LARGEST_WORD))
    return np.flatnonzero(source.words(n) < threshold).astype(np.int64) if sample_rate < 1 else np.arange(n)


class PrivateGradient:
    """Sets the noisy gradient of a module's parameters.

    Parameters
    ----------
    net : wrapped by Opacus with `loss_reduction="sum"`.
    losses : (net, rows) -> one loss a row, (n,), each of its own row only.
    max_grad_norm, noise_multiplier, expected_batch_size : C, z, B.
    source : of the noise.
    chunk : rows whose gradients are in memory at once.
    """

    def __init__(
        self,
        net: GradSampleModule,
        losses: Losses,
        *,
        max_grad_norm: float,
        noise_multiplier: float,
        expected_batch_size: float,
        source: NoiseSource,
        chunk: int,
    ) -> None:
        self._net, self._losses, self._source, self._chunk = net, losses, source, chunk
        self._clip, self._std, self._expected = max_grad_norm, noise_multiplier * max_grad_norm, expected_batch_size
        self._parameters: list[nn.Parameter] = [one for one in net.parameters() if one.requires_grad]

    def set(self, rows: Tensor) -> None:
        """Set every parameter's `grad` from the sampled rows (n, T + 1); n = 0 leaves the noise."""
        sums = [torch.zeros_like(parameter) for parameter in self._parameters]
        for start in range(0, len(rows), self._chunk):
            for gradients in self._of_rows(rows[start : start + self._chunk]):
                self._add_clipped(sums, gradients)
        for parameter, total in zip(self._parameters, sums, strict=True):
            parameter.grad = (total + self._noise(parameter)) / self._expected

    def _of_rows(self, rows: Tensor) -> Iterator[list[Tensor]]:
        """Yield per-row gradients, all rows at once; one by one if a row breaks the pass."""
        try:
            yield self._gradients(rows)
        except NonFiniteAttentionError:
            if len(rows) > 1:  # a broken row alone contributes nothing
                for i in range(len(rows)):
                    yield from self._of_rows(rows[i : i + 1])

    def _gradients(self, rows: Tensor) -> list[Tensor]:
        self._net.zero_grad(set_to_none=True)
        try:
            self._losses(self._net, rows).sum().backward()  # type: ignore[no-untyped-call]
            return [_per_sample(parameter, len(rows)) for parameter in self._parameters]
        finally:
            self._net.zero_grad(set_to_none=True)

    def _add_clipped(self, sums: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        norms = torch.stack([one.flatten(1).norm(dim=1) for one in gradients]).norm(dim=0)
        factors = (self._clip / (norms + 1e-6)).clamp(max=1.0)
        finite = norms.isfinite()
        for total, one in zip(sums, gradients, strict=True):
            total += torch.einsum("i,i...", factors[finite], one[finite])

    def _noise(self, like: Tensor) -> Tensor:
        n = like.numel()
        draws = [self._source.normal(self._std, min(_BLOCK, n - first)) for first in range(0, n, _BLOCK)]
        return torch.from_numpy(np.concatenate(draws)).to(dtype=like.dtype, device=like.device).view_as(like)


def _per_sample(parameter: nn.Parameter, n: int) -> Tensor:
    found = getattr(parameter, "grad_sample", None)
    if not isinstance(found, Tensor) or len(found) != n:
        raise RuntimeError(f"a parameter of shape {tuple(parameter.shape)} has no gradient of each sequence; put it into a leaf module")
    return found
