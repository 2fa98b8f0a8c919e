"""How well an attack tells the adversary's own models apart, by cross-validation: the only figure that may choose among attacks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from attacks.distribution.attack import LEAST_SHADOWS, WorldAttack
from attacks.distribution.views import ModelViews
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number

FOLDS = 5


def shadow_accuracy(
    attack: WorldAttack, shadow_0: ModelViews, shadow_1: ModelViews, *, folds: int = FOLDS, rng: RngLike = None
) -> float | None:
    """Return the balanced accuracy of an attack on held-out shadow models.

    Parameters
    ----------
    attack : is cloned, never fitted itself.
    folds : parts of each world, at most as many as it has models.

    Returns
    -------
    (TNR + TPR) / 2 over all folds; None where a world has too few models to hold one out and keep 2.
    """
    generator, sizes = as_generator(rng), (len(shadow_0), len(shadow_1))
    folds = min(whole_number(2, folds=folds), *sizes)
    parts_0, parts_1 = (np.array_split(generator.permutation(n), folds) for n in sizes)  # the first part is the largest
    if sizes[0] - len(parts_0[0]) < LEAST_SHADOWS or sizes[1] - len(parts_1[0]) < LEAST_SHADOWS:
        return None
    right_0 = right_1 = 0
    for out_0, out_1 in zip(parts_0, parts_1, strict=True):
        fitted = clone(attack).fit(shadow_0[_rest(sizes[0], out_0)], shadow_1[_rest(sizes[1], out_1)])
        right_0 += int(np.sum(~fitted.predict(shadow_0[out_0])))
        right_1 += int(np.sum(fitted.predict(shadow_1[out_1])))
    return (right_0 / sizes[0] + right_1 / sizes[1]) / 2


def _rest(n: int, left_out: NDArray[np.intp]) -> NDArray[np.intp]:
    return np.setdiff1d(np.arange(n), left_out)
