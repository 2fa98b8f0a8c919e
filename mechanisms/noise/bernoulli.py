"""Coins that fall heads with probability exp(-r), exactly, for rational r.

`bernoulli_exp` is the algorithm of Canonne, Kamath, Steinke (2020, algorithm 1): no exponential is ever computed. `bernoulli_exp_many`
tosses many coins at once: a coin is heads if a uniform U of unlimited precision is below exp(-r). The first 64 bits of U and a float
exponential decide, unless they are closer than 2^-40; only then, once in 2^39 tosses, the rational r is asked for and whole-number
arithmetic decides with as many bits of U as it takes. Both are exact: no rounding of a logarithm or an exponential reaches the result,
provided the platform's float exp errs by less than 2^-41 (it errs by about 2^-53).

Symbols: r exponent, U uniform. Cost: about 2 us for one coin and 0.1 us a coin for many.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from mechanisms.noise.bits import WORD_BITS, Words, random_bits, uniform_below
from mechanisms.noise.fixed_point import exp_minus

_MARGIN = 2.0**-40  # far above the error of a float exponential of a float exponent


def bernoulli_exp(r: Fraction, words: Words) -> bool:
    """Toss one coin that is heads with probability exp(-r), r >= 0."""
    whole, rest = divmod(r.numerator, r.denominator)
    return all(_bernoulli_exp_below_one(1, 1, words) for _ in range(whole)) and _bernoulli_exp_below_one(rest, r.denominator, words)


def bernoulli_exp_many(r: NDArray[np.float64], exact_r: Callable[[int], Fraction], words: Words) -> NDArray[np.bool_]:
    """Toss one coin per element, heads with probability exp(-exact_r(i)).

    Parameters
    ----------
    r : (n,) floats >= 0, infinity allowed, within a few units of the last place of the exact exponents.
    exact_r : returns the exact exponent of an element; called only for tosses that the floats can't decide.
    words : the source of randomness, 64 bits a coin.
    """
    word = words(r.size)
    difference = word * 2.0**-WORD_BITS - np.exp(-r)
    heads = difference < 0
    for i in np.flatnonzero(np.abs(difference) <= _MARGIN):
        heads[i] = is_below_exp(int(word[i]), WORD_BITS, exact_r(int(i)), words)
    return np.asarray(heads, dtype=np.bool_)


def is_below_exp(drawn: int, n_bits: int, r: Fraction, words: Words) -> bool:
    """Whether U < exp(-r) for the uniform U whose first `n_bits` bits are `drawn`; further bits are drawn as needed."""
    if r == 0:
        return True
    while True:
        level = exp_minus(r, n_bits)
        if drawn + 1 <= level - 1:
            return True
        if drawn >= level + 1:
            return False
        drawn, n_bits = (drawn << WORD_BITS) | random_bits(words, WORD_BITS), n_bits + WORD_BITS


def _bernoulli_exp_below_one(numerator: int, denominator: int, words: Words) -> bool:
    """Toss heads with probability exp(-numerator / denominator), for a ratio in [0, 1]: von Neumann's alternating series."""
    k = 1
    while uniform_below(words, denominator * k) < numerator:
        k += 1
    return k % 2 == 1
