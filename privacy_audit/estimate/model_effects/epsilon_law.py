"""What a posterior of epsilon must be able to say, whether it was computed by quadrature, sampled, or has independent trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from scipy import stats

from mechanisms.json_ready import JsonValue, json_ready
from privacy_audit.estimate.model_effects import law_numerics
from privacy_audit.estimate.model_effects.beta_binomial_grid import BetaBinomialGrid
from privacy_audit.estimate.model_effects.tabulated_pushforward import tabulated_exceedance
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.region import implied_epsilon

Side = Literal["fpr", "fnr"]
SIDES: tuple[Side, Side] = ("fpr", "fnr")


@dataclass(frozen=True, slots=True)
class RhoSummary:
    """Posterior of the correlation between two guesses about one model, on one side.

    Parameters
    ----------
    mean, median : of rho.
    low, high : ends of the equal-tailed interval of probability `level`.
    level : probability content of the interval.
    identified : whether the data say anything about rho; if not, this is the prior.
    """

    mean: float
    median: float
    low: float
    high: float
    level: float
    identified: bool

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {name: json_ready(getattr(self, name)) for name in ("mean", "median", "low", "high", "level", "identified")}


class EpsilonLaw(Protocol):
    """Distribution of epsilon, of the two error rates and of their correlations within a model."""

    def exceedance(self, e: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(epsilon > e) and the density at e for points >= 0, shape (n,)."""
        ...

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles, shape (n,)."""
        ...

    def mean(self) -> float:
        """Return the mean of epsilon."""
        ...

    def shortest(self, level: float) -> FloatArray:
        """Return the shortest interval of probability `level`, shape (2,)."""
        ...

    def rho(self, side: Side, q: FloatArray) -> tuple[float, FloatArray]:
        """Return mean and quantiles of rho on one side."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Draw epsilon, fpr, fnr and what else the law has, each of shape (n,)."""
        ...

    def chains(self) -> Mapping[str, FloatArray] | None:
        """Return the sampled chains, shape (n_chains, n_draws) each; None if nothing was sampled."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class QuadratureLaw:
    """Law of epsilon when the posterior of each side is a grid over (mu, rho)."""

    fnr: BetaBinomialGrid
    fpr: BetaBinomialGrid
    delta: float

    def exceedance(self, e: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(epsilon > e) and the density."""
        return tabulated_exceedance(self.fnr.rate, self.fpr.rate, e, self.delta)

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles."""
        half = np.array([0.5])
        guess = float(implied_epsilon(self.fpr.rate.quantile(half), self.fnr.rate.quantile(half), self.delta)[0])
        at_zero = 0.0 if self.delta == 0 else 1 - float(self.exceedance(np.zeros(1))[0][0])
        return law_numerics.quantiles(self.exceedance, q, at_zero=at_zero, guess=guess)

    def mean(self) -> float:
        """Return the mean."""
        return law_numerics.mean(self.exceedance, self.quantile)

    def shortest(self, level: float) -> FloatArray:
        """Return the shortest interval."""
        return law_numerics.shortest_interval(self.quantile, level)

    def rho(self, side: Side, q: FloatArray) -> tuple[float, FloatArray]:
        """Return mean and quantiles of rho."""
        grid = self.fpr if side == "fpr" else self.fnr
        return grid.rho_mean, grid.rho_quantile(q)

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Draw independently."""
        fpr, rho_fpr = self.fpr.draw(n, rng)
        fnr, rho_fnr = self.fnr.draw(n, rng)
        return {"epsilon": implied_epsilon(fpr, fnr, self.delta), "fpr": fpr, "fnr": fnr, "rho_fpr": rho_fpr, "rho_fnr": rho_fnr}

    def chains(self) -> None:
        """Nothing was sampled."""


@dataclass(frozen=True, slots=True, eq=False)
class IndependentLaw:
    """Law of epsilon when every guess is about another model: rho can't be learned and doesn't matter."""

    posterior: EpsilonPosterior
    rho_prior: tuple[float, float]

    def exceedance(self, e: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(epsilon > e) and the density."""
        return np.asarray(self.posterior.sf(e)), np.asarray(self.posterior.pdf(e))

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles."""
        return np.asarray(self.posterior.ppf(q))

    def mean(self) -> float:
        """Return the mean."""
        return float(self.posterior.mean)

    def shortest(self, level: float) -> FloatArray:
        """Return the shortest interval."""
        return self.posterior.interval(level, "hdi")

    def rho(self, side: Side, q: FloatArray) -> tuple[float, FloatArray]:  # noqa: ARG002  both sides have the prior
        """Return mean and quantiles of the prior of rho."""
        law = stats.beta(*self.rho_prior)
        return float(law.mean()), np.asarray(law.ppf(q))

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Draw independently; rho from its prior."""
        table = self.posterior.count_arrays
        a, b = self.posterior.prior
        fpr = rng.beta(table.fp[0] + a, table.tn[0] + b, n)
        fnr = rng.beta(table.fn[0] + a, table.tp[0] + b, n)
        rho = {f"rho_{side}": rng.beta(*self.rho_prior, n) for side in SIDES}
        return {"epsilon": implied_epsilon(fpr, fnr, self.posterior.delta), "fpr": fpr, "fnr": fnr, **rho}

    def chains(self) -> None:
        """Nothing was sampled."""
