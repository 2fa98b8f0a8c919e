"""One error rate that varies between models: posterior of its mean mu and of the correlation rho within a model, on a grid.

Model j makes k_j errors in n_j trials, k_j ~ BetaBinomial(n_j, mu kappa, (1 - mu) kappa) with kappa = 1 / rho - 1; mu ~ Beta(1/2, 1/2),
rho ~ Beta. The likelihood is written relative to its binomial limit,

    ln L = sum_j k_j ln mu + (n_j - k_j) ln(1 - mu) + h(mu kappa, k_j) + h((1 - mu) kappa, n_j - k_j) - h(kappa, n_j),
    h(a, k) = ln Gamma(a + k) - ln Gamma(a) - k ln a,

so that rho -> 0 (h -> 0) loses no digits. The grid is uniform in v = logit(rho) and in x, where logit(mu) = center + scale sinh(x): fine
at the pooled rate, where small rho concentrates the mass, and coarse where large rho spreads it. Both ranges shrink onto the mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from privacy_audit.estimate.model_effects.model_counts import IntArray
from privacy_audit.estimate.model_effects.tabulated_rate import TabulatedRate
from privacy_audit.estimate.rates.beta_law import FloatArray, stirling_remainder

Box = tuple[float, float, float, float]

_MU_POINTS = 161
_RHO_POINTS = 45
_SCAN_POINTS = 17
_SCANS = 6
_MU_DROP = 34.0  # the log density has fallen this far at the edges of the grid
_RHO_DROP = 18.0
_FARTHEST_LOGIT = 90.0  # the prior mass of a rate beyond it is exp(-45)
_LARGEST_RHO_LOGIT = 36.0
_DIRECT = 30.0  # up to here h is taken from ln Gamma, beyond from Stirling's series


@dataclass(frozen=True, slots=True, eq=False)
class BetaBinomialGrid:
    """Posterior of (mu, rho) of one error rate.

    Parameters
    ----------
    rate : posterior of mu.
    rho_logit : logit(rho) of the nodes, shape (n_rho,), equally spaced.
    mass : posterior mass of the nodes, shape (n_rho, n_mu), sum 1; the columns are the nodes of `rate`.
    """

    rate: TabulatedRate
    rho_logit: FloatArray
    mass: FloatArray

    def rho_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of rho, shape of q."""
        return _from_table(self.rho_logit, self.mass.sum(axis=1), q)

    @property
    def rho_mean(self) -> float:
        """The posterior mean of rho."""
        return float(self.mass.sum(axis=1) @ special.expit(self.rho_logit))

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw (mu, rho), each of shape (n,): mu from its law, rho given the nearest node of mu."""
        x, mu = self.rate.draw(n, rng)
        column = np.clip(np.rint((x - self.rate.x[0]) / (self.rate.x[1] - self.rate.x[0])), 0, len(self.rate.x) - 1).astype(np.intp)
        rho, u = np.empty(n), rng.random(n)
        for j in np.unique(column):
            rows = column == j
            rho[rows] = _from_table(self.rho_logit, self.mass[:, j], u[rows])
        return mu, rho


def beta_binomial_grid(
    errors: IntArray, trials: IntArray, *, rho_prior: tuple[float, float], n_mu: int = _MU_POINTS, n_rho: int = _RHO_POINTS
) -> BetaBinomialGrid:
    """Return the posterior of one error rate.

    Parameters
    ----------
    errors, trials : k_j and n_j, shape (n_models,); models with n_j = 0 say nothing and may be present.
    rho_prior : parameters of the Beta prior of rho.
    n_mu, n_rho : grid points.

    Returns
    -------
    The posterior; time grows with the number of distinct counts, about 10 ms for 50 models with 20 trials each.
    """
    tables = _Likelihood.of(errors, trials, rho_prior)
    box = tables.whole_box()
    for _ in range(_SCANS):
        x, v, _, log_density = tables.evaluate(box, _SCAN_POINTS, _SCAN_POINTS)
        smaller = _shrunk(x, v, log_density)
        settled = smaller[1] - smaller[0] > 0.8 * (box[1] - box[0]) and smaller[3] - smaller[2] > 0.8 * (box[3] - box[2])
        box = smaller
        if settled:
            break
    x, v, _, log_density = tables.evaluate(box, n_mu, n_rho)
    mass = np.exp(log_density - log_density.max())
    rate = TabulatedRate.of(center=tables.center, scale=tables.scale, x=x, density=mass.sum(axis=0))
    return BetaBinomialGrid(rate=rate, rho_logit=v, mass=mass / mass.sum())


def log_rising(a: FloatArray, k: IntArray, weight: FloatArray) -> FloatArray:
    """Return the sum over i of weight_i h(a, k_i), h(a, k) = ln Gamma(a + k) - ln Gamma(a) - k ln a, without cancellation for large a.

    Parameters
    ----------
    a : shape (n,), > 0.
    k, weight : shape (m,); a plain loop over m, so memory stays at n.
    """
    total = np.zeros_like(a)
    near = a < _DIRECT
    small, large = a[near], a[~near]
    log_small, gamma_small, rest_large = np.log(small), special.gammaln(small), stirling_remainder(large)
    for count, factor in zip(k.tolist(), weight.tolist(), strict=True):
        if count > 0:
            total[near] += factor * (special.gammaln(small + count) - gamma_small - count * log_small)
            shift = (large + count - 0.5) * np.log1p(count / large) - count
            total[~near] += factor * (shift + stirling_remainder(large + count) - rest_large)
    return total


@dataclass(frozen=True, slots=True, eq=False)
class _Likelihood:
    """The data as distinct counts with their multiplicity, and the map from x to logit(mu)."""

    hits: tuple[IntArray, FloatArray]
    misses: tuple[IntArray, FloatArray]
    trials: tuple[IntArray, FloatArray]
    n_hits: float
    n_misses: float
    rho_prior: tuple[float, float]
    center: float
    scale: float

    @classmethod
    def of(cls, errors: IntArray, trials: IntArray, rho_prior: tuple[float, float]) -> _Likelihood:
        tried = trials > 0
        k, n = errors[tried], trials[tried]
        n_hits, n_misses = float(k.sum()), float((n - k).sum())
        center = float(np.log(n_hits + 0.5) - np.log(n_misses + 0.5))
        scale = float(np.sqrt(1 / (n_hits + 0.5) + 1 / (n_misses + 0.5)))
        return cls(_distinct(k), _distinct(n - k), _distinct(n), n_hits, n_misses, rho_prior, center, scale)

    def whole_box(self) -> Box:
        """Return the range of (x, v) outside of which no posterior has mass to speak of."""
        n, n_models = float(self.trials[0].max()), float(self.trials[1].sum())
        low = -(np.log(n) + np.log(n_models) + _RHO_DROP / min(self.rho_prior[0], 1.0) + 4)
        reach = [float(np.arcsinh((end - self.center) / self.scale)) for end in (-_FARTHEST_LOGIT, _FARTHEST_LOGIT)]
        return reach[0], reach[1], low, _LARGEST_RHO_LOGIT

    def evaluate(self, box: Box, n_x: int, n_v: int) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Return x (n_x,), v (n_v,), logit(mu) (n_x,) and the log posterior density per x and v, shape (n_v, n_x)."""
        x, v = np.linspace(box[0], box[1], n_x), np.linspace(box[2], box[3], n_v)
        s = self.center + self.scale * np.sinh(x)
        log_mu, log_rest, log_kappa = -np.logaddexp(0, -s), -np.logaddexp(0, s), -v[:, None]
        log_density = (self.n_hits + 0.5) * log_mu + (self.n_misses + 0.5) * log_rest + np.log(np.cosh(x))
        rising = log_rising(np.exp(log_mu + log_kappa).ravel(), *self.hits) + log_rising(np.exp(log_rest + log_kappa).ravel(), *self.misses)
        a, b = self.rho_prior
        per_rho = -log_rising(np.exp(-v), *self.trials) - a * np.logaddexp(0, -v) - b * np.logaddexp(0, v)
        return x, v, s, log_density + rising.reshape(n_v, n_x) + per_rho[:, None]


