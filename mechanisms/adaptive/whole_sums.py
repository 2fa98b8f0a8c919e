"""Sums of values in [0, 1] as whole numbers, so that replacing one record moves a sum by what is promised and not by a rounding more.

Float sums depend on the order and size of all terms: their change under one replaced record can exceed 1 in the last places, and noise on
floats leaks through the gaps between floats. Here each value is first rounded, by itself, to a multiple of 2^-20; sums of multiples are
exact. One record moves a sum by at most 2^20 units, exactly. Rounding moves a mean by at most 2^-21.

Cost: a pass over the values. Sums stay below 2^63 for up to 2^42 records.

References
----------
Mironov, On Significance of the Least Significant Bits for Differential Privacy, CCS 2012. Casacuberta et al., Widespread Underestimation of
Sensitivity in Differentially Private Libraries and How to Fix It, CCS 2022.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNITS = 1 << 20  # a record's largest share of a sum


def in_units(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return values in [0, 1] as multiples of 1 / UNITS, in 0 to UNITS.

    Examples
    --------
    >>> in_units(np.array([0.0, 0.5, 1.0])).tolist()
    [0, 524288, 1048576]
    """
    return np.floor(values * UNITS + 0.5).astype(np.int64)


def rounded_count(units: int) -> int:
    """Return a sum of units as the nearest whole number of records, halves upward: sums UNITS apart stay 1 apart."""
    return (units + UNITS // 2) // UNITS
