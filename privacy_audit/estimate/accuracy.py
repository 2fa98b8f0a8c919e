"""AccuracyPosterior: how well one attack tells two worlds apart, as a distribution.

World 1 stands where membership counts have "member": TPR = P[guess 1 | world 1], TNR = P[guess 0 | world 0]. Each gets its Beta posterior;
the accuracy is their mean, (TNR + TPR) / 2, whatever the numbers of victims. The law is computed exactly, by one-dimensional quadrature.
The counts of a distribution-inference game are never pooled with membership counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from privacy_audit.estimate.model_effects.law_numerics import shortest_interval
from privacy_audit.estimate.posterior import valid_prior
from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.rates.count_arrays import CountArrays
from privacy_audit.estimate.rates.credible import CredibleLaw, IntervalKind, points, probabilities
from privacy_audit.estimate.worlds import accuracy_views as views
from privacy_audit.estimate.worlds.mean_rate import mean_of_rates
from privacy_audit.estimate.worlds.mean_rate_quantile import mean_rate_quantiles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
LEVEL = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class AccuracyPosterior(CredibleLaw):
    """Posterior of the balanced accuracy given the counts of one attack, or of many attacks at once.

    Parameters
    ----------
    counts : one `AttackCounts`; or a sequence of them or a `CountArrays`, and then every result gets a leading axis of their number.
    prior : Beta parameters of both rates (right, wrong), each >= 0.1; default Jeffreys (1/2, 1/2).

    Raises
    ------
    ValueError : a prior out of range.
    TypeError : counts of another type.

    Notes
    -----
    It covers the choice of victims, for this attack with these shadow models; several shadow draws: `HierarchicalAccuracyPosterior`. The
    95 % interval covers the accuracy of a fixed attack in 94.6 % of games at rates (0.7, 0.9) and 100 victims a world. The attack must be
    chosen without these counts. Cost: about 0.03 ms for a probability and 0.13 ms for a quantile of one attack among many, 1 ms alone.

    Examples
    --------
    >>> posterior = AccuracyPosterior(AttackCounts(tp=160, fn=40, tn=150, fp=50))
    >>> posterior.interval(0.95).round(3)
    array([0.732, 0.813])
    """

    counts: AttackCounts | Sequence[AttackCounts] | CountArrays
    prior: tuple[float, float] = field(default=(0.5, 0.5), kw_only=True)
    _tnr: BetaLaw = field(init=False, repr=False)
    _tpr: BetaLaw = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.counts, AttackCounts | CountArrays):
            object.__setattr__(self, "counts", CountArrays.of(self.counts))
        object.__setattr__(self, "prior", valid_prior(self.prior))
        table, (a, b) = self.count_arrays, self.prior
        tn, fp, tp, fn = (count.astype(np.float64) for count in (table.tn, table.fp, table.tp, table.fn))
        object.__setattr__(self, "_tnr", BetaLaw.of(tn + a, fp + b))
        object.__setattr__(self, "_tpr", BetaLaw.of(tp + a, fn + b))

    @property
    def is_single(self) -> bool:
        """Whether one attack is described, so that results have no leading axis."""
        return isinstance(self.counts, AttackCounts)

    @property
    def count_arrays(self) -> CountArrays:
        """The counts as arrays, of length 1 for one attack."""
        return self.counts if isinstance(self.counts, CountArrays) else CountArrays.of(self.counts)

    def __len__(self) -> int:
        return len(self._tnr.a)

    def cdf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(accuracy <= e), shape (n,) + e.shape."""
        return self._spread(points(e), lambda tnr, tpr, at: mean_of_rates(tnr, tpr, np.clip(at, 0.0, 1.0))[0])

    def sf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(accuracy > e), shape (n,) + e.shape."""
        return self._spread(points(e), lambda tnr, tpr, at: mean_of_rates(tnr, tpr, np.clip(at, 0.0, 1.0))[1])

    def pdf(self, e: ArrayLike) -> FloatArray | float:
        """Return the density, shape (n,) + e.shape; 0 outside (0, 1)."""
        return self._spread(points(e), _density)

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles, shape (n,) + q.shape.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        return self._spread(probabilities(q), mean_rate_quantiles)

    def interval(self, level: float = LEVEL, kind: IntervalKind = "equal_tailed") -> FloatArray:
        """Return the credible interval (low, high), shape (2,), or (n, 2) for the posterior of many attacks.

        Parameters
        ----------
        level : posterior probability of the interval.
        kind : "equal_tailed"; "hdi", the shortest one; "lower", (Q(1 - level), 1); "upper", (0, Q(level)).

        Raises
        ------
        ValueError : level outside (0, 1), or an unknown kind.
        """
        return CredibleLaw.interval(self, level, kind)

    @property
    def all_right(self) -> bool | NDArray[np.bool_]:
        """Whether no guess was wrong, a bool or an array of shape (n,)."""
        table = self.count_arrays
        perfect: NDArray[np.bool_] = table.fp + table.fn == 0
        return bool(perfect[0]) if self.is_single else perfect

    @property
    def mean(self) -> FloatArray | float:
        """The posterior mean, shape (n,)."""
        return self._shaped((self._tnr.a / (self._tnr.a + self._tnr.b) + self._tpr.a / (self._tpr.a + self._tpr.b)) / 2)

    @property
    def median(self) -> FloatArray | float:
        """The posterior median, shape (n,)."""
        return self.ppf(0.5)

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw accuracies, shape (number of attacks, n) or (n,)."""
        shape, generator = (len(self), whole_number(n=n)), as_generator(rng)
        tnr = generator.beta(self._tnr.a[:, None], self._tnr.b[:, None], shape)
        tpr = generator.beta(self._tpr.a[:, None], self._tpr.b[:, None], shape)
        draws = (tnr + tpr) / 2
        return draws[0] if self.is_single else draws

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, prior, mean, median and the 95 % credible interval."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": json_ready(self.counts.to_dict() if isinstance(self.counts, AttackCounts | CountArrays) else None),
            "prior": list(self.prior),
            "mean": json_ready(self.mean),
            "median": json_ready(self.median),
            "interval": json_ready(self.interval(LEVEL)),
            "level": LEVEL,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> AccuracyPosterior:
        """Rebuild a posterior from `to_dict()`; summaries are computed anew."""
        counts, prior = record["counts"], record["prior"]
        if not isinstance(counts, Mapping) or not isinstance(prior, list | tuple):
            raise TypeError("counts must be a table of four counts and prior a list of two numbers")
        four = {name: counts[name] for name in ("tp", "fp", "tn", "fn")}
        single = isinstance(counts["tp"], int)
        return cls(
            AttackCounts(**four) if single else CountArrays(**{name: np.asarray(values) for name, values in four.items()}),
            prior=(number_from_json(prior[0]), number_from_json(prior[1])),
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density and the 95 % credible interval of each attack; returns the axes."""
        return views.plot_accuracy(self, ax)

    def _repr_html_(self) -> str:
        return views.accuracy_html(self)

    def _shaped(self, values: FloatArray) -> FloatArray | float:
        """Take away the leading axis where one attack is described; a single number becomes a float."""
        if not self.is_single:
            return values
        return float(values[0]) if values.ndim == 1 else values[0]

    def _shortest(self, level: float) -> FloatArray:
        ends = [self._shortest_of(i, level) for i in range(len(self))]
        return ends[0] if self.is_single else np.array(ends)

    def _shortest_of(self, i: int, level: float) -> FloatArray:
        def quantile(q: FloatArray) -> FloatArray:
            row = np.full(len(q), i)
            return mean_rate_quantiles(self._tnr.take(row), self._tpr.take(row), np.clip(q, 0.0, 1.0))

        return shortest_interval(quantile, level)

    def _spread(self, at: FloatArray, evaluate: Callable[[BetaLaw, BetaLaw, FloatArray], FloatArray]) -> FloatArray | float:
        """Evaluate every attack at every point."""
        n = len(self)
        index, flat = np.repeat(np.arange(n), at.size), np.tile(at.ravel(), n)
        return self._shaped(evaluate(self._tnr.take(index), self._tpr.take(index), flat).reshape(n, *at.shape))


def _density(tnr: BetaLaw, tpr: BetaLaw, at: FloatArray) -> FloatArray:
    inside = (at > 0) & (at < 1)
    return np.where(inside, mean_of_rates(tnr, tpr, np.where(inside, at, 0.5))[2], 0.0)
