"""How well an attack tells members from non-members: ROC, AUC, TPR at a low FPR, balanced accuracy, with intervals.

The guess is "member" when `score >= threshold`. Curves are step curves: equal scores are one step, nothing is interpolated.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainccinv, betaincinv, ndtri

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.validation import in_range, probability_level

Floats = NDArray[np.float64]


def roc(scores: MembershipScores) -> tuple[Floats, Floats, Floats]:
    """Return the step curve of an attack.

    Returns
    -------
    fpr, tpr, threshold : (k + 1,) each for k distinct scores; from guessing nobody (threshold inf) to guessing everybody. Thresholds fall;
        the guesses at position i are `score >= threshold[i]`. Where a score is itself inf, the first point stands for "above inf".
    """
    threshold, fp, tp = _steps(scores)
    return fp / scores.n_non_members, tp / scores.n_members, threshold


def auc(scores: MembershipScores) -> float:
    """Return P(member scores higher) + P(tie) / 2 over all pairs of a member and a non-member, from ranks.

    References
    ----------
    Mann, Whitney, 1947: AUC = (rank sum of members - n1 (n1 + 1) / 2) / (n1 n0).
    """
    n1, n0 = scores.n_members, scores.n_non_members
    rank_sum = float(_ranks(scores.score)[scores.member].sum())
    return (rank_sum - n1 * (n1 + 1) / 2) / (n1 * n0)


def tpr_at_fpr(scores: MembershipScores, f: float) -> float:
    """Return the largest TPR on the step curve whose FPR is at most f.

    Parameters
    ----------
    f : FPR in [0, 1]; 0 asks for no false positive at all.

    Raises
    ------
    ValueError : f outside [0, 1].
    InsufficientEvidenceError : 0 < f < 1 / n_non_members: no threshold can show such an FPR.
    """
    return _best_counts(scores, f).tpr


def balanced_accuracy(scores: MembershipScores) -> float:
    """Return the largest (TPR + 1 - FPR) / 2 over all thresholds.

    Notes
    -----
    The threshold is chosen on the same scores, so the value is optimistic: it describes the curve and feeds no bound.
    """
    fpr, tpr, _ = roc(scores)
    return float(np.max(tpr + 1 - fpr) / 2)


def balanced_accuracy_interval(scores: MembershipScores, level: float = 0.95) -> tuple[float, float]:
    """Return an interval of the best (TPR + 1 - FPR) / 2 over all thresholds.

    Guarantee
    ---------
    Finite sample, for independent members and non-members: both empirical distributions stay within d = sqrt(log(4 / (1 - level)) / (2 n))
    of the true ones everywhere (Massart's constant, half of 1 - level each), so the choice of the threshold on the same scores is paid for.

    References
    ----------
    Dvoretzky, Kiefer, Wolfowitz, 1956; Massart, Annals of Probability 1990.
    """
    level = probability_level(level)
    half = sum(math.sqrt(math.log(4 / (1 - level)) / (2 * n)) for n in (scores.n_members, scores.n_non_members)) / 2
    best = balanced_accuracy(scores)
    return max(0.5, best - half), min(1.0, best + half)


def auc_interval(scores: MembershipScores, level: float = 0.95) -> tuple[float, float]:
    """Return an asymptotic interval of the AUC.

    Parameters
    ----------
    level : probability content in (0, 1).

    Raises
    ------
    InsufficientEvidenceError : fewer than 2 members or 2 non-members.

    Guarantee
    ---------
    Asymptotic only (no finite-sample coverage; kind "estimate"): DeLong's variance and the normal quantile on the logit scale, so the ends
    stay in [0, 1]. Where that variance is 0 the largest possible one, AUC (1 - AUC) / min(n1, n0), stands in for it; for perfect
    separation the ends are those of Clopper-Pearson for min(n1, n0) pairs without a failure.

    References
    ----------
    DeLong, DeLong, Clarke-Pearson, Biometrics 1988.
    """
    level = probability_level(level)
    n1, n0 = scores.n_members, scores.n_non_members
    if min(n1, n0) < 2:
        raise InsufficientEvidenceError(f"an AUC interval needs at least 2 members and 2 non-members, got {n1} and {n0}")
    area = auc(scores)
    if area in (0.0, 1.0):
        least = ((1 - level) / 2) ** (1 / min(n1, n0))
        return (least, 1.0) if area == 1 else (0.0, 1 - least)
    variance = _delong_variance(scores) or area * (1 - area) / min(n1, n0)
    half = -float(ndtri((1 - level) / 2)) * math.sqrt(variance) / (area * (1 - area))
    center = math.log(area) - math.log1p(-area)
    return _sigmoid(center - half), _sigmoid(center + half)


def tpr_at_fpr_interval(scores: MembershipScores, f: float, level: float = 0.95) -> tuple[float, float]:
    """Return the Clopper-Pearson interval of the TPR at the threshold that `tpr_at_fpr` found; parameters and errors as there.

    Guarantee
    ---------
    Exact coverage for the TPR of the guess "above the first non-member that is left out": it depends on the non-members only, so given
    them the count of true positives is binomial (for independent members). It does not cover the error of the FPR: the true FPR of that
    guess may be above f.

    References
    ----------
    Clopper, Pearson, Biometrika 1934.
    """
    level = probability_level(level)
    counts = _best_counts(scores, f)
    tail = (1 - level) / 2
    low = float(betaincinv(counts.tp, counts.fn + 1, tail)) if counts.tp else 0.0
    high = float(betainccinv(counts.tp + 1, counts.fn, tail)) if counts.fn else 1.0
    return low, high


def _steps(scores: MembershipScores) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return falling thresholds with the false and true positives at each, the first one being "nobody"."""
    order = np.argsort(-scores.score, kind="stable")
    score, member = scores.score[order], scores.member[order]
    last = np.append(score[1:] != score[:-1], True)
    tp = np.cumsum(member)[last]
    fp = np.cumsum(~member)[last]
    return np.append(np.inf, score[last]), np.append(0, fp), np.append(0, tp)


def _best_counts(scores: MembershipScores, f: float) -> AttackCounts:
    f = in_range(0, 1, closed="both", f=f)
    n0 = scores.n_non_members
    most = math.floor(f * n0 * (1 + 1e-12))  # 0.29 * 100 is 28.999999999999996
    if f > 0 and most == 0:
        raise InsufficientEvidenceError(f"TPR at FPR {f:g} needs >= 1/f = {math.ceil(1 / f)} non-members, got {n0}")
    _, fp, tp = _steps(scores)
    at = int(np.searchsorted(fp, most, side="right")) - 1
    return AttackCounts(tp=int(tp[at]), fp=int(fp[at]), tn=n0 - int(fp[at]), fn=scores.n_members - int(tp[at]))


def _delong_variance(scores: MembershipScores) -> float:
    """Return Var(placements of members) / n1 + Var(placements of non-members) / n0, by ranks."""
    n1, n0 = scores.n_members, scores.n_non_members
    rank = _ranks(scores.score)
    member_placement = (rank[scores.member] - _ranks(scores.score[scores.member])) / n0
    other_placement = (rank[~scores.member] - _ranks(scores.score[~scores.member])) / n1
    return float(member_placement.var(ddof=1) / n1 + other_placement.var(ddof=1) / n0)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1, equal values sharing their mean rank."""
    _, place, n_equal = np.unique(values, return_inverse=True, return_counts=True)
    rank = np.cumsum(n_equal) - (n_equal - 1) / 2
    return np.asarray(rank[place], dtype=np.float64)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
