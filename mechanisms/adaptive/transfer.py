"""From "accurate on the sample" and "private" to "accurate on the population": the transfer theorem.

Theorem (Jung, Ligett, Neel, Roth, Sharifi-Malvajerdi, Shenfeld 2020, their transfer theorem for (epsilon, delta)-differential privacy). A
mechanism answers k adaptively chosen statistical queries on n independent records of P. If it is (epsilon, delta)-DP under replacement and
all answers are within alpha of q(X) with probability 1 - b, then for all c, d > 0

    |answer - q(P)| <= alpha + (exp(epsilon) - 1) + c + 2 d      for all k queries, with probability at least 1 - (b / c + delta / d).

Proof, with d in the place of 2 d. Given the transcript pi, X has a posterior law Q, and a query is fixed. (1) The pairs (X, pi) and (X',
pi) with X' drawn from Q have the same law. So P[answer off by more than alpha | pi], averaged over pi, is at most b; by Markov it is above
c with probability at most b / c; where it isn't, |answer - E_Q[q(X')]| <= alpha + c, as nothing is off by more than 1. (2) Let f_x be the
law of pi when record i is x, f its mean over P. Then |E_Q[q(X'_i)] - q(P)| <= E_x[(f_x / f - 1)_+] <= e^epsilon - 1 + E_x[(f_x / f -
e^epsilon)_+], and the last term has mean at most delta over pi ~ f, by convexity and the definition of differential privacy. Average over
i, Markov: above d with probability delta / d.

The best c and d for a failure probability beta are c = sqrt(b) s / beta and d = sqrt(delta / 2) s / beta, s = sqrt(b) + sqrt(2 delta), for
which c + 2 d = s^2 / beta. Only alpha, epsilon and the noise are left to a numerical search, in logarithms; whatever point it ends in, the
width returned is the theorem's at that point.

For noise added to means `mechanisms.adaptive.posterior_gap` proves less than half of this width; this theorem needs nothing but the two
curves.

Symbols: alpha accuracy, b its failure probability, c, d slack. Cost: 20 ms for a search.

References
----------
Jung, Ligett, Neel, Roth, Sharifi-Malvajerdi, Shenfeld, A New Analysis of Differential Privacy's Generalization Guarantees, ITCS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from mechanisms.accounting.gaussian import gaussian_delta
from mechanisms.validation import in_range, non_negative, positive, whole_number

_LARGEST_EXPONENT = 700.0
_ROUNDED_UP = 1 + 2.0**-40
_SEARCH_STEPS = 2000


@dataclass(frozen=True, slots=True)
class Transfer:
    """One use of the theorem: every answer is within `width` of q(P), but for a probability `failure`.

    Parameters
    ----------
    width, failure : the statement.
    accuracy, sample_failure : alpha and b, what holds on the sample.
    epsilon, delta : what the mechanism keeps.
    c, d : slack.
    """

    width: float
    failure: float
    accuracy: float
    sample_failure: float
    epsilon: float
    delta: float
    c: float
    d: float


def transfer(accuracy: float, sample_failure: float, epsilon: float, delta: float, *, c: float, d: float) -> Transfer:
    """Return the theorem's statement for given slack.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range; c or d may be 0 only where b or delta is.

    Examples
    --------
    >>> round(transfer(0.02, 1e-6, 0.05, 1e-6, c=1e-4, d=1e-4).width, 5)
    0.07157
    """
    alpha, nats = non_negative(accuracy=accuracy), non_negative(epsilon=epsilon)
    b, at = in_range(0, 1, closed="both", sample_failure=sample_failure), in_range(0, 1, closed="both", delta=delta)
    failure = _ratio(b, non_negative(c=c), "c") + _ratio(at, non_negative(d=d), "d")
    width = alpha + math.expm1(min(nats, _LARGEST_EXPONENT)) + c + 2 * d
    return Transfer(width, failure, alpha, b, nats, at, c, d)


def best_transfer(accuracy: float, sample_failure: float, epsilon: float, delta: float, *, beta: float) -> Transfer:
    """Return the narrowest statement of failure probability at most `beta`; errors as `transfer`.

    Examples
    --------
    >>> found = best_transfer(0.02, 1e-6, 0.05, 1e-6, beta=0.05)
    >>> round(found.width, 5), found.failure <= 0.05
    (0.07139, True)
    """
    level = in_range(0, 1, beta=beta)
    root_b, root_delta = math.sqrt(sample_failure), math.sqrt(delta)
    total = (root_b + math.sqrt(2) * root_delta) / level * _ROUNDED_UP
    return transfer(accuracy, sample_failure, epsilon, delta, c=root_b * total, d=root_delta / math.sqrt(2) * total)


def narrowest_transfer(
    failure_at: Callable[[float], float], delta_at: Callable[[float], float], *, beta: float, start: tuple[float, float]
) -> Transfer:
    """Return the narrowest statement over all points of a mechanism's accuracy and privacy curves.

    Parameters
    ----------
    failure_at : alpha -> b, a bound on the probability that some answer is off by more than alpha on the sample.
    delta_at : epsilon -> delta.
    beta : failure probability of the statement.
    start : alpha and epsilon, > 0, from where to search.

    Raises
    ------
    ValueError : a start or beta out of range.
    """

    def at(log_point: NDArray[np.float64]) -> Transfer:
        alpha, epsilon = _from_logs(log_point)
        return best_transfer(alpha, min(failure_at(alpha), 1.0), epsilon, min(delta_at(epsilon), 1.0), beta=beta)

    return at(_search(lambda point: at(point).width, [positive(accuracy=start[0]), positive(epsilon=start[1])]))


def gaussian_transfer(n: int, max_queries: int, *, beta: float, rho: float | None = None) -> Transfer:
    """Return the narrowest statement for means of n records with Gaussian noise.

    Parameters
    ----------
    n, max_queries : records, and queries k with noise of one standard deviation sigma = sqrt(k / (2 rho)) / n.
    beta : failure probability.
    rho : zCDP budget of all queries together; None takes the best one.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Examples
    --------
    >>> round(gaussian_transfer(100_000, 1_000, beta=0.05).width, 4)
    0.1348
    """
    size, k = whole_number(1, n=n), whole_number(1, max_queries=max_queries)
    level = in_range(0, 1, beta=beta)

    def at(sigma: float, alpha: float, epsilon: float) -> Transfer:
        b = min(2 * k * float(ndtr(-alpha / sigma)), 1.0)
        return best_transfer(alpha, b, epsilon, gaussian_delta(math.sqrt(k) / (size * sigma), epsilon), beta=level)

    if rho is None:
        sigma = k**0.25 / math.sqrt(size)
        found = _search(lambda point: at(*_from_logs(point)).width, [sigma, 5 * sigma, 5 * math.sqrt(k) / (size * sigma)])
        return at(*_from_logs(found))
    sigma = math.sqrt(k / (2 * positive(rho=rho))) / size
    found = _search(lambda point: at(sigma, *_from_logs(point)).width, [5 * sigma, 5 * math.sqrt(2 * rho)])
    return at(sigma, *_from_logs(found))


def _ratio(probability: float, slack: float, name: str) -> float:
    if probability == 0:
        return 0.0
    return probability / positive(**{name: slack})


def _from_logs(point: NDArray[np.float64]) -> list[float]:
    return [float(value) for value in np.exp(np.clip(point, -_LARGEST_EXPONENT / 2, _LARGEST_EXPONENT / 2))]


def _search(width: Callable[[NDArray[np.float64]], float], start: list[float]) -> NDArray[np.float64]:
    """Return the logarithms of a point with a small width; the search is Nelder and Mead's, begun twice so that it can't stall early."""
    from scipy.optimize import minimize

    point = np.log(np.asarray(start, dtype=np.float64))
    for _ in range(2):
        options = {"maxiter": _SEARCH_STEPS, "xatol": 1e-7, "fatol": 1e-12}
        point = np.asarray(minimize(lambda x: math.log(width(x)), point, method="Nelder-Mead", options=options).x, dtype=np.float64)
    return point
