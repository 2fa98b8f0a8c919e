"""Poisson batches of K models in lock-step: every member's own coin at every step, rows padded to the step's largest batch.

Model k with n_k members draws n_k coins a step from its own stream, so its batches are the same beside any other models. An empty batch is
legal. Padded rows point at some record and have weight 0. Cost: one float64 draw per member and step; about 2^20 coins are held at a time.

References
----------
Abadi et al., Deep Learning with Differential Privacy, CCS 2016. Balle, Barthe, Gaboardi, Privacy Amplification by Subsampling, 2018: the
amplification needs independent coins; "draw a size, then that many without replacement" is another mechanism.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_COINS_HELD = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """The records of one step: `index` (K, B) int64 into the pool, `weight` (K, B) 1 for real rows and 0 for padding.

    `size` (K, 1), or (1, 1) for all, is what sums are divided by, at least 1; None where that is the constant E_k. `padded` is False if
    every weight is 1.
    """

    index: Tensor
    weight: Tensor
    size: Tensor | None = None
    padded: bool = True

    @property
    def n_rows(self) -> int:
        """Padded length B; 0 if no model drew a record."""
        return int(self.index.shape[1])


def poisson_batches(
    member: NDArray[np.bool_], coins: Sequence[np.random.Generator], *, sample_rate: float, steps: int, dtype: torch.dtype = torch.float32
) -> Iterator[Batch]:
    """Yield one batch per step.

    Parameters
    ----------
    member : (K, N); row k says which records of the pool train model k.
    coins : K generators, one per model; each is advanced by steps * n_k draws.
    sample_rate : inclusion probability of every member at every step.
    dtype : of the weights.

    Guarantee
    ---------
    Every (step, model, member) has an independent coin of probability `sample_rate`, up to the 2^-53 grid of float64 uniforms: the batches
    are those of the Poisson-subsampled mechanism for add/remove neighbors. Padding never enters a sum: its weight is 0.
    """
    members = [np.flatnonzero(row) for row in member]
    at_once = max(1, min(steps, _COINS_HELD // max(1, sum(map(len, members)))))
    for start in range(0, steps, at_once):
        n_steps = min(at_once, steps - start)
        drawn = [_draw(ids, generator.random((n_steps, len(ids))) < sample_rate) for ids, generator in zip(members, coins, strict=True)]
        yield from _padded(drawn, n_steps, dtype)


def _draw(ids: NDArray[np.int64], included: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts per step, and the included records step after step."""
    _, place = np.nonzero(included)
    return included.sum(axis=1), ids[place]


def _padded(drawn: list[tuple[NDArray[np.int64], NDArray[np.int64]]], n_steps: int, dtype: torch.dtype) -> Iterator[Batch]:
    count = np.stack([counts for counts, _ in drawn], axis=1)  # (steps, K)
    largest = count.max(axis=1)
    real = np.arange(largest.max(initial=0)) < count[:, :, None]  # (steps, K, B)
    index = np.zeros(real.shape, dtype=np.int64)
    for k, (_, records) in enumerate(drawn):
        index[:, k][real[:, k]] = records
    weight = torch.from_numpy(real).to(dtype)
    for step in range(n_steps):
        rows = int(largest[step])
        yield Batch(torch.from_numpy(index[step, :, :rows]), weight[step, :, :rows])
