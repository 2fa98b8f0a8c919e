"""Per-point threshold test: every query has a cut of its own, the best queries vote (Suri, Lu, Chen & Evans 2023).

    votes(v) = mean over the kept queries of sign(cut decision) of the victim's logit margin

The share of queries kept is chosen, and the vote is cut, by held-out shadow models: a query's own shadow accuracy is the largest of many
and promises too much. Logits and probabilities have the same cuts' order, so margins are used. Cost: O(folds Q m log m).

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023, section III-B.
"""

from __future__ import annotations

import numpy as np

from attacks.distribution.attack import WorldAttack
from attacks.distribution.cuts import Cuts, best_cuts
from attacks.distribution.shadow_labels import stacked, world_folds
from attacks.distribution.views import Floats, ModelViews

FRACTIONS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 1.0)


class PerPointThresholdTest(WorldAttack):
    """Majority vote of cuts at single queries.

    Parameters
    ----------
    folds : parts of the shadow models in cross-validation.
    random_state : of the folds.

    Attributes
    ----------
    fraction_ : share of the queries that vote.
    cuts_, kept_ : the cut of every query (and class), and which of them vote.
    vote_cut_ : where the mean vote is cut.
    """

    def __init__(self, *, folds: int = 5, random_state: int | None = 0) -> None:
        self.folds = folds
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        margins, world = stacked(flat_margins(shadow_0), flat_margins(shadow_1))
        held_out = np.empty((len(world), len(FRACTIONS)))
        for kept, held in world_folds(world, self.folds, self.random_state):
            cuts = best_cuts(margins[kept], world[kept])
            held_out[held] = np.stack([_votes(cuts, _best(cuts, fraction), margins[held]) for fraction in FRACTIONS], axis=1)
        vote_cuts = best_cuts(held_out, world, upward=True)
        best = int(vote_cuts.accuracy.round(12).argmax())
        self.fraction_ = FRACTIONS[best]
        self.vote_cut_ = float(vote_cuts.at[best])
        self.cuts_ = best_cuts(margins, world)
        self.kept_ = _best(self.cuts_, self.fraction_)

    def _decide(self, victims: ModelViews) -> Floats:
        return _votes(self.cuts_, self.kept_, flat_margins(victims)) - self.vote_cut_


def flat_margins(views: ModelViews) -> Floats:
    """Return logit margins as (M, Q (C - 1))."""
    return views.margins.reshape(len(views), -1)


def _best(cuts: Cuts, fraction: float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    n_kept = max(1, round(fraction * len(cuts.accuracy)))
    return np.argsort(-cuts.accuracy.round(12), kind="stable")[:n_kept]


def _votes(cuts: Cuts, kept: np.ndarray[tuple[int], np.dtype[np.intp]], margins: Floats) -> Floats:
    return np.asarray(np.sign(cuts.decide(margins)[:, kept]).mean(axis=1))
