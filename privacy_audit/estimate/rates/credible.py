"""What all posteriors of epsilon share: which probabilities an interval takes, checked arguments, and the kind of statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.validation import one_of, probability_level
from privacy_audit.estimate.rates.beta_law import FloatArray

IntervalKind = Literal["equal_tailed", "hdi", "lower", "upper"]


class CredibleLaw:
    """The methods of a posterior that follow from its `sf`, its `ppf` and its shortest interval."""

    __slots__ = ()

    if TYPE_CHECKING:

        def sf(self, e: ArrayLike) -> FloatArray | float:
            """Return P(epsilon > e)."""
            ...

        def pdf(self, e: ArrayLike) -> FloatArray | float:
            """Return the density."""
            ...

        def ppf(self, q: ArrayLike) -> FloatArray | float:
            """Return quantiles."""
            ...

        def _shortest(self, level: float) -> FloatArray: ...

    @property
    def kind(self) -> Literal["credible"]:
        """The kind of statement: a posterior, which may call nothing violated."""
        return "credible"

    def cdf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(epsilon <= e), the shape of `sf`."""
        return as_given(1 - np.asarray(self.sf(e)))

    def prob_exceeds(self, e: ArrayLike) -> FloatArray | float:
        """Return the posterior probability that epsilon exceeds e; the same as `sf`."""
        return self.sf(e)

    def interval(self, level: float = 0.9, kind: IntervalKind = "equal_tailed") -> FloatArray:
        """Return the credible interval (low, high), shape (2,), or (n, 2) for the posterior of many attacks.

        Parameters
        ----------
        level : posterior probability of the interval.
        kind : "equal_tailed"; "hdi", the shortest one; "lower", (Q(1 - level), inf); "upper", (0, Q(level)).

        Raises
        ------
        ValueError : level outside (0, 1), or an unknown kind.
        """
        level = probability_level(level)
        name = one_of(("equal_tailed", "hdi", "lower", "upper"), kind=kind)
        if name == "hdi":
            return self._shortest(level)
        if name == "upper":
            high = np.asarray(self.ppf(level))
            return np.stack([np.zeros_like(high), high], axis=-1)
        tail = {"equal_tailed": ((1 - level) / 2, (1 + level) / 2), "lower": (1 - level, 1.0)}
        return np.asarray(self.ppf(np.array(tail[name])))


def probabilities(q: ArrayLike) -> FloatArray:
    """Return q as an array.

    Raises
    ------
    ValueError : a probability outside [0, 1], or NaN.
    """
    probability = np.asarray(q, dtype=np.float64)
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError(f"q must hold probabilities in [0, 1], got {probability.size} values, not all of them inside")
    return probability


def points(e: ArrayLike) -> FloatArray:
    """Return e as an array.

    Raises
    ------
    ValueError : NaN among the points.
    """
    point = np.asarray(e, dtype=np.float64)
    if np.isnan(point).any():
        raise ValueError(f"e must hold numbers, got {int(np.isnan(point).sum())} NaN among {point.size}")
    return point


def as_given(values: FloatArray) -> FloatArray | float:
    """Turn an array without axes into a float."""
    return float(values) if np.ndim(values) == 0 else values
