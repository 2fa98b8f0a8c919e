"""Output meta-classifier: a linear classifier on the victim's logits at the queries. The default attack.

    features = logit margins, clipped to +-15, standardized on the shadow models
    ridge logistic regression, C from 1e-4 to 1e-1, or linear discriminant analysis with Ledoit-Wolf shrinkage

Both depend on features only through inner products, so with m shadow models and F >> m features everything happens in the m-dimensional
span of the shadow models: one singular value decomposition, then small problems. Which of them: held-out shadow models.
Cost: O(m^2 F), then O(folds m^3).

References
----------
Ganju et al., CCS 2018 (meta-classifiers). Zhang, Tople, Ohrimenko, USENIX Security 2021 (on outputs). Ledoit, Wolf, A Well-Conditioned
Estimator for Large-Dimensional Covariance Matrices, 2004.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

from attacks.distribution.attack import WorldAttack
from attacks.distribution.features import OutputFeatures
from attacks.distribution.shadow_labels import stacked, world_folds
from attacks.distribution.views import Bools, Floats, ModelViews

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
SHRUNK = "shrinkage_lda"
Rule = tuple[Floats, float]  # weights and intercept
Fit = Callable[[Floats, Bools], Rule]


@dataclass(frozen=True, slots=True)
class _Logistic:
    C: float

    def __call__(self, x: Floats, world: Bools) -> Rule:
        fitted = LogisticRegression(C=self.C, solver="newton-cholesky", class_weight="balanced", max_iter=200).fit(x, world)
        return fitted.coef_[0], float(fitted.intercept_[0])


def shrinkage_lda(x: Floats, world: Bools) -> Rule:
    """Return linear discriminant analysis with the pooled covariance shrunk by Ledoit and Wolf's rule."""
    means = x[~world].mean(axis=0), x[world].mean(axis=0)
    covariance, _ = ledoit_wolf(x - np.where(world[:, None], means[1], means[0]), assume_centered=True)
    if not np.trace(covariance) > 0:  # all models of a world alike: nothing to whiten by
        covariance = np.eye(x.shape[1])
    weights = linalg.solve(covariance, means[1] - means[0], assume_a="pos")
    return weights, -float(weights @ (means[0] + means[1])) / 2


class OutputMetaClassifier(WorldAttack):
    """Linear classifier on logits.

    Parameters
    ----------
    strengths : values of C to choose from.
    with_lda : also try shrinkage LDA.
    folds, random_state : of the cross-validation over shadow models.

    Attributes
    ----------
    chosen_ : "shrinkage_lda", or "logistic C=..."
    coef_, intercept_ : of the standardized features.
    """

    def __init__(
        self, *, strengths: Sequence[float] = STRENGTHS, with_lda: bool = True, folds: int = 5, random_state: int | None = 0
    ) -> None:
        self.strengths = strengths
        self.with_lda = with_lda
        self.folds = folds
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        self.features_ = OutputFeatures.of(shadow_0, shadow_1)
        features, world = stacked(self.features_(shadow_0), self.features_(shadow_1))
        coordinates, axes = in_own_span(features)
        rules: dict[str, Fit] = {f"logistic C={C:g}": _Logistic(C) for C in self.strengths}
        if self.with_lda:
            rules[SHRUNK] = shrinkage_lda
        self.chosen_ = next(iter(rules)) if len(rules) == 1 else self._best(rules, coordinates, world)
        weights, self.intercept_ = rules[self.chosen_](coordinates, world)
        self.coef_ = axes @ weights

    def _best(self, rules: dict[str, Fit], x: Floats, world: Bools) -> str:
        """The rule with the best accuracy on held-out shadow models; of equal ones the one with the larger mean margin."""
        held_out = {name: np.empty(len(world)) for name in rules}
        for kept, held in world_folds(world, self.folds, self.random_state):
            for name, fit in rules.items():
                weights, intercept = fit(x[kept], world[kept])
                held_out[name][held] = x[held] @ weights + intercept
        return max(rules, key=lambda name: _merit(held_out[name], world))

    def _decide(self, victims: ModelViews) -> Floats:
        return np.asarray(self.features_(victims) @ self.coef_ + self.intercept_)


def in_own_span(features: Floats) -> tuple[Floats, Floats]:
    """Return coordinates (m, r) in the rows' span and its axes (F, r): features = coordinates @ axes.T, inner products unchanged."""
    left, singular, right = linalg.svd(features, full_matrices=False)
    kept = singular > singular[0] * 1e-10 if singular[0] > 0 else np.arange(len(singular)) < 1
    return left[:, kept] * singular[kept], right[kept].T


def _merit(decisions: Floats, world: Bools) -> tuple[float, float]:
    signed = np.where(world, decisions, -decisions)
    accuracy = (np.mean(signed[world] > 0) + np.mean(signed[~world] >= 0)) / 2
    spread = float(np.std(signed))
    return float(accuracy), float(np.mean(signed)) / spread if spread > 0 else 0.0
