"""The law of epsilon = g(FPR, FNR) when the two rates are independent Beta variables, by one-dimensional quadrature.

With X = FNR, Y = FPR, primes for complements, E = exp(-epsilon), c = (1 - delta) E / (1 + E) and L(t) = (1 - delta - t) E,

    P(g > epsilon) = F_X(c) F_Y(c) + F_X'(c) F_Y'(c) + I(X, Y) + I(Y, X) + I(X', Y') + I(Y', X'),
    I(P, Q) = int_c^{1-delta} f_P(t) F_Q(L(t)) dt,      density of g = sum over the same pairs of int f_P(t) f_Q(L(t)) L(t) dt.

The integrals are cut to where P has mass and F_Q is neither 0 nor 1; there both factors vary on the scale of the shorter one,
so a fixed number of Gauss-Legendre nodes is enough whatever the counts. F_Q at the nodes is the integral of f_Q over the same
nodes (a constant matrix), so no incomplete Beta function is evaluated inside. The variable is the angle of
t = (1 - delta) sin^2, in which Beta densities with half-integer parameters are entire functions of one width; where they are
not smooth there (other priors, delta close to the mass) it is s = logit(t / (1 - delta)), with as many panels as needed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray

Index = NDArray[np.intp]

_NODES = 64
_ROWS_AT_ONCE = 256  # rows times nodes stay in the cache
_LONGEST_PANEL = 5.0  # on the logit scale, where the edges of a Beta law have width 1
_WIDEST_PANEL = 8.0  # in standard deviations
_FARTHEST = 600.0  # nats; no posterior with a prior of at least 0.1 has mass beyond
_ANGLE_CLEARANCE = 10.0  # the angle is used only where 1 - t stays this many deltas away from 0


def _rule(n_nodes: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return Gauss-Legendre nodes, weights, and the matrix that integrates from each node to 1."""
    x, w = np.polynomial.legendre.leggauss(n_nodes)
    p = np.polynomial.legendre.legvander(x, n_nodes)
    to_one = np.empty((n_nodes, n_nodes))
    to_one[:, 0] = 1 - x
    to_one[:, 1:] = (p[:, : n_nodes - 1] - p[:, 2:]) / 2  # (2k+1)/2 times the integral of P_k from x to 1
    to_one[:, 0] /= 2
    return x, w, to_one @ (p[:, :n_nodes] * w[:, None]).T


_X, _W, _TO_ONE = _rule(_NODES)


