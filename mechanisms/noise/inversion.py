"""Sampling by inversion: a table of cumulative probabilities as 128-bit whole numbers.

Cell k is drawn if exactly k thresholds are at most U, a uniform 128-bit number. The high word of U decides, except where it equals the
high word of a threshold; only then, about once in 2^50 draws, the low word is drawn too. A guide of the leading bits names the cell
at once where its bucket holds no threshold (Chen, Asau 1974); the rest is found by binary search.

Total variation between table and ideal, returned as `tv_per_draw`: each of n cells errs by at most 2^-128 from rounding thresholds
down, to which come the errors of the weights and the tail that was cut off. Below 2^-100 for every table here.

References
----------
Chen, Asau, On Generating Random Variates from an Empirical Distribution, AIIE Transactions 1974.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bits import WORD_BITS, Words

_LOW_WORD = (1 << WORD_BITS) - 1
_MIN_GUIDE_BITS, _MAX_GUIDE_BITS = 8, 16


@dataclass(frozen=True, slots=True, eq=False)
class InversionTable:
    """A finite distribution over first, first + 1, ...; made by `inversion_table`.

    Parameters
    ----------
    high, low : (cells - 1,) words of the thresholds.
    guide : (2^g,) int32: the cell of each bucket of leading bits, or -1 where a search is needed.
    first : value of cell 0.
    tv_per_draw : bound on the total variation between a draw and the ideal distribution.
    """

    high: NDArray[np.uint64]
    low: NDArray[np.uint64]
    guide: NDArray[np.int32]
    first: int
    tv_per_draw: float

    @property
    def n_cells(self) -> int:
        """Number of values that can be drawn."""
        return len(self.high) + 1

    def sample(self, words: Words, size: int) -> NDArray[np.int64]:
        """Return `size` independent draws."""
        word = words(size)
        shift = np.uint64(WORD_BITS - (len(self.guide).bit_length() - 1))
        cell = self.guide[word >> shift].astype(np.int64)
        unsure = np.flatnonzero(cell < 0)
        if unsure.size:
            cell[unsure] = self._search(word[unsure], words)
        cell += self.first
        return np.asarray(cell, dtype=np.int64)

    def _search(self, word: NDArray[np.uint64], words: Words) -> NDArray[np.int64]:
        cell = np.searchsorted(self.high, word)
        equal = self.high[np.minimum(cell, len(self.high) - 1)] == word
        for i in np.flatnonzero(equal):
            last = int(np.searchsorted(self.high, word[i], side="right"))
            cell[i] += np.searchsorted(self.low[cell[i] : last], words(1)[0], side="right")
        return np.asarray(cell, dtype=np.int64)


def inversion_table(weights: list[int], *, first: int, error: int, tail: int) -> InversionTable:
    """Build a table.

    Parameters
    ----------
    weights : whole numbers proportional to the probabilities of first, first + 1, ...
    first : the value of the first weight.
    error, tail : bounds on the error of each weight and on the sum of all weights left out, in the units of the weights.
    """
    total = sum(weights)
    thresholds, cumulative = [], 0
    for weight in weights[:-1]:
        cumulative += weight
        thresholds.append((cumulative << (2 * WORD_BITS)) // total)
    high = np.array([threshold >> WORD_BITS for threshold in thresholds], dtype=np.uint64)
    low = np.array([threshold & _LOW_WORD for threshold in thresholds], dtype=np.uint64)
    n = len(weights)
    lost = Fraction(n, 1 << (2 * WORD_BITS)) + Fraction(n * error + tail, total)
    return InversionTable(high, low, _guide(high), first, float(lost) * (1 + 2.0**-40))


def _guide(high: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Cell of every bucket of leading bits that holds no threshold, -1 elsewhere."""
    g = min(max(len(high).bit_length() + 3, _MIN_GUIDE_BITS), _MAX_GUIDE_BITS)
    bucket = (high >> np.uint64(WORD_BITS - g)).astype(np.int64)
    n_inside = np.bincount(bucket, minlength=1 << g)
    return np.where(n_inside == 0, np.cumsum(n_inside), -1).astype(np.int32)
