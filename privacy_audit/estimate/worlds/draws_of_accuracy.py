"""From numbers of draws to accuracies and back, where the curve of the ideal observer has plateaus.

TV_n never falls, and it stands still for one step where n t is a whole number (`attacks.distribution.ideal_observer`), so an accuracy may
belong to two whole n and to what lies between them. `n_leaked(..., interpolate=True)` is the lower reading, which runs in a line from the
first draw of a plateau to the first draw after it; `last_draws` is the upper one, which leaves the plateau at its last draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attacks.distribution.ideal_observer import MOST_DRAWS, tv_bernoulli
from attacks.distribution.leakage import Method, n_leaked
from mechanisms.accounting.elementwise import as_given
from privacy_audit.estimate.rates.beta_law import FloatArray

_HALVINGS = 60
_SAME = 1e-12  # relative to 1 - TV, as `n_leaked`


def last_draws(accuracy: ArrayLike, p: float, q: float, *, method: Method = "exact") -> FloatArray | float:
    """Return the largest number of draws from which no observer is more accurate than this, between whole numbers by a line in TV.

    Parameters
    ----------
    accuracy : in [0, 1].
    p, q : different rates.
    method : as of `n_leaked`; without plateaus, and with the same result, for all but "exact".

    Examples
    --------
    >>> float(n_leaked(0.7, 0.3, 0.7, interpolate=True)), float(last_draws(0.7, 0.3, 0.7))
    (1.0, 2.0)
    """
    if method != "exact":
        return n_leaked(accuracy, p, q, method=method)
    acc = np.asarray(accuracy, dtype=np.float64)
    first = np.asarray(n_leaked(acc, p, q))
    inner = (first >= 1) & (first < MOST_DRAWS)
    n = np.where(inner, first, 1.0)
    before, here, after = (np.asarray(tv_bernoulli(n + step, p, q)) for step in (-1, 0, 1))
    aim = 2 * acc - 1
    share = np.clip((aim - before) / np.where(here > before, here - before, 1.0), 0.0, 1.0)
    reached = aim >= here - _SAME * (1 - here)
    flat = after - here <= _SAME * (1 - here)
    return as_given(np.where(inner, np.where(reached, n + (flat & (here < 1)), n - 1 + share), first))


def line_accuracy(n: FloatArray, p: float, q: float) -> FloatArray:
    """Return the accuracy of an ideal observer of n draws, between whole numbers by a line: flat on plateaus.

    Parameters
    ----------
    n : real numbers in [0, 2^50).
    p, q : rates.
    """
    floor = np.floor(n)
    here, after = np.asarray(tv_bernoulli(floor, p, q)), np.asarray(tv_bernoulli(floor + 1, p, q))
    accuracy: FloatArray = (1 + here + (n - floor) * (after - here)) / 2
    return accuracy


def accuracy_of_draws(n: ArrayLike, p: float, q: float, *, method: Method = "exact") -> FloatArray:
    """Return the largest accuracy with `n_leaked(accuracy, p, q, method=method, interpolate=True) <= n`, by bisection.

    Parameters
    ----------
    n : real numbers >= 0.
    p, q : different rates.
    method : as of `n_leaked`.
    """
    goal = np.asarray(n, dtype=np.float64)
    low, high = np.full(goal.shape, 0.5), np.ones(goal.shape)
    for _ in range(_HALVINGS):
        middle = low + (high - low) / 2
        few = np.asarray(n_leaked(middle, p, q, method=method, interpolate=True)) <= goal
        low, high = np.where(few, middle, low), np.where(few, high, middle)
    return low
