"""Discrete Gaussian draws that each have a scale of their own, from a few tables: what the marginals of one release need.

A table per sigma takes milliseconds, and a release may have thousands of different sigmas. Here x is drawn at the next sigma_g >= sigma of
the grid 2^(j/4) and kept with probability

    exp(-(x^2 / 2) (1 / sigma^2 - 1 / sigma_g^2)),

by an exact coin, else drawn anew. Kept values have exactly the law of sigma, since the product is exp(-x^2 / (2 sigma^2)). At least
sigma / sigma_g > 0.84 of them are kept: sum over x of exp(-x^2 / (2 sigma^2)), divided by sigma, falls in sigma (Poisson summation). A
total variation t of a proposal becomes at most (3/2) t / 0.84 < 2 t, below 2^-100 a draw like everywhere.

If all scales are equal, draws come from their own table. Cost: 4 tables per factor 2 between the scales, 2 to 10 ms each when first needed;
then 0.2 to 0.4 us and 16 to 24 bytes of entropy a draw.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020, algorithm 3 (rejection by an exact coin).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bernoulli import bernoulli_exp_many
from mechanisms.noise.bits import Words
from mechanisms.noise.discrete_gaussian import sample_discrete_gaussian, valid_sigma
from mechanisms.validation import one_dimensional

_PER_OCTAVE = 4


def sample_discrete_gaussian_each(sigmas: NDArray[np.float64], words: Words) -> NDArray[np.int64]:
    """Return one independent draw per sigma, shape (n,), for 0 < sigma <= 2^40.

    Raises
    ------
    ValueError : a sigma out of range, or more than one axis.
    """
    one_dimensional(sigmas=sigmas)
    if not sigmas.size:
        return np.empty(0, dtype=np.int64)
    least, largest = valid_sigma(sigmas.min()), valid_sigma(sigmas.max())
    if least == largest:
        return sample_discrete_gaussian(least, sigmas.size, words)
    wider = next_in_grid(sigmas)
    result = np.empty(sigmas.size, dtype=np.int64)
    missing = np.arange(sigmas.size)
    while missing.size:
        proposed = _propose(wider[missing], words)
        kept = _keep(proposed, sigmas[missing], wider[missing], words)
        result[missing[kept]] = proposed[kept]
        missing = missing[~kept]
    return result


def next_in_grid(sigmas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the least 2^(j/4) that is not below each sigma."""
    place = np.ceil(np.log2(sigmas) * _PER_OCTAVE).astype(np.int64) - 1
    for _ in range(2):  # the logarithm may have been rounded either way
        place += _grid(place) < sigmas
    return _grid(place)


def _grid(place: NDArray[np.int64]) -> NDArray[np.float64]:
    octave, step = np.divmod(place, _PER_OCTAVE)
    return np.asarray(np.ldexp(np.exp2(step / _PER_OCTAVE), octave), dtype=np.float64)  # exact multiples: octaves share their tables


def _propose(wider: NDArray[np.float64], words: Words) -> NDArray[np.int64]:
    result = np.empty(wider.size, dtype=np.int64)
    for sigma in np.unique(wider):
        here = np.flatnonzero(wider == sigma)
        result[here] = sample_discrete_gaussian(float(sigma), here.size, words)
    return result


def _keep(x: NDArray[np.int64], sigma: NDArray[np.float64], wider: NDArray[np.float64], words: Words) -> NDArray[np.bool_]:
    def exact(i: int) -> Fraction:
        return Fraction(int(x[i]) ** 2, 2) * (1 / Fraction(float(sigma[i])) ** 2 - 1 / Fraction(float(wider[i])) ** 2)

    exponent = (x / sigma) ** 2 * ((1 - sigma / wider) * (1 + sigma / wider)) / 2
    return bernoulli_exp_many(exponent, exact, words)
