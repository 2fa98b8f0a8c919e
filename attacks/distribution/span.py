"""Linear classifiers of few models with many features, learned in the span of the models: r <= n coordinates instead of F features.

A ridge solution is a combination of the rows of X (n, F), so with X = B V', V' V = 1, it is the one on B (n, r):

    ridge-logistic    min  C sum_i w_i log(1 + exp(-s_i (x_i . a + b))) + |a|^2 / 2,   s = +-1, w_i = n / (2 n of its world)
    shrinkage LDA     a = S^-1 (m_1 - m_0),  S = (1 - g) S_within + g tr(S_within) / r,  g by Ledoit and Wolf,  b: the middle of the means

Shrinkage toward the mean variance of the span, not of all F dimensions: it depends on r, and shrinks more, which suits few models.
V is made once for all strengths and folds. Cost: O(n^2 F) once, then O(n r) a step (logistic) or O(r^3) (LDA) for each fold.

References
----------
Schölkopf, Herbrich, Smola, A Generalized Representer Theorem, COLT 2001. Böhning, Lindsay, Monotonicity of quadratic-approximation
algorithms, Ann. Inst. Statist. Math. 1988 (bound of the curvature). Ledoit, Wolf, A well-conditioned estimator for large-dimensional
covariance matrices, J. Multivariate Analysis 2004.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.covariance import ledoit_wolf

from attacks.distribution.views import Bools, Floats
from mechanisms.errors import ConvergenceWarning

RELATIVE_RANK = 1e-10  # directions with less than this share of the largest variance are rounding errors
GRADIENT = 1e-7


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A linear decision: `weight . x + intercept`."""

    weight: Floats
    intercept: float

    def __call__(self, rows: Floats) -> Floats:
        """Return the decision of each row."""
        return np.asarray(rows @ self.weight + self.intercept)


def in_own_span(features: Floats) -> tuple[Floats, Floats]:
    """Return coordinates (n, r) in the rows' span and its axes (F, r): features = coordinates @ axes.T, inner products unchanged."""
    n_models, n_features = features.shape
    if n_models > n_features:
        return features, np.eye(n_features)
    variance, vectors = np.linalg.eigh(features @ features.T)
    kept = variance > max(RELATIVE_RANK * variance[-1], np.finfo(float).tiny)
    kept[-1] = True
    length = np.sqrt(np.maximum(variance[kept], np.finfo(float).tiny))
    return vectors[:, kept] * length, features.T @ (vectors[:, kept] / length)


def ridge_logistic(rows: Floats, world: Bools, strength: float, *, start: Line | None = None) -> Line:
    """Return the ridge-logistic line of strength C (large C = weak penalty), both worlds weighted alike.

    Notes
    -----
    L-BFGS in coordinates scaled by the diagonal of the upper bound B'B / 4 of the curvature.

    Warns
    -----
    ConvergenceWarning : the gradient is still above 1e-4 per model after 1000 steps.
    """
    sign = np.where(world, 1.0, -1.0)
    weight = np.where(world, 0.5 / world.sum(), 0.5 / (~world).sum())
    ridge = 1 / (strength * len(rows))
    design = np.column_stack([rows, np.ones(len(rows))])
    penalty = np.append(np.full(rows.shape[1], ridge), 0.0)
    scale = 1 / np.sqrt((weight @ design**2) / 4 + penalty + np.finfo(float).tiny)

    def value_and_slope(scaled: Floats) -> tuple[float, Floats]:
        line = scaled * scale
        margin = sign * (design @ line)
        value = float(weight @ np.logaddexp(0, -margin) + penalty @ line**2 / 2)
        slope = scale * (penalty * line - design.T @ (weight * sign * expit(-margin)))
        return value, slope

    first = np.zeros(design.shape[1]) if start is None else np.append(start.weight, start.intercept) / scale
    found = minimize(value_and_slope, first, jac=True, method="L-BFGS-B", options={"maxiter": 1000, "gtol": GRADIENT, "ftol": 1e-15})
    if np.abs(found.jac).max() > 1e-4:
        warnings.warn(f"ridge-logistic did not converge in {found.nit} steps; lower the strength", ConvergenceWarning, stacklevel=2)
    line = found.x * scale
    return Line(line[:-1], float(line[-1]))


def shrinkage_lda(rows: Floats, world: Bools) -> Line:
    """Return the discriminant line of the pooled covariance within worlds, shrunk by Ledoit and Wolf's rule."""
    mean_0, mean_1 = rows[~world].mean(axis=0), rows[world].mean(axis=0)
    covariance, _ = ledoit_wolf(rows - np.where(world[:, None], mean_1, mean_0), assume_centered=True)
    if not np.trace(covariance) > 0:  # all models of a world alike: nothing to whiten by
        covariance = np.eye(rows.shape[1])
    weight = np.asarray(linalg.solve(covariance, mean_1 - mean_0, assume_a="pos"))
    return Line(weight, float(-weight @ (mean_0 + mean_1) / 2))
