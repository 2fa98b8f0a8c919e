"""The law of epsilon = g(FPR, FNR) for two independent rates whose laws are tabulated.

The formula is that of `pushforward`: with E = exp(-epsilon), c = (1 - delta) E / (1 + E), L(t) = (1 - delta - t) E, primes: complements,

    P(g > epsilon) = F_X(c) F_Y(c) + F_X'(c) F_Y'(c) + I(X, Y) + I(Y, X) + I(X', Y') + I(Y', X'),
    I(P, Q) = int_c^{1-delta} f_P(t) F_Q(L(t)) dt,      density of g = sum over the same pairs of int f_P(t) f_Q(L(t)) L(t) dt.

The range of each integral is cut at the nodes of P and at the points that L maps to the nodes of Q, so between two cuts both factors are
smooth however different their widths; each piece gets three Gauss-Legendre nodes.
"""

from __future__ import annotations

import numpy as np
from scipy import special

from privacy_audit.estimate.model_effects.tabulated_rate import TabulatedRate
from privacy_audit.estimate.rates.beta_law import FloatArray

_FARTHEST = 170.0  # nats; tabulated rates end at a logit of 90
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_POINTS_AT_ONCE = 16


def tabulated_exceedance(fnr: TabulatedRate, fpr: TabulatedRate, epsilon: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return P(g > epsilon) and the density of g at epsilon, elementwise.

    Parameters
    ----------
    fnr, fpr : laws of the two rates.
    epsilon : points >= 0, shape (n,); beyond 170 they count as 170, where no mass is left.
    delta : in [0, 1).

    Returns
    -------
    Two arrays of shape (n,).
    """
    sf, density = np.zeros_like(epsilon), np.zeros_like(epsilon)
    mirrored = fnr.mirrored(), fpr.mirrored()
    for start in range(0, len(epsilon), _POINTS_AT_ONCE):
        part = slice(start, start + _POINTS_AT_ONCE)
        e = np.minimum(epsilon[part], _FARTHEST)
        corner = _to_logit(-e, delta)
        for x, y in ((fnr, fpr), mirrored):
            sf[part] += x.cdf(corner) * y.cdf(corner)
            for p, q in ((x, y), (y, x)):
                tail, slope = _pair_integral(p, q, e, delta)
                sf[part] += tail
                density[part] += slope
    return np.clip(sf, 0.0, 1.0), density


def _pair_integral(p: TabulatedRate, q: TabulatedRate, e: FloatArray, delta: float) -> tuple[FloatArray, FloatArray]:
    """Return int f_P F_Q(L) and int f_P f_Q(L) L over [c, 1-delta], each of shape (len(e),)."""
    cuts_p = np.broadcast_to(_to_scaled(p.logit_nodes, delta), (len(e), len(p.x)))
    cuts_q = _solve_line(q.logit_nodes, e, delta)
    low = np.maximum(cuts_p[:, 0], -e)[:, None]
    high = np.maximum(np.minimum(cuts_p[:, -1], cuts_q[:, 0])[:, None], low)
    cuts = np.sort(np.clip(np.concatenate([low, cuts_p, cuts_q, high], axis=1), low, high), axis=1)
    half = np.diff(cuts, axis=1)[:, :, None] / 2
    s = (cuts[:, :-1, None] + half * (1 + _NODES)).reshape(len(e), -1)
    step = (half * _WEIGHTS).reshape(len(e), -1)
    rest = special.expit(-s)
    mass = p.logit_density(_to_logit(s, delta)) * rest / (delta + (1 - delta) * rest) * step
    log_line = np.log1p(-delta) - np.logaddexp(0, s) - e[:, None]
    log_rest = np.log(-np.expm1(log_line))
    line = log_line - log_rest
    return (mass * q.cdf(line)).sum(axis=1), (mass * q.logit_density(line) * np.exp(-log_rest)).sum(axis=1)


def _to_logit(s: FloatArray, delta: float) -> FloatArray:
    """Return logit(t) for t = (1 - delta) expit(s)."""
    logit: FloatArray = s if delta == 0 else np.log1p(-delta) - np.logaddexp(0, s) + s - np.log(delta + (1 - delta) * special.expit(-s))
    return logit


def _to_scaled(logit: FloatArray, delta: float) -> FloatArray:
    """Return logit(t / (1 - delta)); a large number where t >= 1 - delta."""
    if delta == 0:
        return logit
    share = delta * (1 + np.exp(np.minimum(logit, 700.0)))
    scaled: FloatArray = np.where(share < 1, logit - np.log1p(-np.minimum(share, 1 - 1e-16)), 700.0)
    return scaled


def _solve_line(logit: FloatArray, e: FloatArray, delta: float) -> FloatArray:
    """Return the s with logit(L(t(s))) = logit, shape (len(e), len(logit)); a large negative number where the line stays below."""
    share = -np.logaddexp(0, -logit) + e[:, None] - np.log1p(-delta)
    inside = np.minimum(share, -1e-300)
    solution: FloatArray = np.where(share < 0, np.log(-np.expm1(inside)) - inside, -700.0)
    return solution
