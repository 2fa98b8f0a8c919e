"""Leakage of a graph's mean degree: n_leaked of two truncated Zipf laws, exact and by the published bound.

    P(k) = k^-s / H(N, s),  k = 1..N,  H(N, s) = sum over k <= N of k^-s
    rho  = min over k <= N0 of P1(k) / P0(k) = H(N0, s0) / H(N1, s1) * (N0^(s0 - s1) if s1 > s0 else 1),  N0 <= N1
    accuracy <= 1/2 + sqrt(1 - rho^n) / 2,   n >= ln(1 - (2 accuracy - 1)^2) / ln(rho)

symbols: N = largest degree, s = exponent. The bound is Bretagnolle and Huber's, with KL(P0, P1) <= -ln(rho); for N0 = N1 both directions
hold and the better one is taken. The parameters of a mean degree are the published fits.
There is no published form for the clustering coefficient: put a law of it, estimated on the adversary's own graphs and cut into bins,
into `n_leaked_pmf`, and call the result an approximation.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.distribution.arguments import probabilities
from attacks.distribution.discrete_leakage import LeakedRange, n_leaked_pmf
from attacks.distribution.fold_variation import VariationBracket, tv_pmf
from mechanisms.accounting.elementwise import as_given
from mechanisms.validation import positive, whole_number

Floats = NDArray[np.float64]

DEGREE_CAVEAT = "the degrees within one graph are not independent draws, so n_leaked counts independent degrees, not nodes of the graph"


@dataclass(frozen=True, slots=True)
class DegreeLaw:
    """A Zipf law of node degrees, cut off at the largest degree.

    Parameters
    ----------
    largest : largest degree N, >= 1.
    exponent : s > 0.

    Raises
    ------
    ValueError, TypeError : a parameter out of range.
    """

    largest: int
    exponent: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "largest", whole_number(1, largest=self.largest))
        object.__setattr__(self, "exponent", positive(exponent=self.exponent))

    def pmf(self, largest: int | None = None) -> Floats:
        """Return the probabilities of the degrees 1, 2, ..., `largest` (the law's own if None), shape (largest,)."""
        weight = np.arange(1, self.largest + 1) ** -self.exponent
        law = np.zeros(max(self.largest, largest or 0))
        law[: self.largest] = weight / weight.sum()
        return law

    @property
    def normalizer(self) -> float:
        """H(N, s)."""
        return float((np.arange(1, self.largest + 1) ** -self.exponent).sum())


PUBLISHED_DEGREE_LAWS: Mapping[int, DegreeLaw] = MappingProxyType(
    {
        9: DegreeLaw(86, 1.843366),
        10: DegreeLaw(133, 1.881514),
        11: DegreeLaw(214, 1.929022),
        12: DegreeLaw(257, 1.927125),
        13: DegreeLaw(253, 1.918591),
        14: DegreeLaw(267, 1.914586),
        15: DegreeLaw(265, 1.903623),
        16: DegreeLaw(263, 1.886148),
        17: DegreeLaw(263, 1.876854),
    }
)


def degree_law(mean_degree: int) -> DegreeLaw:
    """Return the published law of graphs with this mean degree, 9 to 17.

    Raises
    ------
    ValueError : no published fit; make a `DegreeLaw` from a fit of your own.
    """
    if mean_degree not in PUBLISHED_DEGREE_LAWS:
        raise ValueError(f"mean_degree must be a whole number from 9 to 17, got {mean_degree}; fit a DegreeLaw for other graphs")
    return PUBLISHED_DEGREE_LAWS[mean_degree]


def degree_rho(first: DegreeLaw, second: DegreeLaw) -> float:
    """Return rho of the published bound; 1 for equal laws, at which n degrees say nothing."""
    fewer, more = sorted((first, second), key=lambda law: law.largest)
    rhos = [_smallest_ratio(fewer, more)]
    if fewer.largest == more.largest:
        rhos.append(_smallest_ratio(more, fewer))
    return max(rhos)


def degree_accuracy_bound(n: ArrayLike, first: DegreeLaw, second: DegreeLaw) -> float | Floats:
    """Return the published upper bound of the accuracy after n degrees, 1/2 + sqrt(1 - rho^n) / 2."""
    draws = np.asarray(n, dtype=np.float64)
    if not (draws >= 0).all():
        raise ValueError("n must hold numbers of draws >= 0")
    return as_given(np.asarray(0.5 + np.sqrt(-np.expm1(draws * np.log(degree_rho(first, second)))) / 2))


def tv_degree(n: int, first: DegreeLaw, second: DegreeLaw) -> VariationBracket:
    """Return the total variation of n independent degrees, a bracket of width below 1e-3 for every published pair up to n = 10^5."""
    return tv_pmf(n, *_on_common_degrees(first, second))


def n_leaked_degree(accuracy: float, first: DegreeLaw, second: DegreeLaw) -> LeakedRange:
    """Return how many independent degrees tell two graphs' laws apart with this accuracy, as `n_leaked_pmf` does.

    Notes
    -----
    `DEGREE_CAVEAT` belongs beside the figure: the degrees within one graph are not independent draws.

    Examples
    --------
    >>> found = n_leaked_degree(0.75, degree_law(13), degree_law(9))
    >>> (found.lower, found.upper)
    (93.0, 93.0)
    """
    return n_leaked_pmf(accuracy, *_on_common_degrees(first, second))


def n_leaked_degree_bound(accuracy: ArrayLike, first: DegreeLaw, second: DegreeLaw) -> float | Floats:
    """Return the published number, with which no observer could manage: ln(1 - (2 accuracy - 1)^2) / ln(rho), 0 up to 1/2.

    Raises
    ------
    ValueError, TypeError : accuracy outside [0, 1] or NaN, or the laws are equal.
    """
    (acc,) = probabilities(accuracy=accuracy)
    rho = degree_rho(first, second)
    if rho >= 1:
        raise ValueError("the two degree laws are equal: no number of degrees tells them apart")
    acc = np.maximum(acc, 0.5)
    with np.errstate(divide="ignore"):
        return as_given(np.asarray(np.abs(np.log(4 * acc * (1 - acc)) / np.log(rho)), dtype=np.float64))


def _smallest_ratio(fewer: DegreeLaw, more: DegreeLaw) -> float:
    """Return the smallest P1 / P0 over the degrees that P0 has."""
    falls = more.exponent > fewer.exponent
    return fewer.normalizer / more.normalizer * (fewer.largest ** (fewer.exponent - more.exponent) if falls else 1.0)


def _on_common_degrees(first: DegreeLaw, second: DegreeLaw) -> tuple[Floats, Floats]:
    largest = max(first.largest, second.largest)
    return first.pmf(largest), second.pmf(largest)
