"""The common manners of distribution-inference attacks: learn from the adversary's own models, decide about ONE victim.

    attack.fit(shadow_0, shadow_1) -> attack               views of shadow models trained on samples of world 0 and of world 1
    attack.decision_function(victims (M,)) -> (M,)         > 0 says world 1; the decision about a victim never looks at another one
    attack.predict(victims) -> (M,) bool                   True = world 1
    attack.score(victims_0, victims_1) -> float            balanced accuracy (TNR + TPR) / 2

A new attack is one file with one subclass that has `_learn` and `_decide`. Which cut, which points, which strength: chosen by
cross-validation over SHADOWS only, never on victims.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import ClassVar, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from attacks.distribution.views import Bools, Floats, ModelViews
from attacks.scores import AttackCounts
from mechanisms.errors import WeakEvidenceWarning

Access = Literal["label only", "black box", "white box"]
LEAST_SHADOWS = 2


class WorldAttack(BaseEstimator):  # type: ignore[misc]
    """Base of attacks that tell two worlds apart; scikit-learn's `get_params`, `set_params` and `clone` work.

    Attributes
    ----------
    access : what the attack needs to see of a victim.
    n_shadows_ : shadow models of world 0 and of world 1 seen in `fit`.
    """

    access: ClassVar[Access] = "black box"
    n_shadows_: tuple[int, int]
    _shape: tuple[int, ...]

    def fit(self, shadow_0: ModelViews, shadow_1: ModelViews) -> Self:
        """Learn from the adversary's models of both worlds.

        Raises
        ------
        ValueError : fewer than 2 shadows in a world, or views of other queries or classes.
        """
        for name, shadows in (("shadow_0", shadow_0), ("shadow_1", shadow_1)):
            if len(shadows) < LEAST_SHADOWS:
                raise ValueError(f"{name} must hold at least {LEAST_SHADOWS} models, got {len(shadows)}; train more shadow models")
        if shadow_0.logits.shape[1:] != shadow_1.logits.shape[1:]:
            raise ValueError(f"both worlds must answer the same queries, got {shadow_0.logits.shape[1:]} and {shadow_1.logits.shape[1:]}")
        self._check_access(shadow_0)
        self.n_shadows_ = len(shadow_0), len(shadow_1)
        self._shape = shadow_0.logits.shape[1:]
        self._learn(shadow_0, shadow_1)
        return self

    def decision_function(self, victims: ModelViews) -> Floats:
        """Return one value per victim, larger = more likely world 1; the cut is at 0."""
        check_is_fitted(self, "n_shadows_")
        if victims.logits.shape[1:] != self._shape:
            raise ValueError(f"victims must answer the {self._shape} queries of the shadows, got {victims.logits.shape[1:]}")
        self._check_access(victims)
        return np.asarray(self._decide(victims), dtype=np.float64)

    def predict(self, victims: ModelViews) -> Bools:
        """Return True for each victim that is taken to be of world 1."""
        return self.decision_function(victims) > 0

    def counts(self, victims_0: ModelViews, victims_1: ModelViews) -> AttackCounts:
        """Count right and wrong answers; world 1 stands where membership counts have "member"."""
        guess_0, guess_1 = self.predict(victims_0), self.predict(victims_1)
        tp, fp = int(guess_1.sum()), int(guess_0.sum())
        return AttackCounts(tp=tp, fp=fp, tn=len(guess_0) - fp, fn=len(guess_1) - tp)

    def score(self, victims_0: ModelViews, victims_1: ModelViews) -> float:
        """Return the balanced accuracy (TNR + TPR) / 2 on victims.

        Warns
        -----
        WeakEvidenceWarning : one answer for all victims of both worlds; the accuracy is then 1/2 and shows nothing about the victims.
        """
        counts = self.counts(victims_0, victims_1)
        if counts.tp + counts.fp in (0, counts.n_members + counts.n_non_members):
            message = f"{type(self).__name__} gave the same answer for all victims: the accuracy is 1/2 whatever they leak"
            warnings.warn(message, WeakEvidenceWarning, stacklevel=2)
        return (counts.tpr + 1 - counts.fpr) / 2

    @abstractmethod
    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        """Set the learned attributes, which end in `_`."""

    @abstractmethod
    def _decide(self, victims: ModelViews) -> Floats:
        """Return one value per victim, > 0 for world 1."""

    def _check_access(self, views: ModelViews) -> None:
        if self.access == "white box" and not views.weights and not views.activations:
            raise ValueError(f"{type(self).__name__} is a white-box attack: it needs views with weights (or activations)")
