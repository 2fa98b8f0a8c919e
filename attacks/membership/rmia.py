"""RMIA: is the target better at this record than at records it never saw, each against the references (Zarifzadeh et al., ICML 2024)?

With p = p_y from the logit signal, population records z that were never members of any model, and references:
    r_x = p_0(x) / p(x),   online   p(x) = (mean_IN p + mean_OUT p) / 2
                           offline  p(x) = ((1 + a) mean_OUT p + 1 - a) / 2
    r_z = p_0(z) / p(z),   p(z) = mean over all references, with the offline transform when offline
    share s = share of z with r_x >= gamma r_z
All ratios are logs of probabilities, so p = 1e-400 keeps its order. Inside one target the share takes only P + 1 values; log r_x breaks its
ties: score = (count + 1/2 + arctan(log r_x) / pi) / (P + 1), in (0, 1), which orders by (count, log r_x).
Cost: O(K (n + P)) to fit, O((n + P) log P) to score by one sort and `searchsorted`; no n x P matrix.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_expit
from sklearn.utils.validation import check_is_fitted

from attacks.membership.attack import ReferenceAttack
from attacks.membership.references import Bools, Floats, check_signals
from mechanisms.validation import in_range, positive


class RMIA(ReferenceAttack):
    """Robust membership inference attack, ordered by the share of population records it beats, then by its ratio.

    Parameters
    ----------
    gamma : how much better than a population record counts as beaten, > 0.
    a : offline only, in [0, 1]: how far IN models are above OUT models. It may be chosen on a reference model held out from target and
        references, never on the complement of the target (whose membership is the negated answer).
    online : use IN and OUT references (default), or OUT only.

    Attributes
    ----------
    log_probability_ : (n,) log p(x).
    log_population_ : (P,) log p(z).

    Notes
    -----
    One query per record. The population must not hold audited records or members of any model: signals alone can't show that, the caller
    must see to it.

    References
    ----------
    Zarifzadeh, Liu, Shokri, Low-Cost High-Power Membership Inference Attacks, ICML 2024.

    Examples
    --------
    >>> attack = RMIA().fit([[0.0], [1.0]], [[0], [1]], population=[[0.0, 1.0], [0.0, 1.0]])
    >>> attack.share([2.0], population=[0.0, 1.0]).tolist()
    [1.0]
    """

    def __init__(self, *, gamma: float = 1.0, a: float = 0.3, online: bool = True) -> None:
        self.gamma = gamma
        self.a = a
        self.online = online

    def fit(self, ref_signals: ArrayLike | None = None, ref_member: ArrayLike | None = None, population: ArrayLike | None = None) -> Self:
        """Learn p(x) and p(z) from the references.

        Parameters
        ----------
        ref_signals : (K, n) logit signals of the references.
        ref_member : (K, n) bool or 0/1: which record trained which reference.
        population : (K, P) logit signals of the population records under the same references; required.

        Raises
        ------
        ValueError : no references or no population, NaN or infinite signals, shapes that differ, membership other than 0/1, a side
            without any record, gamma or a out of range.
        """
        positive(gamma=self.gamma)
        in_range(0, 1, closed="both", a=self.a)
        signals, member = self._learn(ref_signals, ref_member, online=self.online)
        if self._has_query_axis:
            raise ValueError(f"ref_signals must have shape (models, records) for RMIA, got {signals.shape}; average the queries first")
        others = _population(population, (len(signals), None))
        log_p, log_z = log_expit(signals[..., 0]), log_expit(others)
        log_out = _log_mean(log_p, ~member)
        if self.online:
            log_in = _log_mean(log_p, member)
            self.log_probability_ = np.logaddexp(*_filled(log_in, log_out)) - np.log(2)
            self.log_population_ = _log_mean(log_z, np.ones(log_z.shape, dtype=np.bool_))
        else:
            if self.n_without_out_:
                _, log_out = _filled(_log_mean(log_p, member), log_out)
            self.log_probability_ = self._offline(log_out)
            self.log_population_ = self._offline(_log_mean(log_z, np.ones(log_z.shape, dtype=np.bool_)))
        return self

    def score(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> Floats:
        """Return the score of each record, in (0, 1).

        Parameters
        ----------
        target_signals : (n,) logit signals of the target model.
        population : (P,) logit signals of the population records under the target model; required.
        """
        beaten, log_ratio = self._beaten(target_signals, population)
        return np.asarray((beaten + 0.5 + np.arctan(log_ratio) / np.pi) / (len(self.log_population_) + 1), dtype=np.float64)

    def share(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> Floats:
        """Return the published score, the share of population records with r_x >= gamma r_z; arguments as for `score`."""
        beaten, _ = self._beaten(target_signals, population)
        return np.asarray(beaten / len(self.log_population_), dtype=np.float64)

    def _beaten(self, target_signals: ArrayLike, population: ArrayLike | None) -> tuple[Floats, Floats]:
        target = self._target(target_signals)[:, 0]
        check_is_fitted(self, "log_population_")
        others = _population(population, (len(self.log_population_),))
        log_ratio = log_expit(target) - self.log_probability_
        ordered = np.sort(log_expit(others) - self.log_population_)
        return np.searchsorted(ordered, log_ratio - np.log(self.gamma), side="right").astype(np.float64), log_ratio

    def _offline(self, log_mean: Floats) -> Floats:
        with np.errstate(divide="ignore"):  # a = 1: the second term is 0
            return np.asarray(np.logaddexp(np.log((1 + self.a) / 2) + log_mean, np.log((1 - self.a) / 2)))


def _population(population: ArrayLike | None, wanted: tuple[int | None, ...]) -> Floats:
    shape = tuple("P" if size is None else size for size in wanted)
    if population is None:
        raise ValueError(f"population is needed: signals of records that were never members of any model, shape {shape}")
    signals = check_signals(population=population)
    if signals.ndim != len(wanted) or 0 in signals.shape or any(w not in (None, s) for w, s in zip(wanted, signals.shape, strict=True)):
        raise ValueError(f"population must have shape {shape}, got {signals.shape}")
    return signals


def _log_mean(log_p: Floats, mask: Bools) -> Floats:
    """Return log of the mean of exp(log_p) over the models in the mask, per record; NaN where there is none."""
    count = mask.sum(axis=0)
    total = np.logaddexp.reduce(np.where(mask, log_p, -np.inf), axis=0)
    return np.where(count > 0, total - np.log(np.maximum(count, 1)), np.nan)


def _filled(log_in: Floats, log_out: Floats) -> tuple[Floats, Floats]:
    """Return both sides; a missing one is the other plus or minus the average gap of the probabilities, kept in [1e-12, 1]."""
    p_in, p_out = np.exp(log_in), np.exp(log_out)
    missing_in, missing_out = np.isnan(log_in), np.isnan(log_out)
    if not (missing_in.any() or missing_out.any()):
        return log_in, log_out
    gap = np.nanmean(p_in - p_out)
    return (
        np.where(missing_in, np.log(np.clip(p_out + gap, 1e-12, 1)), log_in),
        np.where(missing_out, np.log(np.clip(p_in - gap, 1e-12, 1)), log_out),
    )
