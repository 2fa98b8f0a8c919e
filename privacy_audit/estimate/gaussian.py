"""The Gaussian family: what an attack says about mu, if the mechanism's privacy curve is that of a Gaussian mechanism.

`gaussian_bound` is a bound within that family: limits of the error rates that hold together give a lower limit of mu, and mu gives
epsilon at any delta. `gaussian_score_estimate` fits two normal laws to the scores (Andrew et al. 2024): an estimate, no bound.

References
----------
Dong, Roth, Su, Gaussian Differential Privacy, JRSS-B 2022. Nasr et al., Tight Auditing of Differentially Private Machine Learning, USENIX
Security 2023. Andrew et al., One-shot Empirical Privacy Estimation for Federated Learning, ICLR 2024.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.accounting.gaussian import gaussian_epsilon
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, probability_level, valid_delta, whole_number
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.lower_bound import FIXED_GUESS, INDEPENDENT_TRIALS, rate_upper_limit
from privacy_audit.estimate.normal.gaussian_nodes import order_statistics_mu
from privacy_audit.estimate.normal.hockey_stick import normal_pair_epsilon
from privacy_audit.estimate.thresholds import FIXED_ATTACK, INDEPENDENT_SCORES, TIES_AGAINST

FloatArray = NDArray[np.float64]

SCHEMA_VERSION = 1
WITHIN_GAUSSIAN_DP = "within Gaussian DP: the mechanism's trade-off curve is that of mu-GDP for some mu"
EITHER_DIRECTION = "the attack was fixed without these data; both directions were tried and paid for"


def mu_from_limits(*, fpr_upper: ArrayLike, fnr_upper: ArrayLike) -> FloatArray:
    """Return the mu that upper limits of both error rates ask for, elementwise, 0 where they ask for none.

    Parameters
    ----------
    fpr_upper, fnr_upper : upper limits of P(guess "member" | non-member) and P(guess "non-member" | member), in [0, 1], that hold together.

    Raises
    ------
    ValueError : a limit outside [0, 1] or NaN.

    Guarantee
    ---------
    Every test of a mu-GDP mechanism has FNR >= Phi(Phi^-1(1 - FPR) - mu), so mu >= Phi^-1(1 - FPR) - Phi^-1(FNR) (Dong, Roth, Su,
    definition 2.6); the right side falls in both rates. A negative value is no evidence of the other direction: that one needs
    upper limits of TPR and TNR, which are limits of their own.

    Examples
    --------
    >>> float(mu_from_limits(fpr_upper=0.1, fnr_upper=0.5).round(6))
    1.281552
    """
    limits = {"fpr_upper": np.asarray(fpr_upper, dtype=np.float64), "fnr_upper": np.asarray(fnr_upper, dtype=np.float64)}
    for name, limit in limits.items():
        if not ((limit >= 0) & (limit <= 1)).all():
            raise ValueError(f"{name} must hold probabilities in [0, 1], got {int((~((limit >= 0) & (limit <= 1))).sum())} others")
    useless = (limits["fpr_upper"] == 1) | (limits["fnr_upper"] == 1)
    with np.errstate(invalid="ignore"):
        mu = -special.ndtri(limits["fpr_upper"]) - special.ndtri(limits["fnr_upper"])
    return np.where(useless, 0.0, np.maximum(mu, 0.0))


def gaussian_mu_lower_bound(
    evidence: AttackCounts | MembershipScores, *, level: float = 0.95, direction: Literal["fixed", "either"] = "fixed"
) -> float:
    """Return a lower bound of mu, if the mechanism is exactly mu-GDP for some mu.

    Parameters
    ----------
    evidence : counts at a threshold fixed beforehand; or scores, and then thresholds at order statistics are tried and paid for.
    level : P(bound <= mu) is at least this.
    direction : "fixed", larger scores were said to mean "member" beforehand; "either", both directions are tried, each with half the error.

    Raises
    ------
    ValueError : level out of range or an unknown direction.
    TypeError : evidence of another type.

    Guarantee
    ---------
    Counts: two upper limits hold together with probability `level`, and mu is at least what they ask for (`mu_from_limits`). Scores:
    at each of K order statistics of each class one exact test of mu (`gaussian_nodes`), 2 K tests share the error. "either" doubles
    the number of limits or tests.
    """
    alpha = 1 - probability_level(level)
    mirrored = one_of(("fixed", "either"), direction=direction) == "either"
    if isinstance(evidence, AttackCounts):
        pairs = [(evidence.fp, evidence.tn, evidence.fn, evidence.tp), (evidence.tn, evidence.fp, evidence.tp, evidence.fn)]
        share = alpha / 2 / (1 + mirrored)
        limits = [(rate_upper_limit(a, b, share), rate_upper_limit(c, d, share)) for a, b, c, d in pairs[: 1 + mirrored]]
        return max(float(mu_from_limits(fpr_upper=fpr, fnr_upper=fnr)) for fpr, fnr in limits)
    if isinstance(evidence, MembershipScores):
        inside, outside = evidence.score[evidence.member], evidence.score[~evidence.member]
        sides = [(outside, inside), (-inside, -outside), (-outside, -inside), (inside, outside)][: 2 + 2 * mirrored]
        return max(order_statistics_mu(ordered, tested, alpha / len(sides)) for ordered, tested in sides)
    raise TypeError(f"evidence must be AttackCounts or MembershipScores, got {type(evidence).__name__}")


def gaussian_bound(
    evidence: AttackCounts | MembershipScores,
    *,
    delta: float,
    level: float = 0.95,
    direction: Literal["fixed", "either"] = "fixed",
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
) -> EpsilonBound:
    """Return a lower bound of epsilon that holds within Gaussian DP; see `gaussian_mu_lower_bound`.

    Parameters
    ----------
    evidence, level, direction : as `gaussian_mu_lower_bound`.
    delta : probability in (0, 1); a Gaussian curve has no finite epsilon at 0.
    neighboring : the relation under which the two worlds of the attack differ.

    Returns
    -------
    `EpsilonBound`, in nats; its assumptions name the family.

    Raises
    ------
    ValueError : delta or level out of range, or an unknown direction.

    Guarantee
    ---------
    epsilon(mu, delta) rises with mu, so a lower bound of mu gives one of epsilon, for all delta at once. Outside the
    family it says nothing.

    Examples
    --------
    >>> round(gaussian_bound(AttackCounts(tp=90, fp=10, tn=90, fn=10), delta=1e-5).epsilon, 3)
    9.144
    """
    delta = _positive_delta(delta)
    mu = gaussian_mu_lower_bound(evidence, level=level, direction=direction)
    of_scores = isinstance(evidence, MembershipScores)
    fixed = EITHER_DIRECTION if direction == "either" else FIXED_ATTACK if of_scores else FIXED_GUESS
    rest = (INDEPENDENT_SCORES, TIES_AGAINST) if of_scores else (INDEPENDENT_TRIALS,)
    return EpsilonBound(
        epsilon=gaussian_epsilon(mu, delta),
        delta=delta,
        level=level,
        method="gaussian",
        neighboring=neighboring,
        assumptions=(*rest, fixed, WITHIN_GAUSSIAN_DP),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianScoreEstimate:
    """Epsilon of two normal laws fitted to the scores: an estimate, without any error guarantee.

    Parameters
    ----------
    epsilon : nats, for both orders of the two laws; infinite if a law has no spread.
    delta : probability in (0, 1).
    interval, level : percentile bootstrap interval of the estimate and its nominal content; no confidence interval of epsilon.
    mean_in, sd_in, mean_out, sd_out : the fitted laws.
    n_resamples : bootstrap resamples.
    neighboring : the relation under which the two worlds of the attack differ.
    assumptions : what the estimate takes for granted.
    """

    epsilon: float
    delta: float
    interval: tuple[float, float]
    level: float
    mean_in: float
    sd_in: float
    mean_out: float
    sd_out: float
    n_resamples: int
    neighboring: Neighboring = Neighboring.ADD_REMOVE
    assumptions: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["estimate"]:
        """The kind of statement: no guarantee, so it says nothing about a claim."""
        return "estimate"

    @property
    def method(self) -> str:
        """The name of the method."""
        return "gaussian_scores"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        fields = {name: json_ready(getattr(self, name)) for name in self.__dataclass_fields__}
        return {"schema_version": SCHEMA_VERSION, "kind": self.kind, "method": self.method, **fields}

    @classmethod
    def from_dict(cls, record: Mapping[str, JsonValue]) -> GaussianScoreEstimate:
        """Rebuild an estimate from `to_dict()`."""
        interval, assumptions = record["interval"], record["assumptions"]
        if not isinstance(interval, list) or len(interval) != 2 or not isinstance(assumptions, list):
            raise TypeError("interval must be a list of two numbers, assumptions a list of sentences")
        names = ("epsilon", "delta", "level", "mean_in", "sd_in", "mean_out", "sd_out")
        return cls(
            **{name: number_from_json(record[name]) for name in names},
            interval=(number_from_json(interval[0]), number_from_json(interval[1])),
            n_resamples=whole_number(n_resamples=record["n_resamples"]),
            neighboring=Neighboring(str(record["neighboring"])),
            assumptions=tuple(str(text) for text in assumptions),
        )


def gaussian_score_estimate(
    scores: MembershipScores,
    *,
    delta: float,
    level: float = 0.95,
    n_resamples: int = 1000,
    dimension: int | None = None,
    neighboring: Neighboring = Neighboring.ADD_REMOVE,
    rng: RngLike = None,
) -> GaussianScoreEstimate:
    """Fit a normal law to the scores of members and one to those of non-members, and return the epsilon of the pair (Andrew et al. 2024).

    Parameters
    ----------
    scores : finite scores, at least two of each kind.
    delta : probability in (0, 1).
    level : content of the bootstrap interval.
    n_resamples : resamples of the bootstrap, at least 1.
    dimension : if given, the law of non-members is not fitted but N(0, 1 / dimension): cosines of a last iterate with random directions.
    neighboring : the relation under which the two worlds of the attack differ.
    rng : draws the resamples.

    Raises
    ------
    ValueError : a parameter out of range, or infinite scores.
    InsufficientEvidenceError : fewer than two scores of a kind that is fitted, or all of them equal.
    """
    delta, level, n_resamples = _positive_delta(delta), probability_level(level), whole_number(1, n_resamples=n_resamples)
    if not np.isfinite(scores.score).all():
        raise ValueError(f"scores must be finite to fit a normal law, got {int((~np.isfinite(scores.score)).sum())} infinite ones")
    rng = as_generator(rng)
    inside = _moments("members", scores.score[scores.member], n_resamples, rng)
    if dimension is None:
        outside = _moments("non-members", scores.score[~scores.member], n_resamples, rng)
    else:
        known = (0.0, 1 / math.sqrt(whole_number(1, dimension=dimension)))
        outside = np.tile(known, (n_resamples + 1, 1))
    spread = (inside[:, 1] > 0) & (outside[:, 1] > 0)
    epsilon = np.full(n_resamples + 1, np.inf)
    (m1, s1), (m0, s0) = inside[spread].T, outside[spread].T
    epsilon[spread] = normal_pair_epsilon(mean_1=m1, sd_1=s1, mean_0=m0, sd_0=s0, delta=delta)
    tail = (1 - level) / 2
    low, high = np.quantile(epsilon[1:], tail, method="lower"), np.quantile(epsilon[1:], 1 - tail, method="higher")
    return GaussianScoreEstimate(
        epsilon=float(epsilon[0]),
        delta=delta,
        interval=(float(low), float(high)),
        level=level,
        mean_in=float(inside[0, 0]),
        sd_in=float(inside[0, 1]),
        mean_out=float(outside[0, 0]),
        sd_out=float(outside[0, 1]),
        n_resamples=n_resamples,
        neighboring=neighboring,
        assumptions=(INDEPENDENT_SCORES, "scores of members and of non-members are normally distributed"),
    )


def _moments(name: str, values: FloatArray, n_resamples: int, rng: np.random.Generator) -> FloatArray:
    """Return mean and standard deviation of the values, then those of resamples, shape (n_resamples + 1, 2)."""
    n = len(values)
    if n < 2 or values.min() == values.max():
        raise InsufficientEvidenceError(f"a normal law needs at least two different scores of {name}, got {n} scores of them")
    samples = (values if k == 0 else values[rng.integers(n, size=n)] for k in range(n_resamples + 1))
    return np.array([(sample.mean(), sample.std(ddof=1) if sample.min() < sample.max() else 0.0) for sample in samples])


def _positive_delta(delta: float) -> float:
    if valid_delta(delta) == 0:
        raise ValueError("delta must be in (0, 1), got 0: a Gaussian curve has no finite epsilon there")
    return in_range(0, 1, delta=delta)
