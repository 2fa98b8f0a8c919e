"""The k-ary counter with subtraction: the most accurate tree for pure differential privacy.

Steps are written with h digits from -m to m, m = (B - 1)/2, B odd: t = sum_i d_i B^i. A positive digit adds d_i nodes of size B^i to the
right of the running position, a negative digit subtracts |d_i| nodes to its left. Every item lies in at most one node a level.

symbols: B base, h levels with (B^h - 1)/2 >= T     Delta_1 = Delta_2^2 = h     ||L_t||^2 = sum_i |d_i|
A node to be subtracted is not complete yet; its NOISE is drawn when it is first needed, the release itself uses S(t) alone.
Cost: about one draw a step; state h m vectors. The middle child of a node is never used.

References
----------
Dwork, Naor, Pitassi, Rothblum, STOC 2010. Qardaji, Yang, Li, Understanding Hierarchical Methods for Differentially Private Histograms,
VLDB 2013. Andersson, Pagh, Steiner, Torkamani, Count on Your Elders: Laplace vs Gaussian Noise, FORC 2025 (subtraction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.factorization import Draw, Factorization, Floats, Noise, NoiseStream
from mechanisms.validation import whole_number

BASES = range(3, 62, 2)


class KAry(Factorization):
    """Tree of an odd base with balanced digits, exact on whole numbers.

    Parameters
    ----------
    horizon : T.
    base : odd number from 3; None takes the base from 3 to 61 with the least mean error under pure DP, Delta_1^2 mean ||L_t||^2.
    """

    name = "k_ary"
    whole = True
    complete = False

    def __init__(self, horizon: int, base: int | None = None) -> None:
        super().__init__(horizon)
        self.base = best_base(horizon) if base is None else whole_number(3, base=base)
        if self.base % 2 == 0:
            raise ValueError(f"base must be odd, so that digits are balanced, got {base}")
        self.n_levels = levels_for(horizon, self.base)

    @property
    def l1_sensitivity(self) -> float:
        """One node a level."""
        return float(self.n_levels)

    @property
    def l2_sensitivity(self) -> float:
        """sqrt(h)."""
        return math.sqrt(self.n_levels)

    def squared_row_norms(self) -> Floats:
        """Sum of the digits' absolute values."""
        return absolute_digit_sums(self.horizon, self.base, self.n_levels).astype(np.float64)

    @property
    def n_state(self) -> int:
        """Up to m waiting nodes and one sum a level."""
        return self.n_levels * ((self.base - 1) // 2 + 1)

    def stream(self, dim: int) -> NoiseStream:
        """Return a fresh stream."""
        return _KAryStream(self.base, self.n_levels, dim)

    def right_matrix(self) -> Floats:
        """One row per node, in the order in which a stream draws them."""
        self._require_small()
        m, items, rows = (self.base - 1) // 2, np.arange(self.horizon), []
        for t in range(1, self.horizon + 1):
            for level, digit in _moved(t, self.base):
                size, above = self.base**level, self.base ** (level + 1)
                start = (t + (above - 1) // 2) // above * above  # running position: the digits above
                firsts = [start - j * size for j in range(1, m + 1)] if digit == -m else [start + (digit - 1) * size] if digit > 0 else []
                rows += [(items >= first) & (items < first + size) for first in firsts]
        return np.stack(rows).astype(np.float64)


def levels_for(horizon: int, base: int) -> int:
    """Return the least h with (base^h - 1)/2 >= horizon."""
    h = 1
    while (base**h - 1) // 2 < horizon:
        h += 1
    return h


def best_base(horizon: int) -> int:
    """Return the base with the least h^2 mean sum |d_i|, by enumeration."""

    def error(base: int) -> float:
        h = levels_for(horizon, base)
        return h**2 * float(absolute_digit_sums(horizon, base, h).mean())

    return min(BASES, key=error)


def absolute_digit_sums(horizon: int, base: int, n_levels: int) -> NDArray[np.int64]:
    """Return sum_i |d_i| of the balanced digits of t = 1 to T."""
    rest, total, m = np.arange(1, horizon + 1), np.zeros(horizon, dtype=np.int64), (base - 1) // 2
    for _ in range(n_levels):
        digit = (rest + m) % base - m
        total += np.abs(digit)
        rest = (rest - digit) // base
    return total


def _moved(t: int, base: int) -> list[tuple[int, int]]:
    """Levels whose digit differs between t - 1 and t, low to high, with the new digit: carries end at -m, the last one grew by 1."""
    m, moved, level = (base - 1) // 2, [], 0
    while True:
        digit = (t + m) % base - m
        moved.append((level, digit))
        if digit != -m:
            return moved
        t = (t + m) // base
        level += 1


class _KAryStream(NoiseStream):
    """`_added[i]` is the noise of the nodes added at level i; `_waiting[i, :j]` that of the j nodes still subtracted, last one first."""

    def __init__(self, base: int, n_levels: int, dim: int) -> None:
        self._base, self._m = base, (base - 1) // 2
        self._added: Noise = np.zeros((n_levels, dim))
        self._waiting: Noise = np.zeros((n_levels, self._m, dim))

    def step(self, draw: Draw) -> Noise:
        self.n_seen += 1
        for level, digit in _moved(self.n_seen, self._base):
            if digit == -self._m:
                self._added[level] = 0
                self._waiting[level] = self._typed(draw(self._m))
            elif digit <= 0:
                self._waiting[level, -digit] = 0  # the node farthest to the left is left behind
            else:
                fresh = self._typed(draw(1))[0]  # before the sum is looked up: the first whole draw replaces the arrays
                self._added[level] += fresh
        return np.asarray(self._added.sum(axis=0) - self._waiting.sum(axis=(0, 1)))

    def _typed(self, fresh: Noise) -> Noise:
        if fresh.dtype != self._added.dtype:
            self._added = cast("Noise", self._added.astype(fresh.dtype))
            self._waiting = cast("Noise", self._waiting.astype(fresh.dtype))
        return fresh

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"added": self._added.copy(), "waiting": self._waiting.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._added, self._waiting = np.array(state["added"]), np.array(state["waiting"])
        self.n_seen = n_seen
