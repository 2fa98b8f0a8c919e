"""What an ideal observer of n draws knows when the rate is one of m, each as likely: its best guess and its best estimate.

    A(n)    = (1/m) sum_k max_i pmf(k; n, a_i)                                 accuracy of naming the rate
    bmse(n) = (1/m) sum_k sum_i pmf(k; n, a_i) (a_i - E[a | k])^2              mean squared error of estimating it

symbols: a_i = rates, k = successes among n draws, pmf = Binomial. A never falls and bmse never rises with n.
Cost: m (n + 1) probabilities, in blocks; n up to 2^22.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.distribution.arguments import probabilities
from mechanisms.errors import UnsupportedClaimError
from mechanisms.validation import one_dimensional, whole_number

Floats = NDArray[np.float64]
Measure = Callable[[int], float]

MOST_DRAWS = 2**22
_BLOCK = 2**16


def ideal_naming_accuracy(n: int, alphas: ArrayLike) -> float:
    """Return A(n): how often the likeliest of the rates `alphas`, (m,), is the true one after n draws.

    Raises
    ------
    ValueError, TypeError : a rate outside [0, 1] or twice, fewer than two rates, or n negative.

    Examples
    --------
    >>> round(ideal_naming_accuracy(10, np.linspace(0, 1, 11)), 4)
    0.4237
    """
    return 1 - naming_error(whole_number(n=n), different_rates(alphas=alphas))


def ideal_estimation_error(n: int, alphas: ArrayLike) -> float:
    """Return bmse(n): the smallest mean squared error of estimating a rate drawn evenly from `alphas`, (m,), after n draws.

    Raises
    ------
    ValueError, TypeError : a rate outside [0, 1] or twice, fewer than two rates, or n negative.

    Examples
    --------
    >>> round(ideal_estimation_error(20, np.linspace(0.1, 0.9, 9)), 6)
    0.007925
    """
    return estimation_error(whole_number(n=n), different_rates(alphas=alphas))


def different_rates(**values: ArrayLike) -> Floats:
    """Return the named array as at least two different rates, sorted."""
    (rates,) = probabilities(**values)
    ((name, _),) = values.items()
    one_dimensional(**{name: rates})
    if len(rates) < 2 or len(np.unique(rates)) < len(rates):
        raise ValueError(f"{name} must hold at least two rates, each once, got {len(rates)}, of which {len(np.unique(rates))} differ")
    return np.sort(rates)


def naming_error(n: int, rates: Floats) -> float:
    """Return 1 - A(n), as a sum of what the likeliest rate leaves, so that small errors keep their digits."""
    return float(sum((law.sum() - law.max(axis=0).sum()) for law in _laws(n, rates)) / len(rates))


def estimation_error(n: int, rates: Floats) -> float:
    """Return bmse(n)."""
    total = 0.0
    for law in _laws(n, rates):
        seen = law.sum(axis=0)
        guess = (rates @ law) / np.where(seen > 0, seen, 1.0)
        total += float((law * (rates[:, None] - guess) ** 2).sum())
    return total / len(rates)


def first_at_most(aim: float, measure: Measure) -> int:
    """Return the smallest n >= 1 with measure(n) <= aim, up to 1e-12 of it, for a measure that never rises.

    Raises
    ------
    UnsupportedClaimError : more than 2^22 draws are needed.
    """
    limit = aim * (1 + 1e-12)
    low, high = 0, 1
    while measure(high) > limit:
        if high >= MOST_DRAWS:
            raise UnsupportedClaimError(f"more than {MOST_DRAWS} draws are needed; compare neighboring rates with n_leaked instead")
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if measure(middle) <= limit else (middle, high)
    return high


def _laws(n: int, rates: Floats) -> Iterator[Floats]:
    """Yield blocks of pmf(k; n, a_i), (m, block)."""
    a = rates[:, None]
    for start in range(0, n + 1, _BLOCK):
        k = np.arange(start, min(start + _BLOCK, n + 1), dtype=np.float64)
        log_ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
        yield np.exp(log_ways + special.xlogy(k, a) + special.xlog1py(n - k, -a))
