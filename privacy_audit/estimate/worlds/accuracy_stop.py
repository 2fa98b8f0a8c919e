"""When to stop training victims: as soon as the accuracy's credible interval is short enough.

The width of a posterior interval depends on the counts alone, not on why the trials ended, so the interval that ends the run is reported as
it stands. A bound with proved coverage has no such freedom: `advantage_lower_bound` at its level holds for a number of victims that was
fixed beforehand. An audit that stops by this rule must take its bound from other victims, or from a number registered before the first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts, as_membership
from mechanisms.validation import in_range, probability_level, same_length, whole_number
from privacy_audit.estimate.accuracy import AccuracyPosterior

MOST_VICTIMS = 10**7


@dataclass(slots=True)
class AccuracyStopRule:
    """Takes victims one by one or in batches and says when the interval of accuracy is short enough.

    Parameters
    ----------
    width : the interval must be shorter than this, in (0, 1).
    level : probability content of the interval.
    fewest : victims of each world before the rule may stop.

    Raises
    ------
    ValueError : a parameter out of range.

    Notes
    -----
    A Bayesian rule: a credible interval keeps its meaning under any rule of stopping, coverage at a fixed number of victims does not. Rules
    that look often stop a little early where a run of right guesses made the interval short; `fewest` keeps that small.

    Examples
    --------
    >>> rule = AccuracyStopRule(width=0.2)
    >>> while not rule.rejected:
    ...     rule.update([True, False], [True, False])
    >>> rule.n_victims
    (20, 20)
    """

    width: float
    level: float = field(default=0.95, kw_only=True)
    fewest: int = field(default=20, kw_only=True)
    _right: list[int] = field(init=False, repr=False, default_factory=lambda: [0, 0])
    _victims: list[int] = field(init=False, repr=False, default_factory=lambda: [0, 0])

    def __post_init__(self) -> None:
        self.width = in_range(0, 1, width=self.width)
        self.level = probability_level(self.level)
        self.fewest = whole_number(1, fewest=self.fewest)

    def update(self, bit: ArrayLike, guess: ArrayLike) -> None:
        """Take the world of one victim, or of several, and the guesses; each is bool or 0 and 1."""
        world, guessed = as_membership(bit=np.atleast_1d(bit)), as_membership(guess=np.atleast_1d(guess))
        same_length(bit=world, guess=guessed)
        for side, here in ((0, ~world), (1, world)):
            self._victims[side] += int(here.sum())
            self._right[side] += int((guessed[here] == bool(side)).sum())

    @property
    def n_victims(self) -> tuple[int, int]:
        """Victims of world 0 and of world 1 so far."""
        return self._victims[0], self._victims[1]

    @property
    def counts(self) -> AttackCounts:
        """Counts so far.

        Raises
        ------
        ValueError : one of the worlds had no victim yet.
        """
        (tn, tp), (n_0, n_1) = self._right, self._victims
        return AttackCounts(tp=tp, fn=n_1 - tp, tn=tn, fp=n_0 - tn)

    @property
    def rejected(self) -> bool:
        """Whether to stop, under the name that every stop rule has (`streams.stop_rule`)."""
        return min(self._victims) >= self.fewest and _width(AccuracyPosterior(self.counts), self.level) < self.width


def victims_needed(width: float, *, tnr: float = 0.5, tpr: float = 0.5, level: float = 0.95) -> int:
    """Return how many victims of each world make the interval of accuracy shorter than `width`, if the rates come out as foreseen.

    Parameters
    ----------
    width : of the interval, in (0, 1).
    tnr, tpr : rates foreseen, in [0, 1]; 1/2 is the worst case.
    level : probability content of the interval.

    Returns
    -------
    A number that is enough where one less is not, found by bisection; rounding makes the width uneven by about one victim.

    Raises
    ------
    ValueError : a parameter out of range, or more than 1e7 victims.

    Examples
    --------
    >>> victims_needed(0.1, tnr=0.75, tpr=0.8)
    132
    """
    width, level = in_range(0, 1, width=width), probability_level(level)
    tnr, tpr = in_range(0, 1, closed="both", tnr=tnr), in_range(0, 1, closed="both", tpr=tpr)

    def enough(m: int) -> bool:
        right = round(m * tnr), round(m * tpr)
        return _width(AccuracyPosterior(AttackCounts(tn=right[0], fp=m - right[0], tp=right[1], fn=m - right[1])), level) < width

    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_VICTIMS:
            raise ValueError(f"width {width:g} needs more than {MOST_VICTIMS} victims per world; take a larger one")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _width(posterior: AccuracyPosterior, level: float) -> float:
    low, high = posterior.interval(level).tolist()
    return float(high - low)
