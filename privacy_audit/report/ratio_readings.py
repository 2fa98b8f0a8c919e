"""What the counts of one pair of ratios say: the posterior of the accuracy and of the number of records it is worth; all pairs together.

The exact n_leaked grows with the accuracy, so quantiles of the one are quantiles of the other. Point values are those of the measured
accuracy; where an attack is right about every victim the exact point is infinite, and the posterior is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacks.distribution.leakage import n_leaked
from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.leakage import LeakagePosterior
from privacy_audit.estimate.pooled_leakage import PooledLeakage


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and equal-tailed interval of a posterior."""

    median: float
    low: float
    high: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"median": json_ready(self.median), "low": json_ready(self.low), "high": json_ready(self.high)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioReading:
    """The posterior of one pair.

    Parameters
    ----------
    level : probability content of the intervals.
    accuracy : of the chosen attack on victims, (TNR + TPR) / 2.
    n_leaked : exact, continuous in the accuracy.
    at_zero : P(n_leaked = 0), which is P(accuracy <= 1/2).
    exact : smallest number of records whose ideal observer is as accurate as measured; infinite where that is 1.
    published : the published lower bound of it ("renyi_inf"), over the same accuracies.
    """

    level: float
    accuracy: Spread
    n_leaked: Spread
    at_zero: float
    exact: float
    published: Spread

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "kind": "credible",
            "level": self.level,
            "accuracy": self.accuracy.to_dict(),
            "n_leaked": self.n_leaked.to_dict(),
            "probability_of_none": self.at_zero,
            "n_leaked_exact": json_ready(self.exact),
            "n_leaked_published_bound": self.published.to_dict(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PooledReading:
    """One number of records for all pairs.

    Parameters
    ----------
    level : probability content of the interval of `n_leaked`.
    n_leaked : common to all pairs; below 1 it is less than one record.
    deviation : standard deviation of ln n between pairs, near 0 where one number does for all; its interval is at 0.95.
    """

    level: float
    n_leaked: Spread
    deviation: Spread

    @property
    def factor(self) -> float:
        """By which factor the numbers of single pairs typically lie around `n_leaked`: exp of the median deviation."""
        return math.exp(self.deviation.median)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "kind": "credible",
            "level": self.level,
            "n_leaked": self.n_leaked.to_dict(),
            "deviation": self.deviation.to_dict(),
        }


def ratio_reading(counts: AttackCounts, p: float, q: float, *, level: float = 0.95) -> RatioReading:
    """Return the posteriors of one pair of ratios.

    Parameters
    ----------
    counts : of an attack that was chosen without them, world 1 in the place of "member".
    p, q : the ratios, different.
    """
    posterior = AccuracyPosterior(counts)
    exact = LeakagePosterior(posterior, p, q)
    return RatioReading(
        level=level,
        accuracy=_spread(posterior, level),
        n_leaked=_spread(exact, level),
        at_zero=float(exact.prob_zero),
        exact=float(n_leaked((counts.tpr + 1 - counts.fpr) / 2, p, q)),
        published=_spread(LeakagePosterior(posterior, p, q, method="renyi_inf"), level),
    )


def pooled_reading(pairs: Sequence[tuple[AttackCounts, float, float]], *, level: float = 0.95) -> PooledReading:
    """Return one number of records for all pairs of (counts, p, q), with its deviation between pairs."""
    posterior = PooledLeakage(pairs)
    low, high = (float(end) for end in posterior.interval(level))
    median, least, most = posterior.spread
    return PooledReading(
        level=level,
        n_leaked=Spread(median=posterior.median, low=low, high=high),
        deviation=Spread(median=median, low=least, high=most),
    )


def _spread(posterior: AccuracyPosterior | LeakagePosterior, level: float) -> Spread:
    low, high = (float(end) for end in posterior.interval(level))
    return Spread(median=float(posterior.median), low=low, high=high)