def _distinct(values: IntArray) -> tuple[IntArray, FloatArray]:
    distinct, times = np.unique(values, return_counts=True)
    return distinct, times.astype(np.float64)


def _shrunk(x: FloatArray, v: FloatArray, log_density: FloatArray) -> Box:
    """Return the range that holds every node close to the peak, and one node more on each side."""
    top = log_density.max()
    columns = np.flatnonzero(log_density.max(axis=0) > top - _MU_DROP)
    rows = np.flatnonzero(log_density.max(axis=1) > top - _RHO_DROP)
    x_low, x_high = x[max(columns[0] - 1, 0)], x[min(columns[-1] + 1, len(x) - 1)]
    v_low, v_high = v[max(rows[0] - 1, 0)], v[min(rows[-1] + 1, len(v) - 1)]
    return float(x_low), float(x_high), float(v_low), float(v_high)


def _from_table(logit: FloatArray, mass: FloatArray, q: FloatArray) -> FloatArray:
    """Return expit of the q-quantile of a law with these masses at equally spaced logits, each spread evenly over its cell."""
    step = logit[1] - logit[0]
    edges = np.concatenate([[logit[0] - step / 2], logit + step / 2])
    cumulated = np.concatenate([[0.0], np.cumsum(mass)])
    value: FloatArray = special.expit(np.interp(q * cumulated[-1], cumulated, edges))
    return value
