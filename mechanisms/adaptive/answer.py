"""What an answerer says of one query: a value, and an interval for the population's value that holds for all queries at once."""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.json_ready import JsonValue, json_record


@dataclass(frozen=True, slots=True)
class Answer:
    """One released answer.

    Parameters
    ----------
    value : the released value, in [0, 1].
    low, high : interval of q(P), the query's expectation in the population; all intervals of one answerer hold together with the
        probability 1 - beta that it was made with, whatever the analyst does.
    n_used : records that the answer was computed from.
    rho_spent : what this answer took from the zCDP budget; 0 for answers of methods that spend nothing private (splitting).
    """

    value: float
    low: float
    high: float
    n_used: int
    rho_spent: float

    @property
    def width(self) -> float:
        """Half of the interval's length as promised: the largest distance from the value to an end before the ends are cut to [0, 1]."""
        return max(self.high - self.value, self.value - self.low)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(
            {
                "schema_version": 1,
                "value": self.value,
                "low": self.low,
                "high": self.high,
                "n_used": self.n_used,
                "rho_spent": self.rho_spent,
            }
        )
