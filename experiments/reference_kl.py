"""The KL attack as public code has it: a peer for experiments, with the traits that make it unfit for one victim.

Pairs of shadow models come from the strict upper triangle, so that the first model of world 0 counts most and its last one never; scores
are scaled to [0, 1] over all victims of both worlds and cut at 1/2, so a decision depends on the other victims.

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023, and its public code.
"""

from __future__ import annotations

import numpy as np

from attacks.distribution.attack import WorldAttack
from attacks.distribution.kl_test import clipped_logs
from attacks.distribution.views import Floats, ModelViews, joined_views
from attacks.scores import AttackCounts


class ReferenceKL(WorldAttack):
    """Upper-triangle pairs, transductive cut."""

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        n = min(len(shadow_0), len(shadow_1))
        i, j = np.triu_indices(n, 1)
        logs = clipped_logs(shadow_0)[i], clipped_logs(shadow_1)[j]
        self.probability_ = [np.exp(part).mean(axis=0) for part in logs]
        self.information_ = [float(np.mean(np.sum(np.exp(part) * part, axis=2))) for part in logs]

    def _decide(self, victims: ModelViews) -> Floats:
        logs = clipped_logs(victims)
        cross = [np.einsum("mqc,qc->m", logs, mean) / logs.shape[1] for mean in self.probability_]
        return np.asarray((self.information_[0] - cross[0]) - (self.information_[1] - cross[1]))

    def counts(self, victims_0: ModelViews, victims_1: ModelViews) -> AttackCounts:
        """Scale the scores of all victims together, then cut at 1/2."""
        scores = self.decision_function(joined_views(victims_0, victims_1))
        guess = (scores - scores.min()) / (scores.max() - scores.min()) >= 0.5
        return AttackCounts.from_predictions(np.repeat([False, True], [len(victims_0), len(victims_1)]), guess)
