"""The smallest number of draws at which an ideal observer reaches an accuracy: a search over whole numbers, for many at once.

The probit of the accuracy grows nearly like sqrt(n), so a secant in these two scales lands within a few draws after two evaluations. The
search keeps a bracket (lo too few, hi enough) and ends when hi = lo + 1, so its answer satisfies the condition and the one before does not,
as computed. After `_SECANTS` rounds it halves the bracket, which bounds the number of rounds whatever the rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.distribution.ideal_observer import error_sum, likelihood_threshold

Floats = NDArray[np.float64]

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-12, 4e-16
_SECANTS = 12
_WHOLE = 1e-9
_MOST = 2.0**53  # beyond it n + 1 is no float


@dataclass(frozen=True, slots=True, eq=False)
class FirstDraws:
    """Where the accuracy is reached.

    Parameters
    ----------
    n : (m,) smallest numbers of draws, >= 1.
    error, error_before : (m,) 1 - TV at n and at n - 1.
    """

    n: Floats
    error: Floats
    error_before: Floats


def first_draws(accuracy: Floats, low: Floats, high: Floats, *, start: Floats) -> FirstDraws:
    """Return the smallest n >= 1 whose ideal accuracy is at least `accuracy`, up to the tolerance.

    Parameters
    ----------
    accuracy : (m,) in (1/2, 1).
    low, high : (m,) rates, low < high.
    start : (m,) first guesses of n.
    """
    aim = 2 * (1 - accuracy)
    limit, threshold = error_limit(aim), likelihood_threshold(low, high)
    found = FirstDraws(*np.empty((3, len(aim))))
    at = np.arange(len(aim))
    n = np.clip(np.ceil(start), 1.0, _MOST / 2)
    lo, hi, e_lo, e_hi, side = np.zeros_like(n), np.full_like(n, np.inf), np.ones_like(n), np.zeros_like(n), np.zeros_like(n)
    rounds = 0
    while len(at):
        error = error_sum(n, low, high, threshold)
        enough = error <= limit
        side = np.where(enough, np.minimum(side, 0) - 1, np.maximum(side, 0) + 1)
        lo, e_lo = np.where(enough, lo, n), np.where(enough, e_lo, error)
        hi, e_hi = np.where(enough, n, hi), np.where(enough, error, e_hi)
        found.n[at], found.error[at], found.error_before[at] = hi, e_hi, e_lo
        rounds += 1
        n = _secant(lo, hi, e_lo, e_hi, aim, side) if rounds < _SECANTS else _halfway(lo, hi)
        going = hi - lo > 1
        if not going.all():
            at, n, lo, hi, e_lo, e_hi, side = (array[going] for array in (at, n, lo, hi, e_lo, e_hi, side))
            low, high, threshold, limit, aim = (array[going] for array in (low, high, threshold, limit, aim))
    return found


def interpolated(found: FirstDraws, accuracy: Floats, low: Floats, high: Floats) -> Floats:
    """Return a real number of draws: linear in the advantage between the first n' that is as good as n - 1, and n.

    Notes
    -----
    No plateau is longer than two: TV stands still from n - 1 to n only where n t is a whole number, and 0 < t < 1.
    """
    n, before, threshold = found.n, found.error_before, likelihood_threshold(low, high)
    cut = (n - 1) * threshold
    flat = (n > 2) & (np.abs(cut - np.round(cut)) < _WHOLE * n)
    earlier = error_sum(n[flat] - 2, low[flat], high[flat], threshold[flat])
    flat[flat] = earlier <= error_limit(before[flat])
    start = np.where(flat, n - 2, n - 1)
    rise = before - found.error
    share = np.clip((before - 2 * (1 - accuracy)) / np.where(rise > 0, rise, 1.0), 0.0, 1.0)
    return np.asarray(start + share * (n - start), dtype=np.float64)


def error_limit(aim: Floats) -> Floats:
    """Return the largest 1 - TV that counts as reaching `aim`."""
    return np.asarray(aim * (1 + RELATIVE_TOLERANCE) + ABSOLUTE_TOLERANCE, dtype=np.float64)


def _secant(lo: Floats, hi: Floats, e_lo: Floats, e_hi: Floats, aim: Floats, side: Floats) -> Floats:
    """Return where to look next, strictly inside the bracket: the secant's answer, pushed on when it fell on one side again and again."""
    bounded = np.isfinite(hi)
    z, z_lo, z_hi = (-special.ndtri(np.minimum(error, 1.0) / 2) for error in (aim, e_lo, e_hi))
    known = bounded & np.isfinite(z_hi)
    run = np.where(known, np.sqrt(np.where(known, hi, 0.0)) - np.sqrt(lo), np.sqrt(lo))
    rise = np.where(known, np.where(known, z_hi, 0.0) - z_lo, z_lo)
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(lo) + (z - z_lo) * run / rise
    root = np.where(np.isfinite(root), root, np.sqrt(2 * lo + 1))
    push = np.sign(side) * (2.0 ** (np.abs(side) - 1) - 1)
    guess = np.minimum(np.ceil(root**2) + push, np.where(bounded, np.inf, 4 * lo + 4))
    last = np.where(bounded, np.maximum(hi - 1, lo + 1), _MOST)
    return np.asarray(np.clip(guess, lo + 1, last), dtype=np.float64)


def _halfway(lo: Floats, hi: Floats) -> Floats:
    bounded = np.isfinite(hi)
    return np.where(bounded, np.floor(lo + (np.where(bounded, hi, 0.0) - lo) / 2), np.minimum(2 * lo + 1, _MOST))
