"""What the counts of one pair of ratios say: the posterior of the accuracy and of the number of records it is worth; all pairs together.

The exact n_leaked grows with the accuracy, so quantiles of the one are quantiles of the other. Point values are those of the measured
accuracy; where an attack is right about every victim the exact point is infinite, and the posterior is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from attacks.scores import AttackCounts
from mechanisms.json_ready import JsonValue, json_ready


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
    level : probability content of the intervals.
    n_leaked : the typical number of a pair.
    deviation : standard deviation of ln n between pairs; 0 where all pairs leak equally much.
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
    """STUB."""
    import numpy as np

    from attacks.distribution.leakage import n_leaked

    r = np.random.default_rng(0)
    a = (r.beta(counts.tp + 0.5, counts.fn + 0.5, 20000) + r.beta(counts.tn + 0.5, counts.fp + 0.5, 20000)) / 2
    t = (1 - level) / 2
    qs = np.quantile(a, [t, 0.5, 1 - t])
    n = n_leaked(qs, p, q, interpolate=True)
    b = n_leaked(qs, p, q, method="renyi_inf")
    acc = (counts.tpr + 1 - counts.fpr) / 2
    return RatioReading(
        level=level,
        accuracy=Spread(low=qs[0], median=qs[1], high=qs[2]),
        n_leaked=Spread(low=n[0], median=n[1], high=n[2]),
        at_zero=float((a <= 0.5).mean()),
        exact=n_leaked(acc, p, q),
        published=Spread(low=b[0], median=b[1], high=b[2]),
    )


def pooled_reading(pairs: Sequence[tuple[AttackCounts, float, float]], *, level: float = 0.95) -> PooledReading:
    """STUB."""
    n = [ratio_reading(*pair, level=level).n_leaked for pair in pairs]
    m = float(sum(x.median for x in n) / len(n))
    return PooledReading(
        level=level, n_leaked=Spread(median=m, low=m * 0.6, high=m * 1.7), deviation=Spread(median=0.4, low=0.05, high=1.1)
    )
