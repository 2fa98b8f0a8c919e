"""What was spent, step by step, against a budget of pure differential privacy.

Entries add up, also where a step was chosen after a look at the outcomes of former ones (Dwork, Roth 2014, theorem 3.16, which holds for
adaptive choices as it stands). The ledger refuses a step that would overdraw the budget before anything is drawn; a relative slack of 1e-9
is left for the rounding of single entries. Their sum is rounded once, so equal parts add up to the budget.

References
----------
Dwork, Roth, The Algorithmic Foundations of Differential Privacy, 2014.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from mechanisms.errors import BudgetExhaustedError
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import in_range

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class EpsilonEntry:
    """One release.

    Parameters
    ----------
    step : what it was for, in words.
    mechanism : "discrete laplace", "above threshold", ...
    sensitivity : of what was released.
    scale : of the noise, in the same unit.
    epsilon : what it cost, nats; infinite where nothing is proved.
    """

    step: str
    mechanism: str
    sensitivity: float
    scale: float
    epsilon: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({name: getattr(self, name) for name in self.__dataclass_fields__})


class EpsilonLedger:
    """Entries against one budget.

    Parameters
    ----------
    epsilon : the budget, > 0; infinite for what has no guarantee.

    Examples
    --------
    >>> ledger = EpsilonLedger(1.0)
    >>> ledger.spend("ages", "discrete laplace", sensitivity=1.0, scale=1.25, epsilon=0.75)
    0.75
    >>> ledger.spend("all over again", "discrete laplace", sensitivity=1.0, scale=2.0, epsilon=0.5)
    Traceback (most recent call last):
    ...
    mechanisms.errors.BudgetExhaustedError: all over again costs epsilon 0.5, but only 0.25 of 1 is left
    """

    def __init__(self, epsilon: float) -> None:
        self.epsilon = in_range(0, math.inf, closed="right", epsilon=epsilon)
        self._entries: list[EpsilonEntry] = []
        self._finite = Fraction(0)
        self._proved = True

    @property
    def entries(self) -> tuple[EpsilonEntry, ...]:
        """Return what was spent so far."""
        return tuple(self._entries)

    @property
    def spent(self) -> float:
        """Return the sum of epsilon."""
        return float(self._finite) if self._proved else math.inf

    @property
    def left(self) -> float:
        """Return what is left, never negative."""
        return self.epsilon if math.isinf(self.epsilon) else max(0.0, self.epsilon - self.spent)

    def spend(self, step: str, mechanism: str, *, sensitivity: float, scale: float, epsilon: float) -> float:
        """Enter a release and return its epsilon.

        Raises
        ------
        BudgetExhaustedError : it costs more than is left; nothing is entered.
        """
        cost = in_range(0, math.inf, closed="both", epsilon=epsilon)
        if cost > self.left + _ROUNDING * self.epsilon:
            raise BudgetExhaustedError(f"{step} costs epsilon {cost:.6g}, but only {self.left:.6g} of {self.epsilon:.6g} is left")
        self._entries.append(EpsilonEntry(step, mechanism, float(sensitivity), float(scale), cost))
        if math.isinf(cost):
            self._proved = False
        else:
            self._finite += Fraction(cost)
        return cost

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "epsilon": self.epsilon, "spent": self.spent, "entries": self.entries})
