"""LiRA: likelihood ratio of a record's signal under models with and without it (Carlini et al., S&P 2022).

Per record and side, phi ~ N(mu, v). With phi_0 the target's signal:
    online   s = log N(phi_0; mu_in, v_in) - log N(phi_0; mu_out, v_out)
    offline  s = (phi_0 - mu_out) / sqrt(v_out), one-sided: a record that looks *less* fitted than usual is no member (a two-sided density
             rewards it: in the Gaussian toy with mu = 1.5 its AUC is 0.753 instead of 0.856)
Variance:
    "fixed"       residual variance within records, pooled over records, IN and OUT apart; for fewer than 64 references per record
    "per_record"  unbiased variance of the record's own references; the pooled value where there are fewer than 2 or where they agree
    "shrunk"      (nu0 v_pooled + sum of squares) / (nu0 + count - 1): posterior scale under a prior worth nu0 = 32 references
Cost: O(K n q).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike

from attacks.membership.attack import ReferenceAttack
from attacks.membership.references import Bools, Floats, ReferenceStatistics, SideStatistics, masked_median
from mechanisms.validation import one_of

PRIOR_COUNT = 32.0


class LiRA(ReferenceAttack):
    """Likelihood-ratio attack with Gaussian sides.

    Parameters
    ----------
    variance : "fixed" (default), "per_record" or "shrunk".
    online : use IN and OUT references (default), or OUT only.
    center : "mean" or "median" of each side. The variance is taken around the mean in either case.

    Attributes
    ----------
    mean_in_, mean_out_ : (n, q) centers; `mean_in_` is unset offline.
    variance_in_, variance_out_ : (n, q) variances; `variance_in_` is unset offline.

    Notes
    -----
    Several queries per record: signals (K, n, q); each query is fitted on its own, the log-likelihood ratios (offline: the standardized
    signals) are averaged. Adding a constant to one record's signal in all models changes no score.

    References
    ----------
    Carlini, Chien, Nasr, Song, Terzis, Tramer, Membership Inference Attacks From First Principles, S&P 2022, Algorithm 1.

    Examples
    --------
    >>> attack = LiRA().fit([[0.0], [1.0], [3.0], [4.0]], [[0], [0], [1], [1]])
    >>> attack.score([3.5]).round(6).tolist(), attack.score([0.5]).round(6).tolist()
    ([9.0], [-9.0])
    """

    def __init__(
        self,
        *,
        variance: Literal["fixed", "per_record", "shrunk"] = "fixed",
        online: bool = True,
        center: Literal["mean", "median"] = "mean",
    ) -> None:
        self.variance = variance
        self.online = online
        self.center = center

    def fit(self, ref_signals: ArrayLike | None = None, ref_member: ArrayLike | None = None, population: ArrayLike | None = None) -> Self:
        """Learn center and variance of each record's sides.

        Parameters
        ----------
        ref_signals : (K, n) or (K, n, q) logit signals of the references.
        ref_member : (K, n) bool or 0/1: which record trained which reference.
        population : not used.

        Raises
        ------
        ValueError : no references, NaN or infinite signals, shapes that differ, membership other than 0/1, a side without any record.
        InsufficientEvidenceError : no record has two references of a side, or all agree.
        """
        one_of(("fixed", "per_record", "shrunk"), variance=self.variance)
        one_of(("mean", "median"), center=self.center)
        signals, member = self._learn(ref_signals, ref_member, online=self.online)
        means = self._centered(signals, member).filled_means()
        self.mean_out_, self.variance_out_ = means[1], self._variance(self.statistics_.outside)
        if self.online:
            self.mean_in_, self.variance_in_ = means[0], self._variance(self.statistics_.inside)
        return self

    def score(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> Floats:
        """Return the score of each record; shapes as in `fit` without the axis of models; `population` is not used."""
        target = self._target(target_signals)
        if self.online:
            ratio = _log_normal(target, self.mean_in_, self.variance_in_) - _log_normal(target, self.mean_out_, self.variance_out_)
        else:
            ratio = (target - self.mean_out_) / np.sqrt(self.variance_out_)
        return np.asarray(ratio.mean(axis=1), dtype=np.float64)

    def _centered(self, signals: Floats, member: Bools) -> ReferenceStatistics:
        if self.center == "mean":
            return self.statistics_
        inside, outside = self.statistics_.inside, self.statistics_.outside
        return ReferenceStatistics(
            replace(inside, mean=masked_median(signals, member)), replace(outside, mean=masked_median(signals, ~member))
        )

    def _variance(self, side: SideStatistics) -> Floats:
        pooled = np.broadcast_to(side.pooled_variance(), side.sum_squares.shape)
        freedom = side.freedom[:, None]
        if self.variance == "fixed":
            return np.asarray(pooled)
        if self.variance == "shrunk":
            return np.asarray((PRIOR_COUNT * pooled + side.sum_squares) / (PRIOR_COUNT + freedom))
        return np.where(side.sum_squares > 0, side.sum_squares / np.maximum(freedom, 1), pooled)


def _log_normal(x: Floats, mean: Floats, variance: Floats) -> Floats:
    """Return the log-density without the constant that both sides share."""
    return np.asarray(-((x - mean) ** 2) / (2 * variance) - np.log(variance) / 2)
