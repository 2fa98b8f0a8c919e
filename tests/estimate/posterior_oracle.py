"""Two independent ways to P(g <= epsilon), slow and plain: 30-digit quadrature, and the textbook four-integral scheme."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
from scipy import special

DIGITS = 30


def mp_cdf(fp, tn, fn, tp, delta, epsilon, prior=(0.5, 0.5), *, near_zero_rates=False):
    """P(g <= epsilon) = integral over the FPR of P(FNR between the region's two edges), in 30 digits.

    `near_zero_rates` takes tanh-sinh panels, for integrands with square-root ends inside the range (delta > 0 and small counts).
    """
    with mp.workdps(DIGITS):
        a, b = map(mp.mpf, prior)
        return _mp_cdf(fn + a, tp + b, fp + a, tn + b, mp.mpf(delta), mp.exp(mp.mpf(epsilon)), near_zero_rates)


def _mp_cdf(ax, bx, ay, by, delta, growth, near_zero_rates):
    log_beta = _log_beta(ay, by)

    def edge(y):
        return max(mp.mpf(0), 1 - delta - growth * y, (1 - delta - y) / growth)

    def integrand(angle):
        y, rest = mp.sin(angle) ** 2, mp.cos(angle) ** 2
        low, high = edge(y), 1 - edge(rest)
        if high <= low:
            return mp.mpf(0)
        density = 2 * mp.exp((ay - 0.5) * mp.log(y) + (by - 0.5) * mp.log(rest) - log_beta)
        return density * (_mp_beta_cdf(ax, bx, high) - _mp_beta_cdf(ax, bx, low))

    points = _mp_panels(ax, bx, ay, by, delta, growth)
    if near_zero_rates:
        return mp.quad(integrand, points, method="tanh-sinh", maxdegree=5)
    return mp.quad(integrand, points, method="gauss-legendre", maxdegree=4)


def _mp_panels(ax, bx, ay, by, delta, growth):
    """Panel ends: standard deviations of both laws, and every kink of the region's edges."""
    center, width = _angle(ay / (ay + by)), 1 / (2 * mp.sqrt(ay + by))
    ends = [center + k * width for k in range(-14, 15)]
    corner = (1 - delta) / (1 + growth)
    kinks = [corner, 1 - corner, delta, 1 - delta]
    for k in range(-14, 15):
        angle = _angle(ax / (ax + bx)) + k / (2 * mp.sqrt(ax + bx))
        if 0 < angle < mp.pi / 2:
            x = mp.sin(angle) ** 2
            kinks += [(1 - delta - x) / growth, 1 - delta - growth * x, 1 - (x - delta) / growth, delta + growth * (1 - x)]
    ends += [_angle(y) for y in kinks if 0 < y < 1]
    low, high = max(mp.mpf(0), center - 14 * width), min(mp.pi / 2, center + 14 * width)
    return [low, *sorted({end for end in ends if low < end < high}), high]


def _angle(rate):
    return mp.asin(mp.sqrt(rate))


def _log_beta(a, b):
    return mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(a + b)


def _mp_beta_cdf(a, b, x):
    """The continued fraction of the regularized incomplete Beta function, by Lentz's method."""
    if x <= 0 or x >= 1:
        return mp.mpf(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _mp_beta_cdf(b, a, 1 - x)
    lead = mp.exp(a * mp.log(x) + b * mp.log(1 - x) - _log_beta(a, b)) / a
    if lead < mp.mpf(10) ** -40:
        return mp.mpf(0)
    c, d = mp.mpf(1), 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 100_000):
        for term in (m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < mp.mpf(10) ** -26:
            break
    return lead * fraction


def plain_sf(fp, tn, fn, tp, delta, epsilon, prior=(0.5, 0.5)):
    """P(g > epsilon) by the four integrals over s = logit(t / (1 - delta)): 16 panels of 32 nodes, one integral after the other."""
    x, y = (fn + prior[0], tp + prior[1]), (fp + prior[0], tn + prior[1])
    corner = (1 - delta) / (1 + np.exp(epsilon))
    total = 0.0
    for p, q in ((x, y), (x[::-1], y[::-1])):
        total += special.betainc(*p, corner) * special.betainc(*q, corner)
        total += _plain_integral(p, q, delta, epsilon) + _plain_integral(q, p, delta, epsilon)
    return total


def _plain_integral(p, q, delta, epsilon):
    (a, b), nodes = p, np.polynomial.legendre.leggauss(32)
    t_low, u_low = special.betaincinv(a, b, 1e-22), special.betaincinv(b, a, 1e-22)
    if t_low >= 1 - delta:
        return 0.0
    left = max(-epsilon, np.log(t_low) - np.log(1 - delta - t_low))
    right = min(60.0, np.log(1 - u_low) - np.log(u_low - delta)) if u_low > delta else 60.0
    total = 0.0
    edges = np.linspace(left, max(left, right), 17)
    for start, end in itertools.pairwise(edges):
        for node, weight in zip(*nodes, strict=True):
            s = (start + end) / 2 + (end - start) / 2 * node
            sigma, rest = special.expit(s), special.expit(-s)
            t, u = (1 - delta) * sigma, delta + (1 - delta) * rest
            log_density = (a - 1) * np.log(t) + (b - 1) * np.log(u) - special.betaln(a, b) + np.log((1 - delta) * sigma * rest)
            total += weight * (end - start) / 2 * np.exp(log_density) * special.betainc(*q, (1 - delta) * rest * np.exp(-epsilon))
    return total
