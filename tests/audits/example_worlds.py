"""A small world for audits of a distribution: a table, a fast attack, and training code whose epsilon is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import Floats, ModelViews

Table = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.bool_]]
TrainFunction = Callable[[NDArray[np.float64], NDArray[np.int64], np.random.Generator], object]


def table(n: int = 4000, *, seed: int = 1) -> Table:
    """Records whose second column is the property itself; labels depend on it."""
    rng = np.random.default_rng(seed)
    has = rng.random(n) < 0.5
    x = np.stack([rng.normal(size=n) + has, has.astype(float), rng.normal(size=n)], axis=1)
    y = (x[:, 0] + rng.normal(size=n) > 0.5).astype(np.int64)
    return x, y, has


@dataclass(frozen=True)
class Constant:
    """A model that says one probability of label 1, whatever it is asked."""

    logit: float
    classes_ = np.array([0, 1])

    def predict_proba(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        high = 1 / (1 + np.exp(-self.logit))
        return np.tile([1 - high, high], (len(x), 1))


def noisy_count(epsilon: float, *, scale: float = 0.02) -> TrainFunction:
    """Training whose model publishes the number of records with the property, with geometric noise: epsilon-DP for one such record.

    The sensitivity of the count is 1 for records that are added, removed or replaced.
    """

    def train(x: NDArray[np.float64], y: NDArray[np.int64], rng: np.random.Generator) -> Constant:
        chance = -np.expm1(-epsilon)
        noise = int(rng.geometric(chance)) - int(rng.geometric(chance))
        return Constant(scale * (int((x[:, 1] > 0.5).sum()) + noise - len(x) / 2))

    return train


class MeanMargin(WorldAttack):
    """Cut the mean answer half way between the medians of the two worlds' shadows."""

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        medians = [float(np.median(_mean(shadow))) for shadow in (shadow_0, shadow_1)]
        self.middle_, self.sign_ = sum(medians) / 2, 1.0 if medians[1] >= medians[0] else -1.0

    def _decide(self, victims: ModelViews) -> Floats:
        return self.sign_ * (_mean(victims) - self.middle_)


class Coin(WorldAttack):
    """Guesses from the digits of the answers."""

    access = "label only"

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        self.seen_ = len(shadow_0)

    def _decide(self, victims: ModelViews) -> Floats:
        return np.sin(1e7 * _mean(victims))


def _mean(views: ModelViews) -> Floats:
    return np.asarray(views.margins.mean(axis=(1, 2)))
