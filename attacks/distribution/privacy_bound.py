"""What differential privacy promises against distribution inference, and how little it is.

Draw the two worlds' training sets together, record by record: if the worlds differ in the rate of one property only, a pair of records
differs with probability D, so K ~ Binomial(N, D) records differ. Group privacy over K replacements of s steps each, x = s K epsilon, gives
hockey-stick divergences of at most delta (e^x - 1) / (e^epsilon - 1) at x in both directions, and two laws with that have a total variation
of at most (e^x - 1 + 2 delta_x) / (e^x + 1). Averaged over K,

    (epsilon, delta)-DP     advantage <= E_K[min(1, (1 + 2 delta / (e^epsilon - 1)) tanh(s K epsilon / 2))]
    mu-Gaussian DP          advantage <= E_K[2 Phi(s K mu / 2) - 1]

symbols: N = n_records, D = rate_gap, s = neighboring steps that replace one record: 1 for REPLACE, 2 for ADD_REMOVE and ZERO_OUT.
For delta = 0 and REPLACE it is at most N D tanh(epsilon / 2). With N = 1000 and D = 0.3 it is below 1/2 only for epsilon below 0.0037:
an ordinary epsilon promises nothing here, and a high advantage contradicts no ordinary claim.
Cost: one sum over the binomial law, microseconds.

References
----------
Dwork, Roth, Algorithmic Foundations of Differential Privacy, 2014 (group privacy). Kairouz, Oh, Viswanath, ICML 2015 (total variation).
Dong, Roth, Su, JRSS-B 2022 (Gaussian DP of groups).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mechanisms.accounting.bisection import last_true
from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.validation import in_range, valid_delta, whole_number

Floats = NDArray[np.float64]

MOST_RECORDS = 10**12
_LEAST_EPSILON = 1e-200  # below it the quotient of tanh and expm1 is its limit, which subnormal numbers would miss


def distribution_advantage_bound(epsilon: float, delta: float, n_records: int, rate_gap: float, *, neighboring: Neighboring) -> float:
    """Return the largest advantage of any distribution inference attack on an (epsilon, delta)-DP training run.

    Parameters
    ----------
    epsilon : nats, in [0, inf].
    delta : probability in [0, 1).
    n_records : number N of training records, the same in both worlds, 1 to 10^12.
    rate_gap : probability that a record differs between the worlds, in [0, 1]: the difference of the two rates where the worlds agree in
        all else, the total variation of their record laws in general.
    neighboring : the relation of the guarantee.

    Returns
    -------
    A bound of 2 accuracy - 1, in [0, 1]; at epsilon = inf the probability that any record differs.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, or neighboring is no `Neighboring`.

    Guarantee
    ---------
    Holds for every attack that sees only the output of the private run. Assumes independent records, N fixed and public. Add/remove and
    zero-out guarantees pay two steps for a replacement, which is what `PrivacyGuarantee.to_replace` charges for add/remove, delta included.

    Examples
    --------
    >>> round(distribution_advantage_bound(0.01, 0.0, 100, 0.1, neighboring=Neighboring.REPLACE), 4)
    0.0499
    """
    epsilon, delta = in_range(0, math.inf, closed="both", epsilon=epsilon), valid_delta(delta)
    steps = _steps(neighboring)
    count, probability = _different_records(n_records, rate_gap)
    return _averaged(_advantage_of_group(steps * count, epsilon, delta), probability)


def distribution_advantage_bound_gdp(mu: float, n_records: int, rate_gap: float, *, neighboring: Neighboring) -> float:
    """Return the largest advantage of any distribution inference attack on a mu-Gaussian-DP training run; others as for (epsilon, delta).

    Parameters
    ----------
    mu : Gaussian DP parameter, in [0, inf].

    Examples
    --------
    >>> round(distribution_advantage_bound_gdp(0.01, 100, 0.1, neighboring=Neighboring.REPLACE), 4)
    0.0399
    """
    mu = in_range(0, math.inf, closed="both", mu=mu)
    steps = _steps(neighboring)
    count, probability = _different_records(n_records, rate_gap)
    with np.errstate(invalid="ignore"):
        shift = np.where(count > 0, steps * count * mu, 0.0)
    return _averaged(special.erf(shift / math.sqrt(8)), probability)


def eps_lower_from_advantage(adv_lower: float, n_records: int, rate_gap: float, *, delta: float = 0.0, neighboring: Neighboring) -> float:
    """Return the epsilon below which no (epsilon, delta)-DP run allows this advantage: the root of the bound.

    Parameters
    ----------
    adv_lower : lower confidence bound of the advantage 2 accuracy - 1, in [-1, 1]; 0 or less gives 0.
    n_records, rate_gap, delta, neighboring : as in `distribution_advantage_bound`.

    Returns
    -------
    Epsilon in nats for that relation and delta; a lower bound at the confidence of `adv_lower`.

    Raises
    ------
    ValueError, TypeError : a parameter out of range, or an advantage that not even the training sets themselves would allow.

    Notes
    -----
    For delta = 0 an add/remove epsilon is half the replacement one. For delta > 0 it is less than half, so it is solved for, not halved.
    Distribution counts are never merged with membership counts: this epsilon is far below what a membership attack shows.

    Examples
    --------
    >>> round(eps_lower_from_advantage(0.9, 1000, 0.3, neighboring=Neighboring.REPLACE), 4)
    0.0098
    """
    advantage, delta = in_range(-1, 1, closed="both", adv_lower=adv_lower), valid_delta(delta)
    steps = _steps(neighboring)
    count, probability = _different_records(n_records, rate_gap)
    most = _averaged(np.minimum(count, 1.0), probability)
    if advantage > most * (1 + 1e-12):
        raise ValueError(
            f"adv_lower must be at most 1 - (1 - rate_gap)^n_records = {most:.6g}, got {adv_lower}; the worlds differ by more than rate_gap"
        )

    def too_small(epsilon: Floats) -> NDArray[np.bool_]:
        return np.asarray(_averaged(_advantage_of_group(steps * count, float(epsilon), delta), probability) < advantage)

    found = float(last_true(too_small, ()))
    return found if found < np.finfo(np.float64).max else math.inf


def _steps(neighboring: Neighboring) -> int:
    return 1 if valid_neighboring(neighboring) is Neighboring.REPLACE else 2


def _advantage_of_group(distance: Floats, epsilon: float, delta: float) -> Floats:
    """Return the largest total variation at these neighboring distances, 0 at distance 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        loss = np.where(distance > 0, distance * epsilon, 0.0)
        pure = np.tanh(loss / 2)
        share = 2 * delta * pure / np.expm1(epsilon) if epsilon > _LEAST_EPSILON else delta * distance
    return np.asarray(np.minimum(1.0, pure + share), dtype=np.float64)


def _different_records(n_records: int, rate_gap: float) -> tuple[Floats, Floats]:
    """Return how many records may differ, and the probability of each number, of which less than 1e-17 is left out."""
    n, gap = whole_number(1, n_records=n_records), in_range(0, 1, closed="both", rate_gap=rate_gap)
    if n > MOST_RECORDS:
        raise ValueError(f"n_records must be at most {MOST_RECORDS}, got {n_records}")
    if gap in (0.0, 1.0):
        return np.array([n * gap]), np.ones(1)
    reach = 9 * math.sqrt(n * gap * (1 - gap)) + 40
    count = np.arange(max(0, math.floor(n * gap - reach)), min(n, math.ceil(n * gap + reach)) + 1, dtype=np.float64)
    log_ratio = np.log(n - count[:-1]) - np.log(count[1:]) + math.log(gap) - math.log1p(-gap)
    log_mass = np.concatenate([[0.0], np.cumsum(log_ratio)])
    return count, special.softmax(log_mass)


def _averaged(advantage: Floats, probability: Floats) -> float:
    return min(1.0, float(probability @ advantage))
