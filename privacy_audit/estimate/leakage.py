"""LeakagePosterior: how many records the accuracy of an attack is worth, as a distribution.

n_leaked is the number of draws from which an ideal observer would be as accurate as the attack (`attacks.distribution.leakage`). It grows
with the accuracy, so quantiles of the accuracy map to quantiles of n_leaked exactly; all mass at accuracies of 1/2 or less lies at 0.

An interval must also hold whole truths. The exact curve stands still at some n (TV_2 = TV_1 at rates a and 1 - a), and an accuracy can't
tell such an n from the one before. So the lower end of an interval takes the first draw of a plateau and the upper end the last: a whole m
lies in the interval whenever the accuracy of an ideal observer of m draws lies in the accuracy's interval. With both ends read like the
median, a true m = 6 at rates 0.3 and 0.7 would lie in a third of the 95 % intervals from 1000 victims.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.distribution.leakage import METHODS, Method, n_leaked
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import RngLike
from mechanisms.validation import in_range, one_of, probability_level
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.rates.credible import as_given, points
from privacy_audit.estimate.worlds import leakage_views as views
from privacy_audit.estimate.worlds.draws_of_accuracy import accuracy_of_draws, last_draws

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
LEVEL = 0.95
TAILS = {"equal_tailed": (0.5, 0.5), "lower": (1.0, 0.0), "upper": (0.0, 1.0)}  # shares of 1 - level below and above the interval


class AccuracyLaw(Protocol):
    """A posterior of accuracy, of one attack or of many."""

    def sf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(accuracy > e)."""
        ...

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles."""
        ...

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw accuracies."""
        ...

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        ...

    @property
    def all_right(self) -> bool | NDArray[np.bool_]:
        """Whether no guess was wrong."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class LeakagePosterior:
    """Posterior of n_leaked given a posterior of accuracy.

    Parameters
    ----------
    accuracy : `AccuracyPosterior` or `HierarchicalAccuracyPosterior`; of many attacks if it is of many.
    p, q : property rates of the two worlds, in [0, 1], different.
    method : of `n_leaked`; numbers of different methods must not be compared.

    Raises
    ------
    ValueError : rates out of range or equal, an unknown method.

    Notes
    -----
    n_leaked is a lower limit of what the model leaks, set by the strength of the attack. It counts draws from the distribution, not people
    who are exposed, and belongs to this pair of rates and this training size. No draws are made; cost: that of the accuracy's quantiles.

    Where every guess is right the point estimate is infinite, and the upper end of an interval shows how few victims there were: models
    that leak far more have the same counts. `saturated` says so; kind="lower" is then the interval to report.

    Examples
    --------
    >>> from attacks.scores import AttackCounts
    >>> from privacy_audit.estimate.accuracy import AccuracyPosterior
    >>> posterior = LeakagePosterior(AccuracyPosterior(AttackCounts(tp=200, fn=0, tn=200, fp=0)), 0.5, 0.2)
    >>> round(posterior.median), posterior.interval(0.95).round()
    (81, array([ 53., 139.]))
    """

    accuracy: AccuracyLaw
    p: float
    q: float
    method: Method = field(default="exact", kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", in_range(0, 1, closed="both", p=self.p))
        object.__setattr__(self, "q", in_range(0, 1, closed="both", q=self.q))
        one_of(METHODS, method=self.method)
        if self.p == self.q:
            raise ValueError(f"p and q must differ, got {self.p:g} twice; no number of records tells equal rates apart")

    @property
    def kind(self) -> Literal["credible"]:
        """The kind of statement: a posterior, which may call nothing violated."""
        return "credible"

    def sf(self, n: ArrayLike) -> FloatArray | float:
        """Return P(n_leaked > n), the shape of the accuracy's `sf`; from `n_leaked(..., interpolate=True)`, also on plateaus."""
        at = points(n)
        accuracy = accuracy_of_draws(np.maximum(at, 0.0), self.p, self.q, method=self.method)
        return as_given(np.where(at < 0, 1.0, np.asarray(self.accuracy.sf(accuracy))))

    def cdf(self, n: ArrayLike) -> FloatArray | float:
        """Return P(n_leaked <= n)."""
        return as_given(1 - np.asarray(self.sf(n)))

    def prob_exceeds(self, n: ArrayLike) -> FloatArray | float:
        """Return the posterior probability that n_leaked exceeds n; the same as `sf`."""
        return self.sf(n)

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles, the shape of the accuracy's `ppf`; 0 within the mass at 0.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        return n_leaked(self.accuracy.ppf(q), self.p, self.q, method=self.method, interpolate=True)

    @property
    def median(self) -> FloatArray | float:
        """The posterior median; there is no mean to speak of, since n_leaked grows without limit as the accuracy nears 1."""
        return self.ppf(0.5)

    @property
    def prob_zero(self) -> FloatArray | float:
        """P(n_leaked = 0): the attack is no better than chance."""
        return as_given(1 - np.asarray(self.accuracy.sf(0.5)))

    @property
    def saturated(self) -> bool | NDArray[np.bool_]:
        """Whether every guess was right, so that the upper end of an interval says how few victims there were."""
        return self.accuracy.all_right

    def interval(self, level: float = LEVEL, kind: Literal["equal_tailed", "lower", "upper"] = "equal_tailed") -> FloatArray:
        """Return the credible interval (low, high), shape (2,), or (n, 2) for many attacks.

        Parameters
        ----------
        level : posterior probability of the interval.
        kind : "equal_tailed"; "lower", (low, inf) unless the rates are 0 and 1; "upper", (0, high).

        Raises
        ------
        ValueError : level outside (0, 1), or an unknown kind.
        """
        below, above = TAILS[one_of(tuple(TAILS), kind=kind)]
        rest = 1 - probability_level(level)
        ends = np.asarray(self.accuracy.ppf(np.array([rest * below, 1 - rest * above])))
        low = n_leaked(ends[..., 0], self.p, self.q, method=self.method, interpolate=True)
        high = last_draws(ends[..., 1], self.p, self.q, method=self.method)
        return np.stack([np.asarray(low), np.asarray(high)], axis=-1)

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw numbers of records, the shape of the accuracy's `sample`."""
        return np.asarray(n_leaked(self.accuracy.sample(n, rng=rng), self.p, self.q, method=self.method, interpolate=True))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: accuracy, rates, method, median, 95 % credible interval and the mass at 0."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "method": self.method,
            "p": self.p,
            "q": self.q,
            "accuracy": self.accuracy.to_dict(),
            "median": json_ready(self.median),
            "interval": json_ready(self.interval(LEVEL)),
            "level": LEVEL,
            "prob_zero": json_ready(self.prob_zero),
            "saturated": json_ready(self.saturated),
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw P(n_leaked > n) and shade the 95 % credible interval of each attack; returns the axes."""
        return views.plot_leakage(self, ax)

    def _repr_html_(self) -> str:
        return views.leakage_html(self)
