"""The smooth binary counter: every release has exactly the same variance.

Item t is put at the leaf whose code is the t-th string of k bits with exactly k/2 ones; other leaves stay empty. S(t) is the sum of the
left siblings at the ones of code(t + 1): k/2 nodes for every t, and every item lies in k/2 left children.

symbols: k = smallest even number with C(k, k/2) - 1 >= T     Delta_1 = Delta_2^2 = k/2     ||L_t||^2 = k/2 for all t
Cost: about one draw a step on average; state k/2 vectors.

References
----------
Andersson, Pagh, A Smooth Binary Mechanism for Efficient Private Continual Observation, NeurIPS 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import count
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream


class Smooth(Factorization):
    """Smooth binary tree: constant variance, exact on whole numbers."""

    name = "smooth"
    whole = True

    def __init__(self, horizon: int) -> None:
        super().__init__(horizon)
        self.n_ones = next(half for half in count(1) if math.comb(2 * half, half) > horizon)

    @property
    def l1_sensitivity(self) -> float:
        """k/2, the zeros of a code."""
        return float(self.n_ones)

    @property
    def l2_sensitivity(self) -> float:
        """sqrt(k/2)."""
        return math.sqrt(self.n_ones)

    def squared_row_norms(self) -> Floats:
        """k/2 everywhere."""
        return np.full(self.horizon, float(self.n_ones))

    @property
    def n_state(self) -> int:
        """One running sum a one of the code, and the code."""
        return self.n_ones + 1

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _SmoothStream(self.n_ones, dim)

    def right_matrix(self) -> Floats:
        """One row per node, in the order in which a stream draws them."""
        self._require_small()
        codes = [(1 << self.n_ones) - 1]
        for _ in range(self.horizon):
            codes.append(next_code(codes[-1]))
        items, rows, known = np.array(codes[:-1]), [], 0
        for last, code in zip([0, *codes[1:]], codes[1:], strict=False):
            for bit in _fresh_ones(last, code):
                low = code >> bit + 1 << bit + 1
                rows.append((items >= low) & (items < low + (1 << bit)))
                known += 1
        return np.stack(rows).astype(np.float64)


def next_code(code: int) -> int:
    """Return the next larger whole number with as many ones."""
    low = code & -code
    carried = code + low
    return carried | (((carried ^ code) >> 2) // low)


def _fresh_ones(last: int, code: int) -> list[int]:
    """Bits of `code`, high to low, whose left sibling was not in use at `last`: those at and below the highest bit that changed."""
    top = (last ^ code).bit_length()
    return [bit for bit in range(top - 1, -1, -1) if code >> bit & 1]


class _SmoothStream(NoiseStream):
    """`_partial[j]` is the noise of the nodes at the j + 1 highest ones of the code."""

    def __init__(self, n_ones: int, dim: int) -> None:
        self._n_ones = n_ones
        self._code = (1 << n_ones) - 1
        self._partial: Noise = np.zeros((n_ones, dim))

    def step(self, draw: Draw) -> Noise:
        last, self._code = self._code, next_code(self._code)
        n_fresh = len(_fresh_ones(last if self.n_seen else 0, self._code))
        self.n_seen += 1
        kept = self._n_ones - n_fresh
        fresh = np.cumsum(draw(n_fresh), axis=0)
        if self._partial.dtype != fresh.dtype:
            self._partial = cast("Noise", self._partial.astype(fresh.dtype))
        self._partial[kept:] = fresh + (self._partial[kept - 1] if kept else 0)
        return np.array(self._partial[-1])

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"partial": self._partial.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._partial = np.array(state["partial"])
        self._code = nth_code(n_seen + 1, self._n_ones)
        self.n_seen = n_seen


def nth_code(place: int, n_ones: int) -> int:
    """Return the code at a place, 1 for the smallest, among whole numbers with `n_ones` ones."""
    rest, code = place - 1, 0
    for ones in range(n_ones, 0, -1):
        bit = ones - 1
        while math.comb(bit + 1, ones) <= rest:
            bit += 1
        rest -= math.comb(bit, ones)
        code |= 1 << bit
    return code
