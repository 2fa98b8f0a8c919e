"""A law of epsilon that is known by draws: the chains of a sampler, or weighted points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from privacy_audit.estimate.model_effects.epsilon_law import Side
from privacy_audit.estimate.rates.beta_law import FloatArray

_KERNEL_WIDTH = 1.06  # Silverman's rule for the width of the kernel


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLaw:
    """Law of epsilon given by draws.

    Parameters
    ----------
    draws : variable -> draws, shape (n_chains, n_draws) each; "epsilon", "fpr", "fnr", "rho_fpr", "rho_fnr" and maybe more.
    weight : weight of each draw, sum 1, same shape.
    sampled : whether the draws are chains of a sampler (and then have equal weight).
    """

    draws: Mapping[str, FloatArray]
    weight: FloatArray
    sampled: bool

    @classmethod
    def of_chains(cls, draws: Mapping[str, FloatArray]) -> DrawnLaw:
        """Return the law of equally weighted chains."""
        shape = draws["epsilon"].shape
        return cls(draws=draws, weight=np.full(shape, 1 / draws["epsilon"].size), sampled=True)

    def exceedance(self, e: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of draws above e, and a density smoothed by a normal kernel that is reflected at 0."""
        epsilon, weight = self._ordered("epsilon")
        above = np.concatenate([np.cumsum(weight[::-1])[::-1], [0.0]])
        sf = above[np.searchsorted(epsilon, e, side="right")]
        positive = epsilon > 0
        return np.clip(sf, 0.0, 1.0), _kernel_density(epsilon[positive], weight[positive], e)

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles, interpolated between the draws; infinite at q = 1 like those of the continuous law."""
        return np.where(q < 1, _weighted_quantile(*self._ordered("epsilon"), q), np.inf)

    def mean(self) -> float:
        """Return the mean."""
        return float((self.draws["epsilon"] * self.weight).sum())

    def shortest(self, level: float) -> FloatArray:
        """Return the shortest interval that holds draws of weight `level`."""
        u = np.linspace(0, 1 - level, 400, endpoint=False)
        epsilon, weight = self._ordered("epsilon")
        low, high = _weighted_quantile(epsilon, weight, u), _weighted_quantile(epsilon, weight, u + level)
        best = int(np.argmin(high - low))
        return np.array([low[best], high[best]])

    def rho(self, side: Side, q: FloatArray) -> tuple[float, FloatArray]:
        """Return mean and quantiles of rho."""
        return float((self.draws[f"rho_{side}"] * self.weight).sum()), self.quantile_of(f"rho_{side}", q)

    def quantile_of(self, name: str, q: FloatArray) -> FloatArray:
        """Return quantiles of one variable, shape of q."""
        return _weighted_quantile(*self._ordered(name), q)

    def draw(self, n: int, rng: np.random.Generator) -> dict[str, FloatArray]:
        """Draw again from the draws, with replacement."""
        weight = self.weight.ravel()
        index = rng.choice(weight.size, n, p=weight / weight.sum())
        return {name: values.ravel()[index] for name, values in self.draws.items()}

    def chains(self) -> Mapping[str, FloatArray] | None:
        """Return the chains of the sampler."""
        return self.draws if self.sampled else None

    def _ordered(self, name: str) -> tuple[FloatArray, FloatArray]:
        values = self.draws[name].ravel()
        order = np.argsort(values, kind="stable")
        return values[order], self.weight.ravel()[order]


def _weighted_quantile(values: FloatArray, weight: FloatArray, q: FloatArray) -> FloatArray:
    """Return quantiles of ordered values; the middle of each value's weight is where it stands."""
    quantile: FloatArray = np.interp(q, np.cumsum(weight) - weight / 2, values)
    return quantile


def _kernel_density(values: FloatArray, weight: FloatArray, e: FloatArray) -> FloatArray:
    if not len(values):
        return np.zeros_like(e)
    quartiles = _weighted_quantile(values, weight / weight.sum(), np.array([0.25, 0.75]))
    effective = weight.sum() ** 2 / (weight**2).sum()
    width = _KERNEL_WIDTH * max(float(np.diff(quartiles)[0]) / 1.349, 1e-9) * effective**-0.2
    density = np.zeros_like(e)
    for i, point in enumerate(e.tolist()):
        mirrored = np.exp(-0.5 * ((point - values) / width) ** 2) + np.exp(-0.5 * ((point + values) / width) ** 2)
        density[i] = mirrored @ weight / (width * np.sqrt(2 * np.pi))
    return density


def log_normalized(log_weight: FloatArray) -> FloatArray:
    """Return weights with sum 1 from their logarithms."""
    weight: FloatArray = np.exp(log_weight - special.logsumexp(log_weight))
    return weight
