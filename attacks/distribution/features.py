"""Features of a model's answers: logit margins at the queries, standardized on shadow models, or probabilities, centered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from attacks.distribution.per_point import flat_margins
from attacks.distribution.views import Floats, ModelViews

CLIP = 15.0
Of = Literal["logits", "probabilities"]


@dataclass(frozen=True, slots=True, eq=False)
class OutputFeatures:
    """How answers become features, learned from shadow models.

    Parameters
    ----------
    of : "logits": margins, clipped and standardized; or "probabilities": of all classes but class 0, centered. Probabilities keep their
        own spread: queries that models are sure about are nearly constant and weigh little, where standardized logits weigh as much as all.
    mean, spread : (F,); a constant feature becomes 0.
    """

    of: Of
    mean: Floats
    spread: Floats

    @classmethod
    def learned(cls, of: Of, *shadows: ModelViews) -> OutputFeatures:
        """Learn mean and spread from views of shadow models of all worlds."""
        answers = np.concatenate([READERS[of](views) for views in shadows])
        spread = answers.std(axis=0) if of == "logits" else np.ones(answers.shape[1])
        return cls(of, answers.mean(axis=0), np.where(spread > 1e-12 * CLIP, spread, np.inf))

    def __call__(self, views: ModelViews) -> Floats:
        """Return features (M, F)."""
        return np.asarray((READERS[self.of](views) - self.mean) / self.spread)


def clipped_margins(views: ModelViews) -> Floats:
    """Return logit margins (M, Q (C - 1)) in [-15, 15]."""
    return np.clip(flat_margins(views), -CLIP, CLIP)


def flat_probabilities(views: ModelViews) -> Floats:
    """Return probabilities (M, Q (C - 1)) of all classes but class 0, which they determine."""
    return views.probabilities[:, :, 1:].reshape(len(views), -1)


READERS: Mapping[str, Callable[[ModelViews], Floats]] = {"logits": clipped_margins, "probabilities": flat_probabilities}
