"""How the error of any private `MaxSum` or `SumSelect` must grow: shapes for plots, without constants and logarithms.

    MaxSum      rho      min((T / rho)^(1/3), sqrt(d / rho), T)                epsilon      min(sqrt(T / epsilon), d / epsilon, T)
    SumSelect   rho      min((T ln^2 d / rho)^(1/3), sqrt(d / rho), T)         epsilon      min(sqrt(T ln d / epsilon), d / epsilon, T)

Shape only: a curve may be compared with another one's slope, never with an error. SumSelect's logarithms are those of its upper bounds.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023.
"""

from __future__ import annotations

import math

from mechanisms.validation import positive, whole_number


def lower_bound_shape(
    horizon: int, dim: int, *, rho: float | None = None, epsilon: float | None = None, statistic: str = "max_sum"
) -> float:
    """Return the shape of the lower bound at one point; shape only, up to constants and logarithms.

    Raises
    ------
    ValueError : not exactly one of rho and epsilon, or an unknown statistic.

    Examples
    --------
    >>> round(lower_bound_shape(8000, 10**6, rho=1.0), 6)
    20.0
    """
    T, d = whole_number(1, horizon=horizon), whole_number(1, dim=dim)
    if statistic not in ("max_sum", "sum_select"):
        raise ValueError(f"statistic must be 'max_sum' or 'sum_select', got {statistic!r}")
    if (rho is None) == (epsilon is None):
        raise ValueError(f"give either rho or epsilon, got rho={rho} and epsilon={epsilon}")
    log = max(1.0, math.log(d)) if statistic == "sum_select" else 1.0
    if rho is not None:
        budget = positive(rho=rho)
        return min(math.cbrt(T * log**2 / budget), math.sqrt(d / budget), float(T))
    budget = positive(epsilon=epsilon)
    return float(min(math.sqrt(T * log / budget), d / budget, float(T)))
