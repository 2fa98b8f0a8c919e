"""The smooth binary counter: every release has exactly the same variance.

Item t is put at the leaf whose code is the t-th string of k bits with exactly k/2 ones; other leaves stay empty. S(t) is the sum of the
left siblings at the ones of code(t + 1): k/2 nodes for every t, and every item lies in k/2 left children.

symbols: k = smallest even number with C(k, k/2) - 1 >= T     Delta_1 = Delta_2^2 = k/2     ||L_t||^2 = k/2 for all t
Cost: about one draw a step on average, 0.3 us a step in batches of whole noise; state k/2 vectors.

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

_GAP = 32  # numbers to be searched for a code: more than there are between two codes on the average
_CHUNK = 2**18


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

    def run(self, draw: Draw, n_steps: int) -> Noise:
        codes = codes_from(self._code, nth_code(self.n_seen + n_steps + 1, self._n_ones), self._n_ones, most=_GAP * (n_steps + 64))
        if codes is None:
            return super().run(draw, n_steps)
        if not self.n_seen:
            codes[0] = 0
        top = np.frexp((codes[1:] ^ codes[:-1]).astype(np.float64))[1]  # the highest bit that changed, counted from 1
        n_fresh = np.bitwise_count(codes[1:] & ((1 << top.astype(np.int64)) - 1)).astype(np.int64)
        start = np.cumsum(n_fresh) - n_fresh
        fresh = draw(int(n_fresh.sum()))
        sums = cast("Noise", np.concatenate([np.zeros_like(fresh[:1]), np.cumsum(fresh, axis=0)]))  # exact for whole noise
        kept = self._kept_sums(n_fresh, start, sums)
        self._code, self.n_seen = int(codes[-1]), self.n_seen + n_steps
        return cast("Noise", kept + (sums[start + n_fresh] - sums[start]))

    def _kept_sums(self, n_fresh: NDArray[np.int64], start: NDArray[np.int64], sums: Noise) -> Noise:
        """Return for each step the noise of the nodes that it keeps, the higher ones, and go on to the last step's partial sums."""
        kept = np.zeros((len(n_fresh), sums.shape[1]), dtype=sums.dtype)
        before, after = self._partial.astype(sums.dtype), self._partial.astype(sums.dtype)

        def highest(n: int, step: NDArray[np.int64]) -> Noise:
            """The noise of the n highest ones at steps that drew the last of them."""
            n_new = n - (self._n_ones - n_fresh[step])
            return cast("Noise", kept[step] + (sums[start[step] + n_new] - sums[start[step]]))

        for n in range(self._n_ones):  # steps that keep n nodes; those that keep less are done
            here, less = (np.flatnonzero(steps) for steps in (n_fresh == self._n_ones - n, n_fresh > self._n_ones - n))
            source = np.searchsorted(less, here) - 1  # the last step that drew the nodes
            inside = source >= 0
            kept[here[inside]] = highest(n, less[source[inside]])
            kept[here[~inside]] = before[n - 1] if n else 0
            drew = np.flatnonzero(n_fresh >= self._n_ones - n)[-1:]
            after[n : n + len(drew)] = highest(n + 1, drew)
        self._partial = cast("Noise", after)
        return cast("Noise", kept)

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"partial": self._partial.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._partial = np.array(state["partial"])
        self._code = nth_code(n_seen + 1, self._n_ones)
        self.n_seen = n_seen


def codes_from(first: int, last: int, n_ones: int, *, most: int) -> NDArray[np.int64] | None:
    """Return all codes from `first` to `last`; None where that takes a search among more than `most` numbers."""
    if last - first > most:
        return None
    chunks = (np.arange(low, min(low + _CHUNK, last + 1)) for low in range(first, last + 1, _CHUNK))
    return np.concatenate([chunk[np.bitwise_count(chunk) == n_ones] for chunk in chunks])


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
