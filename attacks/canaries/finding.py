"""A finding: one thing that a static check saw, in words a user can act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mechanisms.json_ready import JsonValue


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of a static check.

    Parameters
    ----------
    name : the check, in snake case.
    severity : "error" where the claim can't hold as accounted, "warning" where it may not.
    message : what was seen, why it matters, what to do. Never a record's value.
    """

    name: str
    severity: Literal["error", "warning"]
    message: str

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {"name": self.name, "severity": self.severity, "message": self.message}
