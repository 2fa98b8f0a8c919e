"""Predicted errors of a counter, before any data: the exact variance of every release and a bound for all of them at once.

    Var_t = v ||L_t||^2 + g^2 / 12        v variance of a draw, g grid of rounded float releases (no such term on the integer path)
    all t, all d coordinates: error <= max_t sd_t Phi^-1(1 - beta / (2 d T)) + half a grid           Gaussian noise
                                       min over s of (ln(2 d T / beta) + N ln M(s)) / s              Laplace noise (Chernoff)

M(s) = (1 - a)^2 / ((1 - a e^s)(1 - a e^-s)), a = e^(-1/b), is the moment generating function of a discrete Laplace draw, and N = max
||L_t||^2 the number of draws in a release, since entries of L are 0 and +-1. Discrete Gaussian sums are taken as normal, half a unit
added.

Symbols: beta failure probability, d coordinates, T steps. Cost: that of the row norms.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import ndtri

from mechanisms.continual.catalog import make_factorization
from mechanisms.continual.counter_design import CounterDesign
from mechanisms.noise.discrete_gaussian import discrete_gaussian_variance
from mechanisms.validation import in_range, whole_number


def variances(design: CounterDesign, t: ArrayLike) -> float | NDArray[np.float64]:
    """Return the variance of releases per coordinate, for one step or an array of steps.

    Raises
    ------
    ValueError : a step outside 1 to T.
    """
    steps = np.asarray(t)
    if steps.dtype.kind not in "iu" or not steps.size or steps.min() < 1 or steps.max() > design.horizon:
        raise ValueError(f"t must be steps from 1 to {design.horizon:,}, whole numbers")
    result = (_row_norms(design, int(steps.max()))[steps - 1] * draw_variance(design) + rounding_variance(design)) * design.domain.unit**2
    return float(result) if steps.ndim == 0 else np.asarray(result, dtype=np.float64)


def error_bound(design: CounterDesign, beta: float, *, simultaneous: bool, n_steps: int | None) -> float:
    """Return what errors stay below with probability 1 - beta; parameters as `ContinualCounter.error_bound`."""
    failure = in_range(0, 1, beta=beta)
    if n_steps is None and not design.has_horizon:
        raise ValueError("n_steps must be given for a counter without a horizon")
    steps = design.horizon if n_steps is None else whole_number(1, n_steps=n_steps)
    if steps > design.horizon:
        raise ValueError(f"n_steps must be at most the horizon, {design.horizon:,}, got {n_steps}")
    each = failure / (steps * design.domain.dim if simultaneous else 1)
    largest = float(_row_norms(design, steps).max())
    if design.law == "discrete_laplace":
        return _laplace_bound(largest, design.scale, each) * design.domain.unit
    return (math.sqrt(draw_variance(design) * largest) * float(-ndtri(each / 2)) + design.grid_units / 2) * design.domain.unit


def draw_variance(design: CounterDesign) -> float:
    """Return the variance of one draw of base noise, in units."""
    if design.law == "discrete_laplace":
        decay = math.exp(-1 / design.scale)
        return float(2 * decay / math.expm1(-1 / design.scale) ** 2)
    return discrete_gaussian_variance(design.scale) if design.law == "discrete_gaussian" else design.scale**2


def rounding_variance(design: CounterDesign) -> float:
    """Return what rounding to the grid adds, in units."""
    return design.grid_units**2 / 12 if design.law == "gaussian" else 0.0


def _row_norms(design: CounterDesign, n_steps: int) -> NDArray[np.float64]:
    if design.has_horizon:
        return design.factorization.squared_row_norms()[:n_steps]
    return make_factorization(design.factorization.name, n_steps).squared_row_norms()


def _laplace_bound(n_draws: float, scale: float, each: float) -> float:
    """Chernoff bound of a sum of discrete Laplace draws, both sides."""

    def bound(share: float) -> float:
        s = share / scale
        log_m = 2 * math.log(-math.expm1(-1 / scale)) - math.log(-math.expm1(s - 1 / scale)) - math.log(-math.expm1(-s - 1 / scale))
        return (math.log(2 / each) + n_draws * log_m) / s

    return float(minimize_scalar(bound, bounds=(1e-6, 1 - 1e-6), method="bounded").fun)
