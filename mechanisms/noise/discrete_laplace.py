"""The discrete Laplace over the whole numbers, P(x) proportional to exp(-|x| / b): an exact sampler and a fast one.

For whole-number values of sensitivity Delta (in L1) it gives pure epsilon-DP with epsilon = Delta / b (Ghosh, Roughgarden, Sundararajan
2009); its variance is 2 a / (1 - a)^2 with a = exp(-1 / b).

`sample_discrete_laplace` is fast. Up to b = 128 it inverts a table of 128-bit cumulative probabilities. Above, the magnitude is a
geometric number, whose digits in base 4096 are independent of each other: P(m) proportional to a^m is a product over the digits of
a^(digit 4096^i). Each digit comes from its own table; then a fair sign, with "-0" drawn anew. The only inexactness is the tables',
`discrete_laplace_tv`, below 2^-100 a draw. Where a guarantee is charged for it, a total variation t costs (1 + exp(epsilon)) t of delta.

`exact_discrete_laplace` draws one value by Canonne, Kamath, Steinke (2020, algorithm 2), with no approximation: pure DP stays pure.

Symbols: b scale, a = exp(-1 / b). Cost: tables of at most 30,000 cells, made once per scale in 50 ms and kept (a table is no noise); 8
bytes of entropy a draw up to b = 128, 24 up to b = 1e6.

References
----------
Ghosh, Roughgarden, Sundararajan, Universally Utility-Maximizing Privacy Mechanisms, STOC 2009. Canonne, Kamath, Steinke, The Discrete
Gaussian for Differential Privacy, NeurIPS 2020.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bernoulli import bernoulli_exp
from mechanisms.noise.bits import Words, uniform_below
from mechanisms.noise.fixed_point import falling_weights
from mechanisms.noise.inversion import InversionTable, inversion_table
from mechanisms.validation import positive

MAX_SCALE = 2.0**40
_LARGEST_TABLE_SCALE = 128.0
_DIGIT_BITS = 12
_LARGEST_TOP_SCALE = 256.0  # the leading digit has about 97 times this many cells


def sample_discrete_laplace(scale: float, size: int, words: Words) -> NDArray[np.int64]:
    """Return `size` independent draws, shape (size,), for 0 < scale <= 2^40; see the head of this file."""
    scale = valid_scale(scale)
    tables = _tables(scale)
    if scale <= _LARGEST_TABLE_SCALE:
        return tables[0].sample(words, size)
    result = np.empty(size, dtype=np.int64)
    missing = np.arange(size)
    while missing.size:
        magnitude = sum(table.sample(words, missing.size) << (_DIGIT_BITS * i) for i, table in enumerate(tables))
        negative = (words(missing.size) & np.uint64(1)).astype(np.bool_)
        result[missing] = np.where(negative, -magnitude, magnitude)
        missing = missing[negative & (magnitude == 0)]
    return result


def discrete_laplace_tv(scale: float) -> float:
    """Return a bound on the total variation between one draw of `sample_discrete_laplace` and the discrete Laplace.

    Examples
    --------
    >>> discrete_laplace_tv(1e6) < 2.0**-100
    True
    """
    scale = valid_scale(scale)
    tv = sum(table.tv_per_draw for table in _tables(scale))
    return tv * (1 if scale <= _LARGEST_TABLE_SCALE else 2)  # "-0" is drawn anew less than half of the time


def exact_discrete_laplace(scale: Fraction, words: Words) -> int:
    """Return one draw without any approximation, for a rational scale > 0; about 50 us."""
    numerator, denominator = scale.numerator, scale.denominator
    while True:
        rest = uniform_below(words, numerator)
        if not bernoulli_exp(Fraction(rest, numerator), words):
            continue
        whole = 0
        while bernoulli_exp(Fraction(1), words):
            whole += 1
        magnitude = (rest + numerator * whole) // denominator
        negative = uniform_below(words, 2) == 1
        if not (negative and magnitude == 0):
            return -magnitude if negative else magnitude


def discrete_laplace_variance(scale: float) -> float:
    """Return the variance 2 a / (1 - a)^2, a = exp(-1 / scale), as 1 / (2 sinh^2(1 / (2 scale))).

    Examples
    --------
    >>> round(discrete_laplace_variance(1.0), 6)
    1.841347
    """
    half = 1 / (2 * valid_scale(scale))
    return 0.0 if half > 300 else 1 / (2 * math.sinh(half) ** 2)


def valid_scale(scale: object) -> float:
    """Return the scale, or raise ValueError: it must be positive and at most 2^40, so that draws fit into 64 bits."""
    value = positive(scale=scale)
    if value > MAX_SCALE:
        raise ValueError(f"scale must be at most 2^40, got {scale}; measure in coarser units")
    return value


@lru_cache(maxsize=64)
def _tables(scale: float) -> tuple[InversionTable, ...]:
    """Table of x (scale up to 128), or of the digits of its magnitude, the lowest first."""
    rate = 1 / Fraction(scale)
    if scale <= _LARGEST_TABLE_SCALE:
        falling = falling_weights(rate, Fraction(0))
        weights = list(falling.weights)
        both = weights[:0:-1] + weights
        return (inversion_table(both, first=1 - len(weights), error=falling.error, tail=2 * falling.tail),)
    tables = []
    while 1 / rate > _LARGEST_TOP_SCALE:
        tables.append(_digit_table(rate, 1 << _DIGIT_BITS))
        rate *= 1 << _DIGIT_BITS
    return (*tables, _digit_table(rate, None))


def _digit_table(rate: Fraction, n_max: int | None) -> InversionTable:
    falling = falling_weights(rate, Fraction(0), n_max=n_max)
    return inversion_table(list(falling.weights), first=0, error=falling.error, tail=falling.tail)
