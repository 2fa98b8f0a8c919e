"""The smallest number of draws at which an ideal observer reaches an accuracy: a search over whole numbers, for many at once.

The probit of the accuracy grows nearly like sqrt(n), so a secant in these two scales lands within a few draws after two evaluations. The
search keeps a bracket (lo too few, hi enough) and ends when hi = lo + 1, so its answer satisfies the condition and the one before does not,
as computed. After `_SECANTS` rounds it halves the bracket, which bounds the number of rounds whatever the rates.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.distribution.ideal_observer import error_sum, likelihood_threshold

Floats = NDArray[np.float64]

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-12, 4e-16
_SECANTS = 12
_MOST = 2.0**53  # beyond it n + 1 is no float


def first_draw(accuracy: Floats, low: Floats, high: Floats, *, start: Floats) -> Floats:
    """Return the smallest n >= 1 whose ideal accuracy is at least `accuracy`, up to the tolerance.

    Parameters
    ----------
    accuracy : (m,) in (1/2, 1).
    low, high : (m,) rates, low < high.
    start : (m,) first guesses of n.
    """
    aim = 2 * (1 - accuracy)
    limit, z = error_limit(aim), -special.ndtri(aim / 2)
    threshold = likelihood_threshold(low, high)
    found = np.empty(len(accuracy))
    at = np.arange(len(accuracy))
    n = np.clip(np.ceil(start), 1.0, _MOST / 2)
    lo, hi, z_lo, z_hi, side = np.zeros_like(n), np.full_like(n, np.inf), np.zeros_like(n), np.full_like(n, np.inf), np.zeros_like(n)
    rounds = 0
    while len(at):
        error = error_sum(n, low, high, threshold)
        enough = error <= limit
        z_n = -special.ndtri(np.minimum(error, 1.0) / 2)
        side = np.where(enough, np.minimum(side, 0) - 1, np.maximum(side, 0) + 1)
        lo, z_lo = np.where(enough, lo, n), np.where(enough, z_lo, z_n)
        hi, z_hi = np.where(enough, n, hi), np.where(enough, z_n, z_hi)
        found[at] = hi
        rounds += 1
        n = _next(lo, hi, z_lo, z_hi, z, side) if rounds < _SECANTS else _halfway(lo, hi)
        going = hi - lo > 1
        if not going.all():
            at, n, lo, hi, z_lo, z_hi, side = (array[going] for array in (at, n, lo, hi, z_lo, z_hi, side))
            low, high, threshold, limit, z = (array[going] for array in (low, high, threshold, limit, z))
    return found


def plateau_interpolated(n: Floats, accuracy: Floats, low: Floats, high: Floats) -> Floats:
    """Return a real number of draws: linear in the advantage between the first n' that is as good as n - 1, and n.

    Notes
    -----
    No plateau is longer than two: TV_n = TV_(n-1) only where n t is a whole number, and t < 1.
    """
    aim, threshold = 2 * (1 - accuracy), likelihood_threshold(low, high)
    here = error_sum(n, low, high, threshold)
    before, earlier = (_from_zero(n - step, low, high, threshold) for step in (1, 2))
    flat = (n >= 2) & (earlier <= error_limit(before))
    start = np.where(flat, n - 2, n - 1)
    share = np.clip((before - aim) / np.where(before > here, before - here, 1.0), 0.0, 1.0)
    return np.asarray(start + share * (n - start), dtype=np.float64)


def error_limit(aim: Floats) -> Floats:
    """Return the largest 1 - TV that counts as reaching `aim`."""
    return np.asarray(aim * (1 + RELATIVE_TOLERANCE) + ABSOLUTE_TOLERANCE, dtype=np.float64)


def _next(lo: Floats, hi: Floats, z_lo: Floats, z_hi: Floats, z: Floats, side: Floats) -> Floats:
    """Return where to look next, strictly inside the bracket: the secant's answer, pushed on when it fell on one side again and again."""
    bounded = np.isfinite(hi)
    far, z_far = np.where(bounded, hi, 1.0), np.where(bounded & np.isfinite(z_hi), z_hi, 1.0)
    slope_run = np.where(bounded, np.sqrt(far) - np.sqrt(lo), np.sqrt(lo))
    slope_rise = np.where(bounded, z_far - z_lo, z_lo)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(lo) + (z - z_lo) * slope_run / slope_rise
    root = np.where(np.isfinite(root), root, np.sqrt(2 * lo + 1))
    push = np.sign(side) * (2.0 ** (np.abs(side) - 1) - 1)
    guess = np.where(bounded, np.ceil(root**2) + push, np.minimum(np.ceil(root**2) + push, 4 * lo + 4))
    return np.clip(guess, lo + 1, np.where(bounded, np.maximum(hi - 1, lo + 1), _MOST))


def _halfway(lo: Floats, hi: Floats) -> Floats:
    bounded = np.isfinite(hi)
    return np.where(bounded, np.floor(lo + (np.where(bounded, hi, 0.0) - lo) / 2), np.minimum(2 * lo + 1, _MOST))


def _from_zero(n: Floats, low: Floats, high: Floats, threshold: Floats) -> Floats:
    return np.where(n < 1, 1.0, error_sum(np.maximum(n, 1.0), low, high, threshold))
