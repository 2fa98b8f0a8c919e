"""A table whose law is known, small trainers and a small attack for tests of the games."""

from __future__ import annotations

from functools import partial

import numpy as np
from scipy.special import expit
from scipy.stats import fisher_exact
from sklearn.linear_model import LogisticRegression
from torch import nn

from attacks.distribution.attack import WorldAttack
from attacks.distribution.game import DistributionInferenceGame
from attacks.scores import AttackCounts
from attacks.shadow.ensemble import ShadowTrainer


class OutputLogistic(WorldAttack):
    """Ridge-logistic on the margins of all queries."""

    def __init__(self, C: float = 0.01) -> None:
        self.C = C

    def _learn(self, shadow_0, shadow_1):
        features = np.concatenate([self._features(shadow_0), self._features(shadow_1)])
        self.mean_, self.scale_ = features.mean(axis=0), features.std(axis=0) + 1e-6
        world = np.repeat([0, 1], [len(shadow_0), len(shadow_1)])
        self.model_ = LogisticRegression(C=self.C, max_iter=1000).fit((features - self.mean_) / self.scale_, world)

    def _decide(self, victims):
        return self.model_.decision_function((self._features(victims) - self.mean_) / self.scale_)

    def _features(self, views):
        return np.clip(views.margins.reshape(len(views), -1), -15, 15)


class FirstWeights(OutputLogistic):
    """The same on the first layer's weights: white box."""

    access = "white box"

    def _features(self, views):
        return next(iter(views.weights.values())).reshape(len(views), -1)


class HiddenMeans(OutputLogistic):
    """The same on the mean activation of each hidden unit."""

    access = "white box"
    needs_activations = True

    def _features(self, views):
        return views.activations[0].mean(axis=1)


class Nothing(WorldAttack):
    """Always answers world 0."""

    def _learn(self, shadow_0, shadow_1):
        self.learned_ = True

    def _decide(self, victims):
        return -np.ones(len(victims))


def table(n: int, rng: np.random.Generator, *, n_labels: int = 2):
    """A ~ Bernoulli(1/2); X | A normal with a shift of A, A itself the last column; y | X, A logistic and strongly tied to A."""
    prop = rng.random(n) < 0.5
    X = np.column_stack([rng.normal(size=(n, 2)) + 0.5 * prop[:, None], prop])
    z = X[:, 0] + 2.0 * prop - 1.2
    y = sum((rng.random(n) < expit(z)).astype(int) for _ in range(n_labels - 1))
    return X, y, prop


def linear_trainer(n_classes: int = 2, **options) -> ShadowTrainer:
    settings = {"lr": 0.05, "optimizer": "adam", "batches": "shuffled", "epochs": 4, "batch_size": 25, "seed": 0} | options
    return ShadowTrainer(partial(nn.Linear, 3, n_classes), **settings)


def small_game(rng, alpha0=0.5, alpha1=0.1, n_train=200, *, n_labels=2, **options) -> DistributionInferenceGame:
    X, y, prop = table(6000, rng, n_labels=n_labels)
    settings = {"n_queries": 100, "trainer": linear_trainer(n_labels)} | options
    return DistributionInferenceGame(X, y, prop, alpha0, alpha1, n_train, **settings)


def independence(counts: AttackCounts) -> float:
    """Fisher's exact p-value of guesses that don't depend on the world."""
    return float(fisher_exact([[counts.tp, counts.fn], [counts.fp, counts.tn]]).pvalue)
