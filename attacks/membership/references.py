"""What references say of each record: its signal with (IN) and without (OUT) the record in training.

References are models k = 1..K with known membership m[k, i]. Statistics are taken over exactly the references with m = True (IN) or
m = False (OUT) of that record, so records with few of one side lose nothing and gain no zeros. The pooled variance is the one of
residuals *within* records, v = sum_i sum_k (phi_ki - mean_i)^2 / (n_obs - n_records_with_data), IN and OUT apart (Carlini et al. 2022's
"fixed variance", not the spread around a grand mean). Axes: models, records, queries. Cost: O(K n q), no loop over records.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.signals import as_array
from mechanisms.errors import InsufficientEvidenceError

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SideStatistics:
    """One side (IN or OUT) of every record.

    Parameters
    ----------
    name : "IN" or "OUT", for messages.
    count : (n,) references of this side.
    mean : (n, q) mean signal; NaN where count is 0.
    sum_squares : (n, q) squared deviations from the record's own mean; 0 where count is 0.
    """

    name: str
    count: NDArray[np.int64]
    mean: Floats
    sum_squares: Floats

    @property
    def known(self) -> Bools:
        """(n,) whether the record has a reference of this side."""
        return self.count > 0

    @property
    def freedom(self) -> NDArray[np.int64]:
        """(n,) degrees of freedom of `sum_squares`, count - 1 or 0."""
        return np.maximum(self.count - 1, 0)

    def pooled_variance(self) -> Floats:
        """Return the within-record residual variance of each query, shape (q,).

        Raises
        ------
        InsufficientEvidenceError : no record has two references of this side, or they all agree.
        """
        freedom = int(self.freedom.sum())
        if freedom == 0:
            raise InsufficientEvidenceError(f"no record has two {self.name} references, so their spread is unknown; add references")
        variance = self.sum_squares.sum(axis=0) / freedom
        if not np.all(variance > 0):
            raise InsufficientEvidenceError(f"all {self.name} references of each record agree: their spread is 0; are they one model?")
        return np.asarray(variance, dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ReferenceStatistics:
    """Both sides of every record; `inside` is IN, `outside` is OUT."""

    inside: SideStatistics
    outside: SideStatistics

    @property
    def shape(self) -> tuple[int, int]:
        """(n, q): records and queries."""
        n, q = self.inside.mean.shape
        return n, q

    @property
    def gap(self) -> Floats:
        """(q,) average of mean_IN - mean_OUT over the records that have both; NaN if none has."""
        both = self.inside.known & self.outside.known
        difference = (self.inside.mean - self.outside.mean)[both]
        return np.asarray(difference.mean(axis=0)) if len(difference) else np.full(self.shape[1], np.nan)

    def filled_means(self) -> tuple[Floats, Floats]:
        """Return (mean_IN, mean_OUT), each (n, q); a missing side is the other side plus or minus the average gap."""
        inside, outside = self.inside.mean, self.outside.mean
        gap = self.gap
        return (
            np.where(self.inside.known[:, None], inside, outside + gap),
            np.where(self.outside.known[:, None], outside, inside - gap),
        )


def check_references(ref_signals: ArrayLike, ref_member: ArrayLike) -> tuple[Floats, Bools]:
    """Return signals of shape (K, n, q) and membership of shape (K, n), or raise ValueError.

    Parameters
    ----------
    ref_signals : (K, n) or (K, n, q) finite signals of K >= 1 references.
    ref_member : (K, n) bool or 0/1.
    """
    signals = check_signals(ref_signals=ref_signals)
    if signals.ndim not in (2, 3) or 0 in signals.shape:
        raise ValueError(f"ref_signals must have shape (models, records) or (models, records, queries), none 0, got {signals.shape}")
    member = as_array(ref_member)
    if member.shape != signals.shape[:2]:
        raise ValueError(f"ref_member must have shape {signals.shape[:2]} like ref_signals, got {member.shape}")
    return signals.reshape(*signals.shape[:2], -1), zero_one(ref_member=member)


def check_signals(**values: ArrayLike) -> Floats:
    """Return a finite float64 array, or raise ValueError naming the argument, its shape and how many values are bad."""
    (name, value), *_ = values.items()
    array = as_array(value)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    signals = np.asarray(array, dtype=np.float64)
    n_bad = int(np.sum(~np.isfinite(signals)))
    if n_bad:
        raise ValueError(f"{name} must be finite, got {n_bad} NaN or infinite values in shape {signals.shape}")
    return signals


def zero_one(**values: ArrayLike) -> Bools:
    """Return a bool array of any shape from bool or 0/1 values, or raise ValueError naming the argument."""
    (name, value), *_ = values.items()
    array = as_array(value)
    if array.dtype != np.bool_ and not np.isin(array, (0, 1)).all():
        raise ValueError(f"{name} must hold only true/false or 0/1, in shape {array.shape}")
    return array.astype(np.bool_)


def reference_statistics(signals: Floats, member: Bools) -> ReferenceStatistics:
    """Return both sides of every record from checked arrays of shape (K, n, q) and (K, n)."""
    return ReferenceStatistics(_side("IN", signals, member), _side("OUT", signals, ~member))


def masked_median(signals: Floats, member: Bools) -> Floats:
    """Return the median over the models with member = True, shape (n, q); NaN where there is none."""
    count = member.sum(axis=0)
    ordered = np.sort(np.where(member[..., None], signals, np.inf), axis=0)
    pick = np.stack([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, len(signals) - 1)])  # (2, n)
    middle = np.take_along_axis(ordered, pick[..., None], axis=0).mean(axis=0)
    return np.where(count[:, None] > 0, middle, np.nan)


def _side(name: str, signals: Floats, member: Bools) -> SideStatistics:
    count = member.sum(axis=0)
    mask = member[..., None]
    total = np.where(mask, signals, 0.0).sum(axis=0)
    mean = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)
    sum_squares = np.where(mask, (signals - mean) ** 2, 0.0).sum(axis=0)
    return SideStatistics(name, count, mean, sum_squares)
