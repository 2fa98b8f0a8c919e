"""Quantile attack: what signal would a non-member with these features have? (Bertran et al., NeurIPS 2023)

On public non-members, gradient boosting learns the 0.5 and 0.84 quantiles of phi given the features x: mu(x) and mu(x) + sigma(x). Score
s = (phi_0 - mu(x)) / sigma(x). No shadow model is trained. Cross-fitting: five models, each blind to one fifth of the public records; an
audited record gets their mean, and `coverage_` says which share of the blind fifths lies below each quantile (0.5 and 0.84 if the models
fit). Cost: ten boosting fits.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from attacks.membership.references import Floats, check_signals
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.validation import whole_number

QUANTILES = (0.5, 0.84)
N_FOLDS = 5
LEAST_SPREAD = 0.1  # of the median spread: where the two quantiles meet or cross


class QuantileAttack(BaseEstimator):  # type: ignore[misc]
    """Standardized signal under a conditional quantile model of non-members; needs features, no references.

    Parameters
    ----------
    max_iter : boosting rounds of each model, >= 1.
    random_state : int or None; deals the folds and seeds the boosting.

    Attributes
    ----------
    models_ : five pairs of fitted regressors, for the quantiles 0.5 and 0.84.
    coverage_ : share of held-out public records below each of the two quantiles.
    spread_floor_ : least sigma(x); stands where the quantiles meet or cross.

    References
    ----------
    Bertran, Tang, Roth, Kearns, Morgenstern, Wu, Scalable Membership Inference Attacks via Quantile Regression, NeurIPS 2023.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=(400, 1))
    >>> attack = QuantileAttack(max_iter=30, random_state=0).fit(x, x[:, 0] + rng.normal(size=400))
    >>> score = attack.score([3.0, 0.0], [[0.0], [0.0]])
    >>> bool(score[0] > 2 > score[1])
    True
    """

    def __init__(self, *, max_iter: int = 100, random_state: int | None = None) -> None:
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, features: ArrayLike, signals: ArrayLike) -> Self:
        """Learn the quantiles of non-members.

        Parameters
        ----------
        features : (m, d) features of public non-members (numbers; the label may be one of them).
        signals : (m,) their logit signals under the target model.

        Raises
        ------
        ValueError : NaN or infinite values, shapes that differ.
        InsufficientEvidenceError : fewer than 50 public records.
        """
        whole_number(1, max_iter=self.max_iter)
        x, phi = _matched(features, signals)
        if len(phi) < 50:
            raise InsufficientEvidenceError(f"QuantileAttack needs at least 50 public non-members, got {len(phi)}")
        below, spreads, self.models_ = np.zeros(2), [], []
        for seen, blind in KFold(N_FOLDS, shuffle=True, random_state=self.random_state).split(x):
            pair = tuple(self._regressor(quantile).fit(x[seen], phi[seen]) for quantile in QUANTILES)
            predicted = np.stack([model.predict(x[blind]) for model in pair])
            below += (phi[blind] <= predicted).sum(axis=1)
            spreads.append(predicted[1] - predicted[0])
            self.models_.append(pair)
        self.coverage_ = below / len(phi)
        self.spread_floor_ = LEAST_SPREAD * max(float(np.median(np.concatenate(spreads))), 1e-12)
        self.n_features_in_ = x.shape[1]
        return self

    def score(self, target_signals: ArrayLike, features: ArrayLike) -> Floats:
        """Return (phi_0 - mu(x)) / sigma(x) of each audited record.

        Parameters
        ----------
        target_signals : (n,) logit signals under the target model.
        features : (n, d) their features, columns as in `fit`.
        """
        check_is_fitted(self, "models_")
        x, phi = _matched(features, target_signals, signal_name="target_signals")
        if x.shape[1] != self.n_features_in_:
            raise ValueError(f"features must have shape ({len(phi)}, {self.n_features_in_}) as in fit, got {x.shape}")
        median, upper = np.mean([[model.predict(x) for model in pair] for pair in self.models_], axis=0)
        return np.asarray((phi - median) / np.maximum(upper - median, self.spread_floor_), dtype=np.float64)

    def _regressor(self, quantile: float) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            loss="quantile",
            quantile=quantile,
            max_iter=self.max_iter,
            learning_rate=0.05,
            max_leaf_nodes=15,
            random_state=self.random_state,
        )


def _matched(features: ArrayLike, signals: ArrayLike, *, signal_name: str = "signals") -> tuple[Floats, Floats]:
    x, phi = check_signals(features=features), check_signals(**{signal_name: signals})
    if phi.ndim != 1 or 0 in phi.shape:
        raise ValueError(f"{signal_name} must have shape (records,), not empty, got {phi.shape}")
    if x.ndim != 2 or len(x) != len(phi) or x.shape[1] == 0:
        raise ValueError(f"features must have shape ({len(phi)}, d), one row per signal, got {x.shape}")
    return x, phi
