"""Standard normal floats in pairs, by radius and angle (Box, Muller 1958), resolved far beyond what a float grid of uniforms gives.

    z_1 = +- r cos phi,  z_2 = +- r sin phi,  r = sqrt(-2 ln U)      U uniform in (0, 1), phi uniform in the first quadrant
    t = tan(phi / 2),  cos phi = (1 - t^2) / (1 + t^2),  sin phi = 2 t / (1 + t^2)

A word makes a radius: one bit is the side of 1/2 that U lies on, the others are a whole number j, and v = (j + 1/2) 2^-64 in (0, 1/2) is
U or 1 - U in floating point, so that the nearer end keeps its relative precision. Where j is below 2^49, once in 2^14 draws, more bits are
appended until it is not, so that every v, however small, is resolved to a relative 2^-50. A second word holds both signs, 62 bits are phi.

The result is a float near an ideal normal draw, not an ideal draw. The coupling: with the same bits, refined without end, both ideal
draws of the pair are within NORMAL_ERROR max(1, r), r their radius, which is above 16 with probability exp(-128). Proof, with u = 2^-53
and functions that err by 4 u of their value at most:

    v errs by 2^-48.9 of itself (bits and rounding), hence r by 2^-49.1 + 4 u r: |v dr/dv| is at most 0.85 on either side
    phi / 2 < pi / 4 errs by 4 u of itself, t by 12 u of itself, cos and sin by 12 u: |d cos / d ln t| = 4 t^2 / (1 + t^2)^2 <= 1
    roundings after t: 6 u; in all 2^-49.1 + 22 u r < 2^-47 max(1, r)

The sign of the error is a fair bit of each draw's own. A release rounds to a grid and pays for this distance
(`mechanisms.continual.float_cost`); an unrounded float release has no guarantee (Mironov 2012).

Cost: 8 bytes of entropy a draw, one pair at least, and about 0.01 us a draw in bulk beside the entropy, half of an inversion's.

References
----------
Box, Muller, A Note on the Generation of Random Normal Deviates, Ann. Math. Stat. 1958. Mironov, On Significance of the Least Significant
Bits for Differential Privacy, CCS 2012.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bits import WORD_BITS, Words, random_bits

NORMAL_ERROR = 2.0**-46  # twice what is proved
_LEAST_NUMERATOR = 1 << 49
_ONE, _TWO, _SIGN = np.uint64(1), np.uint64(2), np.uint64(63)


def standard_normal(size: int, words: Words) -> NDArray[np.float64]:
    """Return `size` independent draws, shape (size,), each within NORMAL_ERROR max(1, r) of an ideal draw, r the radius of its pair."""
    n = (size + 1) // 2
    word = words(2 * n)
    result = np.empty(2 * n)
    first, second, angle = result[:n], result[n:], word[n:]
    first[:] = _radius(word[:n], words)
    t = np.tan(((angle >> _TWO) + 0.5) * (math.pi * 2.0**-WORD_BITS))
    square = t * t
    first /= 1 + square
    np.multiply(first, 2 * t, out=second)
    first *= 1 - square
    bits = result.view(np.uint64)
    bits[:n] ^= angle << _SIGN
    bits[n:] ^= (angle >> _ONE) << _SIGN
    return result[:size]


def _radius(word: NDArray[np.uint64], words: Words) -> NDArray[np.float64]:
    numerator = word >> _ONE
    v = (numerator + 0.5) * 2.0**-WORD_BITS
    if numerator.min(initial=_LEAST_NUMERATOR) < _LEAST_NUMERATOR:
        for i in np.flatnonzero(numerator < _LEAST_NUMERATOR):
            v[i] = _refined(int(numerator[i]), words)
    return np.asarray(np.sqrt(-2 * np.where((word & _ONE).astype(np.bool_), np.log1p(-v), np.log(v))))


def _refined(numerator: int, words: Words) -> float:
    n_bits = WORD_BITS
    while numerator < _LEAST_NUMERATOR:
        numerator, n_bits = (numerator << WORD_BITS) | random_bits(words, WORD_BITS), n_bits + WORD_BITS
    return math.ldexp(numerator >> max(0, numerator.bit_length() - 60), max(0, numerator.bit_length() - 60) - n_bits)
