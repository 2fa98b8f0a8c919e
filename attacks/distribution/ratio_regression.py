"""Ratio regression: estimate the share of the property from a model's logits, by ridge regression on shadow models of many shares.

    alpha_hat = clip(offset + slope * ridge(features), support of the prior)

Ridge shrinks toward the middle; offset and slope are calibrated on held-out shadow models, and so is the strength of the ridge.
Cost: O(m^2 F) for m shadow models in all.

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023 (regression over ratios). Zhou et al., Property Inference
Attacks Against GANs, NDSS 2022.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from attacks.distribution.attack import LEAST_SHADOWS
from attacks.distribution.features import OutputFeatures
from attacks.distribution.span import in_own_span
from attacks.distribution.views import Floats, ModelViews

PENALTIES = tuple(10.0**k for k in range(0, 7))


class RatioRegressor(BaseEstimator):  # type: ignore[misc]
    """Estimates the share of the property in a victim's training distribution.

    Parameters
    ----------
    penalties : ridge strengths to choose from, by leave-one-out errors.
    folds, random_state : of the calibration.

    Attributes
    ----------
    support_ : smallest and largest share of the shadow models.
    slope_, offset_ : calibration of the ridge's estimate.
    """

    def __init__(self, *, penalties: Sequence[float] = PENALTIES, folds: int = 5, random_state: int | None = 0) -> None:
        self.penalties = penalties
        self.folds = folds
        self.random_state = random_state

    def fit(self, shadows: Sequence[ModelViews], alphas: ArrayLike) -> Self:
        """Learn from shadow models of each share.

        Parameters
        ----------
        shadows : views, one per share.
        alphas : the shares, as many.

        Raises
        ------
        ValueError : fewer than two shares, lengths that differ, or fewer than 2 shadow models of a share.
        """
        shares = checked_shares(shadows, alphas)
        self.features_ = OutputFeatures.learned("logits", *shadows)
        coordinates, axes = in_own_span(np.concatenate([self.features_(views) for views in shadows]))
        target = np.repeat(shares, [len(views) for views in shadows])
        self.support_ = float(shares.min()), float(shares.max())
        self.slope_, self.offset_ = self._calibrated(coordinates, target)
        ridge = self._ridge(coordinates, target)
        self.coef_, self.intercept_ = axes @ ridge.coef_, float(ridge.intercept_)
        return self

    def predict(self, victims: ModelViews) -> Floats:
        """Return one share per victim, within the support."""
        check_is_fitted(self, "coef_")
        raw = self.features_(victims) @ self.coef_ + self.intercept_
        return np.asarray(np.clip(self.offset_ + self.slope_ * raw, *self.support_))

    def _ridge(self, x: Floats, target: Floats) -> RidgeCV:
        return RidgeCV(alphas=self.penalties).fit(x, target)

    def _calibrated(self, x: Floats, target: Floats) -> tuple[float, float]:
        """Slope and offset of the truth on estimates of held-out shadow models; 1 and 0 where estimates do not vary."""
        held_out = np.empty(len(target))
        folds = KFold(min(self.folds, len(target)), shuffle=True, random_state=self.random_state)
        for kept, held in folds.split(x):
            held_out[held] = self._ridge(x[kept], target[kept]).predict(x[held])
        if np.std(held_out) < 1e-12:
            return 1.0, 0.0
        slope, offset = np.polyfit(held_out, target, 1)
        return max(float(slope), 0.0), float(offset if slope > 0 else target.mean())


def checked_shares(shadows: Sequence[ModelViews], alphas: ArrayLike) -> Floats:
    """Return the shares (m,), or refuse them as `RatioRegressor.fit` says."""
    shares = np.asarray(alphas, dtype=np.float64)
    if shares.ndim != 1 or len(shares) != len(shadows) or len(np.unique(shares)) < 2:
        raise ValueError(
            f"alphas must hold one share per view, at least two different ones, got {len(shadows)} views and shape {shares.shape}"
        )
    for share, views in zip(shares, shadows, strict=True):
        if len(views) < LEAST_SHADOWS:
            raise ValueError(f"every share needs at least {LEAST_SHADOWS} shadow models, share {share:g} has {len(views)}")
    return shares
