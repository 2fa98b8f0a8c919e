"""Random bits turned into exactly uniform whole numbers.

`Words` is the one source of randomness: a function that returns n fresh 64-bit words. A whole number below n is drawn by rejection, so
it is exactly uniform, whatever n; on the average less than two attempts are needed (Lumbroso 2013 does with fewer bits).

References
----------
Lumbroso, Optimal Discrete Uniform Generation from Coin Flips, 2013.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Words = Callable[[int], NDArray[np.uint64]]

WORD_BITS = 64


def random_bits(words: Words, n_bits: int) -> int:
    """Return a whole number uniform in [0, 2^n_bits)."""
    n_words = -(-n_bits // WORD_BITS)
    return int.from_bytes(words(n_words).tobytes(), "little") >> (n_words * WORD_BITS - n_bits)


def uniform_below(words: Words, n: int) -> int:
    """Return a whole number exactly uniform in [0, n), for n >= 1 of any size."""
    n_bits = (n - 1).bit_length()
    while True:
        drawn = random_bits(words, n_bits) if n_bits else 0
        if drawn < n:
            return drawn


def uniform_indices(words: Words, n: int, size: int) -> NDArray[np.int64]:
    """Return `size` independent indices, each exactly uniform in [0, n), for 1 <= n <= 2^62."""
    word = words(size)
    last = np.uint64(2**WORD_BITS - 2**WORD_BITS % n - 1)  # words up to here hold every remainder equally often
    while (late := np.flatnonzero(word > last)).size:
        word[late] = words(late.size)
    return np.asarray(word % np.uint64(n), dtype=np.int64)
