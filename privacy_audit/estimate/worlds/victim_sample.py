"""What a sample of victims that all repeats share does to a rate: it moves every adversary the same way.

A sample of easy victims makes all adversaries look good at once, and no number of repeats averages that out. So the repeats tell about
nu_w = mu_w + b_w, where b_w ~ Normal(0, e_w) is the shift of this sample and mu_w ~ Normal(0, s) belongs to the population of victims:

    nu_w ~ Normal(0, sqrt(s^2 + e_w^2))        mu_w | nu_w ~ Normal(c nu_w, s e_w / sqrt(s^2 + e_w^2)),  c = s^2 / (s^2 + e_w^2)

e_w is taken at its largest, the error of a logit from m_w victims, 1 / sqrt(m_w p (1 - p)): that is right where every adversary is right
about the same victims, and too much where they differ. The scatter within a repeat is left in full as well. Victims of one's own: e_w = 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_grid import RepeatGrid

_FINE, _NODES = 301, 241
_REACH = 8.5  # standard deviations


@dataclass(frozen=True, slots=True, eq=False)
class SampleEffect:
    """How far a sample of victims may move the logits of all adversaries.

    Parameters
    ----------
    mu_scale : s, standard deviation of mu_w under the prior.
    error : e_w, shape (2,).
    """

    mu_scale: float
    error: FloatArray

    @property
    def prior_scale(self) -> FloatArray:
        """Standard deviation of nu_w under the prior, shape (2,)."""
        scale: FloatArray = np.sqrt(self.mu_scale**2 + self.error**2)
        return scale

    @property
    def shrink(self) -> FloatArray:
        """c, shape (2,)."""
        share: FloatArray = (self.mu_scale / self.prior_scale) ** 2
        return share

    @property
    def spread(self) -> FloatArray:
        """Standard deviation of mu_w given nu_w, shape (2,)."""
        spread: FloatArray = self.mu_scale * self.error / self.prior_scale
        return spread

    def draw(self, nu: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw mu given nu, shape (2, n)."""
        mu: FloatArray = self.shrink[:, None] * nu + self.spread[:, None] * rng.standard_normal(nu.shape)
        return mu


@dataclass(frozen=True, slots=True, eq=False)
class Adversaries:
    """Draws of what adversaries have in common.

    Parameters
    ----------
    mu : of the population of victims, shape (2, n).
    nu : of the sample at hand, shape (2, n); equal to mu where repeats have victims of their own.
    tau : shape (n,).
    """

    mu: FloatArray
    nu: FloatArray
    tau: FloatArray


def shared_victim_error(right: FloatArray, trials: FloatArray) -> FloatArray:
    """Return e_w, shape (2,), from k and m of shape (2, R)."""
    victims = trials.mean(axis=1)
    share = (victims * right.sum(axis=1) / trials.sum(axis=1) + 0.5) / (victims + 1)
    error: FloatArray = 1 / np.sqrt(victims * share * (1 - share))
    return error


def population_grid(grid: RepeatGrid, effect: SampleEffect) -> RepeatGrid:
    """Return the posterior of (tau, mu_0, mu_1) from that of (tau, nu_0, nu_1); the nodes t are then those of mu itself."""
    if not effect.error.any():
        return grid
    mu = np.empty((2, len(grid.tau), _NODES))
    density = np.empty_like(mu)
    for world in (0, 1):
        for i in range(len(grid.tau)):
            mu[world, i], density[world, i] = _convolved(
                grid.t[world, i], grid.mu[world, i], grid.density[world, i], float(effect.shrink[world]), float(effect.spread[world])
            )
    return RepeatGrid(tau=grid.tau, weight=grid.weight, t=mu, mu=mu, density=density)


def _convolved(t: FloatArray, nu: FloatArray, density: FloatArray, shrink: float, spread: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes of mu and its density, for one world and one tau."""
    fine = np.linspace(t[0], t[-1], _FINE)
    mass = np.maximum(CubicSpline(t, density)(fine), 0.0)
    center = shrink * CubicSpline(t, nu)(fine)
    held = np.flatnonzero(np.cumsum(mass) > 1e-14 * mass.sum())[0], np.flatnonzero(np.cumsum(mass[::-1]) > 1e-14 * mass.sum())[0]
    mu = np.linspace(center[held[0]] - _REACH * spread, center[len(center) - 1 - held[1]] + _REACH * spread, _NODES)
    width = max(spread, 0.7 * float(mu[1] - mu[0]))  # a spread below the step of the grid doesn't matter
    kernel = np.exp(-(((mu - center[:, None]) / width) ** 2) / 2)
    mixed = (mass / kernel.sum(axis=1)) @ kernel
    return mu, mixed / (mixed.sum() * (mu[1] - mu[0]))
