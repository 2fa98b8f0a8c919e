"""Features of a model's answers: logit margins at the queries, clipped and standardized on shadow models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attacks.distribution.per_point import flat_margins
from attacks.distribution.views import Floats, ModelViews

CLIP = 15.0


@dataclass(frozen=True, slots=True, eq=False)
class OutputFeatures:
    """Standardization that was learned from shadow models: `mean`, `spread` (F,); a constant feature becomes 0."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, *shadows: ModelViews) -> OutputFeatures:
        """Learn mean and spread from views of shadow models of all worlds."""
        margins = np.concatenate([clipped_margins(views) for views in shadows])
        spread = margins.std(axis=0)
        return cls(margins.mean(axis=0), np.where(spread > 1e-12 * CLIP, spread, np.inf))

    def __call__(self, views: ModelViews) -> Floats:
        """Return features (M, F)."""
        return np.asarray((clipped_margins(views) - self.mean) / self.spread)


def clipped_margins(views: ModelViews) -> Floats:
    """Return logit margins (M, Q (C - 1)) in [-15, 15]."""
    return np.clip(flat_margins(views), -CLIP, CLIP)
