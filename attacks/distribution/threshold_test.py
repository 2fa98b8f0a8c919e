"""Threshold test: one number per model, its accuracy on one world's test sample, cut where shadow models say (Suri & Evans 2022).

For each world's sample the best cut and direction on shadow models; the sample whose cut is better is kept. Cost: O(m log m).
"""

from __future__ import annotations

from attacks.distribution.attack import WorldAttack
from attacks.distribution.cuts import best_cuts
from attacks.distribution.loss_test import METRICS, Metric, world_metrics
from attacks.distribution.shadow_labels import stacked
from attacks.distribution.views import Floats, ModelViews
from mechanisms.validation import one_of


class ThresholdTest(WorldAttack):
    """Cut the accuracy on one test sample.

    Parameters
    ----------
    metric : "accuracy" (the published one) or "log_loss".

    Attributes
    ----------
    sample_ : the world whose test sample is looked at.
    cut_ : where it is cut.

    References
    ----------
    Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022, section 4.2.2.
    """

    def __init__(self, *, metric: Metric = "accuracy") -> None:
        self.metric = metric

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        one_of(METRICS, metric=self.metric)
        metrics, world = stacked(world_metrics(shadow_0, self.metric), world_metrics(shadow_1, self.metric))
        cuts = best_cuts(metrics, world)
        self.sample_ = int(cuts.accuracy.round(12).argmax())
        self.cut_ = best_cuts(metrics[:, self.sample_], world)

    def _decide(self, victims: ModelViews) -> Floats:
        return self.cut_.decide(world_metrics(victims, self.metric)[:, [self.sample_]])[:, 0]
