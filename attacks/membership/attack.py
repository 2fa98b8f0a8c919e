"""The common manners of attacks that compare a target model with reference models.

    attack.fit(ref_signals (K, n), ref_member (K, n), population=None (K, P)) -> attack
    attack.score(target_signals (n,), population=None (P,)) -> (n,)

Signals are logit signals phi (`attacks.signals.logit_signal`), records in the same order everywhere. Neither step sees the membership of
the target. A new attack is one file with one subclass. Several queries per record: signals (K, n, q) and (n, q); each query is fitted on
its own and the log-likelihoods are averaged.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from attacks.membership.references import Bools, Floats, ReferenceStatistics, check_references, check_signals, reference_statistics
from mechanisms.errors import InsufficientEvidenceError, WeakEvidenceWarning


class Attack(BaseEstimator):  # type: ignore[misc]
    """Base of membership attacks with the common `fit` and `score`; scikit-learn's `get_params`, `set_params` and `clone` work."""

    @abstractmethod
    def fit(self, ref_signals: ArrayLike | None = None, ref_member: ArrayLike | None = None, population: ArrayLike | None = None) -> Self:
        """Learn from the references; returns the attack."""

    @abstractmethod
    def score(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return one score per record, larger = more likely a member."""


class ReferenceAttack(Attack):
    """Base of attacks that need references.

    Attributes
    ----------
    statistics_ : means and spreads of each record, IN and OUT apart.
    n_without_in_, n_without_out_ : records that have no reference of that side.
    """

    statistics_: ReferenceStatistics
    n_without_in_: int
    n_without_out_: int
    _has_query_axis: bool

    def _learn(self, ref_signals: ArrayLike | None, ref_member: ArrayLike | None, *, online: bool) -> tuple[Floats, Bools]:
        """Check the references, store their statistics, warn of records that lack a side which the attack uses."""
        if ref_signals is None or ref_member is None:
            raise ValueError(f"{type(self).__name__} needs references: pass ref_signals and ref_member, each (models, records)")
        signals, member = check_references(ref_signals, ref_member)
        if online and not member.any():
            raise ValueError(f"ref_member must hold members for an online attack, got none in shape {member.shape}; use online=False")
        if member.all():
            raise ValueError(f"ref_member must hold non-members, got none in shape {member.shape}")
        self.statistics_ = reference_statistics(signals, member)
        self._has_query_axis = np.ndim(ref_signals) == 3
        self.n_without_in_ = int(np.sum(~self.statistics_.inside.known))
        self.n_without_out_ = int(np.sum(~self.statistics_.outside.known))
        self._warn_of_missing_sides(online=online)
        return signals, member

    def _warn_of_missing_sides(self, *, online: bool) -> None:
        n_in, n_out = (self.n_without_in_ if online else 0), self.n_without_out_
        if n_in + n_out == 0:
            return
        if np.isnan(self.statistics_.gap).any():
            raise InsufficientEvidenceError(
                f"{n_in} records have no IN and {n_out} no OUT reference, and no record has both to learn the gap from; add references"
            )
        warnings.warn(
            f"{n_in} records have no IN and {n_out} no OUT reference; the other side and the average gap stand in",
            WeakEvidenceWarning,
            stacklevel=4,
        )

    def _target(self, target_signals: ArrayLike) -> Floats:
        """Return the target's signals as (n, q), or raise ValueError."""
        check_is_fitted(self, "statistics_")
        target = check_signals(target_signals=target_signals)
        n, q = self.statistics_.shape
        wanted = (n, q) if self._has_query_axis else (n,)
        if target.shape != wanted:
            raise ValueError(f"target_signals must have shape {wanted} like the references, got {target.shape}")
        return target.reshape(n, q)
