"""The law of an error rate that is known by its density on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.interpolate import CubicSpline, PPoly

from privacy_audit.estimate.rates.beta_law import FloatArray

_INVERSE_POINTS = 8192


@dataclass(frozen=True, slots=True, eq=False)
class TabulatedRate:
    """Law of a rate T with logit(T) = center + scale sinh(x), where x has a density known at equally spaced nodes.

    Parameters
    ----------
    center, scale : the map from x to logit(T).
    x : nodes, shape (n,), increasing.
    density : spline of the density of x, total mass 1.
    cumulated : its integral from x[0].
    """

    center: float
    scale: float
    x: FloatArray
    density: PPoly
    cumulated: PPoly

    @classmethod
    def of(cls, *, center: float, scale: float, x: FloatArray, density: FloatArray) -> TabulatedRate:
        """Return the law with this density at the nodes, normalized here."""
        spline = CubicSpline(x, density, bc_type="natural")
        total = float(spline.antiderivative()(x[-1]))
        spline = CubicSpline(x, density / total, bc_type="natural")
        return cls(center=center, scale=scale, x=x, density=spline, cumulated=spline.antiderivative())

    def mirrored(self) -> TabulatedRate:
        """Return the law of 1 - T."""
        x = -self.x[::-1]
        return TabulatedRate.of(center=-self.center, scale=self.scale, x=x, density=np.maximum(self.density(self.x[::-1]), 0.0))

    @property
    def logit_nodes(self) -> FloatArray:
        """logit(T) at the nodes, shape (n,)."""
        nodes: FloatArray = self.center + self.scale * np.sinh(self.x)
        return nodes

    def cdf(self, logit: FloatArray) -> FloatArray:
        """Return P(logit(T) <= logit), any shape."""
        value: FloatArray = np.clip(self.cumulated(np.clip(self._to_x(logit), self.x[0], self.x[-1])), 0.0, 1.0)
        return value

    def logit_density(self, logit: FloatArray) -> FloatArray:
        """Return the density of logit(T), any shape; 0 beyond the nodes."""
        x = self._to_x(logit)
        inside = (x >= self.x[0]) & (x <= self.x[-1])
        value = self.density(np.where(inside, x, self.x[0])) / (self.scale * np.cosh(np.where(inside, x, 0.0)))
        result: FloatArray = np.where(inside, np.maximum(value, 0.0), 0.0)
        return result

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of T."""
        value: FloatArray = special.expit(self.center + self.scale * np.sinh(self._quantile_x(q)))
        return value

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw (x, T), each of shape (n,)."""
        x = self._quantile_x(rng.random(n))
        value: FloatArray = special.expit(self.center + self.scale * np.sinh(x))
        return x, value

    def _to_x(self, logit: FloatArray) -> FloatArray:
        x: FloatArray = np.arcsinh((logit - self.center) / self.scale)
        return x

    def _quantile_x(self, q: FloatArray) -> FloatArray:
        fine = np.linspace(self.x[0], self.x[-1], _INVERSE_POINTS)
        x: FloatArray = np.interp(q, np.maximum.accumulate(self.cumulated(fine)), fine)
        return x
