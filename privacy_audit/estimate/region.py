"""The privacy region of one binary guess: the smallest epsilon that two error rates leave possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.validation import valid_delta

FloatArray = NDArray[np.float64]


def implied_epsilon(fpr: ArrayLike, fnr: ArrayLike, delta: float = 0.0, *, one_direction: bool = False) -> FloatArray:
    """Return the smallest epsilon >= 0 whose (epsilon, delta) privacy region holds the two rates.

    Parameters
    ----------
    fpr, fnr : P(guess "member" | non-member) and P(guess "non-member" | member), in [0, 1], shapes that broadcast.
    delta : probability in [0, 1).
    one_direction : the attack's direction was fixed beforehand: leave out the two constraints that mirror the guess.

    Returns
    -------
    Nats, broadcast shape; +inf where a positive probability meets an impossible event.

    Raises
    ------
    ValueError : a rate outside [0, 1] or NaN, or delta outside [0, 1).

    Guarantee
    ---------
    A guess is post-processing, so an (epsilon, delta)-DP mechanism obeys P[A | D] <= exp(epsilon) P[A | D'] + delta for A = "member",
    A = "non-member" and both orders of the neighbors: four constraints, each solved here for epsilon (Kairouz, Oh, Viswanath 2015).

    Examples
    --------
    >>> float(implied_epsilon(0.1, 0.7, 1e-5).round(12))
    1.098578954779
    """
    delta = valid_delta(delta)
    x, y = _rates(fnr=fnr), _rates(fpr=fpr)
    ratios = [(1 - delta - x, y), (1 - delta - y, x)]
    if not one_direction:
        ratios += [(x - delta, 1 - y), (y - delta, 1 - x)]
    epsilon = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for above, below in ratios:
        epsilon = np.maximum(epsilon, _log_ratio(above, below))
    return epsilon


def _log_ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Return ln(above / below): -inf where above <= 0, else +inf where below is 0."""
    above, below = np.broadcast_arrays(above, below)
    with np.errstate(divide="ignore"):
        return np.where(above > 0, np.log(np.where(above > 0, above, 1.0)) - np.log(below), -np.inf)


def _rates(**values: ArrayLike) -> FloatArray:
    ((name, value),) = values.items()
    rate = np.asarray(value, dtype=np.float64)
    if not ((rate >= 0) & (rate <= 1)).all():
        raise ValueError(f"{name} must hold probabilities in [0, 1], got {int((~((rate >= 0) & (rate <= 1))).sum())} others")
    return rate
