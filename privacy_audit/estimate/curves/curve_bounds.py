"""Lower bounds of epsilon within a family of curves: the first curve, from the private end, that a test of `curve_tests` does not reject.

The family holds the claimed sampling rate and number of steps; the noise multiplier runs through it. The bound is the epsilon of the first
noise multiplier that is not rejected. It says "if the run is as private as a curve of this family, then no more private than this one";
without the family an area gives next to nothing about epsilon at one delta.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate

from attacks.scores import MembershipScores
from mechanisms.accounting.curve_family import CurveFamily
from mechanisms.accounting.loss_curve import LEAST_DELTA, LossCurve
from mechanisms.guarantee import Neighboring
from mechanisms.validation import in_range, one_of, probability_level
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.curve_test_record import COINS, COMMON_LAW, FAMILY, FRESH_COINS, INDEPENDENT, MANY
from privacy_audit.estimate.curves.curve_tests import bets, kl_p_value, log_e_value, log_moments, normal_p_value
from privacy_audit.estimate.scan import first_not_rejected

Floats = NDArray[np.float64]
PValue = Callable[[Floats], float]  # of the row (A, v1, v0, log M(lambda) ...) of a curve

METHODS = ("auc_normal", "auc_kl", "e_value")
ASSUMES = {"auc_normal": (COINS, INDEPENDENT, MANY), "auc_kl": (COINS, INDEPENDENT, COMMON_LAW), "e_value": (COINS, INDEPENDENT)}
_SCAN = 1000  # noise multipliers less than 2 % apart
_TOLERANCE = 1e-6


def curve_bound(
    scores: MembershipScores | Sequence[MembershipScores], family: CurveFamily, *, delta: float, method: str, level: float = 0.95
) -> EpsilonBound:
    """Return a lower bound of epsilon within the family q, T.

    Parameters
    ----------
    scores : scores of canaries that were included by independent fair coins; for "e_value" also those of several runs.
    family : the curves of the claimed sampling rate and number of steps.
    delta : where epsilon is taken, in [1e-12, 1).
    method : "auc_normal" (approximate), "auc_kl" or "e_value".
    level : probability with which the bound holds.

    Returns
    -------
    The bound, add/remove neighbors, with "within the claimed family" among its assumptions; `approximate` for "auc_normal".

    Raises
    ------
    ValueError : delta or level out of range, an unknown method, no runs, or several runs for an area.

    Guarantee
    ---------
    If the run is exactly as private as a member of the family, that member is rejected with probability at most 1 - level, and the
    bound exceeds its epsilon only then: a scan from the private end stops at or before the first curve that is not rejected.
    """
    delta, level = in_range(LEAST_DELTA, 1, closed="left", delta=delta), probability_level(level)
    method = one_of(METHODS, method=method)
    runs = [scores] if isinstance(scores, MembershipScores) else list(scores)
    if not runs or (len(runs) > 1 and method != "e_value"):
        raise ValueError(f"scores must hold one run (or several for method 'e_value'), got {len(runs)} for {method!r}")
    p_value = _p_value(method, runs)
    table, low, high = _table(family)
    grid = np.linspace(low, high, _SCAN)
    found = first_not_rejected(lambda x: p_value(table(x)) <= 1 - level, grid, tolerance=_TOLERANCE)
    return EpsilonBound(
        epsilon=0.0 if found == low else family.curve(math.exp(-found)).epsilon(delta),
        delta=delta,
        level=level,
        method=f"{method}, claimed family",
        neighboring=Neighboring.ADD_REMOVE,
        assumptions=(*ASSUMES[method], *((FRESH_COINS,) if len(runs) > 1 else ()), FAMILY),
        approximate=method == "auc_normal",
    )


def _p_value(method: str, runs: list[MembershipScores]) -> PValue:
    """Return the p-value as a function of what is known of a curve; all that depends on the scores alone is done once."""
    if method == "e_value":
        played = [bets(run) for run in runs]
        return lambda row: math.exp(min(0.0, -sum(log_e_value(pair, tuple(row[3:])) for pair in played)))
    (run,), auc = runs, runs[0].auc
    if method == "auc_kl":
        return lambda row: kl_p_value(auc, run, min(float(row[0]), 1.0))
    return lambda row: normal_p_value(auc, run, float(row[0]), float(row[1]), float(row[2]))


@lru_cache(maxsize=2)
def _table(family: CurveFamily) -> tuple[interpolate.CubicSpline, float, float]:
    return family.interpolated(_row)


def _row(curve: LossCurve) -> tuple[float, ...]:
    return (curve.auc, *curve.auc_variances(), *log_moments(curve))
