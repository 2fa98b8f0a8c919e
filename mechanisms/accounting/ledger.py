"""What was spent, step by step, against a budget of zero-concentrated differential privacy.

Entries add up, also where a step was chosen after a look at the outcomes of former ones (Bun, Steinke 2016, lemma 7). The ledger refuses a
step that would overdraw the budget before anything is drawn; a relative slack of 1e-9 is left for the rounding of sums.
"""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.errors import BudgetExhaustedError
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import non_negative, positive

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One release.

    Parameters
    ----------
    step : what it was for, in words.
    mechanism : "discrete gaussian", "exponential", ...
    sensitivity : of what was released, in the norm of the mechanism.
    scale : of the noise, in the same unit.
    rho : what it cost.
    """

    step: str
    mechanism: str
    sensitivity: float
    scale: float
    rho: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(
            {"step": self.step, "mechanism": self.mechanism, "sensitivity": self.sensitivity, "scale": self.scale, "rho": self.rho}
        )


class Ledger:
    """Entries against one budget.

    Parameters
    ----------
    rho : the budget, > 0.

    Examples
    --------
    >>> ledger = Ledger(1.0)
    >>> ledger.spend("ages", "discrete gaussian", sensitivity=1.0, scale=1.0)
    0.5
    >>> ledger.spend("all over again", "discrete gaussian", sensitivity=1.0, scale=0.5)
    Traceback (most recent call last):
    ...
    mechanisms.errors.BudgetExhaustedError: all over again costs rho 2, but only 0.5 of 1 is left
    """

    def __init__(self, rho: float) -> None:
        self.rho = positive(rho=rho)
        self._entries: list[LedgerEntry] = []
        self._spent = 0.0

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """Return what was spent so far."""
        return tuple(self._entries)

    @property
    def spent(self) -> float:
        """Return the sum of rho."""
        return self._spent

    @property
    def left(self) -> float:
        """Return what is left, never negative."""
        return max(0.0, self.rho - self.spent)

    def spend(self, step: str, mechanism: str, *, sensitivity: float, scale: float) -> float:
        """Enter a Gaussian release of this sensitivity and scale, and return its rho = sensitivity^2 / (2 scale^2).

        Raises
        ------
        BudgetExhaustedError : it costs more than is left; nothing is entered.
        """
        rho = non_negative(sensitivity=sensitivity) ** 2 / (2 * positive(scale=scale) ** 2)
        return self.spend_rho(step, mechanism, sensitivity=sensitivity, scale=scale, rho=rho)

    def spend_rho(self, step: str, mechanism: str, *, sensitivity: float, scale: float, rho: float) -> float:
        """Enter any release whose rho is known; errors as `spend`."""
        if non_negative(rho=rho) > self.left + _ROUNDING * self.rho:
            raise BudgetExhaustedError(f"{step} costs rho {rho:.6g}, but only {self.left:.6g} of {self.rho:.6g} is left")
        self._entries.append(LedgerEntry(step, mechanism, float(sensitivity), float(scale), rho))
        self._spent += rho
        return rho

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "rho": self.rho, "spent": self.spent, "entries": self.entries})
