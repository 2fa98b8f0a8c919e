"""The k-ary counter with subtraction: the most accurate tree for pure differential privacy.

Steps are written with h digits from -m to m, m = (B - 1)/2, B odd: t = sum_i d_i B^i. A positive digit adds d_i nodes of size B^i to the
right of the running position, a negative digit subtracts |d_i| nodes to its left. Every item lies in at most one node a level.

symbols: B base, h levels with (B^h - 1)/2 >= T     Delta_1 = Delta_2^2 = h     ||L_t||^2 = sum_i |d_i|
A node to be subtracted is not complete yet; its NOISE is drawn when it is first needed, the release itself uses S(t) alone.
Cost: about one draw a step, 0.2 us a step in batches; state h m vectors. The middle child of a node is never used.

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

    def mean_error(self) -> float:
        """See `Factorization`; in closed form."""
        return total_digit_sum(self.horizon, self.base, self.n_levels) / self.horizon * self.l2_sensitivity**2

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
    """Return the base with the least h^2 mean sum |d_i|."""

    def error(base: int) -> int:
        h = levels_for(horizon, base)
        return h**2 * total_digit_sum(horizon, base, h)

    return min(BASES, key=error)


def absolute_digit_sums(horizon: int, base: int, n_levels: int) -> NDArray[np.int64]:
    """Return sum_i |d_i| of the balanced digits of t = 1 to T."""
    rest, total, m = np.arange(1, horizon + 1), np.zeros(horizon, dtype=np.int64), (base - 1) // 2
    for _ in range(n_levels):
        digit = (rest + m) % base - m
        total += np.abs(digit)
        rest = (rest - digit) // base
    return total


def total_digit_sum(horizon: int, base: int, n_levels: int) -> int:
    """Return the sum of `absolute_digit_sums`: each digit runs through whole periods, and then through a part of one."""
    return sum(_digit_total(horizon, base, i) - _digit_total(0, base, i) for i in range(n_levels))


def _digit_total(t: int, base: int, level: int) -> int:
    """Return sum |d_level| over a stretch of steps that ends with t and starts where a period of the digit does."""
    m, size = (base - 1) // 2, int(base**level)
    periods, rest = divmod(t + (base * size + 1) // 2, base * size)
    digits, part = divmod(rest, size)  # full runs of the digits -m, -m + 1, ...; then a part of the next one's
    runs = sum(abs(digit - m) for digit in range(digits))
    return periods * size * m * (m + 1) + size * runs + part * abs(digits - m)


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
    """`_now[i]` is what level i adds to a release; `_waiting[i, j]` the sum of the j + 1 nodes that a digit -(j + 1) subtracts."""

    def __init__(self, base: int, n_levels: int, dim: int) -> None:
        self._base, self._m = base, (base - 1) // 2
        self._now: Noise = np.zeros((n_levels, dim))
        self._waiting: Noise = np.zeros((n_levels, self._m, dim))

    def step(self, draw: Draw) -> Noise:
        self.n_seen += 1
        for level, digit in _moved(self.n_seen, self._base):
            if digit == -self._m:
                fresh = self._typed(draw(self._m))
                np.cumsum(fresh, axis=0, out=self._waiting[level])
            if digit > 0:
                fresh = self._typed(draw(1))[0]  # before the sum is looked up: the first whole draw replaces the arrays
                self._now[level] += fresh
            else:
                self._now[level] = -self._waiting[level, -digit - 1] if digit else 0
        return np.asarray(np.add.accumulate(self._now)[-1])  # one after the other: as in `run`

    def run(self, draw: Draw, n_steps: int) -> Noise:
        first = self.n_seen
        moves = [self._moves(level, first, n_steps) for level in range(len(self._now))]
        n_draws = np.zeros(n_steps, dtype=np.int64)
        for at, digit in moves:
            n_draws[at] += np.where(digit == -self._m, self._m, digit > 0)
        start = np.cumsum(n_draws) - n_draws
        fresh = self._typed(draw(int(n_draws.sum())))
        noise = np.zeros((n_steps, self._now.shape[1]), dtype=fresh.dtype)
        for level, (at, digit) in enumerate(moves):
            parts = self._level_parts(level, digit, fresh, start[at] + level * self._m)
            noise += np.repeat(parts, np.diff(np.concatenate([[0], at, [n_steps]])), axis=0)
        self.n_seen = first + n_steps
        return cast("Noise", noise)

    def _moves(self, level: int, first: int, n_steps: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return at which of the next steps the digit of a level moves, counted from 0, and the digits it moves to."""
        size = self._base**level
        at = np.arange(((size + 1) // 2 - first - 1) % size, n_steps, size)
        return at, (at + (first + 1 + (self._base * size - 1) // 2)) // size % self._base - self._m

    def _level_parts(self, level: int, digits: NDArray[np.int64], fresh: Noise, start: NDArray[np.int64]) -> Noise:
        """Return what a level adds before its first move and after each of them, and go on to the last one."""
        m, moves = self._m, np.arange(len(digits))
        parts = np.concatenate([self._now[level : level + 1], np.zeros((len(digits), fresh.shape[1]), dtype=fresh.dtype)])
        begins = np.flatnonzero(digits == -m)  # moves at which nodes are drawn that will be subtracted
        sums = np.cumsum(fresh[start[begins, None] + np.arange(m)], axis=1)
        waiting = np.concatenate([self._waiting[level : level + 1], sums])
        left = np.flatnonzero(digits < 0)
        parts[left + 1] = -waiting[np.searchsorted(begins, moves[left], side="right"), -digits[left] - 1]
        for digit in range(1, m + 1):
            here = np.flatnonzero(digits == digit)
            parts[here + 1] = parts[here] + fresh[start[here]]
        self._now[level], self._waiting[level] = parts[-1], waiting[-1]
        return cast("Noise", parts)

    def _typed(self, fresh: Noise) -> Noise:
        if fresh.dtype != self._now.dtype:
            self._now = cast("Noise", self._now.astype(fresh.dtype))
            self._waiting = cast("Noise", self._waiting.astype(fresh.dtype))
        return fresh

    def state(self) -> dict[str, NDArray[np.generic]]:
        return {"now": self._now.copy(), "waiting_sums": self._waiting.copy()}

    def restore(self, state: Mapping[str, NDArray[np.generic]], n_seen: int) -> None:
        self._now, self._waiting = np.array(state["now"]), np.array(state["waiting_sums"])
        self.n_seen = n_seen
