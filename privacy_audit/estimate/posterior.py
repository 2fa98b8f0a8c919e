"""EpsilonPosterior: what one threshold attack says about epsilon, as a distribution.

Each error rate gets its Beta posterior; epsilon is the smallest value whose privacy region holds both rates (Zanella-Beguelin et al.
2023). The law is computed exactly, by one-dimensional quadrature. An interval of it is a credible interval of *this attack's* epsilon,
no bound: at the corner of the region epsilon is the maximum of two noisy logarithms, so its frequentist coverage falls short.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, valid_delta, whole_number
from privacy_audit.estimate.rates import posterior_views as views
from privacy_audit.estimate.rates import summaries
from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.rates.count_arrays import CountArrays
from privacy_audit.estimate.rates.credible import CredibleLaw, points, probabilities
from privacy_audit.estimate.rates.pushforward import exceedance
from privacy_audit.estimate.rates.quantile import quantiles
from privacy_audit.estimate.region import implied_epsilon

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree

SCHEMA_VERSION = 1
_ITEMS_AT_ONCE = 16_384
_SMALLEST_PRIOR = 0.1  # below it the mass of a rate reaches beyond what float64 can tell from 0


@dataclass(frozen=True, slots=True, eq=False)
class EpsilonPosterior(CredibleLaw):
    """Posterior of epsilon given the counts of one attack, or of many attacks at once.

    Parameters
    ----------
    counts : one `AttackCounts`; or a sequence of them or a `CountArrays`, and then every result gets a leading axis of their number.
    delta : probability in [0, 1).
    prior : Beta parameters of both error rates, each >= 0.1; default Jeffreys (1/2, 1/2).
    neighboring : the relation under which the two worlds of the attack differ.

    Raises
    ------
    ValueError : a parameter out of range.
    TypeError : counts of another type, or `neighboring` not a `Neighboring`.

    Notes
    -----
    For delta > 0 there is mass at epsilon = 0, and quantiles below it are 0. For delta = 0 there is none, so every lower quantile is
    positive even if the attack only guesses: a positive lower end is no sign of leakage. Cost: about 0.1 ms per quantile and attack.

    References
    ----------
    Zanella-Beguelin et al., Bayesian Estimation of Differential Privacy, ICML 2023.

    Examples
    --------
    >>> posterior = EpsilonPosterior(AttackCounts(tp=60, fp=3, tn=97, fn=40))
    >>> posterior.ppf([0.05, 0.5, 0.95]).round(4)
    array([2.1492, 2.9393, 4.0099])
    """

    counts: AttackCounts | Sequence[AttackCounts] | CountArrays
    delta: float = field(default=0.0, kw_only=True)
    prior: tuple[float, float] = field(default=(0.5, 0.5), kw_only=True)
    neighboring: Neighboring = field(default=Neighboring.ADD_REMOVE, kw_only=True)
    _fnr: BetaLaw = field(init=False, repr=False)
    _fpr: BetaLaw = field(init=False, repr=False)

    def __post_init__(self) -> None:
        valid_neighboring(self.neighboring)
        if not isinstance(self.counts, AttackCounts | CountArrays):
            object.__setattr__(self, "counts", CountArrays.of(self.counts))
        object.__setattr__(self, "delta", valid_delta(self.delta))
        object.__setattr__(self, "prior", valid_prior(self.prior))
        table, (a, b) = self.count_arrays, self.prior
        hits, misses = np.concatenate([table.fn, table.fp]) + a, np.concatenate([table.tp, table.tn]) + b
        both, n = BetaLaw.of(hits, misses), len(table)
        object.__setattr__(self, "_fnr", both.take(np.arange(n)))
        object.__setattr__(self, "_fpr", both.take(np.arange(n, 2 * n)))

    @classmethod
    def from_arrays(
        cls,
        *,
        tp: ArrayLike,
        fp: ArrayLike,
        tn: ArrayLike,
        fn: ArrayLike,
        delta: float = 0.0,
        prior: tuple[float, float] = (0.5, 0.5),
        neighboring: Neighboring = Neighboring.ADD_REMOVE,
    ) -> EpsilonPosterior:
        """Return the posteriors of many counts, given as four arrays of shape (n,)."""
        table = CountArrays(tp=np.asarray(tp), fp=np.asarray(fp), tn=np.asarray(tn), fn=np.asarray(fn))
        return cls(table, delta=delta, prior=prior, neighboring=neighboring)

    @property
    def is_single(self) -> bool:
        """Whether one attack is described, so that results have no leading axis."""
        return isinstance(self.counts, AttackCounts)

    def __len__(self) -> int:
        return len(self.count_arrays)

    def sf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(epsilon > e), shape (n,) + e.shape."""
        return self._spread(points(e), lambda fnr, fpr, at: self._exceedance(fnr, fpr, at)[0])

    def pdf(self, e: ArrayLike) -> FloatArray | float:
        """Return the density of the part above 0, shape (n,) + e.shape; at 0 its limit from the right (the mass there has none)."""
        return self._spread(points(e), lambda fnr, fpr, at: self._exceedance(fnr, fpr, at)[1])

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles, shape (n,) + q.shape; 0 within the mass at 0, infinite at q = 1.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        return self._spread(probabilities(q), lambda fnr, fpr, point: quantiles(fnr, fpr, point, self.delta))

    @property
    def mean(self) -> FloatArray | float:
        """The posterior mean, shape (n,)."""
        return self._shaped(summaries.mean(self._fnr, self._fpr, self.delta))

    @property
    def median(self) -> FloatArray | float:
        """The posterior median, shape (n,)."""
        return self.ppf(0.5)

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw epsilons: rates from their Beta posteriors, mapped through the privacy region; shape (number of attacks, n) or (n,)."""
        return self._draw(whole_number(n=n), as_generator(rng))[0]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: counts, settings, mean, median and the 90 % credible interval."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "counts": json_ready(self.counts.to_dict() if isinstance(self.counts, AttackCounts | CountArrays) else None),
            "delta": self.delta,
            "prior": list(self.prior),
            "neighboring": self.neighboring.value,
            "mean": json_ready(self.mean),
            "median": json_ready(self.median),
            "interval": json_ready(self.interval(0.9)),
            "level": 0.9,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> EpsilonPosterior:
        """Rebuild a posterior from `to_dict()`; summaries are computed anew."""
        counts, prior = record["counts"], record["prior"]
        if not isinstance(counts, Mapping) or not isinstance(prior, list | tuple):
            raise TypeError("counts must be a table of four counts and prior a list of two numbers")
        four = {name: counts[name] for name in ("tp", "fp", "tn", "fn")}
        single = isinstance(counts["tp"], int)
        return cls(
            AttackCounts(**four) if single else CountArrays(**{name: np.asarray(values) for name, values in four.items()}),
            delta=number_from_json(record["delta"]),
            prior=(number_from_json(prior[0]), number_from_json(prior[1])),
            neighboring=Neighboring(str(record["neighboring"])),
        )

    def to_datatree(self, *, n_draws: int = 1000, n_chains: int = 4, rng: RngLike = None) -> DataTree:
        """Return draws of epsilon, fpr and fnr as an `xarray.DataTree`: group `posterior`, dims (chain, draw), then `attack` if many."""
        n_draws, n_chains = whole_number(1, n_draws=n_draws), whole_number(1, n_chains=n_chains)
        draws = self._draw(n_draws * n_chains, as_generator(rng))
        return views.datatree(dict(zip(("epsilon", "fpr", "fnr"), draws, strict=True)), n_chains)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density and the 90 % credible interval of each attack; returns the axes."""
        return views.plot(self, ax)

    def _repr_html_(self) -> str:
        return views.html(self)

    @property
    def count_arrays(self) -> CountArrays:
        """The counts as arrays, of length 1 for one attack."""
        return self.counts if isinstance(self.counts, CountArrays) else CountArrays.of(self.counts)

    def _shaped(self, values: FloatArray) -> FloatArray | float:
        """Take away the leading axis where one attack is described; a single number becomes a float."""
        if not self.is_single:
            return values
        return float(values[0]) if values.ndim == 1 else values[0]

    def _shortest(self, level: float) -> FloatArray:
        ends = summaries.shortest_intervals(self._fnr, self._fpr, level, self.delta)
        return ends[0] if self.is_single else ends

    def _spread(self, points: FloatArray, evaluate: Callable[[BetaLaw, BetaLaw, FloatArray], FloatArray]) -> FloatArray | float:
        """Evaluate every attack at every point, in bounded memory."""
        n = len(self)
        index, flat = np.repeat(np.arange(n), points.size), np.tile(points.ravel(), n)
        result = np.empty(len(flat))
        for start in range(0, len(flat), _ITEMS_AT_ONCE):
            part = slice(start, start + _ITEMS_AT_ONCE)
            result[part] = evaluate(self._fnr.take(index[part]), self._fpr.take(index[part]), flat[part])
        return self._shaped(result.reshape(n, *points.shape))

    def _exceedance(self, fnr: BetaLaw, fpr: BetaLaw, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(epsilon > at) and the density, also for negative points."""
        sf, density = exceedance(fnr, fpr, np.maximum(at, 0.0), self.delta)
        certain = (at <= 0) if self.delta == 0 else (at < 0)
        return np.where(certain, 1.0, sf), np.where(at < 0, 0.0, density)

    def _draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Draw (epsilon, fpr, fnr), each of shape (number of attacks, n) or (n,)."""
        shape = (len(self), n)
        fpr = rng.beta(self._fpr.a[:, None], self._fpr.b[:, None], shape)
        fnr = rng.beta(self._fnr.a[:, None], self._fnr.b[:, None], shape)
        epsilon = implied_epsilon(fpr, fnr, self.delta)
        return (epsilon[0], fpr[0], fnr[0]) if self.is_single else (epsilon, fpr, fnr)


def valid_prior(prior: tuple[float, float]) -> tuple[float, float]:
    """Return the two Beta parameters, each at least 0.1, or raise ValueError."""
    values = tuple(prior)
    if len(values) != 2:
        raise ValueError(f"prior must be the two parameters of a Beta law, got {len(values)} values")
    a, b = (in_range(_SMALLEST_PRIOR, 1e6, closed="both", prior=value) for value in values)
    return a, b
