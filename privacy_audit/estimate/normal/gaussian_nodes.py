"""Test of a Gaussian trade-off curve at thresholds named beforehand by their ranks.

Let T be the (k+1)-th largest of n scores of one class. For a continuous law the rate x = P(score > T) of that class is Beta(k+1, n-k), and
smaller in law with ties. If the mechanism is mu-GDP, the other class exceeds T at a rate of at most Phi(Phi^-1(x) + mu). So

    P(v or more of the m other scores exceed T) <= integral of P[Bin(m, Phi(Phi^-1(x) + mu)) >= v] over the Beta law of x,

which is a p-value of mu, and rises with it. One test per threshold, where limits of both rates would need two.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.strategies.order_statistics import declared_counts

FloatArray = NDArray[np.float64]

_TAIL = 1e-15  # mass of the Beta law left out at each end
_CLEARANCE = 1e-9  # added to every p-value; the quadrature errs by less
_PANELS, _NODES = 8, 12
_LARGEST_MU = 40.0  # no finite number of scores rejects more
_HALVINGS = 36


def order_statistics_mu(ordered: FloatArray, tested: FloatArray, alpha: float) -> float:
    """Return the largest mu rejected at any declared order statistic of `ordered`, all tests together at alpha; 0 if none is.

    Parameters
    ----------
    ordered, tested : scores of the two classes, shapes (n,) and (m,); `tested` larger counts as evidence. Ties count against it.
    alpha : probability of a bound above the true mu.
    """
    n, m, rank = len(ordered), len(tested), declared_counts(len(ordered))
    above = m - np.searchsorted(np.sort(tested), np.sort(ordered)[::-1][rank], side="right")
    rank, above = rank[above > 0], above[above > 0]
    if not len(rank):
        return 0.0
    share = alpha / len(declared_counts(n))
    hits = rank.astype(np.float64)
    z, weight = probit_rule(hits + 1, n - hits, resolution=math.ceil(math.sqrt(max(1.0, m / n))))
    low, high = np.zeros(len(rank)), np.full(len(rank), _LARGEST_MU)
    for _ in range(_HALVINGS):  # thresholds that can't give the largest mu any more are left alone
        live = np.flatnonzero(high > low.max())
        middle = (low[live] + high[live]) / 2
        rejected = mu_p_value(middle, z[live], weight[live], above[live], m) <= share
        low[live], high[live] = np.where(rejected, middle, low[live]), np.where(rejected, high[live], middle)
    return float(low.max())


def mu_p_value(mu: FloatArray, z: FloatArray, weight: FloatArray, above: NDArray[np.intp], m: int) -> FloatArray:
    """Return p-values of mu, shape (K,): `above` > 0 of m scores exceed a threshold whose rate x has the law (z, weight)."""
    tail = special.betainc(above[:, None], m - above[:, None] + 1.0, special.ndtr(z + mu[:, None]))
    return np.asarray((weight * tail).sum(axis=1) + _CLEARANCE, dtype=np.float64)


def probit_rule(a: FloatArray, b: FloatArray, *, resolution: int = 1) -> tuple[FloatArray, FloatArray]:
    """Return nodes Phi^-1(x) and weights for means over x ~ Beta(a, b), shape (K, nodes); panels get `resolution` times as narrow."""
    low, high = special.ndtri(special.betaincinv(a, b, _TAIL)), -special.ndtri(special.betaincinv(b, a, _TAIL))
    node, node_weight = np.polynomial.legendre.leggauss(_NODES)
    panels = _PANELS * resolution
    unit = ((np.arange(panels)[:, None] + (1 + node) / 2) / panels).ravel()
    z = low[:, None] + (high - low)[:, None] * unit
    log_density = (a - 1)[:, None] * special.log_ndtr(z) + (b - 1)[:, None] * special.log_ndtr(-z) - z * z / 2
    weight: FloatArray = np.tile(node_weight, panels) * np.exp(log_density - log_density.max(axis=1, keepdims=True))
    return z, weight / weight.sum(axis=1, keepdims=True)
