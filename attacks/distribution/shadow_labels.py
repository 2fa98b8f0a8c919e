"""Features and worlds of shadow models put together, and folds over them that keep both worlds in every part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.views import Bools, Floats
from mechanisms.randomness import as_generator
from mechanisms.validation import whole_number

Places = NDArray[np.intp]


def stacked(part_0: Floats, part_1: Floats) -> tuple[Floats, Bools]:
    """Return features (m_0 + m_1, F) of both worlds, world 0 first, and which world each row is of."""
    return np.concatenate([part_0, part_1]), np.repeat([False, True], [len(part_0), len(part_1)])


def world_folds(world: Bools, folds: int, random_state: int | None) -> Iterator[tuple[Places, Places]]:
    """Yield (rows to learn from, rows held out); at most as many folds as the smaller world has models.

    Both worlds are dealt by the same seed, so that worlds that change their names change nothing but the sign of what is learned.
    """
    n_folds = int(min(whole_number(2, folds=folds), world.sum(), (~world).sum()))
    seed = int(as_generator(random_state).integers(2**63))
    fold = np.empty(len(world), dtype=np.intp)
    for side in (False, True):
        mine = np.flatnonzero(world == side)
        fold[np.random.default_rng(seed).permutation(mine)] = np.arange(len(mine)) % n_folds
    for held in range(n_folds):
        yield np.flatnonzero(fold != held), np.flatnonzero(fold == held)
