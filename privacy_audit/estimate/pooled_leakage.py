"""PooledLeakage: one number of leaked records from games at several pairs of rates.

If a model leaked a fixed number of records, the exact n_leaked would be the same at every pair of rates. This fits one common number with a
deviation for each pair, and reports both: a spread near 0 says that one number does for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import in_range, probability_level
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.rates.credible import as_given, points, probabilities
from privacy_audit.estimate.worlds import leakage_views as views
from privacy_audit.estimate.worlds.draws_of_accuracy import line_accuracy
from privacy_audit.estimate.worlds.pair_likelihood import PairLikelihood, pair_likelihood
from privacy_audit.estimate.worlds.pooled_grid import PooledGrid, pooled_grid, quantile_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA_VERSION = 1
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class PairLeakage:
    """Number of leaked records at one pair of rates, given all pairs.

    Parameters
    ----------
    p, q : the rates.
    median, low, high : of n_j; the ends of the equal-tailed credible interval of probability `level`.
    level : probability content of the interval.
    """

    p: float
    q: float
    median: float
    low: float
    high: float
    level: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {name: json_ready(getattr(self, name)) for name in ("p", "q", "median", "low", "high", "level")}


@dataclass(frozen=True, slots=True, eq=False)
class PooledLeakage:
    """Posterior of the number of records that a model leaks, common to several pairs of rates.

    Parameters
    ----------
    pairs : (counts, p, q) of each pair; victims of different pairs are different models.

    Raises
    ------
    ValueError : no pair, rates out of range or equal.
    TypeError : counts that are not `AttackCounts`.

    Notes
    -----
    ln n_j ~ Normal(ln n, sigma); ln n uniform from 0.1 to 1e7 records, sigma ~ HalfNormal(0.5). Numbers below 1 mean less than one record.
    If no pair leaks, n lies anywhere below what the victims could show, and the prior's lower end; if every guess is right everywhere it
    has no upper end but the prior's. The caution of `LeakagePosterior` holds: n is a lower limit, set by the strength of the attack.

    Examples
    --------
    >>> pairs = [(AttackCounts(tp=170, fn=30, tn=182, fp=18), 0.5, 0.2), (AttackCounts(tp=150, fn=50, tn=156, fp=44), 0.5, 0.3)]
    >>> posterior = PooledLeakage(pairs)
    >>> round(posterior.median), posterior.interval(0.5).round()
    (12, array([11., 14.]))
    """

    pairs: Sequence[tuple[AttackCounts, float, float]]
    _likelihoods: tuple[PairLikelihood, ...] = field(init=False, repr=False)
    _grid: PooledGrid = field(init=False, repr=False)

    def __post_init__(self) -> None:
        pairs = tuple(_valid_pair(*pair) for pair in self.pairs)
        if not pairs:
            raise ValueError("pairs must hold at least one (counts, p, q)")
        object.__setattr__(self, "pairs", pairs)
        likelihoods = tuple(pair_likelihood(*pair) for pair in pairs)
        object.__setattr__(self, "_likelihoods", likelihoods)
        object.__setattr__(self, "_grid", pooled_grid(likelihoods))

    @property
    def kind(self) -> Literal["credible"]:
        """The kind of statement: a posterior, which may call nothing violated."""
        return "credible"

    def cdf(self, n: ArrayLike) -> FloatArray | float:
        """Return P(common n <= n), shape of n."""
        at = points(n)
        grid = self._grid
        step = grid.eta[1] - grid.eta[0]
        cumulated = np.concatenate([[0.0], np.cumsum(grid.eta_mass)])
        edges = np.concatenate([[grid.eta[0] - step / 2], grid.eta + step / 2])
        return as_given(np.interp(np.log(np.maximum(at, 1e-300)), edges, cumulated))

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles of the common n, shape of q."""
        return as_given(np.exp(quantile_of(self._grid.eta, self._grid.eta_mass, probabilities(q))))

    @property
    def median(self) -> float:
        """The posterior median of the common n."""
        return float(self.ppf(0.5))

    def interval(self, level: float = LEVEL) -> FloatArray:
        """Return the equal-tailed credible interval of the common n, shape (2,).

        An end on a plateau of all pairs, where no accuracy tells its draws apart, moves to the plateau's end.
        """
        tail = (1 - probability_level(level)) / 2
        low, high = np.asarray(self.ppf(np.array([tail, 1 - tail]))).tolist()
        return np.array(self._off_plateaus(low, high, range(len(self.pairs))))

    @property
    def spread(self) -> tuple[float, float, float]:
        """Median and ends of the 95 % credible interval of sigma, the deviation of ln n between pairs."""
        median, low, high = np.exp(quantile_of(self._grid.log_sigma, self._grid.sigma_mass, np.array([0.5, 0.025, 0.975])))
        return float(median), float(low), float(high)

    def per_pair(self, level: float = LEVEL) -> tuple[PairLeakage, ...]:
        """Return the number at each pair, in the order given: pulled towards the common one as far as its own counts leave room."""
        tail = (1 - probability_level(level)) / 2
        rows = []
        for j, (_, p, q) in enumerate(self.pairs):
            ends = np.array([tail, 0.5, 1 - tail])
            low, median, high = np.exp(quantile_of(self._likelihoods[j].x, self._grid.pair_mass[j], ends)).tolist()
            rows.append(PairLeakage(p, q, median, *self._off_plateaus(low, high, (j,)), level))
        return tuple(rows)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: pairs, common median and 95 % credible interval, spread, and every pair's number."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "pairs": [{"counts": counts.to_dict(), "p": p, "q": q} for counts, p, q in self.pairs],
            "median": self.median,
            "interval": json_ready(self.interval()),
            "level": LEVEL,
            "spread": json_ready(self.spread),
            "per_pair": json_ready(self.per_pair()),
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each pair's number with its 95 % credible interval, and the common one as a band; returns the axes."""
        return views.plot_pooled(self, ax)

    def _repr_html_(self) -> str:
        return views.pooled_html(self)

    def _off_plateaus(self, low: float, high: float, pairs: Sequence[int]) -> tuple[float, float]:
        """Move ends that lie on a plateau of all these pairs to the plateau's ends."""
        ends = np.array([low, np.floor(low), high, np.ceil(high)])
        accuracy = np.array([line_accuracy(ends, *self.pairs[j][1:]) for j in pairs])
        flat = np.abs(accuracy[:, [1, 3]] - accuracy[:, [0, 2]]).max(axis=0) <= 1e-12 * (1 - accuracy.max())
        return float(ends[1] if flat[0] else low), float(ends[3] if flat[1] else high)


def _valid_pair(counts: AttackCounts, p: float, q: float) -> tuple[AttackCounts, float, float]:
    if not isinstance(counts, AttackCounts):
        raise TypeError(f"counts must be AttackCounts, got {type(counts).__name__}")
    first, second = in_range(0, 1, closed="both", p=p), in_range(0, 1, closed="both", q=q)
    if first == second:
        raise ValueError(f"p and q must differ, got {first:g} twice; no number of records tells equal rates apart")
    return counts, first, second
