"""One noisy histogram: the only way in which a purchase looks at the rows. And thresholds that empty cells hardly pass.

A row lies in at most one cell, so the L2 sensitivity D is 1 (add/remove) or sqrt(2) (replacement); discrete Gaussian noise of
sigma = D / sqrt(2 rho) makes it rho-zCDP.

Thresholds rest on one bound. For a discrete Gaussian X of scale sigma and a whole number t >= 1,

    P(X >= t) <= Q((t - 1) / sigma),        Q the upper tail of the standard normal,

since the sum of exp(-x^2 / (2 sigma^2)) over x >= t is at most its integral from t - 1, and the sum over all x is at least the integral
over the line (Poisson summation; Canonne, Kamath, Steinke 2020, fact 18).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.discrete_gaussian import valid_sigma
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import in_range, positive, whole_number
from synth.budget import marginal_sensitivity
from synth.measure import ROUNDED_UP


@dataclass(frozen=True, slots=True, eq=False)
class NoisyHistogram:
    """Noisy counts of cells.

    Parameters
    ----------
    counts : (cells,) int64, may be negative; copied and read-only.
    sigma : scale of the discrete Gaussian noise of every cell.
    """

    counts: NDArray[np.int64]
    sigma: float

    def __init__(self, counts: ArrayLike, sigma: float) -> None:
        kept = np.array(counts, dtype=np.int64, ndmin=1)
        kept.flags.writeable = False
        object.__setattr__(self, "counts", kept)
        object.__setattr__(self, "sigma", positive(sigma=sigma))

    def equals(self, other: NoisyHistogram) -> bool:
        """Whether counts and sigma agree."""
        return self.sigma == other.sigma and np.array_equal(self.counts, other.counts)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"counts": self.counts, "sigma": self.sigma})

    def __reduce__(self) -> tuple[type[NoisyHistogram], tuple[NDArray[np.int64], float]]:
        return type(self), (self.counts, self.sigma)


def histogram_sigma(rho: float, neighboring: Neighboring) -> float:
    """Return the noise of one histogram, D / sqrt(2 rho), rounded up.

    Examples
    --------
    >>> round(histogram_sigma(0.5, Neighboring.REPLACE) ** 2, 9)
    2.0
    """
    return valid_sigma(marginal_sensitivity(neighboring) / math.sqrt(2 * positive(rho=rho)) * ROUNDED_UP)


def noisy_histogram(
    step: str, counts: NDArray[np.int64], *, rho: float, neighboring: Neighboring, noise: NoiseSource, ledger: Ledger
) -> NoisyHistogram:
    """Return counts of disjoint cells with noise, after the ledger has an entry for it.

    Parameters
    ----------
    step : what the ledger calls it.
    counts : exact, secret; a row counts in at most one cell.
    rho : what it costs.
    neighboring, noise, ledger : as `synth.measure.measure_marginals`; `noise` is checked by the caller.

    Raises
    ------
    BudgetExhaustedError : the ledger has less than rho left; nothing is drawn then.

    Guarantee
    ---------
    rho-zCDP under `neighboring` (Canonne, Kamath, Steinke 2020, theorem 14), for cells that don't depend on the rows.
    """
    sigma = histogram_sigma(rho, neighboring)
    ledger.spend(step, "discrete gaussian", sensitivity=marginal_sensitivity(neighboring), scale=sigma)
    return NoisyHistogram(counts + noise.discrete_gaussian(sigma, len(counts)), sigma)


def false_bin_threshold(sigma: float, n_cells: int, probability: float) -> int:
    """Return the least whole t for which the bound says: with this probability at most does any of n empty cells exceed t.

    Examples
    --------
    >>> false_bin_threshold(10.0, 100, 0.01)
    38
    """
    each = in_range(0, 1, probability=probability) / whole_number(1, n_cells=n_cells)
    return _least_with_tail(sigma, each)  # X > t means X >= t + 1, of tail Q(t / sigma) at most


def stability_threshold(sigma: float, delta: float) -> int:
    """Return t such that a label of one row exceeds it with probability at most delta.

    Examples
    --------
    >>> stability_threshold(10.0, 1e-9)
    61
    """
    return 1 + _least_with_tail(sigma, in_range(0, 1, delta=delta))  # 1 + X > t means X >= t, of tail Q((t - 1) / sigma) at most


def _least_with_tail(sigma: float, tail: float) -> int:
    """Return the least whole t >= 0 with Q(t / sigma) <= tail, rounded up by more than its float errors."""
    quantile = max(0.0, -float(special.ndtri(tail)))
    return math.ceil(valid_sigma(sigma) * quantile * ROUNDED_UP)
