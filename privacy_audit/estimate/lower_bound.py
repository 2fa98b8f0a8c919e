"""Lower bounds of epsilon from the counts of one attack, with proved frequentist coverage.

"likelihood_ratio" inverts an exact test and is the tightest; "clopper_pearson" puts exact limits on both rates and serves any size;
"katz_log" is asymptotic, is here for comparison only and never calls a claim violated.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.scores import AttackCounts
from mechanisms.guarantee import Neighboring
from mechanisms.validation import one_of, probability_level, valid_delta
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_epsilon
from privacy_audit.estimate.region import implied_epsilon

FloatArray = NDArray[np.float64]

MOST_EXACT_TRIALS = 10_000
INDEPENDENT_TRIALS = "the trials are independent"
FIXED_GUESS = "the attack, its direction and its threshold were fixed without these counts"
ASYMPTOTIC = "the logarithm of the ratio of rates is normally distributed (large counts)"


def epsilon_lower_bound(
    counts: AttackCounts,
    *,
    delta: float = 0.0,
    level: float = 0.95,
    method: str = "likelihood_ratio",
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
) -> EpsilonBound:
    """Return a lower bound of epsilon from the counts of one attack whose threshold was fixed beforehand.

    Parameters
    ----------
    counts : outcome of the attack.
    delta : probability in [0, 1); 0 for "katz_log".
    level : P(bound <= true epsilon) is at least this.
    method : "likelihood_ratio", "clopper_pearson" or "katz_log". Above 10,000 trials of one kind the first gives way to the
        second, and the bound's `method` says so.
    neighboring : the relation under which the two worlds of the attack differ.

    Returns
    -------
    `EpsilonBound`, in nats.

    Raises
    ------
    ValueError : delta or level out of range, an unknown method, delta > 0 with "katz_log".
    TypeError : counts that are not `AttackCounts`.

    Guarantee
    ---------
    clopper_pearson: each rate lies below its upper limit but for probability alpha / 2, and epsilon is at least what the privacy region
    asks for at the two limits (Nasr et al. 2021). likelihood_ratio: for each epsilon the test rejects a true claim with
    probability at most alpha, by enumeration of all outcomes and maximization over all rates on the region's boundary.

    References
    ----------
    Nasr et al., Adversary Instantiation, S&P 2021. Lu et al., A General Framework for Auditing DPML, NeurIPS 2022.

    Examples
    --------
    >>> round(epsilon_lower_bound(AttackCounts(tp=90, fp=10, tn=90, fn=10), method="clopper_pearson").epsilon, 3)
    1.542
    """
    if not isinstance(counts, AttackCounts):
        raise TypeError(f"counts must be AttackCounts, got {type(counts).__name__}")
    delta, level = valid_delta(delta), probability_level(level)
    method = one_of(("likelihood_ratio", "clopper_pearson", "katz_log"), method=method)
    if method == "likelihood_ratio" and max(counts.n_members, counts.n_non_members) > MOST_EXACT_TRIALS:
        method = f"clopper_pearson (likelihood_ratio needs at most {MOST_EXACT_TRIALS} trials per side)"
    if method == "katz_log":
        epsilon = _katz_log(counts, delta, level)
    elif method == "likelihood_ratio":
        epsilon = likelihood_ratio_epsilon(
            fp=counts.fp, n_out=counts.n_non_members, fn=counts.fn, n_in=counts.n_members, delta=delta, alpha=1 - level
        )
    else:
        epsilon = float(clopper_pearson_epsilon(fp=counts.fp, tn=counts.tn, fn=counts.fn, tp=counts.tp, delta=delta, alpha=1 - level))
    approximate = method == "katz_log"
    return EpsilonBound(
        epsilon=epsilon,
        delta=delta,
        level=level,
        method=method,
        neighboring=neighboring,
        assumptions=(INDEPENDENT_TRIALS, FIXED_GUESS, *((ASYMPTOTIC,) if approximate else ())),
        approximate=approximate,
    )


def clopper_pearson_epsilon(*, fp: ArrayLike, tn: ArrayLike, fn: ArrayLike, tp: ArrayLike, delta: float, alpha: float) -> FloatArray:
    """Return Clopper-Pearson lower bounds of epsilon, elementwise over counts; alpha is split evenly over the two rates."""
    return implied_epsilon(rate_upper_limit(fp, tn, alpha / 2), rate_upper_limit(fn, tp, alpha / 2), delta, one_direction=True)


def rate_upper_limit(hits: ArrayLike, misses: ArrayLike, alpha: float) -> FloatArray:
    """Return the rate that exceeds the true one with probability at least 1 - alpha (Clopper, Pearson 1934), elementwise."""
    hits_, misses_ = np.asarray(hits, dtype=np.float64), np.asarray(misses, dtype=np.float64)
    limit: FloatArray = np.where(misses_ > 0, special.betainccinv(hits_ + 1, np.maximum(misses_, 1.0), alpha), 1.0)
    return limit


def _katz_log(counts: AttackCounts, delta: float, level: float) -> float:
    """Return ln(tpr/fpr) - z sqrt((1-tpr)/tp + (1-fpr)/fp), clipped at 0; no false positive counts as half of one (Lu et al. 2022)."""
    if delta > 0:
        raise ValueError(f"delta must be 0 for method 'katz_log', got {delta:g}; use 'likelihood_ratio' or 'clopper_pearson'")
    if counts.tp == 0:
        return 0.0
    fp = max(counts.fp, 0.5)
    fpr = fp / counts.n_non_members
    error = math.sqrt((1 - counts.tpr) / counts.tp + (1 - fpr) / fp)
    return max(0.0, math.log(counts.tpr / fpr) - float(special.ndtri(level)) * error)
