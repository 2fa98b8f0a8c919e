"""Bounds from a single training run: how many of many independent coin-flip canaries were guessed right.

`binomial` holds for any (epsilon, delta)-DP mechanism (Steinke, Nasr, Jagielski 2023). `f_dp` tests a hypothesized privacy curve, Gaussian
or one of a family of DP-SGD curves (Mahloujifar, Melis, Chaudhuri 2025): it comes closer, and says less. Symbols: m canaries, r guesses,
v correct ones.
Both stay below the true epsilon in general, so a small value is no evidence of privacy.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.scores import MembershipScores
from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.accounting.loss_curve import LEAST_DELTA
from mechanisms.guarantee import Neighboring
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, probability_level, valid_delta, whole_number
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.blow_up import InverseBlowUp, curve_inverse_blow_up, gaussian_inverse_blow_up
from privacy_audit.estimate.curves.curve_test_record import FAMILY
from privacy_audit.estimate.scan import first_not_rejected

FloatArray = NDArray[np.float64]

COINS = "each canary was included by its own independent fair coin"
FIXED_GUESSES = "the number of guesses was fixed before the labels or scores were seen"
GAUSSIAN_CURVE = "assuming the hypothesized Gaussian curve: the mechanism's trade-off function is that of mu-GDP for some mu"
_SCAN = 48
_FAMILY_TOLERANCE = 1e-5  # in log noise multiplier, relative
_TIE_SEED = 0
_FIRST_WINDOW = 4096
_FAR = 12.0  # standard deviations; the mass beyond is below 1e-28
_ROUND_OFF = 1e-6  # of log-Gamma differences at 1e8 guesses


def one_run_bound(
    *,
    n_canaries: int,
    n_guesses: int,
    n_correct: int,
    delta: float,
    level: float = 0.95,
    method: str = "binomial",
    curve: CurveFamily | None = None,
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
) -> EpsilonBound:
    """Return a lower bound of epsilon from the correct guesses of one run.

    Parameters
    ----------
    n_canaries : canaries in the game, each included by an independent fair coin.
    n_guesses : guesses made, fixed beforehand; the auditor abstains on the rest.
    n_correct : correct guesses.
    delta : probability in [0, 1); must be positive for "f_dp", whose curve has no finite epsilon at 0.
    level : probability with which the bound holds.
    method : "binomial", for any mechanism; "f_dp", for a privacy curve.
    curve : the family of curves of "f_dp"; None is the Gaussian one.
    neighboring : what one coin decides; adding or removing a canary by default.

    Returns
    -------
    `EpsilonBound`, in nats.

    Raises
    ------
    ValueError : counts that contradict each other, delta or level out of range, an unknown method, or a curve for "binomial".

    Guarantee
    ---------
    binomial: given the output and the earlier coins, a coin of an epsilon-DP mechanism is predicted with probability at most
    q = exp(epsilon) / (1 + exp(epsilon)), so the correct guesses are dominated by Binomial(r, q); delta adds
    2 m delta max_i P[v > Bin >= v - i] / i (Steinke et al., theorem 5.2). f_dp: theorem 3.2 of Mahloujifar et al., inverted in mu, or
    in the noise multiplier of the family.

    References
    ----------
    Steinke, Nasr, Jagielski, Privacy Auditing with One Training Run, NeurIPS 2023. Mahloujifar, Melis, Chaudhuri, Auditing f-DP in
    One Run, ICML 2025.

    Examples
    --------
    >>> bound = one_run_bound(n_canaries=1000, n_guesses=1000, n_correct=700, delta=1e-5)
    >>> round(bound.epsilon, 5)
    0.73174
    """
    m, r, v = _valid_counts(n_canaries, n_guesses, n_correct)
    delta, level = valid_delta(delta), probability_level(level)
    method = one_of(("binomial", "f_dp"), method=method)
    if curve is not None and method != "f_dp":
        raise ValueError(f"curve is for method 'f_dp' only, got it with {method!r}; leave it out or choose 'f_dp'")
    assumptions: tuple[str, ...] = (COINS, FIXED_GUESSES)
    if method == "binomial":
        epsilon = _binomial_epsilon(m, r, v, delta, 1 - level)
    elif curve is not None:
        assumptions += (FAMILY,)
        epsilon = family_bound(curve, n_canaries=m, n_guesses=r, n_correct=v, delta=delta, level=level)
    else:
        if delta == 0:
            raise ValueError(
                "delta must be positive for method 'f_dp', got 0: a Gaussian curve has no finite epsilon there; use 'binomial'"
            )
        assumptions += (GAUSSIAN_CURVE,)
        epsilon = gaussian_epsilon(gaussian_mu_bound(n_canaries=m, n_guesses=r, n_correct=v, level=level), delta)
    return EpsilonBound(epsilon=epsilon, delta=delta, level=level, method=method, neighboring=neighboring, assumptions=assumptions)


def one_run_guesses(scores: MembershipScores, *, n_in: int, n_out: int, rng: RngLike = _TIE_SEED) -> tuple[int, int]:
    """Guess "in" for the `n_in` highest scores and "out" for the `n_out` lowest, and count.

    Parameters
    ----------
    scores : one score per canary.
    n_in, n_out : numbers of guesses, fixed before the scores were seen; together at most the number of canaries.
    rng : orders canaries of equal score at random, without looking at membership; a fixed seed by default.

    Returns
    -------
    (n_guesses, n_correct).

    Raises
    ------
    ValueError : more guesses than canaries, or negative numbers.
    """
    n_in, n_out = whole_number(n_in=n_in), whole_number(n_out=n_out)
    if n_in + n_out > len(scores):
        raise ValueError(f"n_in + n_out must be at most the number of canaries, {len(scores)}, got {n_in} + {n_out}")
    tie_break = as_generator(rng).random(len(scores))
    order = np.lexsort((tie_break, scores.score))
    right_out = np.count_nonzero(~scores.member[order[:n_out]])
    right_in = np.count_nonzero(scores.member[order[len(scores) - n_in :]])
    return n_in + n_out, int(right_in + right_out)


def gaussian_mu_bound(*, n_canaries: int, n_guesses: int, n_correct: int, level: float = 0.95) -> float:
    """Return the smallest mu whose Gaussian curve the guesses do not reject, 0 if already perfect privacy is not rejected.

    Parameters and errors as `one_run_bound`.
    """
    m, r, v = _valid_counts(n_canaries, n_guesses, n_correct)
    alpha = 1 - probability_level(level)
    if v == 0:
        return 0.0
    high = 1.0
    while curve_is_rejected(gaussian_inverse_blow_up(high), m, r, v, alpha):
        high *= 2
    grid = np.linspace(0, high, _SCAN)
    return first_not_rejected(lambda mu: curve_is_rejected(gaussian_inverse_blow_up(mu), m, r, v, alpha), grid)


def family_bound(family: CurveFamily, *, n_canaries: int, n_guesses: int, n_correct: int, delta: float, level: float = 0.95) -> float:
    """Return epsilon of the first curve of the family, from the private end, that the guesses do not reject; 0 if that is the first.

    Parameters and errors as `one_run_bound`; delta must be at least 1e-12. About half a second.
    """
    m, r, v = _valid_counts(n_canaries, n_guesses, n_correct)
    delta = in_range(LEAST_DELTA, 1, closed="left", delta=delta)
    alpha = 1 - probability_level(level)
    rungs = {-math.log(curve.noise_multiplier): curve for curve in family.rungs()}

    def is_rejected(x: float) -> bool:
        curve = rungs[x] if x in rungs else family.curve(math.exp(-x))
        return curve_is_rejected(curve_inverse_blow_up(curve), m, r, v, alpha)

    grid = np.array(list(rungs))
    found = grid[0] if v == 0 else first_not_rejected(is_rejected, grid, tolerance=_FAMILY_TOLERANCE)
    return 0.0 if found == grid[0] else family.curve(math.exp(-found)).epsilon(delta)


def curve_is_rejected(shrink: InverseBlowUp, m: int, r: int, v: int, alpha: float) -> bool:
    """Algorithm 1 of Mahloujifar et al. for two worlds: r_0 + h_0 > r / m; `shrink` is B^-1 of the hypothesized curve."""
    reach, h = alpha * v / m, alpha * (r - v) / m
    for i in range(v - 1, -1, -1):
        blown_up = shrink(reach)
        if blown_up <= h:
            break  # from here on neither changes
        reach, h = min(reach + i / (r - i) * (blown_up - h), 1.0), blown_up
    return reach + h > r / m


def _binomial_epsilon(m: int, r: int, v: int, delta: float, alpha: float) -> float:
    if v == 0:
        return 0.0
    q_limit = float(special.betaincinv(v, r - v + 1, alpha))  # with delta = 0 the answer is its logit
    limit = float(special.logit(q_limit))
    if limit <= 0:
        return 0.0
    if delta == 0:
        return limit
    p_value = _binomial_p_value(m, r, v, delta)
    grid = np.linspace(0, limit, _SCAN)
    return first_not_rejected(lambda epsilon: epsilon < limit and p_value(epsilon) <= alpha, grid)


def _binomial_p_value(m: int, r: int, v: int, delta: float) -> Callable[[float], float]:
    """Return p(epsilon) = P[Bin >= v] + 2 m delta max_i P[v > Bin >= v - i] / i."""

    def p_value(epsilon: float) -> float:
        q = float(special.expit(epsilon))
        at_least = float(special.betainc(v, r - v + 1, q))
        return min(1.0, at_least + 2 * m * delta * _worst_share(r, v, epsilon, float(special.betaincc(v, r - v + 1, q))))

    return p_value


def _worst_share(r: int, v: int, epsilon: float, below_v: float) -> float:
    """Return max over i = 1..v of P[v > Bin >= v - i] / i; terms beyond i are at most P[v > Bin] / i, so the rest is seldom looked at."""
    log_q, log_rest = float(special.log_expit(epsilon)), float(special.log_expit(-epsilon))
    q = math.exp(log_q)
    start, size = max(0, v - math.ceil(r * q + _FAR * math.sqrt(r * q * (1 - q)) + _FAR)), _FIRST_WINDOW
    mass_so_far = float(special.betainc(v - start, r - v + start + 1, q)) if start else 0.0  # no term before is larger: i >= 1
    worst = mass_so_far
    while start < v and worst * (start + 1) < below_v * (1 + _ROUND_OFF):
        i = np.arange(start + 1, min(start + size, v) + 1, dtype=np.float64)
        k = v - i
        log_ways = special.gammaln(r + 1) - special.gammaln(k + 1) - special.gammaln(r - k + 1)
        mass = mass_so_far + np.cumsum(np.exp(log_ways + k * log_q + (r - k) * log_rest))
        worst, mass_so_far = max(worst, float(np.max(mass / i))), float(mass[-1])
        start, size = start + len(i), 2 * size
    return worst


def _valid_counts(n_canaries: int, n_guesses: int, n_correct: int) -> tuple[int, int, int]:
    m, r, v = whole_number(1, n_canaries=n_canaries), whole_number(n_guesses=n_guesses), whole_number(n_correct=n_correct)
    if r > m:
        raise ValueError(f"n_guesses must be at most n_canaries, {m}, got {r}")
    if v > r:
        raise ValueError(f"n_correct must be at most n_guesses, {r}, got {v}")
    return m, r, v
