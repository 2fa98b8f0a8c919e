"""Name the world of a model among m: by an attack on every pair of worlds, or by an estimate of the ratio.

    all pairs      attack (i, j) sees the queries of worlds i and j only; most votes win, ties are settled by the votes among the tied
    nearest ratio  the ratio of the list next to the estimate

Cost: m (m - 1) / 2 fits of the attack, or one of the estimator. Both decide about one victim at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import Floats, ModelViews, QueryLabels

Ids = NDArray[np.intp]


class RatioEstimator(Protocol):
    """An attack that answers with a ratio."""

    def fit(self, shadows: Sequence[ModelViews], alphas: ArrayLike) -> Self:
        """Learn from shadow models of each ratio."""

    def predict(self, victims: ModelViews) -> Floats:
        """Return one estimate per victim."""


class AllPairs:
    """Names one of m worlds by the votes of an attack on two.

    Parameters
    ----------
    attack : is cloned for every pair.
    query_world : (Q,) the world that each query was drawn from, 0 to m - 1.
    """

    def __init__(self, attack: WorldAttack, query_world: ArrayLike) -> None:
        self.attack = attack
        self.query_world = np.asarray(query_world, dtype=np.intp)

    def fit(self, shadows: Sequence[ModelViews], alphas: ArrayLike) -> Self:
        """Fit one attack per pair of worlds."""
        del alphas
        self.n_worlds_ = len(shadows)
        self.attacks_ = {
            (i, j): clone(self.attack).fit(*(of_pair(shadows[world], self.query_world, (i, j)) for world in (i, j)))
            for i, j in combinations(range(len(shadows)), 2)
        }
        return self

    def predict(self, victims: ModelViews) -> Ids:
        """Return the number of a world for each victim."""
        models = np.arange(len(victims))
        beats = np.zeros((len(victims), self.n_worlds_, self.n_worlds_), dtype=np.bool_)
        for (i, j), attack in self.attacks_.items():
            later = attack.predict(of_pair(victims, self.query_world, (i, j)))
            beats[models, j, i] = later
            beats[models, i, j] = ~later
        votes = beats.sum(axis=2)
        tied = votes == votes.max(axis=1, keepdims=True)
        among = (beats & tied[:, None, :]).sum(axis=2)
        return np.asarray(np.where(tied, among, -1).argmax(axis=1), dtype=np.intp)


class NearestRatio:
    """Names the ratio next to an estimate; the estimator is cloned."""

    def __init__(self, estimator: RatioEstimator) -> None:
        self.estimator = estimator

    def fit(self, shadows: Sequence[ModelViews], alphas: ArrayLike) -> Self:
        """Fit the estimator."""
        self.alphas_ = np.asarray(alphas, dtype=np.float64)
        self.fitted_: RatioEstimator = clone(self.estimator).fit(shadows, alphas)
        return self

    def predict(self, victims: ModelViews) -> Ids:
        """Return the number of a ratio for each victim."""
        gaps = np.abs(np.asarray(self.fitted_.predict(victims))[:, None] - self.alphas_)
        return np.asarray(gaps.argmin(axis=1), dtype=np.intp)


def of_pair(views: ModelViews, query_world: Ids, pair: tuple[int, int]) -> ModelViews:
    """Return the views restricted to the queries of two worlds; the second is their world 1."""
    asked = np.flatnonzero(np.isin(query_world, pair))
    labels = QueryLabels(views.queries.label[asked], query_world[asked] == pair[1])
    return ModelViews(views.logits[:, asked], labels, views.weights, tuple(layer[:, asked] for layer in views.activations))