def exceedance(fnr: BetaLaw, fpr: BetaLaw, epsilon: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return P(g > epsilon) and the density of g at epsilon, elementwise.

    Parameters
    ----------
    fnr, fpr : laws of the two rates, n of each.
    epsilon : points >= 0, shape (n,); beyond 600 they count as 600, where no mass is left.
    delta : in [0, 1).

    Returns
    -------
    Two arrays of shape (n,); absolute error about 1e-12 up to 1e6 trials.
    """
    n = len(epsilon)
    p = fnr.joined(fpr, fnr.mirrored(), fpr.mirrored())
    q = fpr.joined(fnr, fpr.mirrored(), fnr.mirrored())
    e = np.tile(np.minimum(epsilon, _FARTHEST), 4)
    corner = (1 - delta) * special.expit(-e)
    below_corner = p.cdf(corner)
    tail, density = _pair_integrals(p, q, e, delta)
    tail += _certain_part(p, q, e, delta, corner, below_corner)
    pairs = below_corner.reshape(4, n)
    sf = pairs[0] * pairs[1] + pairs[2] * pairs[3] + tail.reshape(4, n).sum(axis=0)
    return np.clip(sf, 0.0, 1.0), density.reshape(4, n).sum(axis=0)


def _certain_part(p: BetaLaw, q: BetaLaw, e: FloatArray, delta: float, corner: FloatArray, below_corner: FloatArray) -> FloatArray:
    """Return P(c < P <= t) for the t below which F_Q(L(t)) is 1."""
    part = np.zeros_like(e)
    end = _solve_line(q.high, e, delta)
    rows = np.flatnonzero((end > -e) & (end > _to_scaled(p.low, delta)))
    if len(rows):
        law, t, c = p.take(rows), (1 - delta) * special.expit(end[rows]), corner[rows]
        upper = below_corner[rows] > 0.5
        part[rows] = np.where(upper, law.sf(c) - law.sf(t), law.cdf(t) - below_corner[rows])
    return part


def _pair_integrals(p: BetaLaw, q: BetaLaw, e: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return int f_P F_Q(L) and int f_P f_Q(L) L over the part of [c, 1-delta] where F_Q(L) is neither 0 nor 1."""
    low = np.maximum(np.maximum(-e, _to_scaled(p.low, delta)), _solve_line(q.high, e, delta))
    high = np.minimum(_to_scaled(p.high, delta), _solve_line(q.low, e, delta))
    alive = high > low
    smooth = _is_half_integer(p) & _is_half_integer(q) & (special.expit(-p.high) >= _ANGLE_CLEARANCE * delta)
    tail, density = np.zeros_like(e), np.zeros_like(e)
    rows = np.flatnonzero(alive & smooth)
    ends = np.arctan(np.exp(low[rows] / 2)), np.arctan(np.exp(high[rows] / 2))
    _add_panels(tail, density, p, q, e, delta, rows, *ends, angle=True)
    rows = np.flatnonzero(alive & ~smooth)
    if len(rows):
        _add_panels(tail, density, p, q, e, delta, *_logit_panels(p, rows, low, high, delta), angle=False)
    return tail, density


def _add_panels(
    tail: FloatArray,
    density: FloatArray,
    p: BetaLaw,
    q: BetaLaw,
    e: FloatArray,
    delta: float,
    rows: Index,
    low: FloatArray,
    high: FloatArray,
    *,
    angle: bool,
) -> None:
    """Add to tail[rows] and density[rows] the integrals over the panels [low, high], one row a panel, in bounded memory."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        row, left, right = rows[part], low[part], high[part]
        half = ((right - left) / 2)[:, None]
        nodes = left[:, None] + half * (1 + _X)
        if angle:
            sine, cosine = np.sin(nodes), np.cos(nodes)
            sigma, co_sigma, step, end = sine * sine, cosine * cosine, 2 * half / (sine * cosine), np.cos(right) ** 2
        else:
            sigma, co_sigma, step, end = special.expit(nodes), special.expit(-nodes), half, special.expit(-right)
        t, u = (1 - delta) * sigma, delta + (1 - delta) * co_sigma
        scale = (1 - delta) * np.exp(-e[row])
        line = scale[:, None] * co_sigma
        law = q.take(row)
        mass = p.take(row).logit_density(t, u) * (co_sigma / u * step) * _W
        slope = law.logit_density(line, 1 - line) / (1 - line)
        cdf = (slope * sigma * step) @ _TO_ONE.T + law.cdf(scale * end)[:, None]
        np.add.at(tail, row, np.einsum("ij,ij->i", mass, cdf))
        np.add.at(density, row, np.einsum("ij,ij->i", mass, slope))


def _logit_panels(p: BetaLaw, rows: Index, low: FloatArray, high: FloatArray, delta: float) -> tuple[Index, FloatArray, FloatArray]:
    """Cut [low, high] of each row into equal panels on the logit scale, short enough for the nodes."""
    width = np.sqrt(p.a[rows] / (p.a[rows] + p.b[rows]) * p.b[rows])
    left, right = low[rows], high[rows]
    if delta > 0:  # beyond this the rest of [0, 1-delta] is too short to hold mass
        right = np.minimum(right, np.maximum(-np.log(delta), left) + 45 + np.log1p(width))
    length = right - left
    n_panels = np.ceil(np.maximum(length / _LONGEST_PANEL, length * width / _WIDEST_PANEL)).astype(np.intp)
    index = np.repeat(np.arange(len(rows)), n_panels)
    position = np.arange(len(index)) - np.repeat(np.cumsum(n_panels) - n_panels, n_panels)
    panel = (length / n_panels)[index]
    start = left[index] + position * panel
    return rows[index], start, start + panel


def _to_scaled(logit: FloatArray, delta: float) -> FloatArray:
    """Return logit(t / (1 - delta)) for given logit(t); +inf where t >= 1 - delta."""
    if delta == 0:
        return logit
    share = delta * (1 + np.exp(np.minimum(logit, 700.0)))
    scaled: FloatArray = np.where(share < 1, logit - np.log1p(-np.minimum(share, 1 - 1e-16)), np.inf)
    return scaled


def _solve_line(logit: FloatArray, e: FloatArray, delta: float) -> FloatArray:
    """Return the s with L(t(s)) = expit(logit); -inf where the line stays below."""
    share = -np.logaddexp(0, -logit) + e - np.log1p(-delta)
    inside = np.minimum(share, -1e-300)
    solution: FloatArray = np.where(share < 0, np.log(-np.expm1(inside)) - inside, -np.inf)
    return solution


def _is_half_integer(law: BetaLaw) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = (2 * law.a == np.rint(2 * law.a)) & (2 * law.b == np.rint(2 * law.b))
    return whole
