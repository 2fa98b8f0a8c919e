"""The best cut of scores between two worlds: exact, over every midpoint between two neighboring scores.

    accuracy of "world 1 above" after the k smallest = 1/2 - c_k/2,  of "world 1 below" = 1/2 + c_k/2,
    c_k = sum over the k smallest of +1/m_1 (world 1) or -1/m_0 (world 0)

A fixed grid misses cuts; here there is none. Of equally good cuts the one in the widest gap is taken, in the middle of the gap.
Cost: one sort a column, O(m log m).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from attacks.distribution.views import Bools, Floats

TINY = 1e-12  # accuracies closer than this are equal


@dataclass(frozen=True, slots=True, eq=False)
class Cuts:
    """One cut per column.

    Parameters
    ----------
    at : (F,) where to cut.
    sign : (F,) +1 where world 1 lies above, -1 where below, 0 where no cut beats a coin.
    accuracy : (F,) balanced accuracy on the scores that the cut was learned from: optimistic.
    """

    at: Floats
    sign: Floats
    accuracy: Floats

    def decide(self, scores: Floats) -> Floats:
        """Return scores (M, F) as signed distances from the cuts, > 0 for world 1."""
        return np.asarray(self.sign * (scores - self.at))


def best_cuts(scores: ArrayLike, world: ArrayLike, *, upward: bool = False) -> Cuts:
    """Return the best cut of every column.

    Parameters
    ----------
    scores : (m, F), or (m,) for one column.
    world : (m,) bool, both worlds present.
    upward : only cuts with world 1 above.

    Examples
    --------
    >>> cut = best_cuts([0.0, 1.0, 4.0, 5.0], [0, 0, 1, 1])
    >>> float(cut.at[0]), float(cut.accuracy[0])
    (2.5, 1.0)
    """
    values = np.asarray(scores, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    is_one = np.asarray(world, dtype=bool)
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    balance = np.cumsum(_weights(is_one)[order], axis=0)[:-1]
    gap = np.diff(ordered, axis=0)
    gain = np.where(gap > 0, -balance if upward else np.abs(balance), -np.inf)
    best = gain.max(axis=0)
    widest = np.argmax(np.where(gain >= best - TINY, gap, -np.inf), axis=0)
    column = np.arange(values.shape[1])
    constant = ~np.isfinite(best)  # all scores equal: nothing to cut
    at = np.where(constant, ordered[0], (ordered[widest, column] + ordered[widest + 1, column]) / 2)
    sign = np.ones(len(column)) if upward else np.where(constant | (best < TINY), 0.0, -np.sign(balance[widest, column]))
    accuracy = np.where(constant, 0.5, (1 + np.where(constant, 0.0, best)) / 2)
    return Cuts(at, sign, accuracy)


def _weights(is_one: Bools) -> Floats:
    return np.asarray(np.where(is_one, 1 / is_one.sum(), -1 / (~is_one).sum()), dtype=np.float64)
