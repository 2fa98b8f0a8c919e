"""What the audit did not test, in sentences: silence about these things is no evidence.

The user may add sentences of their own with the setting "not_tested", one string or a list of strings.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from privacy_audit.report.plain_text import plain

if TYPE_CHECKING:
    from privacy_audit.report.record import AuditReport

NOT_TESTED_KEY = "not_tested"

ALWAYS = (
    "Attacks other than the ones named here; a stronger attack may show a larger epsilon.",
    "Other neighboring relations, other privacy units and other values of delta.",
    "Other releases from the same data, and choices that were made by looking at the data (hyper-parameters, features, stopping).",
    "Side channels, such as running time, logs, checkpoints and floating-point representation of the noise.",
)
PROOF = "The proof behind the claim."


def not_tested(report: AuditReport) -> tuple[str, ...]:
    """Return one sentence for everything this audit leaves open, the user's own sentences first."""
    own = report.settings.get(NOT_TESTED_KEY, [])
    sentences = [plain(item) for item in own] if isinstance(own, list) else [plain(own)]
    if report.distribution is not None:
        sentences.append("Membership: whether single records can be told to have been trained on; that takes an audit of its own.")
    if report.conformance is None:
        sentences.append("The implementation: no raw signals were recorded, so no conformance test was run.")
    if report.scores is None and report.membership is None and report.distribution is None:
        sentences.append("The order of the scores: only counts at a threshold are known, so there is no ROC curve.")
    claims_something = math.isfinite(report.claim.epsilon)
    if report.power is None and report.distribution is None and claims_something:
        sentences.append("The power of this audit: how often it would notice a claim that is exactly reached is unknown.")
    return (*sentences, *ALWAYS, *((PROOF,) if claims_something else ()))
