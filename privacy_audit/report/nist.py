"""The fields that NIST SP 800-226 asks to look at, from the top of its privacy pyramid to the bottom.

An audit measures few of them; the others are for the user to state. `AuditReport.settings` is read for keys "nist.FIELD", for example
`{"nist.trust_model": "central: the curator sees raw records"}`; FIELD is a key or a label of `GROUPS`. A field that nobody stated reads
"not assessed". What the claim or the audit itself says comes first, the user's words after it. A key "nist.X" with an unknown X gets a
row of its own and is never dropped.

References
----------
Near, Darais, Lefkovitz, Howarth, Guidelines for Evaluating Differential Privacy Guarantees, NIST SP 800-226, 2025.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mechanisms.json_ready import JsonValue
from privacy_audit.report.plain_text import listed, number, plain
from privacy_audit.report.words import NOTHING_CLAIMED, neighboring_name, neighboring_sentence

if TYPE_CHECKING:
    from privacy_audit.report.record import AuditReport

PREFIX = "nist."
NOT_ASSESSED = "not assessed"

GROUPS: dict[str, dict[str, str]] = {
    "Parameters and unit of privacy": {
        "epsilon": "Epsilon",
        "delta": "Delta",
        "unit_of_privacy": "Unit of privacy",
        "neighboring": "Neighboring relation",
        "contribution_bound": "Bound on one person's contribution",
    },
    "Algorithms, correctness, utility and bias": {
        "mechanism": "Mechanism",
        "accounting": "Accounting method",
        "releases": "Releases composed",
        "hyper_parameters": "Hyper-parameter selection",
        "noise_source": "Noise source and secure randomness",
        "arithmetic": "Finite-precision arithmetic",
        "correctness": "Correctness of the implementation",
        "utility": "Utility",
        "bias": "Bias",
    },
    "Deployment": {
        "trust_model": "Trust model",
        "access_control": "Security and access control",
        "side_channels": "Side channels",
        "data_collection": "Data collection exposure",
        "retention": "Retention of raw data",
        "other_releases": "Other releases from the same data",
        "evaluation_access": "Access to the evaluation",
    },
}


@dataclass(frozen=True, slots=True)
class NistField:
    """One field: its label, what is known, where that comes from ("claim", "audit", "stated" or "" if not assessed)."""

    key: str
    label: str
    texts: tuple[str, ...]
    source: str

    @property
    def assessed(self) -> bool:
        """Whether anything is known."""
        return bool(self.texts)


def nist_fields(report: AuditReport) -> dict[str, tuple[NistField, ...]]:
    """Return group -> fields, each filled from the claim, the audit and the settings."""
    known = _known(report)
    stated = stated_fields(report.settings)
    groups = {
        group: tuple(_field(key, label, known.get(key), stated.pop(key, None)) for key, label in fields.items())
        for group, fields in GROUPS.items()
    }
    if stated:
        groups["Further statements"] = tuple(_field(key, key, None, text) for key, text in stated.items())
    return groups


def stated_fields(settings: Mapping[str, JsonValue]) -> dict[str, str]:
    """Return field -> text for the settings whose key starts with "nist."; empty texts are left out.

    A field may be named by its key or by its label: "nist.noise_source", "nist.noise source", "nist.Accounting method".

    Examples
    --------
    >>> stated_fields({"nist.Accounting method": "PLD", "nist.odd": "x", "rng": 7})
    {'accounting': 'PLD', 'odd': 'x'}
    """
    known = {_folded(name): key for fields in GROUPS.values() for key, label in fields.items() for name in (key, label)}
    texts: dict[str, str] = {}
    for name, value in settings.items():
        text = plain(value)
        if name.startswith(PREFIX) and text.strip():
            field = name.removeprefix(PREFIX)
            key = known.get(_folded(field), field)
            texts[key] = f"{texts[key]} {text}" if key in texts else text
    return texts


def _folded(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def _known(report: AuditReport) -> dict[str, tuple[str, str]]:
    claim = report.claim
    known = {
        "epsilon": (NOTHING_CLAIMED.capitalize() if math.isinf(claim.epsilon) else number(claim.epsilon, 4), "claim"),
        "delta": (number(claim.delta, 4), "claim"),
        "unit_of_privacy": (claim.privacy_unit, "claim"),
        "neighboring": (f"{neighboring_name(claim.neighboring)}. {neighboring_sentence(claim)}", "claim"),
    }
    if claim.mechanism:
        known["mechanism"] = (claim.mechanism, "claim")
    if report.conformance is not None:
        tests = len(report.conformance.tests)
        outcome = "none failed" if report.conformance.passed else f"failed: {listed(report.conformance.broken)}"
        known["correctness"] = (f"{tests} conformance tests; {outcome}. Passing tests is no proof.", "audit")
    return known


def _field(key: str, label: str, known: tuple[str, str] | None, stated: str | None) -> NistField:
    texts = ((known[0],) if known else ()) + ((stated,) if stated else ())
    source = known[1] if known else ("stated" if stated else "")
    return NistField(key, label, texts, source)
