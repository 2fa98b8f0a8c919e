"""Take noise off a measured pair: make it agree with the one-ways, then shrink the singular values of what is left.

The answer of a pair, Y = P + R + noise, is the product P of its one-ways plus an interaction R of low rank. Projected on the one-ways, the
noise of R is white with standard deviation sigma, and in units of sigma sqrt(N), N = max(s_i, s_j) - 1, its singular values end at
1 + sqrt(beta), beta = min / max of the two sizes. The best shrinkage in mean square (Gavish, Donoho 2017) is

    y -> sqrt((y^2 - beta - 1)^2 - 4 beta) / y        above that end, 0 below.

A share of the raw answer is kept: all shrunk gives the better average and the larger maximum of errors. Post-processing: costs no privacy.

References
----------
Gavish, Donoho, Optimal Shrinkage of Singular Values, IEEE Transactions on Information Theory 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SHRUNK_SHARE = 0.7


def denoise_pair(answer: Floats, rows: Floats, columns: Floats, *, sigma: float, shrunk: float = SHRUNK_SHARE) -> Floats:
    """Return the pair's denoised counts, shape (s_i, s_j); they agree with both one-ways and may be negative.

    Parameters
    ----------
    answer : (s_i, s_j) noisy counts.
    rows, columns : (s_i,), (s_j,) one-ways of one total.
    sigma : standard deviation of the noise of a cell.
    shrunk : share of the shrunk interaction; the rest is the raw one.
    """
    projected = project_on_one_ways(answer, rows, columns)
    product = np.outer(rows, columns) / rows.sum()
    interaction = projected - product
    return np.asarray(product + shrunk * shrink_singular_values(interaction, sigma) + (1 - shrunk) * interaction, dtype=np.float64)


def project_on_one_ways(answer: Floats, rows: Floats, columns: Floats) -> Floats:
    """Return the nearest table in least squares whose one-ways are `rows` and `columns`, which have one total."""
    s_i, s_j = answer.shape
    moved = answer + ((rows - answer.sum(axis=1)) / s_j)[:, np.newaxis]
    return np.asarray(moved + (columns - moved.sum(axis=0)) / s_i, dtype=np.float64)


def shrink_singular_values(interaction: Floats, sigma: float) -> Floats:
    """Return the interaction with the best shrinkage of its singular values for white noise of standard deviation sigma."""
    s_i, s_j = interaction.shape
    unit = sigma * np.sqrt(max(s_i, s_j) - 1)
    if unit == 0:
        return interaction
    beta = min(s_i, s_j) / max(s_i, s_j)
    left, values, right = np.linalg.svd(interaction, full_matrices=False)
    y = values / unit
    above = y > 1 + np.sqrt(beta)
    kept = np.zeros_like(y)
    kept[above] = np.sqrt((y[above] ** 2 - beta - 1) ** 2 - 4 * beta) / y[above]
    return np.asarray((left * (kept * unit)) @ right, dtype=np.float64)
