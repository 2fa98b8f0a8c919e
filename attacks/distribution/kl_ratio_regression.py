"""KL regression: the estimate is the mean of the shares, weighted by how like their shadow models' answers are to the victim's.

    alpha_hat = clip(offset + slope * sum_a w_a a, support),   w = softmax(-D / tau)
    D_a = mean over the shadow models of share a of KL(p || p_v)

A divergence as a weight itself would favor the most unlike share; the softmax of its negative favors the most alike. tau, offset and slope
come from the shadow models, each left out of its own share's mean. Cost: O(shadows x queries x classes), once.

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023 (regression by KL).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from attacks.distribution.kl_test import clipped_logs
from attacks.distribution.ratio_regression import checked_shares
from attacks.distribution.views import Floats, ModelViews
from mechanisms.validation import positive

TEMPERATURES = tuple(10.0 ** (k / 2) for k in range(-10, 3))


class KLRatioRegressor(BaseEstimator):  # type: ignore[misc]
    """Estimates the share of the property by divergences from the shadow models of each share.

    Parameters
    ----------
    temperatures : values of tau to choose from, in nats.

    Attributes
    ----------
    temperature_ : the chosen tau.
    support_ : smallest and largest share of the shadow models.
    slope_, offset_ : calibration of the weighted mean.
    """

    def __init__(self, *, temperatures: Sequence[float] = TEMPERATURES) -> None:
        self.temperatures = temperatures

    def fit(self, shadows: Sequence[ModelViews], alphas: ArrayLike) -> Self:
        """Learn from shadow models of each share; parameters and errors as for `RatioRegressor`."""
        temperatures = [positive(temperature=value) for value in self.temperatures]
        if not temperatures:
            raise ValueError("temperatures must hold at least one value")
        self.alphas_ = checked_shares(shadows, alphas)
        self.support_ = float(self.alphas_.min()), float(self.alphas_.max())
        logs = [clipped_logs(views) for views in shadows]
        self._mean = np.stack([np.exp(part).mean(axis=0) for part in logs])
        self._information = np.array([float((np.exp(part) * part).sum(axis=2).mean()) for part in logs])
        left_out = []
        for own, part in enumerate(logs):
            far = self._divergences(part)
            far[:, own] *= len(part) / (len(part) - 1)  # a model's own KL is 0, so leaving it out only lowers the count
            left_out.append(far)
        target = np.repeat(self.alphas_, [len(part) for part in logs])
        fits = [_line(softmax(-np.concatenate(left_out) / tau, axis=1) @ self.alphas_, target) for tau in temperatures]
        best = int(np.argmin([error for *_, error in fits]))
        self.temperature_ = temperatures[best]
        self.slope_, self.offset_, _ = fits[best]
        return self

    def predict(self, victims: ModelViews) -> Floats:
        """Return one share per victim, within the support."""
        check_is_fitted(self, "temperature_")
        raw = softmax(-self._divergences(clipped_logs(victims)) / self.temperature_, axis=1) @ self.alphas_
        return np.asarray(np.clip(self.offset_ + self.slope_ * raw, *self.support_))

    def _divergences(self, logs: Floats) -> Floats:
        """Return (M, shares) mean KL of the shadow models' answers from each model's."""
        return np.asarray(self._information - np.einsum("mqc,aqc->ma", logs, self._mean) / logs.shape[1])


def _line(estimate: Floats, target: Floats) -> tuple[float, float, float]:
    """Return slope, offset and mean squared error of the least-squares line; a falling or undefined one becomes a constant."""
    spread = float(np.var(estimate))
    slope = max(0.0, float(np.mean((estimate - estimate.mean()) * (target - target.mean()))) / spread) if spread > 1e-24 else 0.0
    offset = float(target.mean() - slope * estimate.mean())
    return slope, offset, float(np.mean((offset + slope * estimate - target) ** 2))
