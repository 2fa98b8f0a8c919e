"""Utilities of candidates as exponents: r_i = f (max u - u_i), once as floats and, where a coin asks, as exact rationals.

f is epsilon / (2 D), and epsilon / D where the utilities are monotone: one neighboring step moves all of them up (or none down), or all
of them down (or none up), each by at most D. Counts are monotone under add/remove and zero-out, never under replacement.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.validation import one_dimensional, positive

_LARGEST_FACTOR = 1e100


@dataclass(frozen=True, slots=True, eq=False)
class Exponents:
    """The exponents r_i >= 0 of exp(-r_i), the best candidate's being 0; made by `exponents`."""

    utility: NDArray[np.float64]
    best: float
    factor: Fraction

    @property
    def floats(self) -> NDArray[np.float64]:
        """(n,) floats, each within three roundings of the exact exponent."""
        with np.errstate(over="ignore"):
            return np.asarray(float(self.factor) * (self.best - self.utility), dtype=np.float64)

    def take(self, indices: NDArray[np.int64]) -> Exponents:
        """The exponents of some candidates, repeated ones too."""
        return Exponents(self.utility[indices], self.best, self.factor)

    def exact(self, i: int) -> Fraction:
        """The exact exponent of one candidate."""
        return self.factor * (Fraction(self.best) - Fraction(float(self.utility[i])))


def valid_utilities(utilities: ArrayLike) -> NDArray[np.float64]:
    """Return the utilities as finite floats, shape (n,), n >= 1.

    Raises
    ------
    ValueError : empty, more than one axis, not numbers, not finite, or whole numbers that no float holds.
    """
    array = one_dimensional(utilities=utilities)
    if array.size == 0 or array.dtype.kind not in "fiub":
        raise ValueError(f"utilities must be at least one number, got {array.size} of dtype {array.dtype}")
    utility = np.array(array, dtype=np.float64)
    n_bad = int(np.sum(~np.isfinite(utility))) + int(np.sum(np.abs(utility) >= 2.0**53) if array.dtype.kind in "iu" else 0)
    if n_bad:
        raise ValueError(f"utilities must be finite and, if whole numbers, below 2^53, got {n_bad} of {array.size} that aren't")
    return utility


def exponent_factor(*, epsilon: float, sensitivity: float, neighboring: Neighboring, monotone: bool) -> Fraction:
    """Return epsilon / (2 sensitivity), or epsilon / sensitivity for monotone utilities, exactly.

    Raises
    ------
    ValueError : a value not positive, a ratio above 1e100, or monotone utilities claimed under replacement.
    TypeError : neighboring is no `Neighboring`.
    """
    nats, step = positive(epsilon=epsilon), positive(sensitivity=sensitivity)
    if monotone and valid_neighboring(neighboring) is Neighboring.REPLACE:
        raise ValueError("monotone must be False under replace: a replaced record can raise one utility and lower another")
    valid_neighboring(neighboring)
    factor = Fraction(nats) / (Fraction(step) * (1 if monotone else 2))
    if factor > _LARGEST_FACTOR:
        raise ValueError(f"epsilon / sensitivity must be at most 1e100, got {epsilon} / {sensitivity}")
    return factor


def exponents(utility: NDArray[np.float64], factor: Fraction) -> Exponents:
    """Return the exponents of validated utilities."""
    return Exponents(utility, float(utility.max()), factor)
