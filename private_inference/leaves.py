"""Learnable scalars and tables, each in a leaf module with one input, so that Opacus finds exact per-sample gradients.

Opacus rejects parameters that stand directly on a module with children, and leaves with two inputs; these have neither.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mechanisms.validation import in_range
from private_inference.config import SMALLEST_TEMPERATURE


class Gain(nn.Module):
    """Multiply by one learnable number.

    Both factors of a scaled FFN are gains: beta, and 1/alpha, which is what is stored, so that alpha can't cross 0 (Jha, Reagen 2025).
    """

    def __init__(self, init: float = 1.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor([float(init)]))

    def forward(self, x: Tensor) -> Tensor:
        """Return gain * x, any shape."""
        return self.gain * x


class HeadTemperature(nn.Module):
    """Divide each head's queries by its temperature t > 0: the same as dividing its logits.

    Parameters
    ----------
    n_head, n_positions : the table is (H, T); T = 1 is one temperature a head, which folds into W_q.
    init : where t starts, > 1e-4.

    Raises
    ------
    ValueError : `init` is too small.

    Notes
    -----
    t = softplus(u) + 1e-4, so it stays positive; u is the parameter.
    """

    def __init__(self, n_head: int, n_positions: int, init: float) -> None:
        super().__init__()
        start = in_range(SMALLEST_TEMPERATURE, math.inf, init=init) - SMALLEST_TEMPERATURE
        self.raw = nn.Parameter(torch.full((n_head, n_positions), start + math.log(-math.expm1(-start))))  # the inverse of softplus

    @property
    def value(self) -> Tensor:
        """Return t, shape (H, T) or (H, 1)."""
        return nn.functional.softplus(self.raw) + SMALLEST_TEMPERATURE

    def forward(self, queries: Tensor) -> Tensor:
        """Return queries / t, shape (B, H, T', d_k).

        Raises
        ------
        ValueError : the context is longer than the table.
        """
        length, longest = queries.shape[2], self.raw.shape[1]
        if longest == 1:
            return queries / self.value[:, :, None]
        if length > longest:
            raise ValueError(f"a context of {length} is longer than the temperature table of {longest} positions; use temperature='head'")
        return queries / self.value[:, :length, None]
