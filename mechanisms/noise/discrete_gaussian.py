"""The discrete Gaussian over the whole numbers, P(x) proportional to exp(-x^2 / (2 sigma^2)): an exact sampler and a fast one.

For whole-number values of sensitivity Delta it gives rho-zCDP with rho = Delta^2 / (2 sigma^2), the same as the continuous Gaussian
(Canonne, Kamath, Steinke 2020, theorem 14; in many dimensions with the L2 sensitivity), and its variance is at most sigma^2.

`sample_discrete_gaussian` is fast. Up to sigma = 256 it inverts a table of 128-bit cumulative probabilities. Above, a magnitude is
put together from a block of B = 2^k values and a place in it, m = B h + l: h from a table with weights exp(-(B h)^2 / (2 sigma^2)), l
uniform, accepted by an exact coin of probability exp(-(2 B h l + l^2) / (2 sigma^2)), above 0.99 on the average; then a fair sign, with
"-0" drawn anew. The only inexactness is the table's, `discrete_gaussian_tv`, below 2^-100 a draw. Where a guarantee is charged for it,
a total variation t costs (1 + exp(epsilon)) t of delta.

`exact_discrete_gaussian` draws one value by Canonne, Kamath, Steinke (2020, algorithm 3), with no approximation at all.

Symbols: sigma standard deviation of the continuous namesake (scale), B block, h block number, l place in the block. Cost: a table of at
most 7,200 cells, made once per sigma in 10 ms and kept (a table is no noise); 8 bytes of entropy a draw up to sigma = 256, 16 above.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020. Karney, Sampling Exactly from the Normal
Distribution, ACM TOMS 2016 (splitting a magnitude).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bernoulli import bernoulli_exp, is_below_exp
from mechanisms.noise.bits import WORD_BITS, Words
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.noise.fixed_point import falling_weights
from mechanisms.noise.inversion import InversionTable, inversion_table
from mechanisms.validation import positive

MAX_SIGMA = 2.0**40
_LARGEST_TABLE_SIGMA = 256
_MARGIN = 2.0**-40  # far above the error of a float exponential of a float exponent
_ONE = np.uint64(1)


def sample_discrete_gaussian(sigma: float, size: int, words: Words) -> NDArray[np.int64]:
    """Return `size` independent draws, shape (size,), for 0 < sigma <= 2^40; see the head of this file."""
    sigma = valid_sigma(sigma)
    k = _block_bits(sigma)
    table = _table(sigma)
    if k == 0:
        return table.sample(words, size)
    result = np.empty(size, dtype=np.int64)
    missing = np.arange(size)
    while missing.size:
        value, accepted = _propose(sigma, k, table, missing.size, words)
        result[missing[accepted]] = value[accepted]
        missing = missing[~accepted]
    return result


def discrete_gaussian_tv(sigma: float) -> float:
    """Return a bound on the total variation between one draw of `sample_discrete_gaussian` and the discrete Gaussian.

    Examples
    --------
    >>> discrete_gaussian_tv(100.0) < 2.0**-100
    True
    """
    sigma = valid_sigma(sigma)
    return _table(sigma).tv_per_draw * (1 if _block_bits(sigma) == 0 else 2)  # more than half of the proposals are accepted


def exact_discrete_gaussian(sigma_squared: Fraction, words: Words) -> int:
    """Return one draw without any approximation, for a rational sigma^2 > 0; about 0.2 ms."""
    t = int(sigma_squared**0.5) + 1
    while True:
        y = exact_discrete_laplace(Fraction(t), words)
        if bernoulli_exp((abs(y) - sigma_squared / t) ** 2 / (2 * sigma_squared), words):
            return y


def discrete_gaussian_variance(sigma: float) -> float:
    """Return the variance, at most sigma^2 and equal to it within 1e-16 from sigma = 1.5 on.

    Examples
    --------
    >>> round(discrete_gaussian_variance(0.5), 6)
    0.215013
    """
    sigma = valid_sigma(sigma)
    if sigma > 20:
        return sigma * sigma  # smaller by a factor 1 - exp(-2 pi^2 sigma^2), up to 4 pi^2 sigma^2
    x = np.arange(1, int(40 * sigma) + 2, dtype=np.float64)
    weight = np.exp(-(x**2) / (2 * sigma**2))
    return float(2 * (x**2 * weight).sum() / (1 + 2 * weight.sum()))


def valid_sigma(sigma: object) -> float:
    """Return sigma, or raise ValueError: it must be positive and at most 2^40, so that draws fit into 64 bits."""
    value = positive(sigma=sigma)
    if value > MAX_SIGMA:
        raise ValueError(f"sigma must be at most 2^40, got {sigma}; measure in coarser units")
    return value


def _block_bits(sigma: float) -> int:
    """Return k of the block B = 2^k: the least with sigma / B <= 256."""
    return max(0, int(np.ceil(np.log2(sigma / _LARGEST_TABLE_SIGMA))))


def _table(sigma: float) -> InversionTable:
    """Table of x (sigma up to 256) or of the block number h >= 0 (above)."""
    k = _block_bits(sigma)
    return _table_in_blocks(sigma / 2.0**k, k > 0)  # a power of two: the quotient is exact


@lru_cache(maxsize=64)
def _table_in_blocks(sigma: float, one_sided: bool) -> InversionTable:
    falling = falling_weights(Fraction(0), 1 / (2 * Fraction(sigma) ** 2))
    weights = list(falling.weights)
    if one_sided:
        return inversion_table(weights, first=0, error=falling.error, tail=falling.tail)
    both = weights[:0:-1] + weights
    return inversion_table(both, first=1 - len(weights), error=falling.error, tail=2 * falling.tail)


def _propose(sigma: float, k: int, table: InversionTable, size: int, words: Words) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return proposals and which of them are accepted. One word holds the sign, l (k bits) and the first bits of the coin."""
    start = table.sample(words, size) << k
    word = words(size)
    place = ((word >> _ONE) & np.uint64((1 << k) - 1)).astype(np.int64)
    coin = word >> np.uint64(k + 1)
    exponent = (2.0 * start + place) * place / (2 * sigma * sigma)
    resolution = 2.0 ** (k + 1 - WORD_BITS)
    difference = coin * resolution - np.exp(-exponent)
    accepted = difference < 0
    for i in np.flatnonzero(np.abs(difference) <= resolution + _MARGIN):
        here, below = int(place[i]), int(start[i])
        r = Fraction((2 * below + here) * here) / (2 * Fraction(sigma) ** 2)
        accepted[i] = is_below_exp(int(coin[i]), WORD_BITS - k - 1, r, words)
    magnitude = start + place
    negative = (word & _ONE).astype(np.bool_)
    accepted &= ~(negative & (magnitude == 0))
    return np.where(negative, -magnitude, magnitude), accepted
