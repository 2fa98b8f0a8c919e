"""EpsilonBound: a lower bound of epsilon with proved coverage, the only kind of statement that may call a claim violated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_ready, number_from_json

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class EpsilonBound:
    """A lower bound of epsilon at one delta.

    Parameters
    ----------
    epsilon : the bound in nats, >= 0; infinite where the evidence excludes every finite epsilon.
    delta : probability in [0, 1).
    level : P(bound <= true epsilon) is at least this, whatever the truth, if the assumptions hold.
    method : the name of the method.
    neighboring : the relation under which the two worlds of the attack differ.
    assumptions : sentences that must be true for the coverage to hold.
    approximate : True where the coverage is only asymptotic; such a bound never calls a claim violated.
    """

    epsilon: float
    delta: float
    level: float
    method: str
    neighboring: Neighboring = Neighboring.ADD_REMOVE
    assumptions: tuple[str, ...] = ()
    approximate: bool = False

    @property
    def kind(self) -> Literal["bound", "estimate"]:
        """The kind of statement: "bound" with proved coverage, "estimate" where the coverage is only approximate."""
        return "estimate" if self.approximate else "bound"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "epsilon": json_ready(self.epsilon),
            "delta": self.delta,
            "level": self.level,
            "method": self.method,
            "neighboring": self.neighboring.value,
            "assumptions": list(self.assumptions),
            "approximate": self.approximate,
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, JsonValue]) -> EpsilonBound:
        """Rebuild a bound from `to_dict()`."""
        assumptions = record["assumptions"]
        if not isinstance(assumptions, list):
            raise TypeError("assumptions must be a list of sentences")
        return cls(
            epsilon=number_from_json(record["epsilon"]),
            delta=number_from_json(record["delta"]),
            level=number_from_json(record["level"]),
            method=str(record["method"]),
            neighboring=Neighboring(str(record["neighboring"])),
            assumptions=tuple(str(item) for item in assumptions),
            approximate=bool(record["approximate"]),
        )
