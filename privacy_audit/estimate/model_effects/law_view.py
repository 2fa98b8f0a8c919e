"""The methods that posteriors with model effects share with `EpsilonPosterior`: each is read off their law."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from privacy_audit.estimate.model_effects.epsilon_law import SIDES, EpsilonLaw, RhoSummary, Side
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.rates import posterior_views as views
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.rates.credible import CredibleLaw, as_given, points, probabilities

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree

_RHO_LEVEL = 0.95


class LawView(CredibleLaw):
    """Distribution methods of a record that has `law`, `counts` and `delta`."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def law(self) -> EpsilonLaw:
            """The law all methods read."""
            ...

        @property
        def counts(self) -> ModelCounts:
            """Counts per model."""
            ...

    @property
    def is_single(self) -> bool:
        """Whether one attack is described; always true, as for one `AttackCounts` in `EpsilonPosterior`."""
        return True

    @property
    def n_models(self) -> int:
        """Number of models."""
        return len(self.counts)

    @property
    def rho(self) -> dict[Side, RhoSummary]:
        """Posterior of the correlation within a model, of both sides, with 95 % credible intervals."""
        tail = (1 - _RHO_LEVEL) / 2
        summaries: dict[Side, RhoSummary] = {}
        for side in SIDES:
            mean, (low, median, high) = self.law.rho(side, np.array([tail, 0.5, 1 - tail]))
            identified = bool(self._trials(side).max() > 1 and (self._trials(side) > 0).sum() > 1)
            summaries[side] = RhoSummary(mean, float(median), float(low), float(high), _RHO_LEVEL, identified)
        return summaries

    @property
    def n_effective(self) -> float:
        """Independent guesses worth as much: sum over both sides of N / (1 + (c - 1) rho), with rho its posterior median.

        c = sum n_j^2 / N is the number of points per model that a point of that side sees.
        """
        total = 0.0
        for side, summary in self.rho.items():
            n = self._trials(side).astype(np.float64)
            total += n.sum() / (1 + ((n**2).sum() / n.sum() - 1) * summary.median)
        return float(total)

    def sf(self, e: ArrayLike) -> FloatArray | float:
        """Return P(epsilon > e), shape of e."""
        return self._at(e)[0]

    def pdf(self, e: ArrayLike) -> FloatArray | float:
        """Return the density of the part above 0, shape of e; at 0 its limit from the right."""
        return self._at(e)[1]

    def ppf(self, q: ArrayLike) -> FloatArray | float:
        """Return quantiles, shape of q; 0 within the mass at 0, infinite at q = 1.

        Raises
        ------
        ValueError : a probability outside [0, 1], or NaN.
        """
        probability = probabilities(q)
        return as_given(self.law.quantile(probability.ravel()).reshape(probability.shape))

    @property
    def mean(self) -> float:
        """The posterior mean."""
        return self.law.mean()

    @property
    def median(self) -> float:
        """The posterior median."""
        return float(self.ppf(0.5))

    def sample(self, n: int, *, rng: RngLike = None) -> FloatArray:
        """Draw epsilons, shape (n,)."""
        return self.law.draw(whole_number(n=n), as_generator(rng))["epsilon"]

    def to_datatree(self, *, n_draws: int = 1000, n_chains: int = 4, rng: RngLike = None) -> DataTree:
        """Return draws of epsilon, both rates and both rho as an `xarray.DataTree`: group `posterior`, dims (chain, draw).

        After sampling these are the chains themselves, whatever `n_draws` and `n_chains` say; else independent draws.
        """
        n_draws, n_chains = whole_number(1, n_draws=n_draws), whole_number(1, n_chains=n_chains)
        chains = self.law.chains()
        if chains is not None:
            return views.datatree({name: values.ravel() for name, values in chains.items()}, len(chains["epsilon"]))
        return views.datatree(self.law.draw(n_draws * n_chains, as_generator(rng)), n_chains)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the density and shade the 90 % credible interval; returns the axes."""
        return views.plot(self, ax)

    def _summary(self) -> dict[str, JsonValue]:
        return {
            "n_models": self.n_models,
            "n_effective": self.n_effective,
            "rho": {side: summary.to_dict() for side, summary in self.rho.items()},
            "mean": json_ready(self.mean),
            "median": json_ready(self.median),
            "interval": json_ready(self.interval(0.9)),
            "level": 0.9,
        }

    def _html(self, title: str) -> str:
        low, median, high = np.asarray(self.ppf(np.array([0.05, 0.5, 0.95])))
        rho = self.rho
        cells = {
            "models": str(self.n_models),
            "guesses worth": f"{self.n_effective:.4g}",
            "rho of FPR": f"{rho['fpr'].median:.3g}",
            "rho of FNR": f"{rho['fnr'].median:.3g}",
            "median": f"{median:.4g}",
            "5 %": f"{low:.4g}",
            "95 %": f"{high:.4g}",
        }
        head, body = "".join(f"<th>{name}</th>" for name in cells), "".join(f"<td>{cell}</td>" for cell in cells.values())
        return f"<div><p><b>{title}</b></p><table><tr>{head}</tr><tr>{body}</tr></table><p>{views.CAUTION}</p></div>"

    def _shortest(self, level: float) -> FloatArray:
        return self.law.shortest(level)

    def _trials(self, side: Side) -> FloatArray:
        trials = self.counts.n_non_members if side == "fpr" else self.counts.n_members
        return trials.astype(np.float64)

    def _at(self, e: ArrayLike) -> tuple[FloatArray | float, FloatArray | float]:
        """Return P(epsilon > e) and the density, also for negative points."""
        point = points(e)
        sf, density = self.law.exceedance(np.maximum(point.ravel(), 0.0))
        sf, density = sf.reshape(point.shape), density.reshape(point.shape)
        return as_given(np.where(point < 0, 1.0, sf)), as_given(np.where(point < 0, 0.0, density))
