"""Tests of a claimed privacy curve by the scores of one run; no shape of the scores is assumed (membership_inference.md 4.7).

Hypothesis f: each canary's pair of laws (out, in) is at least as private as curve f, here `loss_curve(q, sigma, T)` of the claim. Whatever
the scores, their ROC lies under that of f, so the expected area under it is at most A_f. A rejection says "not as private as the claimed
curve"; for arbitrary curves it says nothing of epsilon at one delta. Bounds within a family of curves: `curve_bounds`.

    auc_normal   z = (AUC - A_f) / sqrt(v1 / n1 + v0 / n0), one-sided; asymptotic
    auc_kl       min(n0, n1) kl(AUC || A_f) > log(1 / alpha); every number of canaries, one common law
    e_value      a bet on the coins, worth at most its stake on average under f; every number of canaries, any laws, many runs

symbols: A_f = area of the curve, alpha = 1 - level, L = total loss of the curve, pi = sigmoid(L), M(lambda) = largest mean of (2 p)^lambda.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.scores import MembershipScores
from mechanisms.accounting.loss_curve import LossCurve
from mechanisms.validation import probability_level
from privacy_audit.estimate.curves.curve_test_record import COINS, COMMON_LAW, FRESH_COINS, INDEPENDENT, MANY, CurveTest
from privacy_audit.estimate.curves.recalibration import halves, log_twice_probability

Floats = NDArray[np.float64]

STAKES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.5)  # lambda


def auc_normal(scores: MembershipScores, curve: LossCurve, *, level: float = 0.95) -> CurveTest:
    """Test the area under the curve against the largest one that the curve allows, by the normal law.

    Parameters
    ----------
    scores : any attack's scores of canaries that were included by independent fair coins.
    curve : the hypothesis.
    level : probability with which a run as private as the curve passes, for many canaries.

    Returns
    -------
    The test, kind "conformance": its level is asymptotic.

    Raises
    ------
    ValueError : level outside (0, 1).
    """
    p = normal_p_value(scores.auc, scores, curve.auc, *curve.auc_variances())
    return _auc_test("auc_normal", "conformance", p, scores, curve, level, (COINS, INDEPENDENT, MANY))


def auc_kl(scores: MembershipScores, curve: LossCurve, *, level: float = 0.95) -> CurveTest:
    """Test the area under the curve by Chernoff's inequality; parameters and errors as `auc_normal`.

    Guarantee
    ---------
    For canaries with one common pair of laws the area is a mean over matchings of means of min(n0, n1) independent comparisons, each
    won with probability at most A_f. By convexity its exponential moments are at most those of such a mean (Hoeffding 1963, section 5), so
    P(AUC >= a) <= exp(-min(n0, n1) kl(a || A_f)) for a > A_f.
    """
    p = kl_p_value(scores.auc, scores, curve.auc)
    return _auc_test("auc_kl", "bound", p, scores, curve, level, (COINS, INDEPENDENT, COMMON_LAW))


def e_value(scores: MembershipScores | Sequence[MembershipScores], curve: LossCurve, *, level: float = 0.95) -> CurveTest:
    """Test the curve by betting on the coins; the e-values of several runs are multiplied.

    Parameters
    ----------
    scores : one run's scores, or several runs'.
    curve, level : as `auc_normal`.

    Returns
    -------
    The test, kind "bound"; `statistic` is the logarithm of the e-value.

    Raises
    ------
    ValueError : no runs, or level outside (0, 1).

    Guarantee
    ---------
    For a canary under f, no rule that says the coin's probability p from its score has E[(2 p)^lambda] above M(lambda), the mean of the
    best answer to pi (Blackwell's order; data processing). The rule is fitted on the other half of the canaries, so the product over
    the half, divided by M^n, has mean at most 1; so have averages over lambda and halves. Markov: P(E >= 1 / alpha) <= alpha.
    """
    level = probability_level(level)
    runs = [scores] if isinstance(scores, MembershipScores) else list(scores)
    if not runs:
        raise ValueError("scores must hold at least one run, got none")
    moments = log_moments(curve)
    log_e = sum(log_e_value(bets(run), moments) for run in runs)
    return CurveTest(
        method="e_value",
        kind="bound",
        p_value=math.exp(min(0.0, -log_e)),
        level=level,
        statistic=log_e,
        expected=None,
        n_members=sum(run.n_members for run in runs),
        n_non_members=sum(run.n_non_members for run in runs),
        assumptions=(COINS, INDEPENDENT) if len(runs) == 1 else (COINS, INDEPENDENT, FRESH_COINS),
    )


def normal_p_value(auc: float, scores: MembershipScores, area: float, v1: float, v0: float) -> float:
    """Return P(Z >= (AUC - A_f) / sqrt(v1 / n1 + v0 / n0))."""
    spread = math.sqrt(max(v1 / scores.n_members + v0 / scores.n_non_members, 0.0))
    if spread == 0:
        return 1.0 if auc <= area else 0.0
    return float(special.ndtr(-(auc - area) / spread))


def kl_p_value(auc: float, scores: MembershipScores, area: float) -> float:
    """Return exp(-min(n0, n1) kl(AUC || A_f)), 1 where the area is not above A_f."""
    if auc <= area:
        return 1.0
    divergence = float(special.rel_entr(auc, area) + special.rel_entr(1 - auc, 1 - area))
    return math.exp(-min(scores.n_members, scores.n_non_members) * divergence)


@lru_cache(maxsize=4)
def log_moments(curve: LossCurve) -> tuple[float, ...]:
    """Return log M(lambda) = log E[2^lambda (pi^(1/(1-lambda)) + (1-pi)^(1/(1-lambda)))^(1-lambda)] for every stake, coins fair."""
    both = (curve.c0 + curve.c1) / 2
    log_in, log_out = special.log_expit(curve.loss), special.log_expit(-curve.loss)
    found = []
    for stake in STAKES:
        power = 1 / (1 - stake)
        best = np.exp((1 - stake) * np.logaddexp(power * log_in, power * log_out))
        found.append(stake * math.log(2) + math.log(float(both @ best)))
    return tuple(found)


def bets(scores: MembershipScores) -> tuple[tuple[float, int], tuple[float, int]]:
    """Return (sum of log(2 p_j), number of canaries) of both halves, each played with the rule fitted on the other one."""
    first, second = halves(len(scores))
    pairs = ((second, first), (first, second))
    one, two = ((log_twice_probability(scores.score, scores.member, fitted=fitted, used=used), len(used)) for fitted, used in pairs)
    return one, two


def log_e_value(played: tuple[tuple[float, int], ...], moments: Sequence[float]) -> float:
    """Return log of the mean over stakes and halves of prod (2 p_j)^lambda / M(lambda)^n."""
    stakes, log_m = np.array(STAKES), np.array(moments)
    exponents = np.concatenate([stakes * won - n * log_m for won, n in played])
    return float(special.logsumexp(exponents) - math.log(len(exponents)))


def _auc_test(
    method: str,
    kind: Literal["bound", "conformance"],
    p: float,
    scores: MembershipScores,
    curve: LossCurve,
    level: float,
    assumptions: tuple[str, ...],
) -> CurveTest:
    return CurveTest(
        method=method,
        kind=kind,
        p_value=p,
        level=probability_level(level),
        statistic=scores.auc,
        expected=curve.auc,
        n_members=scores.n_members,
        n_non_members=scores.n_non_members,
        assumptions=assumptions,
    )
