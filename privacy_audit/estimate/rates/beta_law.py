"""Beta distributions in bulk: densities on the logit scale without cancellation, and where their mass ends.

ln B(a, b) loses all digits when a + b is large, so densities are written relative to their peak: with m = a / (a + b),

    ln[t^a (1-t)^b / B(a, b)] = peak - D(t),    D(t) = a k(t/m) + b k((1-t)/(1-m)),    k(r) = r - 1 - ln r,

where peak = ln sqrt(a b / (2 pi (a + b))) + r(a+b) - r(a) - r(b) with r the remainder of Stirling's series (Loader 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]

DROP = 38.0  # the support ends where the log density has fallen this far: at most about 1e-16 of the mass lies outside
_LARGE = 1e5  # from here on ln r is taken as log1p(r - 1), which is accurate near the peak
_NEWTON_STEPS = 9


@dataclass(frozen=True, slots=True, eq=False)
class BetaLaw:
    """Many Beta(a, b) distributions, elementwise.

    Parameters
    ----------
    a, b : shape parameters, shape (n,), both > 0.
    peak : ln of the density of logit(T) at its mode, shape (n,).
    low, high : logits between which the mass lies, but for about 1e-16, shape (n,).
    """

    a: FloatArray
    b: FloatArray
    peak: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def of(cls, a: FloatArray, b: FloatArray) -> BetaLaw:
        """Return the laws with these parameters."""
        n = len(a)
        remainder = stirling_remainder(np.concatenate([a + b, a, b]))
        peak = 0.5 * np.log(a / (a + b) * b / (2 * np.pi)) + remainder[:n] - remainder[n : 2 * n] - remainder[2 * n :]
        edge = _upper_logit(np.concatenate([a, b]), np.concatenate([b, a]))
        return cls(a=a, b=b, peak=peak, low=-edge[n:], high=edge[:n])

    def take(self, index: NDArray[np.intp]) -> BetaLaw:
        """Return the laws at these positions, repeats allowed."""
        return BetaLaw(self.a[index], self.b[index], self.peak[index], self.low[index], self.high[index])

    def mirrored(self) -> BetaLaw:
        """Return the laws of 1 - T."""
        return BetaLaw(self.b, self.a, self.peak, -self.high, -self.low)

    def joined(self, *others: BetaLaw) -> BetaLaw:
        """Return these laws followed by the others."""
        every = (self, *others)
        a, b, peak, low, high = (np.concatenate([getattr(law, name) for law in every]) for name in ("a", "b", "peak", "low", "high"))
        return BetaLaw(a, b, peak, low, high)

    def logit_density(self, t: FloatArray, u: FloatArray) -> FloatArray:
        """Return t u f(t), the density of logit(T), at points t = 1 - u.

        Parameters
        ----------
        t, u : points and their complements, each accurate to its last digits, shape (n, nodes).
        """
        a, b = self.a[:, None], self.b[:, None]
        exponent = self.peak[:, None] - a * _excess(t * ((a + b) / a), a) - b * _excess(u * ((a + b) / b), b)
        density: FloatArray = np.exp(exponent)
        return density

    def cdf(self, t: FloatArray) -> FloatArray:
        """Return P(T <= t), shape (n,)."""
        value: FloatArray = special.betainc(self.a, self.b, t)
        return value

    def sf(self, t: FloatArray) -> FloatArray:
        """Return P(T > t), shape (n,)."""
        value: FloatArray = special.betaincc(self.a, self.b, t)
        return value


def stirling_remainder(z: FloatArray) -> FloatArray:
    """Return ln Gamma(z) - [(z - 1/2) ln z - z + ln(2 pi)/2] without cancellation, absolute error below 1e-14."""
    small = z < 10.0
    w = np.where(small, 1.0, z)
    square = 1.0 / (w * w)
    series = (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))) / w
    direct = special.gammaln(z) - ((z - 0.5) * np.log(z) - z + 0.5 * np.log(2 * np.pi))
    remainder: FloatArray = np.where(small, direct, series)
    return remainder


def _excess(ratio: FloatArray, weight: FloatArray) -> FloatArray:
    # k(r) = r - 1 - ln r; a large weight means that all points lie near r = 1, where log1p keeps the digits of r - 1
    above = ratio - 1.0
    logarithm = np.log(ratio)
    large = weight[:, 0] > _LARGE
    if large.any():
        logarithm[large] = np.log1p(above[large])
    return above - logarithm


def _upper_logit(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the logit above the mode where D = DROP, by Newton's method on a convex function."""
    n = a + b
    mode = np.log(a) - np.log(b)
    ratio = (1 + DROP / a + np.sqrt(2 * DROP / a)) * a / n  # there the first term of D alone is about DROP
    inside = ratio < 0.9
    ratio = np.where(inside, ratio, 0.5)
    logit = np.where(inside, np.log(ratio) - np.log1p(-ratio), mode + DROP / b + np.sqrt(2 * DROP * n / a / b))
    base = a * (np.log(a) - np.log(n)) + b * (np.log(b) - np.log(n))
    for _ in range(_NEWTON_STEPS):
        drop = base + a * np.logaddexp(0, -logit) + b * np.logaddexp(0, logit)
        slope = n * special.expit(logit) - a
        logit = np.maximum(logit - (drop - DROP) / np.maximum(slope, 1e-300), mode)
    edge: FloatArray = logit
    return edge
