"""CurveTest: whether the scores of a run could come from a mechanism as private as a claimed curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.validation import in_range, probability_level

SCHEMA_VERSION = 1
SCOPE = "within the claimed family"
REJECTION = "not as private as the claimed curve"

COINS = "each canary was included by its own independent fair coin"
INDEPENDENT = "canaries do not influence each other"
COMMON_LAW = "all canaries have one common pair of laws, in and out"
MANY = "so many canaries that the area under the curve is near to normal"
FRESH_COINS = "the coins of all combined runs are independent"
FAMILY = "within the claimed family: every canary is at least as private as subsampled Gaussian noise with the claimed rate and steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveTest:
    """One test of "every canary is at least as private as this curve".

    Parameters
    ----------
    method : "auc_normal", "auc_kl" or "e_value".
    kind : "bound" where the level holds for every number of canaries, "conformance" where it is only asymptotic.
    p_value : probability under the curve of evidence at least this strong, at most 1 (for an e-value: one over it).
    level : a run as private as the curve passes with at least this probability.
    statistic : the measured area under the curve, or the e-value's logarithm.
    expected : the largest area that the curve allows; None for an e-value.
    n_members, n_non_members : canaries in and out.
    assumptions : sentences that must be true for the level to hold.
    """

    method: str
    kind: Literal["bound", "conformance"]
    p_value: float
    level: float
    statistic: float
    expected: float | None
    n_members: int
    n_non_members: int
    assumptions: tuple[str, ...]

    def __post_init__(self) -> None:
        in_range(0, 1, closed="both", p_value=self.p_value)
        probability_level(self.level)

    @property
    def rejected(self) -> bool:
        """Whether the run is not as private as the curve."""
        return self.p_value <= 1 - self.level

    @property
    def scope(self) -> Literal["curve"]:
        """What a rejection is about: the whole claimed curve, not one epsilon at one delta."""
        return "curve"

    @property
    def finding(self) -> str:
        """The outcome in one sentence."""
        shown = f"e-value exp({self.statistic:.3g})"
        if self.expected is not None:
            shown = f"area under the curve {self.statistic:.4f}, at most {self.expected:.4f} expected"
        return f"{shown}: {REJECTION}" if self.rejected else f"{shown}: the claimed curve is not rejected"

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "method": self.method,
            "scope": self.scope,
            "rejected": self.rejected,
            "p_value": self.p_value,
            "level": self.level,
            "statistic": json_ready(self.statistic),
            "expected": self.expected,
            "n_members": self.n_members,
            "n_non_members": self.n_non_members,
            "finding": self.finding,
            "assumptions": list(self.assumptions),
        }
