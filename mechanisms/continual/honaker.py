"""Honaker's bottom-up counter: every complete node combines its own noisy value with what its children say.

    v_0 = 1, 1/v_i = 1 + 1/(2 v_{i-1}), that is v_i = 1/(2 - 2^-i)      variance of the combined estimate at level i
    estimate_i = v_i own + (1 - v_i) (left + right)                      minimum-variance weights

symbols: k = bits of T     Delta_1 = Delta_2^2 = k     ||L_t||^2 = sum of v_i over the bits i of t
Only nodes that are complete at step t are used, so it may be released step by step. Cost: two draws a step on average; batches do whole
levels at once, with the same additions in the same order, 0.1 us a step and draw.

References
----------
Honaker, Efficient Use of Differentially Private Binary Trees, TPDP 2015.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream
from mechanisms.continual.tree import add_prefixes


class Honaker(Factorization):
    """Binary tree with bottom-up estimates: half the tree's mean error."""

    name = "honaker"

    @property
    def l1_sensitivity(self) -> float:
        """Number of bits of T."""
        return float(self.horizon.bit_length())

    @property
    def l2_sensitivity(self) -> float:
        """sqrt(Delta_1): entries are 0 and 1."""
        return math.sqrt(self.l1_sensitivity)

    def squared_row_norms(self) -> Floats:
        """Sum of v_i over the bits of t."""
        norms = np.zeros(1)  # of t = 0, 1, ...: a higher bit adds its variance to what the lower ones have
        for variance in node_variances(self.horizon.bit_length()).tolist():
            norms = np.concatenate([norms, norms[: self.horizon + 1 - len(norms)] + variance])
        return norms[1:]

    @property
    def n_state(self) -> int:
        """One estimate a level."""
        return self.horizon.bit_length()

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _HonakerStream(self.horizon, dim)

    def right_matrix(self) -> Floats:
        """One row per complete node, in the order of completion, small nodes first."""
        self._require_small()
        items = np.arange(1, self.horizon + 1)
        ends = [(t, level) for t in range(1, self.horizon + 1) for level in range((t & -t).bit_length())]
        return np.stack([(items <= t) & (items > t - (1 << level)) for t, level in ends]).astype(np.float64)


def node_variances(n_levels: int) -> Floats:
    """Return v_0 to v_{n_levels - 1}."""
    return np.asarray(1 / (2 - 2.0 ** -np.arange(n_levels)))


class _HonakerStream(NoiseStream):
    """`_estimate[i]` is the noise of the complete node of bit i of t; garbage where the bit is 0."""

    def __init__(self, horizon: int, dim: int) -> None:
        levels = horizon.bit_length()
        self._own = node_variances(levels)
        self._estimate = np.zeros((levels, dim))

    def step(self, draw: Draw) -> Noise:
        self.n_seen += 1
        level = (self.n_seen & -self.n_seen).bit_length() - 1
        own = np.asarray(draw(level + 1), dtype=np.float64)
        combined = own[0]
        for i in range(1, level + 1):
            combined = self._own[i] * own[i] + (1 - self._own[i]) * (self._estimate[i - 1] + combined)
        self._estimate[level] = combined
        bits = [i for i in range(len(self._estimate) - 1, -1, -1) if self.n_seen >> i & 1]
        return np.asarray(np.add.accumulate(self._estimate[bits])[-1])  # one after the other, from the top: as in `run`

    def run(self, draw: Draw, n_steps: int) -> Noise:
        first, steps = self.n_seen, np.arange(self.n_seen + 1, self.n_seen + n_steps + 1)
        n_own = np.bitwise_count(steps ^ (steps - 1)).astype(np.int64)  # nodes that are complete at a step
        start = np.cumsum(n_own) - n_own
        own = np.asarray(draw(int(n_own.sum())), dtype=np.float64)
        nodes: Floats = own[start]
        for i in range(1, len(self._estimate)):
            size, half = 1 << i, 1 << (i - 1)
            place = -(first + 1) % size  # of the first step at which a node of this level is complete
            if place >= n_steps:
                break
            left = nodes[(place - half) % size : n_steps - half : size]
            if place < half:  # the first left child was complete before
                left = np.concatenate([self._estimate[i - 1 : i], left])
            nodes[place::size] = self._own[i] * own[start[place::size] + i] + (1 - self._own[i]) * (left + nodes[place::size])
        before = np.zeros((len(self._estimate) + 1, nodes.shape[1]))
        for i in range(len(self._estimate) - 1, -1, -1):
            before[i] = before[i + 1] + self._estimate[i] if first >> i & 1 else before[i + 1]
            last = (((steps[-1] >> i) - 1) | 1) << i  # the last step whose lowest bit is i
            if last > first:
                self._estimate[i] = nodes[last - first - 1]
        self.n_seen = first + n_steps
        add_prefixes(nodes, first, before)
        return nodes

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"estimate": self._estimate.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._estimate = np.array(state["estimate"], dtype=np.float64)
        self.n_seen = n_seen
