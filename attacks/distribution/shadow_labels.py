"""Features and worlds of shadow models put together, and folds over them that keep both worlds in every part."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from attacks.distribution.views import Bools, Floats

Places = NDArray[np.intp]


def stacked(part_0: Floats, part_1: Floats) -> tuple[Floats, Bools]:
    """Return features (m_0 + m_1, F) of both worlds, world 0 first, and which world each row is of."""
    return np.concatenate([part_0, part_1]), np.repeat([False, True], [len(part_0), len(part_1)])


def world_folds(world: Bools, folds: int, random_state: int | None) -> Iterator[tuple[Places, Places]]:
    """Yield (rows to learn from, rows held out); at most as many folds as the smaller world has models."""
    n_folds = int(min(folds, world.sum(), (~world).sum()))
    yield from StratifiedKFold(n_folds, shuffle=True, random_state=random_state).split(np.zeros(len(world)), world)
