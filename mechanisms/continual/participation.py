"""Sensitivity of a linear mechanism when one user takes part in several steps.

A pattern is a set of at most k steps that are at least b apart. With a change of norm at most 1 in each step of a pattern,

    Delta_2^2 <= max over patterns pi of sum_{i, j in pi} |(R^T R)_ij|,        equality where R^T R has no negative entry

(the changes may all point the same way). Three ways to it, from exact to fast:

    participation_by_enumeration    all patterns: the oracle, for small horizons
    participation_bound             k times the best row sum over patterns, by dynamic programming: any R, an upper bound
    toeplitz_participation          coefficients c_0 >= c_1 >= ... >= 0: the maximum is at {0, b, 2 b, ...}; other coefficients are
                                    replaced by their least non-increasing majorant max_{l >= k} |c_l|, an upper bound

The closed form without its check is wrong: c = (1, 0, 1) with k = 2 and b = 1 has 5 at {0, 2}, not 3 at {0, 1}.

symbols: T steps, k n_participations, b min_gap, R (K, T). Cost: number of patterns; O(k T^2); O(k T).

References
----------
Choquette-Choo, McMahan, Rush, Thakurta, Multi-Epoch Matrix Factorization Mechanisms for Private Machine Learning, ICML 2023. Choquette-Choo
et al., (Amplified) Banded Matrix Factorization, NeurIPS 2023. Kalinin, Lampert, Banded Square Root Matrix Factorization for
Differentially Private Model Training, NeurIPS 2024 (theorem 2: where the maximum is).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.continual.factorization import Floats
from mechanisms.validation import one_dimensional, whole_number

_MOST_PATTERNS = 1_000_000


def participation_by_enumeration(right: ArrayLike, *, n_participations: int, min_gap: int = 1) -> float:
    """Return the bound on Delta_2 over all patterns, one by one.

    Parameters
    ----------
    right : (K, T) R.
    n_participations : k >= 1.
    min_gap : b >= 1, least distance of two steps of a user.

    Raises
    ------
    ValueError : more than a million patterns; take `participation_bound` or `toeplitz_participation`.

    Examples
    --------
    >>> round(participation_by_enumeration([[1.0, 0, 0], [0, 1, 0], [1, 0, 1]], n_participations=2) ** 2, 12)
    5.0
    """
    gram = _absolute_gram(right)
    T, k, b = len(gram), whole_number(1, n_participations=n_participations), whole_number(1, min_gap=min_gap)
    k = most_participations(T, k, b)
    n_patterns = sum(math.comb(T - (n - 1) * (b - 1), n) for n in range(1, k + 1))
    if n_patterns > _MOST_PATTERNS:
        raise ValueError(f"patterns must be at most {_MOST_PATTERNS:,}, got {n_patterns:,}; take participation_bound instead")
    return math.sqrt(max(float(gram[np.ix_(pattern, pattern)].sum()) for pattern in _patterns(T, k, b)))


def participation_bound(right: ArrayLike, *, n_participations: int, min_gap: int = 1) -> float:
    """Return an upper bound on Delta_2 for any R; parameters as `participation_by_enumeration`.

    sum_{i, j in pi} |G_ij| <= k max_i (max over patterns of sum_{j in pi} |G_ij|), and the inner maximum is a shortest-path problem.
    """
    gram = _absolute_gram(right)
    T, b = len(gram), whole_number(1, min_gap=min_gap)
    k = most_participations(T, whole_number(1, n_participations=n_participations), b)
    best = np.zeros((T, T + b))  # column t + b: the best sum with as many steps, all of them up to t
    for _ in range(k):
        longer = np.zeros_like(best)
        longer[:, b:] = np.maximum.accumulate(gram + best[:, :T], axis=1)
        best = longer
    return math.sqrt(k * float(best[:, -1].max()))


def toeplitz_participation(coefficients: ArrayLike, *, n_participations: int, min_gap: int = 1) -> float:
    """Return Delta_2 for a lower-triangular Toeplitz R, exact for non-negative non-increasing coefficients, else an upper bound.

    Parameters
    ----------
    coefficients : (T,) c_0 to c_{T-1}, the first column of R.
    n_participations, min_gap : k and b.

    Examples
    --------
    >>> toeplitz_participation([1.0, 0.5, 0.25, 0.125], n_participations=1) ** 2
    1.328125
    """
    c = non_increasing_majorant(coefficients)
    T, b = len(c), whole_number(1, min_gap=min_gap)
    column = np.zeros(T)
    for i in range(most_participations(T, whole_number(1, n_participations=n_participations), b)):
        column[i * b :] += c[: T - i * b]
    return math.sqrt(float((column**2).sum()))


def non_increasing_majorant(coefficients: ArrayLike) -> Floats:
    """Return max_{l >= k} |c_l| for each k: the coefficients themselves where they are non-negative and non-increasing.

    Raises
    ------
    ValueError : no coefficients, more than one axis, or a value that is not finite.
    """
    c = np.asarray(one_dimensional(coefficients=coefficients), dtype=np.float64)
    if c.size == 0 or not np.isfinite(c).all():
        raise ValueError(f"coefficients must be finite and at least one, got {c.size}, {int(np.sum(~np.isfinite(c)))} of them not finite")
    return np.asarray(np.maximum.accumulate(np.abs(c)[::-1])[::-1], dtype=np.float64)


def most_participations(horizon: int, n_participations: int, min_gap: int) -> int:
    """Return how many of k steps at least b apart fit into T."""
    return min(n_participations, 1 + (horizon - 1) // min_gap)


def _absolute_gram(right: ArrayLike) -> Floats:
    R = np.asarray(right, dtype=np.float64)
    if R.ndim != 2 or R.size == 0 or not np.isfinite(R).all():
        raise ValueError(f"right must be a matrix of finite numbers, got shape {R.shape}")
    return np.asarray(np.abs(R.T @ R))


def _patterns(T: int, k: int, b: int) -> Iterator[list[int]]:
    """Yield all sets of 1 to k steps at least b apart; a set that nothing can be added to may be the best one, so all sizes count."""

    def extended(pattern: list[int]) -> Iterator[list[int]]:
        yield pattern
        if len(pattern) < k:
            for step in range(pattern[-1] + b, T):
                yield from extended([*pattern, step])

    for first in range(T):
        yield from extended([first])
