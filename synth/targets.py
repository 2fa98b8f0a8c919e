"""What an optimizer gets and what it gives back.

A target is the noisy answer of one marginal with its weight and noise; a fit is a table of codes with its path. All optimizers minimize

    F(Z) = sum over targets g of w_g sum over cells c (count_gc(Z) - (n' / n) y_gc)^2,        n' rows of Z, n rows of the real table,

and use noisy answers only: whatever they do is post-processing and costs no privacy.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth.encoded import Codes


@dataclass(frozen=True, slots=True, eq=False)
class MarginalTarget:
    """The noisy answer of one marginal.

    Parameters
    ----------
    columns : places of its k columns in the schema, increasing.
    answer : noisy counts, shape (size of each column); may be negative.
    sigma : standard deviation of the noise of a cell, >= 0.
    weight : w > 0; squared residuals are multiplied by it.
    """

    columns: tuple[int, ...]
    answer: NDArray[np.float64]
    sigma: float
    weight: float = 1.0

    def __init__(self, columns: tuple[int, ...], answer: ArrayLike, sigma: float, weight: float = 1.0) -> None:
        object.__setattr__(self, "columns", tuple(int(column) for column in columns))
        kept = np.array(answer, dtype=np.float64)
        if kept.ndim != len(self.columns):
            raise ValueError(f"answer must have an axis for each of the {len(self.columns)} columns, got {kept.ndim}")
        if any(left >= right for left, right in pairwise(self.columns)):
            raise ValueError("columns must increase")
        kept.flags.writeable = False
        object.__setattr__(self, "answer", kept)
        object.__setattr__(self, "sigma", float(sigma))
        object.__setattr__(self, "weight", float(weight))

    def __reduce__(self) -> tuple[type[MarginalTarget], tuple[tuple[int, ...], NDArray[np.float64], float, float]]:
        return type(self), (self.columns, self.answer, self.sigma, self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A fitted table.

    Parameters
    ----------
    codes : (n', d).
    fitness : F(Z) / n'^2, recomputed from scratch at the end.
    noise_energy : what F / n'^2 is expected to be for the true table: sum of w sigma^2 over all cells, / n^2.
    history : fitness after each sweep (or refresh), the start first.
    stopped : why the fit ended: "converged", "max_sweeps", "noise_floor", "max_generations".
    """

    codes: Codes
    fitness: float
    noise_energy: float
    history: tuple[float, ...]
    stopped: str
