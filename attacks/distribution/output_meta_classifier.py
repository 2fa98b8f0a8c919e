"""Output meta-classifier: a linear classifier on the victim's logits at the queries. The default attack.

    features = logit margins, clipped to +-15, standardized on the shadow models; or probabilities, centered
    ridge logistic regression, C from 1e-5 to 1e-1, or linear discriminant analysis with Ledoit-Wolf shrinkage

Held-out shadow models choose, by the one-standard-error rule: of all candidates that aren't clearly worse than the best the one with the
strongest penalty, LDA last. With few shadows the best of many held-out figures is luck, and a weak penalty fits the shadows' noise.
Fitted in the span of the n shadow models (see `span`). Cost: O(n^2 F) once, then O(n^2) a step for each strength and fold.

References
----------
Ganju et al., CCS 2018 (meta-classifiers). Zhang, Tople, Ohrimenko, USENIX Security 2021 (on outputs). Breiman, Friedman, Olshen, Stone,
Classification and Regression Trees, 1984, section 3.4.3 (one-standard-error rule).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attacks.distribution.attack import WorldAttack
from attacks.distribution.features import Of, OutputFeatures
from attacks.distribution.shadow_labels import stacked, world_folds
from attacks.distribution.span import Line, in_own_span, ridge_logistic, shrinkage_lda
from attacks.distribution.views import Bools, Floats, ModelViews
from mechanisms.validation import one_of, positive

STRENGTHS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
SHRUNK = "shrinkage_lda"
Candidate = float | str  # a strength C, or SHRUNK


class OutputMetaClassifier(WorldAttack):
    """Linear classifier on logits.

    Parameters
    ----------
    of : "logits", clipped and standardized, or "probabilities", centered: better where models are very sure about many queries.
    strengths : values of C to choose from; a large C is a weak penalty.
    with_lda : also try shrinkage LDA.
    folds, random_state : of the cross-validation over shadow models; one candidate alone needs none.

    Attributes
    ----------
    chosen_ : "shrinkage_lda", or "logistic C=..."
    held_out_accuracy_ : of every candidate, on held-out shadow models.
    coef_, intercept_ : of the standardized features.

    Notes
    -----
    The held-out accuracy of the chosen one is optimistic, as any best of several is; `shadow_accuracy` repeats the choice in its folds.
    """

    def __init__(
        self,
        *,
        of: Of = "logits",
        strengths: Sequence[float] = STRENGTHS,
        with_lda: bool = True,
        folds: int = 5,
        random_state: int | None = 0,
    ) -> None:
        self.of = of
        self.strengths = strengths
        self.with_lda = with_lda
        self.folds = folds
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        candidates: list[Candidate] = [*sorted(positive(strength=value) for value in self.strengths)]
        candidates += [SHRUNK] if self.with_lda else []
        if not candidates:
            raise ValueError("strengths must not be empty unless with_lda is True")
        self.features_ = OutputFeatures.learned(one_of(("logits", "probabilities"), of=self.of), shadow_0, shadow_1)  # type: ignore[arg-type]
        features, world = stacked(self.features_(shadow_0), self.features_(shadow_1))
        coordinates, axes = in_own_span(features)
        accuracy = self._held_out(candidates, coordinates, world) if len(candidates) > 1 else np.zeros(1)
        chosen = candidates[simplest_good(accuracy, len(world))]
        self.held_out_accuracy_ = {_name(c): float(a) for c, a in zip(candidates, accuracy, strict=True)} if len(candidates) > 1 else {}
        self.chosen_ = _name(chosen)
        line = _fitted(chosen, coordinates, world)
        self.coef_, self.intercept_ = axes @ line.weight, line.intercept

    def _held_out(self, candidates: Sequence[Candidate], x: Floats, world: Bools) -> Floats:
        """Return the balanced accuracy of each candidate on held-out shadow models."""
        decisions = np.empty((len(candidates), len(world)))
        for kept, held in world_folds(world, self.folds, self.random_state):
            line = None
            for row, candidate in enumerate(candidates):
                line = _fitted(candidate, x[kept], world[kept], start=line)
                decisions[row, held] = line(x[held])
        says_1 = decisions > 0
        return np.asarray((says_1[:, world].mean(axis=1) + 1 - says_1[:, ~world].mean(axis=1)) / 2)

    def _decide(self, victims: ModelViews) -> Floats:
        return np.asarray(self.features_(victims) @ self.coef_ + self.intercept_)


def simplest_good(accuracy: Floats, n_models: int) -> int:
    """Return the place of the first candidate whose accuracy is within one standard error of the best; the simplest come first."""
    best = float(accuracy.max())
    return int(np.argmax(accuracy >= best - np.sqrt(best * (1 - best) / n_models) - 1e-12))


def _fitted(candidate: Candidate, x: Floats, world: Bools, *, start: Line | None = None) -> Line:
    return shrinkage_lda(x, world) if isinstance(candidate, str) else ridge_logistic(x, world, candidate, start=start)


def _name(candidate: Candidate) -> str:
    return candidate if isinstance(candidate, str) else f"logistic C={candidate:g}"
