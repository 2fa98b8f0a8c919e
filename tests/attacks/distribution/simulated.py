"""Simulated views: logit = what every model says of a query + what a world changes + what one training run changes, in a few directions."""

from __future__ import annotations

import numpy as np

from attacks.distribution.views import ModelViews, QueryLabels


class SimulatedModels:
    """One law of models: `of(world, n)` draws n of them; world may be any number, its effect is proportional."""

    def __init__(self, rng, *, effect=0.5, queries=60, classes=2, rank=4, noise=0.3, spread=(1.0, 1.0)):
        self.rng, self.noise, self.spread = rng, noise, spread
        self.base = rng.normal(size=(queries, classes))
        self.effect = effect * rng.normal(size=(queries, classes))
        self.directions = rng.normal(size=(rank, queries, classes)) / rank**0.5
        self.queries = QueryLabels(np.arange(queries) % classes, np.arange(queries) >= queries // 2)

    def of(self, world, n):
        common = np.einsum("mk,kqc->mqc", self.rng.normal(size=(n, len(self.directions))), self.directions)
        own = self.noise * self.rng.normal(size=(n, *self.base.shape))
        scale = self.spread[1] if world == 1 else self.spread[0]
        return ModelViews(self.base + world * self.effect + scale * (common + own), self.queries)


def with_worlds_renamed(views):
    """The same models, asked queries whose worlds have changed their names."""
    return ModelViews(views.logits, QueryLabels(views.queries.label, ~views.queries.world))
