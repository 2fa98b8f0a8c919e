"""Standard normal floats by inversion, both tails alike and resolved far beyond what a float grid of uniforms gives.

One bit is the sign. The other 63 bits of a word are a whole number j, and p = (j + 1/2) 2^-64 in (0, 1/2) is the tail probability in
floating point, so that a small p keeps its relative precision. Where j is below 2^49, once in 2^14 draws, more bits are appended until
it is not, so that every p, however small, is resolved to a relative 2^-50. Then |z| = -Phi^-1(p).

The result is a float near an ideal normal draw, not an ideal draw. The coupling: with the same bits, refined without end, the ideal z
is within NORMAL_ERROR max(1, |z|), always. A release rounds to a grid and pays for this distance (`mechanisms.continual.float_cost`); an
unrounded float release has no guarantee (Mironov 2012).

Symbols: Phi normal distribution function, p tail probability. Cost: 8 bytes of entropy and about 0.1 us a draw.

References
----------
Mironov, On Significance of the Least Significant Bits for Differential Privacy, CCS 2012.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mechanisms.noise.bits import WORD_BITS, Words, random_bits

NORMAL_ERROR = 2.0**-46  # several times what is measured: resolution 2^-50, rounding 2^-53, error of ndtri about 2^-50
_LEAST_NUMERATOR = 1 << 49


def standard_normal(size: int, words: Words) -> NDArray[np.float64]:
    """Return `size` independent draws, shape (size,), each within NORMAL_ERROR max(1, |z|) of an ideal normal draw z."""
    word = words(size)
    numerator = word >> np.uint64(1)
    tail = (numerator + 0.5) * 2.0**-WORD_BITS
    for i in np.flatnonzero(numerator < _LEAST_NUMERATOR):
        tail[i] = _refined(int(numerator[i]), words)
    z = -ndtri(tail)
    return np.asarray(np.where((word & np.uint64(1)).astype(np.bool_), -z, z), dtype=np.float64)


def _refined(numerator: int, words: Words) -> float:
    n_bits = WORD_BITS
    while numerator < _LEAST_NUMERATOR:
        numerator, n_bits = (numerator << WORD_BITS) | random_bits(words, WORD_BITS), n_bits + WORD_BITS
    return math.ldexp(numerator >> max(0, numerator.bit_length() - 60), max(0, numerator.bit_length() - 60) - n_bits)
