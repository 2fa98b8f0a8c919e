"""The law of the accuracy of a typical adversary: the mean over adversaries, of which the repeats of a game are a sample.

Given tau the accuracy is A = (a(mu_0) + a(mu_1)) / 2 with a(mu) = E[expit(mu + tau z)] and independent mu_0, mu_1; so

    P[A <= s] = sum over tau of w_tau  int F_1(a^-1(2 s - a(mu_0))) f_0(mu_0) dmu_0,

where the integral runs over the world with the narrower law, by the trapezoidal rule on its grid. Cost: about 5 ms for a few points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicSpline, PPoly

from privacy_audit.estimate.model_effects import law_numerics
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_grid import RepeatGrid, repeat_grid
from privacy_audit.estimate.worlds.repeat_likelihood import mean_rate_of_adversaries
from privacy_audit.estimate.worlds.victim_sample import Adversaries, SampleEffect, population_grid


class TypicalLaw(Protocol):
    """Law of the mean accuracy of adversaries, and of its parameters."""

    def exceedance(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(A > at) and the density, shape (n,)."""
        ...

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles, shape (n,)."""
        ...

    def mean(self) -> float:
        """Return the mean."""
        ...

    def draw(self, n: int, rng: np.random.Generator) -> Adversaries:
        """Draw the parameters."""
        ...

    def tau_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of tau."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Slice:
    """Both worlds at one tau: mass and a at the nodes of the narrow one; density, its integral and t(logit a) of the wide one."""

    weight: float
    a: FloatArray
    mass: FloatArray
    density: PPoly
    cumulated: PPoly
    position: PPoly


@dataclass(frozen=True, slots=True, eq=False)
class GridLaw:
    """Law of the typical accuracy from a grid.

    Parameters
    ----------
    grid : posterior of (tau, nu_0, nu_1), with nu for the sample of victims.
    effect : of the sample of victims.
    slices : for the population of victims.
    center : the mean.
    """

    grid: RepeatGrid
    effect: SampleEffect
    slices: tuple[_Slice, ...]
    center: float

    @classmethod
    def of(cls, right: FloatArray, trials: FloatArray, effect: SampleEffect) -> GridLaw:
        """Return the law given k_{r,w} and m_{r,w}, shape (2, R)."""
        sample = repeat_grid(right, trials, effect.prior_scale)
        grid = population_grid(sample, effect)
        a = mean_rate_of_adversaries(grid.mu, grid.tau[:, None])
        mass = grid.density / grid.density.sum(axis=2, keepdims=True)
        mean = (mass * a).sum(axis=2)
        variance = (mass * (a - mean[..., None]) ** 2).sum(axis=2)
        slices = [
            _slice(float(grid.weight[i]), grid.t[:, i], a[:, i], grid.density[:, i], int(variance[1, i] < variance[0, i]))
            for i in range(len(grid.tau))
        ]
        center = float(grid.weight @ mean.mean(axis=0))
        return cls(grid=sample, effect=effect, slices=tuple(slices), center=center)

    def exceedance(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return P(A > at) and the density."""
        below, density = np.zeros_like(at), np.zeros_like(at)
        for part in self.slices:
            other = 2 * at[:, None] - part.a
            inside = np.clip(other, 1e-15, 1 - 1e-15)
            logit = np.clip(np.log(inside) - np.log1p(-inside), part.position.x[0], part.position.x[-1])
            t = part.position(logit)
            below += part.weight * (np.clip(part.cumulated(t), 0.0, 1.0) @ part.mass)
            alive = (logit > part.position.x[0]) & (logit < part.position.x[-1])
            slope = np.maximum(part.density(t), 0.0) * part.position(logit, 1) / (inside * (1 - inside))
            density += part.weight * 2 * (np.where(alive, slope, 0.0) @ part.mass)
        return np.clip(1 - below, 0.0, 1.0), density

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles; 1 at q = 1."""
        return np.minimum(law_numerics.quantiles(self.exceedance, q, at_zero=0.0, guess=self.center), 1.0)

    def mean(self) -> float:
        """Return the mean."""
        return self.center

    def draw(self, n: int, rng: np.random.Generator) -> Adversaries:
        """Draw the parameters."""
        nu, tau = self.grid.draw(n, rng)
        return Adversaries(mu=self.effect.draw(nu, rng), nu=nu, tau=tau)

    def tau_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of tau."""
        return self.grid.tau_quantile(q)


def _slice(weight: float, t: FloatArray, a: FloatArray, density: FloatArray, narrow: int) -> _Slice:
    wide = 1 - narrow
    spline = CubicSpline(t[wide], density[wide], bc_type="natural")
    total = float(spline.antiderivative()(t[wide, -1]))
    spline = CubicSpline(t[wide], density[wide] / total, bc_type="natural")
    inside = np.clip(a[wide], 1e-15, 1 - 1e-15)
    position = CubicSpline(np.log(inside) - np.log1p(-inside), t[wide])
    mass = density[narrow] / density[narrow].sum()
    return _Slice(weight, a[narrow], mass, spline, spline.antiderivative(), position)
