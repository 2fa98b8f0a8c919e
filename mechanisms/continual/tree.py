"""The binary tree counter: noise on dyadic nodes, every prefix a sum of at most log2 T of them.

The node that ends at step t covers (t - 2^i, t] with 2^i the largest power of two that divides t; S(t) is the sum of the nodes that end at
t, t with its lowest bit cleared, and so on. Right children are never needed, so they are never drawn.

symbols: k = bits of T     Delta_1 = Delta_2^2 = k     ||L_t||^2 = popcount(t)     state: one vector a bit
Cost: one draw and one addition a step.

References
----------
Dwork, Naor, Pitassi, Rothblum, STOC 2010. Chan, Shi, Song, Private and Continual Release of Statistics, TISSEC 2011, Algorithm 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream


class Tree(Factorization):
    """Binary tree; the baseline of the field, exact on whole numbers."""

    name = "tree"
    whole = True

    @property
    def l1_sensitivity(self) -> float:
        """Number of bits of T: step 1 lies in one node of every level."""
        return float(self.horizon.bit_length())

    @property
    def l2_sensitivity(self) -> float:
        """sqrt(Delta_1): entries are 0 and 1."""
        return math.sqrt(self.l1_sensitivity)

    def squared_row_norms(self) -> Floats:
        """popcount(t)."""
        return np.bitwise_count(np.arange(1, self.horizon + 1)).astype(np.float64)

    @property
    def n_state(self) -> int:
        """One number a level."""
        return self.horizon.bit_length()

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _TreeStream(self.horizon, dim)

    def right_matrix(self) -> Floats:
        """Row t is the node that ends at t."""
        self._require_small()
        ends, items = np.arange(1, self.horizon + 1)[:, None], np.arange(1, self.horizon + 1)[None, :]
        return ((items <= ends) & (items > ends - (ends & -ends))).astype(np.float64)


def add_prefixes(nodes: Noise, first: int, before: Noise) -> None:
    """Turn the noise of nodes, row i for the one that ends at step first + 1 + i, into that of prefixes, in place, whole levels at once.

    `before[i]` is the noise of the prefix that ends where `first` has its bits below i cleared.
    """
    n = len(nodes)
    for level in range(len(before) - 2, -1, -1):
        size = 1 << level
        place = (size - first - 1) % (2 * size)  # of the first node of this level
        if place < min(size, n):  # the prefix that it adds to ended before
            nodes[place] = before[level + 1] + nodes[place]
            place += 2 * size
        nodes[place :: 2 * size] += nodes[place - size : max(0, n - size) : 2 * size] if place < n else 0


class _TreeStream(NoiseStream):
    """`_below[i]` is the noise of the prefix that ends where t has its bits below i cleared."""

    def __init__(self, horizon: int, dim: int) -> None:
        self._below: Noise = np.zeros((horizon.bit_length() + 1, dim))

    def step(self, draw: Draw) -> Noise:
        fresh = draw(1)[0]
        self.n_seen += 1
        level = (self.n_seen & -self.n_seen).bit_length() - 1
        if self._below.dtype != fresh.dtype:
            self._below = self._below.astype(fresh.dtype)
        noise = self._below[level + 1] + fresh
        self._below[: level + 1] = noise
        return np.asarray(noise)

    def run(self, draw: Draw, n_steps: int) -> Noise:
        noise = np.array(draw(n_steps))  # whole noise stays whole
        before, first = self._below.astype(noise.dtype), self.n_seen
        add_prefixes(cast("Noise", noise), first, cast("Noise", before))
        self.n_seen += n_steps
        ends = [(self.n_seen >> level) << level for level in range(len(before))]
        self._below = np.array([noise[end - first - 1] if end > first else before[level] for level, end in enumerate(ends)])
        return cast("Noise", noise)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"below": self._below.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._below = np.array(state["below"])
        self.n_seen = n_seen
