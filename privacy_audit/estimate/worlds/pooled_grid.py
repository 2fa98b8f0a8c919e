"""One number of leaked records behind several pairs of rates: posterior on a grid.

x_j = ln n_j of pair j ~ Normal(eta, sigma), eta uniform on [ln 0.1, ln 1e7], sigma ~ HalfNormal(0.5). With L_j the likelihood of a pair,

    posterior(eta, sigma) is proportional to prior(sigma) prod_j M_j(eta, sigma),        M_j = int L_j(x) N(x; eta, sigma) dx.

Where sigma is below the width of L_j the integral takes Gauss-Hermite nodes of the normal law, else the nodes of L_j. Nodes of sigma are
equally spaced in ln sigma; the first one stands for all smaller values, where nothing changes. Cost: about 2 s for eight pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.pair_likelihood import LEAST, MOST, PairLikelihood

SIGMA_SCALE = 0.5
_LARGEST_SIGMA = 2.5  # prior mass beyond it 6e-7
_SIGMA_NODES = 36
_MARGIN = 2.5
_MOST_NODES = 4000
_Z, _Z_WEIGHT = np.polynomial.hermite_e.hermegauss(24)
_Z_MASS = _Z_WEIGHT / _Z_WEIGHT.sum()


@dataclass(frozen=True, slots=True, eq=False)
class PooledGrid:
    """Posterior of eta, sigma and every x_j: masses at equally spaced nodes.

    Parameters
    ----------
    eta, eta_mass : nodes and masses of ln n, shape (n_eta,).
    log_sigma, sigma_mass : nodes and masses of ln sigma, shape (n_sigma,).
    pair_mass : for each pair the masses at the nodes of its likelihood.
    """

    eta: FloatArray
    eta_mass: FloatArray
    log_sigma: FloatArray
    sigma_mass: FloatArray
    pair_mass: tuple[FloatArray, ...]


def pooled_grid(pairs: Sequence[PairLikelihood]) -> PooledGrid:
    """Return the posterior."""
    narrowest = min(pair.width for pair in pairs)
    low = max(min(pair.x[0] for pair in pairs) - _MARGIN, np.log(LEAST))
    high = min(max(pair.x[-1] for pair in pairs) + _MARGIN, np.log(MOST))
    n_eta = int(min(np.ceil(5 * np.sqrt(len(pairs)) * (high - low) / narrowest), _MOST_NODES)) + 2
    eta = np.linspace(low, high, n_eta)
    log_sigma = np.linspace(np.log(0.02 * narrowest), np.log(_LARGEST_SIGMA), _SIGMA_NODES)
    factors = [np.stack([_averaged(pair, eta, sigma) for sigma in np.exp(log_sigma).tolist()]) for pair in pairs]
    log_mass = sum(np.log(np.maximum(factor, 1e-300)) for factor in factors) + _log_prior(log_sigma)[:, None]
    mass = np.exp(log_mass - np.max(log_mass))
    mass /= mass.sum()
    rows = zip(pairs, factors, strict=True)
    pair_mass = tuple(_pair_mass(pair, eta, np.exp(log_sigma), mass / np.maximum(factor, 1e-300)) for pair, factor in rows)
    return PooledGrid(eta=eta, eta_mass=mass.sum(axis=0), log_sigma=log_sigma, sigma_mass=mass.sum(axis=1), pair_mass=pair_mass)


def quantile_of(nodes: FloatArray, mass: FloatArray, q: FloatArray) -> FloatArray:
    """Return quantiles of a law with these masses at equally spaced nodes, each spread evenly over its cell."""
    step = nodes[1] - nodes[0]
    edges = np.concatenate([[nodes[0] - step / 2], nodes + step / 2])
    cumulated = np.concatenate([[0.0], np.cumsum(mass)])
    quantile: FloatArray = np.clip(np.interp(q * cumulated[-1], cumulated, edges), nodes[0], nodes[-1])
    return quantile


def _log_prior(log_sigma: FloatArray) -> FloatArray:
    log_prior = log_sigma - (np.exp(log_sigma) / SIGMA_SCALE) ** 2 / 2
    log_prior[0] += np.log(0.5 + 1 / (log_sigma[1] - log_sigma[0]))
    return log_prior


def _averaged(pair: PairLikelihood, eta: FloatArray, sigma: float) -> FloatArray:
    """Return M_j(eta, sigma), shape (n_eta,)."""
    mean: FloatArray
    mean = pair.at(eta[:, None] + sigma * _Z) @ _Z_MASS if sigma < pair.width else _kernel(eta, pair.x, sigma) @ pair.value
    return mean


def _pair_mass(pair: PairLikelihood, eta: FloatArray, sigma: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the masses of x_j at the nodes of its likelihood; `weight` is the joint mass over M_j, shape (n_sigma, n_eta)."""
    mass = np.zeros(len(pair.x))
    step = pair.x[1] - pair.x[0]
    for spread, row in zip(sigma.tolist(), weight, strict=True):
        if spread < pair.width:
            x = eta[:, None] + spread * _Z
            at = np.clip(np.rint((x - pair.x[0]) / step), 0, len(mass) - 1).astype(np.intp)
            mass += np.bincount(at.ravel(), weights=(row[:, None] * pair.at(x) * _Z_MASS).ravel(), minlength=len(mass))
        else:
            mass += pair.value * (row @ _kernel(eta, pair.x, spread))
    mass /= mass.sum()
    return mass


def _kernel(eta: FloatArray, x: FloatArray, sigma: float) -> FloatArray:
    """Return N(x; eta, sigma) dx, shape (n_eta, n_x)."""
    kernel: FloatArray = np.exp(-(((x - eta[:, None]) / sigma) ** 2) / 2) * ((x[1] - x[0]) / (sigma * np.sqrt(2 * np.pi)))
    return kernel
