"""What a privacy guarantee is: (epsilon, delta), for which neighbors, for whom, under which assumptions.

Guarantees of different neighboring relations can't be compared; a conversion is explicit (`to_replace`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from mechanisms.json_ready import JsonValue, json_ready, number_from_json
from mechanisms.validation import in_range, valid_delta

SCHEMA_VERSION = 1


class Neighboring(StrEnum):
    """When two data sets count as neighbors."""

    ADD_REMOVE = "add_remove"  # one record is added or taken away
    REPLACE = "replace"  # one record becomes another one
    ZERO_OUT = "zero_out"  # one record becomes a null record, the size stays


def valid_neighboring(neighboring: object) -> Neighboring:
    """Return the relation.

    Raises
    ------
    TypeError : it is no `Neighboring`; a string isn't one.
    """
    if not isinstance(neighboring, Neighboring):
        raise TypeError(f"neighboring must be a Neighboring, for example Neighboring.ADD_REMOVE, got {neighboring!r}")
    return neighboring


@dataclass(frozen=True, slots=True)
class PrivacyGuarantee:
    """An upper bound on the privacy loss that somebody asserts or proves.

    Parameters
    ----------
    epsilon : nats, >= 0, may be infinite.
    delta : probability in [0, 1).
    neighboring : the relation under which (epsilon, delta) holds.
    privacy_unit : what one neighboring step changes: "record", "user", ...
    mechanism : the name of what gives the guarantee.
    assumptions : sentences that must be true for it to hold.

    Raises
    ------
    ValueError, TypeError : epsilon or delta out of range, or `neighboring` not a `Neighboring`.

    Guarantee
    ---------
    M is (epsilon, delta)-DP if P[M(D) in S] <= exp(epsilon) P[M(D') in S] + delta for all neighbors D, D' and all S
    (Dwork, McSherry, Nissim, Smith 2006).

    Examples
    --------
    >>> PrivacyGuarantee(1.0, 1e-5, Neighboring.ADD_REMOVE).to_replace().epsilon
    2.0
    """

    epsilon: float
    delta: float
    neighboring: Neighboring
    privacy_unit: str = "record"
    mechanism: str = ""
    assumptions: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        valid_neighboring(self.neighboring)
        object.__setattr__(self, "epsilon", in_range(0, math.inf, closed="both", epsilon=self.epsilon))
        object.__setattr__(self, "delta", valid_delta(self.delta))
        object.__setattr__(self, "assumptions", tuple(self.assumptions))

    def to_replace(self) -> PrivacyGuarantee:
        """Convert an add/remove guarantee to replacement: two steps, (2 epsilon, (1 + exp(epsilon)) delta).

        Raises
        ------
        ValueError : the guarantee is not for add/remove neighbors, or the converted delta is no longer below 1.
        """
        if self.neighboring is not Neighboring.ADD_REMOVE:
            raise ValueError(f"only an add_remove guarantee can be converted to replace, got {self.neighboring.value}")
        delta = 0.0 if self.delta == 0 else (1 + math.exp(min(self.epsilon, 700.0))) * self.delta
        if delta >= 1:
            raise ValueError("the converted delta is not below 1: this guarantee says nothing about replacement")
        return replace(self, epsilon=2 * self.epsilon, delta=delta, neighboring=Neighboring.REPLACE)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "epsilon": json_ready(self.epsilon),
            "delta": self.delta,
            "neighboring": self.neighboring.value,
            "privacy_unit": self.privacy_unit,
            "mechanism": self.mechanism,
            "assumptions": list(self.assumptions),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> PrivacyGuarantee:
        """Rebuild a guarantee from `to_dict()`."""
        assumptions = record.get("assumptions", ())
        if not isinstance(assumptions, list | tuple):
            raise TypeError("assumptions must be a list of sentences")
        return cls(
            epsilon=number_from_json(record["epsilon"]),
            delta=number_from_json(record["delta"]),
            neighboring=Neighboring(str(record["neighboring"])),
            privacy_unit=str(record.get("privacy_unit", "record")),
            mechanism=str(record.get("mechanism", "")),
            assumptions=tuple(str(item) for item in assumptions),
        )


def require_same_neighboring(first: Neighboring, second: Neighboring) -> None:
    """Refuse to compare statements about different neighboring relations.

    Raises
    ------
    ValueError : the two relations differ.
    """
    if first is not second:
        raise ValueError(
            f"epsilons of different neighboring relations can't be compared: {first.value} and {second.value}; "
            "convert explicitly with PrivacyGuarantee.to_replace()"
        )
