"""The public row scale of the scaled square root: a form of six numbers, and what they are at each horizon.

    ln a_t = x_1 ln s(T-t+1) + x_2 ln s(t) + x_3 u^2 + x_4 v^2 + x_5 u^3 + x_6 v^3
    u = ln s(t) / ln s(T) in [0, 1],  v = u at T-t+1

u and v do not grow with T, so numbers fitted at one horizon stay harmless at the next; polynomials of t do not have that property.
The numbers are public constants: any numbers give the same privacy. They were found by quasi-Newton search on the exact variances; at
2^18 (max) and 2^20 by a search along the trend of the smaller horizons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from mechanisms.continual.factorization import Floats
from mechanisms.continual.square_root import root_coefficients

Exponents = tuple[float, ...]

FITTED: Mapping[str, Mapping[int, Exponents]] = {
    "mean": {
        16: (1.9774, 0.6027, 0.0688, -0.3055, 0.31, 0.4572),
        64: (1.8536, 0.3452, -0.0779, -0.1611, 0.6268, 0.5029),
        256: (1.6234, 0.2927, -0.6604, 0.3474, 1.2355, 0.4021),
        1024: (1.0289, 0.3536, -1.4596, 1.8572, 1.8955, -0.2368),
        4096: (-0.6128, 0.4808, -2.3654, 6.0099, 2.5494, -2.2056),
        16384: (0.4854, 0.6527, -3.3726, 6.5842, 3.2242, -2.9612),
        65536: (1.6026, 0.7579, -4.0396, 9.5033, 3.6099, -5.503),
        262144: (2.7237, 0.8734, -4.7082, 12.4279, 3.9862, -8.0384),
        1048576: (3.837, 0.9683, -5.3736, 15.3415, 4.3813, -10.5866),
    },
    "max": {
        16: (0.66, 1.1104, -0.2869, 0.153, 0.4772, 0.1486),
        64: (0.6018, 0.9032, -0.5738, 0.3481, 0.8771, 0.2062),
        256: (0.5112, 0.3987, -0.6656, 0.6566, 1.3003, 0.2626),
        1024: (0.4231, 0.5131, -2.0416, 0.8966, 2.4425, 0.4388),
        4096: (-0.2808, 0.8737, -3.9716, 2.3472, 3.8062, 0.0429),
        16384: (-1.8218, 1.3905, -6.4224, 5.6418, 5.4099, -1.1564),
        65536: (-2.5773, 1.7764, -8.4629, 8.0394, 6.7086, -2.0546),
        262144: (-2.5814, 1.9542, -9.5863, 9.0897, 7.3951, -2.4708),
        1048576: (-2.8843, 2.2306, -11.1743, 10.769, 8.3861, -3.1156),
    },
}


def row_scale(horizon: int, exponents: Exponents) -> Floats:
    """Return a_1 to a_T.

    Raises
    ------
    ValueError : more than six numbers, or a scale that overflows.
    """
    if len(exponents) > 6:
        raise ValueError(f"exponents must be at most six numbers, got {len(exponents)}")
    log_s = np.log(np.cumsum(root_coefficients(horizon) ** 2))
    u = log_s / max(log_s[-1], 1e-300)
    terms = (log_s[::-1], log_s, u**2, u[::-1] ** 2, u**3, u[::-1] ** 3)
    log_scale = sum((x * term for x, term in zip(exponents, terms, strict=False)), start=np.zeros(horizon))
    if not np.abs(log_scale).max() < 300:
        raise ValueError("exponents give a row scale beyond e^300; take smaller ones")
    return np.exp(log_scale)


def fitted_exponents(horizon: int, objective: str) -> Exponents:
    """Return the fitted numbers, interpolated in ln T; the nearest ones outside of the range that was fitted."""
    table = FITTED[objective]
    known = sorted(table)
    at = math.log(horizon)
    columns = zip(*(table[T] for T in known), strict=True)
    return tuple(float(np.interp(at, np.log(known), column)) for column in columns)
