"""How well an attack tells the adversary's own models apart, by cross-validation: the only figure that may choose among attacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from sklearn.base import clone

from attacks.distribution.attack import LEAST_SHADOWS, WorldAttack
from attacks.distribution.views import ModelViews
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number

FOLDS = 5

Fold = tuple[list[ModelViews], list[ModelViews]]


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
    shadows, right = (shadow_0, shadow_1), [0, 0]
    if not enough_to_hold_out([len(part) for part in shadows], folds=folds):
        return None
    for kept, held in shadow_folds(shadows, folds=folds, rng=rng):
        fitted = clone(attack).fit(*kept)
        for world in (0, 1):
            right[world] += int(np.sum(fitted.predict(held[world]) == bool(world)))
    return (right[0] / len(shadow_0) + right[1] / len(shadow_1)) / 2


def enough_to_hold_out(sizes: Sequence[int], *, folds: int = FOLDS) -> bool:
    """Whether every world keeps 2 shadow models when a fold is held out."""
    n_folds = min(whole_number(2, folds=folds), *sizes)
    return all(size - -(-size // n_folds) >= LEAST_SHADOWS for size in sizes)


def shadow_folds(shadows: Sequence[ModelViews], *, folds: int = FOLDS, rng: RngLike = None) -> Iterator[Fold]:
    """Yield for each fold the shadow models kept and those held out, world by world; every model is held out once."""
    generator = as_generator(rng)
    n_folds = min(whole_number(2, folds=folds), *(len(part) for part in shadows))
    parts = [np.array_split(generator.permutation(len(views)), n_folds) for views in shadows]
    for fold in range(n_folds):
        kept = [np.concatenate([part for place, part in enumerate(own) if place != fold]) for own in parts]
        yield (
            [views[np.sort(places)] for views, places in zip(shadows, kept, strict=True)],
            [views[own[fold]] for views, own in zip(shadows, parts, strict=True)],
        )
