"""Likelihood of counts per model when both error rates of a model are a bivariate normal on the logit scale.

Model j has logits (u_j, w_j) ~ N((m_0, m_1), S), S with standard deviations s_0, s_1 and correlation r; fp_j ~ Binomial(n0_j, expit(u_j)),
fn_j ~ Binomial(n1_j, expit(w_j)). In standard normals z, u = m_0 + s_0 z_0 and w = m_1 + s_1 (r z_0 + sqrt(1 - r^2) z_1), so neither
s -> 0 nor r -> +-1 is singular. The integral over z is taken by Gauss-Hermite nodes put around the integrand's peak (found by Newton's
method) with the peak's curvature, so few nodes are enough however many challenge points there are.

A parameter point is (m_0, m_1, ln s_0, ln s_1, artanh r). Its prior is that of five standard normals y sent through `from_normal`:
expit(m) ~ Beta(1/2, 1/2); s ~ HalfNormal(1), which puts rho around 0.1; r ~ LKJ(2), whose density is proportional to 1 - r^2. In y the
posterior has normal tails even where the data say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.rates.beta_law import FloatArray

N_PARAMETERS = 5
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
_NEWTON_STEPS = 4
_CELLS_AT_ONCE = 200_000
_FARTHEST = 8.0  # standard deviations of the prior
_RATE_NODES, _RATE_WEIGHTS = np.polynomial.hermite_e.hermegauss(20)


@dataclass(frozen=True, slots=True, eq=False)
class CorrelatedLikelihood:
    """The distinct rows of counts per model and how often each occurs.

    Parameters
    ----------
    errors, trials : of the two sides (FPR, FNR), shape (2, n_rows).
    times : number of models with that row, shape (n_rows,).
    """

    errors: FloatArray
    trials: FloatArray
    times: FloatArray

    @classmethod
    def of(cls, counts: ModelCounts) -> CorrelatedLikelihood:
        """Return the likelihood of these counts."""
        table = np.stack([counts.fp, counts.fn, counts.n_non_members, counts.n_members])
        rows, times = np.unique(table, axis=1, return_counts=True)
        return cls(errors=rows[:2].astype(np.float64), trials=rows[2:].astype(np.float64), times=times.astype(np.float64))

    def log_posterior(self, y: FloatArray) -> FloatArray:
        """Return the log posterior density of y, up to a constant, shape (n, 5) -> (n,)."""
        total: FloatArray = self.log_likelihood(from_normal(y)) - 0.5 * (y**2).sum(axis=1)
        return total

    def log_likelihood(self, points: FloatArray) -> FloatArray:
        """Return the log likelihood, up to a constant, at parameter points, shape (n, 5) -> (n,)."""
        size = max(_CELLS_AT_ONCE // (len(self.times) * len(_NODES) ** 2), 1)
        return np.concatenate([self._log_likelihood(points[start : start + size]) for start in range(0, len(points), size)])

    def _log_likelihood(self, points: FloatArray) -> FloatArray:
        mean, lift = _lift(points)
        peak, curvature = self._peaks(mean, lift)
        # factor of the inverse curvature: rows (f00, 0) and (f10, f11)
        determinant = curvature[0] * curvature[2] - curvature[1] ** 2
        f00 = np.sqrt(curvature[2] / determinant)
        f10, f11 = -curvature[1] / determinant / f00, 1 / np.sqrt(curvature[2])
        first = peak[0][..., None] + f00[..., None] * _NODES
        second = peak[1][..., None, None] + f10[..., None, None] * _NODES[:, None] + f11[..., None, None] * _NODES
        u = mean[0][..., None] + lift[0][..., None] * first
        w = (mean[1][..., None] + lift[1][..., None] * first)[..., None] + lift[2][..., None, None] * second
        exponent = (self._binomial(0, u, 1) - 0.5 * first**2)[..., None] + self._binomial(1, w, 2) - 0.5 * second**2
        exponent += 0.5 * (_NODES[:, None] ** 2 + _NODES**2) + np.log(_WEIGHTS[:, None] * _WEIGHTS)
        total: FloatArray = (special.logsumexp(exponent, axis=(2, 3)) + np.log(f00 * f11)) @ self.times
        return total

    def _peaks(self, mean: tuple[FloatArray, ...], lift: tuple[FloatArray, ...]) -> tuple[list[FloatArray], list[FloatArray]]:
        """Return the z where the integrand peaks, two arrays of shape (n, n_rows), and its curvature there, three of them."""
        rate = (self.errors + 0.5) / (self.trials + 1)
        weight = self.trials * rate * (1 - rate)
        slope = weight * (np.log(rate) - np.log1p(-rate))
        peak = [0 * mean[0] * self.times, 0 * mean[0] * self.times]
        pull = [slope[side] - weight[side] * mean[side] for side in (0, 1)]  # of the normal approximation at z = 0
        curvature = _curvature(lift, weight[0], weight[1])
        for _ in range(_NEWTON_STEPS + 1):
            h00, h01, h11 = curvature
            g0, g1 = lift[0] * pull[0] + lift[1] * pull[1] - peak[0], lift[2] * pull[1] - peak[1]
            determinant = h00 * h11 - h01**2
            peak = [peak[0] + (h11 * g0 - h01 * g1) / determinant, peak[1] + (h00 * g1 - h01 * g0) / determinant]
            p0 = special.expit(mean[0] + lift[0] * peak[0])
            p1 = special.expit(mean[1] + lift[1] * peak[0] + lift[2] * peak[1])
            pull = [self.errors[0] - self.trials[0] * p0, self.errors[1] - self.trials[1] * p1]
            curvature = _curvature(lift, self.trials[0] * p0 * (1 - p0), self.trials[1] * p1 * (1 - p1))
        return peak, curvature

    def _binomial(self, side: int, logit: FloatArray, n_node_axes: int) -> FloatArray:
        """Return k u - n ln(1 + e^u), with rows along axis 1."""
        shape = (1, -1) + (1,) * n_node_axes
        value: FloatArray = self.errors[side].reshape(shape) * logit - self.trials[side].reshape(shape) * np.logaddexp(0, logit)
        return value


def from_normal(y: FloatArray) -> FloatArray:
    """Send standard normals, shape (n, 5), to parameter points with the prior laws; beyond 8 they count as 8."""
    y = np.clip(y, -_FARTHEST, _FARTHEST)
    points = np.empty_like(y)
    below, above = special.ndtr(y), special.ndtr(-y)
    points[:, :2] = 2 * (np.log(np.sin(np.pi / 2 * below[:, :2])) - np.log(np.sin(np.pi / 2 * above[:, :2])))  # arcsine law
    points[:, 2:4] = np.log(-special.ndtri(above[:, 2:4] / 2))
    angle = np.arcsin(np.clip(below[:, 4] - above[:, 4], -1 + 1e-14, 1 - 1e-14)) / 3
    points[:, 4] = np.arctanh(2 * np.sin(angle))  # inverse of the distribution function of (r + 1) / 2 ~ Beta(2, 2)
    return points


def to_normal_rate(rate: float) -> float:
    """Return the y that `from_normal` sends to m = logit(rate)."""
    return float(special.ndtri(2 / np.pi * np.arcsin(np.sqrt(rate))))


def marginal_rates(points: FloatArray) -> dict[str, FloatArray]:
    """Return "fpr", "fnr" averaged over models, "rho_fpr", "rho_fnr" and the correlation "r", by 20-point Gauss-Hermite; points (n, 5)."""
    weight = _RATE_WEIGHTS / _RATE_WEIGHTS.sum()
    result = {"correlation": np.tanh(points[:, 4])}
    for side, name in enumerate(("fpr", "fnr")):
        rate = special.expit(points[:, side, None] + np.exp(points[:, 2 + side, None]) * _RATE_NODES)
        mean = rate @ weight
        result[name] = mean
        result[f"rho_{name}"] = np.clip(((rate - mean[:, None]) ** 2) @ weight / np.maximum(mean * (1 - mean), 1e-300), 0.0, 1.0)
    return result


def _lift(points: FloatArray) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Return (m_0, m_1) and (s_0, s_1 r, s_1 sqrt(1 - r^2)), each of shape (n, 1)."""
    m0, m1, log_s0, log_s1, z = (points[:, i, None] for i in range(N_PARAMETERS))
    s0, s1 = np.exp(log_s0), np.exp(log_s1)
    return (m0, m1), (s0, s1 * np.tanh(z), s1 / np.cosh(z))


def _curvature(lift: tuple[FloatArray, ...], weight_0: FloatArray, weight_1: FloatArray) -> list[FloatArray]:
    """Return the entries 00, 01, 11 of I + A' W A for A = ((l_0, 0), (l_1, l_2))."""
    l0, l1, l2 = lift
    return [1 + l0**2 * weight_0 + l1**2 * weight_1, l1 * l2 * weight_1, 1 + l2**2 * weight_1]
