"""Combined attack: a mean of several attacks' decisions, each on the scale of held-out shadow models.

    z_a(v) = (d_a(v) - m_a) / s_a,    m_a = middle of both worlds' means, s_a = root of their mean variance, on held-out shadow models
    decision = sum_a t_a z_a / sum_a t_a,    t_a = max(0, gap of the means / s_a), the attack's own separation

Attacks that look at the same answers in different ways err on different victims, so their mean errs less than the best of them. Weights
by separation would be the best ones for independent normal decisions; nothing else is learned, which few shadow models could not pay
for. The middle of two means is a steadier cut than the best empirical one.
Cost: folds + 1 fits of every attack.

References
----------
Ho, Hull, Srihari, Decision Combination in Multiple Classifier Systems, 1994.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.base import clone

from attacks.distribution.attack import WorldAttack
from attacks.distribution.kl_test import KLTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.per_point import PerPointThresholdTest
from attacks.distribution.shadow_labels import world_folds
from attacks.distribution.views import Floats, ModelViews, joined_views


class CombinedAttack(WorldAttack):
    """Weighted mean of standardized decisions.

    Parameters
    ----------
    attacks : black-box attacks, cloned; None takes the KL test, the per-point test, and linear classifiers of logits and of probabilities.
    folds, random_state : of the cross-validation over shadow models that sets the scales.

    Attributes
    ----------
    attacks_ : the fitted attacks.
    middle_, weight_ : (A,) the middles m_a and the weights t_a / s_a, which sum to 1 on the scale of z; an attack that decides everything
        alike, or the wrong way round, has no voice.
    """

    def __init__(self, attacks: Sequence[WorldAttack] | None = None, *, folds: int = 5, random_state: int | None = 0) -> None:
        self.attacks = attacks
        self.folds = folds
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        attacks = default_members() if self.attacks is None else tuple(self.attacks)
        if not attacks or any(attack.access == "white box" for attack in attacks):
            raise ValueError("attacks must hold at least one attack, and black-box attacks only")
        both = joined_views(shadow_0, shadow_1)
        world = np.repeat([False, True], [len(shadow_0), len(shadow_1)])
        held_out = np.empty((len(world), len(attacks)))
        for kept, held in world_folds(world, self.folds, self.random_state):
            parts = both[kept[~world[kept]]], both[kept[world[kept]]]
            held_out[held] = _decisions([clone(attack).fit(*parts) for attack in attacks], both[held])
        means = held_out[~world].mean(axis=0), held_out[world].mean(axis=0)
        spread = np.sqrt((held_out[~world].var(axis=0) + held_out[world].var(axis=0)) / 2)
        self.middle_ = (means[0] + means[1]) / 2
        spread = np.where(spread > 0, spread, np.inf)
        voice = np.maximum(0.0, means[1] - means[0]) / spread
        self.weight_ = voice / spread / max(voice.sum(), np.finfo(float).tiny)
        self.attacks_ = [clone(attack).fit(shadow_0, shadow_1) for attack in attacks]

    def _decide(self, victims: ModelViews) -> Floats:
        return np.asarray((_decisions(self.attacks_, victims) - self.middle_) @ self.weight_)


def default_members() -> tuple[WorldAttack, ...]:
    """Return the attacks that are combined where none are given."""
    return (
        KLTest(calibrate=False),
        PerPointThresholdTest(),
        OutputMetaClassifier(strengths=(1e-2,), with_lda=False),
        OutputMetaClassifier(of="probabilities", strengths=(1e-1,), with_lda=False),
    )


def _decisions(attacks: Sequence[WorldAttack], views: ModelViews) -> Floats:
    return np.stack([attack.decision_function(views) for attack in attacks], axis=1)
