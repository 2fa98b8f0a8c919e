"""Loss test: a model does better on test samples of its own world (Suri & Evans 2022, section 4.2.1).

    decision = metric(queries of world 1) - metric(queries of world 0),    metric = accuracy, or minus the log loss

It learns nothing from shadow models. Cost: O(Q).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import Floats, ModelViews
from mechanisms.validation import one_of

Metric = Literal["accuracy", "log_loss"]
METRICS = ("accuracy", "log_loss")


class LossTest(WorldAttack):
    """Answer the world on whose test sample the victim does better.

    Parameters
    ----------
    metric : "accuracy" (the published one) or "log_loss".

    References
    ----------
    Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
    """

    def __init__(self, *, metric: Metric = "accuracy") -> None:
        self.metric = metric

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        one_of(METRICS, metric=self.metric)
        for shadows in (shadow_0, shadow_1):
            world_metrics(shadows, self.metric)  # refuses queries of one world only

    def _decide(self, victims: ModelViews) -> Floats:
        metrics = world_metrics(victims, self.metric)
        return np.asarray(metrics[:, 1] - metrics[:, 0])


def world_metrics(views: ModelViews, metric: Metric) -> Floats:
    """Return (M, 2): how well each model does on the queries of world 0 and of world 1, larger is better.

    Raises
    ------
    ValueError : no query of one world.
    """
    world = views.queries.world
    if world.all() or not world.any():
        raise ValueError(f"queries must come from both worlds, got {int(world.sum())} of world 1 among {len(world)}")
    values = views.correct.astype(np.float64) if metric == "accuracy" else -views.losses
    return np.stack([values[:, ~world].mean(axis=1), values[:, world].mean(axis=1)], axis=1)
