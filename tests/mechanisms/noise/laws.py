"""What the noise should be, written plainly, and one test of fit for all samplers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

Law = Callable[[NDArray[np.int64]], NDArray[np.float64]]
FALSE_ALARM = 1e-6


def gaussian_law(sigma: float) -> Law:
    x = np.arange(-int(15 * sigma) - 3, int(15 * sigma) + 4)
    total = np.exp(-(x**2) / (2 * sigma**2)).sum()
    return lambda at: np.exp(-(at.astype(np.float64) ** 2) / (2 * sigma**2)) / total


def laplace_law(scale: float) -> Law:
    a = np.exp(-1 / scale)
    return lambda at: (1 - a) / (1 + a) * np.exp(-np.abs(at) / scale)


def pvalue_of_fit(draws: NDArray[np.int64], law: Law, reach: int) -> float:
    """Chi-square test of the values in [-reach, reach], pooled from left to right into cells of 20 expected; the rest is one more."""
    x = np.arange(-reach, reach + 1)
    expected = law(x) * len(draws)
    cell = np.floor(np.cumsum(expected) / max(20.0, len(draws) / 200)).astype(np.int64)
    inside = np.abs(draws) <= reach
    seen = np.bincount(cell[draws[inside] + reach], minlength=cell[-1] + 1).astype(np.float64)
    hoped = np.bincount(cell, weights=expected)
    seen, hoped = np.append(seen, len(draws) - inside.sum()), np.append(hoped, max(len(draws) - expected.sum(), 0.0))
    keep = hoped > 5
    seen, hoped = np.append(seen[keep], seen[~keep].sum()), np.append(hoped[keep], hoped[~keep].sum() + 1e-9)
    if hoped[-1] < 5:  # too little for a cell of its own
        seen, hoped = np.append(seen[:-2], seen[-2:].sum()), np.append(hoped[:-2], hoped[-2:].sum())
    return float(chi2.sf(((seen - hoped) ** 2 / hoped).sum(), len(hoped) - 1))


def renyi(p: NDArray[np.float64], q: NDArray[np.float64], order: float) -> float:
    """Renyi divergence of two positive distributions."""
    return float(np.log(np.sum(np.exp(order * np.log(p) + (1 - order) * np.log(q)))) / (order - 1))
