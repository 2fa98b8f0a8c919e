"""KL test: whose answers are nearer to the victim's, those of world 1's or of world 0's shadow models (Suri, Lu, Chen & Evans 2023).

    d(v) = mean_i KL(p_i^0 || p_v) - mean_j KL(p_j^1 || p_v)      mean over queries, probabilities clipped to [1e-4, 1 - 1e-4]
         = H_1 - H_0 + <mean p^1 - mean p^0, ln p_v>              H_w = -mean over shadow models of p ln p

d > 0 says world 1. The mean over all pairs is the difference of means, so no list of pairs is needed: cost O(shadows x queries).
Worlds whose answers differ in spread shift d; `calibrate` cuts it where leave-one-out scores of the shadow models say, each scored without
itself in its own world's mean.

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023, section III-C.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from attacks.distribution.attack import WorldAttack
from attacks.distribution.cuts import best_cuts
from attacks.distribution.shadow_labels import stacked
from attacks.distribution.views import Floats, ModelViews

CLIP = 1e-4


class KLTest(WorldAttack):
    """Compare divergences from both worlds' shadow models.

    Parameters
    ----------
    calibrate : True cuts at the best leave-one-out cut of the shadow models, False at 0, "auto" takes the cut only where it does better
        than 0 by more than one standard error of the shadow accuracy.

    Attributes
    ----------
    cut_ : what is taken off d.
    """

    def __init__(self, *, calibrate: bool | Literal["auto"] = True) -> None:
        self.calibrate = calibrate

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        if self.calibrate not in (True, False, "auto"):
            raise ValueError(f"calibrate must be True, False or 'auto', got {self.calibrate!r}")
        logs = clipped_logs(shadow_0), clipped_logs(shadow_1)
        self._mean_probability = [np.exp(part).mean(axis=0) for part in logs]
        self._mean_information = [float(np.mean(_information(part))) for part in logs]
        scores, world = stacked(self._leave_one_out(logs[0], 0), self._leave_one_out(logs[1], 1))
        cut = best_cuts(scores, world, upward=True)
        at_zero = (np.mean(scores[world] > 0) + np.mean(scores[~world] <= 0)) / 2
        worth = self.calibrate is True or (self.calibrate == "auto" and cut.accuracy[0] > at_zero + 0.5 / np.sqrt(len(world)))
        self.cut_ = float(cut.at[0]) if worth else 0.0

    def _decide(self, victims: ModelViews) -> Floats:
        logs = clipped_logs(victims)
        return np.asarray(self._divergence(logs, 0) - self._divergence(logs, 1) - self.cut_)

    def _divergence(self, logs: Floats, world: int) -> Floats:
        """Mean KL(p_i || p_v) over the world's shadow models and the queries, one number per victim."""
        cross = np.einsum("mqc,qc->m", logs, self._mean_probability[world]) / logs.shape[1]
        return np.asarray(self._mean_information[world] - cross)

    def _leave_one_out(self, logs: Floats, world: int) -> Floats:
        """Score each shadow model of a world as a victim, left out of its own world's mean."""
        m = len(logs)
        own_cross = np.einsum("mqc,mqc->m", logs, np.exp(logs)) / logs.shape[1]
        own = (m * self._divergence(logs, world) - (_information(logs) - own_cross)) / (m - 1)  # KL(p || p) is 0
        other = self._divergence(logs, 1 - world)
        return np.asarray(own - other if world == 0 else other - own)


def clipped_logs(views: ModelViews) -> Floats:
    """Return ln p (M, Q, C) of probabilities clipped to [1e-4, 1 - 1e-4] and made to sum to 1 again."""
    clipped = np.clip(views.probabilities, CLIP, 1 - CLIP)
    return np.asarray(np.log(clipped / clipped.sum(axis=2, keepdims=True)))


def _information(logs: Floats) -> Floats:
    """Mean over queries of sum_c p ln p, one number per model."""
    return np.asarray(np.einsum("mqc,mqc->m", logs, np.exp(logs)) / logs.shape[1])
