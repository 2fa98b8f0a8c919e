"""exp(-r) of a rational r as a fixed-point number with a proved error, in whole numbers only.

    exp(-r) = exp(-1)^floor(r) * exp(-(r - floor(r)))

Both factors come from the alternating series sum (-f)^k / k!, in which each truncation errs by less than one unit of the last guard
place. With 64 guard bits all errors together (series below 2^9 units, powers below 2^20 units) stay below 2^-40 units of the result.

`falling_weights` walks along exp(-(a x + b x^2)) with two multiplications a step. Its errors grow as x^2 units, which 256 bits make
negligible; the bound is returned.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

BITS = 256  # places of the weights
GUARD_BITS = 64
CUTOFF_BITS = 140  # weights below 2^-140 are cut off, and accounted for


@dataclass(frozen=True, slots=True)
class FallingWeights:
    """Weights of x = 0, 1, ..., in units of 2^-256, the first being 2^256; `error` and `tail` in the same units.

    Parameters
    ----------
    weights : one whole number per x.
    error : bound on the absolute error of every weight.
    tail : bound on the sum of the weights that were cut off.
    """

    weights: tuple[int, ...]
    error: int
    tail: int


def exp_minus(r: Fraction, bits: int) -> int:
    """Return 2^bits exp(-r) as a whole number that errs by less than 1, for a rational r >= 0.

    Examples
    --------
    >>> exp_minus(Fraction(1), 20) / 2**20
    0.36787986755371094
    """
    if r > bits + 2:  # exp(-r) < 2^-bits / 2
        return 0
    places = bits + GUARD_BITS
    whole = r.numerator // r.denominator
    fraction = ((r.numerator - whole * r.denominator) << places) // r.denominator
    result = _series(fraction, places)
    if whole:
        result = (result * _power(_series(1 << places, places), whole, places)) >> places
    return (result + (1 << (GUARD_BITS - 1))) >> GUARD_BITS


def falling_weights(linear: Fraction, quadratic: Fraction, *, n_max: int | None = None) -> FallingWeights:
    """Return exp(-(linear x + quadratic x^2)) for x = 0, 1, ... until it is below 2^-140, or for the first `n_max` values of x.

    The ratio of neighbors d(x) = exp(-(linear + quadratic (2 x + 1))) falls by the constant factor exp(-2 quadratic) a step. After x
    steps d errs by at most 2 x + 1 units and the weight by at most (x + 1)^2 units.
    """
    weight, ratio, factor = 1 << BITS, exp_minus(linear + quadratic, BITS), exp_minus(2 * quadratic, BITS)
    cutoff = 1 << (BITS - CUTOFF_BITS)
    weights: list[int] = []
    while len(weights) != n_max and weight >= cutoff:
        weights.append(weight)
        weight = (weight * ratio) >> BITS
        ratio = (ratio * factor) >> BITS
    n = len(weights) + 1
    error = n * n + 2
    if n_max is not None and len(weights) == n_max:
        return FallingWeights(tuple(weights), error, 0)
    gap = max((1 << BITS) - ratio - error, 1)  # the tail falls at least as fast as a geometric series of this ratio
    return FallingWeights(tuple(weights), error, ((weight + error) << BITS) // gap + 1)


def _series(fraction: int, places: int) -> int:
    """Return exp(-fraction / 2^places) in units of 2^-places, for a fraction in [0, 2^places]."""
    total = term = 1 << places
    k = 0
    while term:
        k += 1
        term = ((term * fraction) >> places) // k
        total += -term if k % 2 else term
    return total


def _power(base: int, exponent: int, places: int) -> int:
    result = 1 << places
    while exponent:
        if exponent & 1:
            result = (result * base) >> places
        base = (base * base) >> places
        exponent >>= 1
    return result
