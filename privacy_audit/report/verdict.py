"""The verdict: what claim and evidence say together, in one word and one sentence.

Rules (who may say what):
- only a bound with proved coverage says "violation", and only under the claim's own neighboring relation and delta;
- a failed conformance test says that the implementation is broken: "suspicious", with the broken parts named;
- a credible interval of the attack above the claim says "suspicious";
- a test of the claimed curve that rejects at a finite-sample level says "suspicious". It is proof against the curve, not against one
  epsilon at one delta, and the whole level 1 - `level` is pre-registered for the one bound: a second test that could say "violation" would
  spend it twice. Tests with an asymptotic level, and the posterior of the engine (whose parameters the conformance tests already judge at
  their own level), decide nothing;
- a claim of infinite epsilon claims nothing: no bound can contradict it, so it is "consistent" unless one of the above holds;
- "tight": bound / claim >= 0.9;
- "inconclusive": an ideal mechanism whose epsilon equals the claim would have left a bound of zero in more than half of such audits,
  so silence means nothing here; or the largest bound that the audit could have given at all, with every guess right, is within the claim;
- else "consistent", which reads "no violation found" and never "private".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from mechanisms.guarantee import PrivacyGuarantee, require_same_neighboring
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.curve_test_record import CurveTest
from privacy_audit.estimate.signals.conformance_report import ConformanceReport
from privacy_audit.report.plain_text import listed, number, told_apart

Verdict = Literal["violation", "suspicious", "consistent", "tight", "inconclusive"]

TIGHT_SHARE = 0.9
LEAST_POWER = 0.5


def decide(
    claim: PrivacyGuarantee,
    bound: EpsilonBound,
    *,
    credible_lower: float | None = None,
    conformance: ConformanceReport | None = None,
    curve_tests: Sequence[CurveTest] = (),
    power: float | None = None,
    reach: float | None = None,
) -> Verdict:
    """Apply the rules above.

    Parameters
    ----------
    claim : the guarantee that is tested.
    bound : the pre-registered bound; no other bound may decide, or the level is spent twice.
    credible_lower : lower end of the posterior's one-sided credible interval at the same level; None if there is no posterior.
    conformance : the conformance tests of the run; None if the audit has none.
    curve_tests : tests of the claimed curve, finite-sample ones at a level that they share.
    power : probability that this audit leaves a positive bound if the claim is tight; None if unknown.
    reach : the largest bound that this audit could have given, had every guess been right; None if unknown.

    Raises
    ------
    ValueError : the bound's neighboring relation or delta is not the claim's.
    """
    require_same_neighboring(claim.neighboring, bound.neighboring)
    if bound.delta != claim.delta:
        raise ValueError(f"bound and claim must have the same delta, got {bound.delta:g} and {claim.delta:g}")
    if bound.kind == "bound" and bound.epsilon > claim.epsilon:
        return "violation"
    if conformance is not None and not conformance.passed:
        return "suspicious"
    if credible_lower is not None and credible_lower > claim.epsilon:
        return "suspicious"
    if curve_is_refuted(curve_tests):
        return "suspicious"
    if math.isinf(claim.epsilon):
        return "consistent"
    if claim.epsilon > 0 and bound.epsilon >= TIGHT_SHARE * claim.epsilon:
        return "tight"
    if power is not None and power < LEAST_POWER:
        return "inconclusive"
    if reach is not None and reach <= claim.epsilon:
        return "inconclusive"
    return "consistent"


def curve_is_refuted(tests: Sequence[CurveTest]) -> bool:
    """Whether a curve test with a finite-sample level rejects."""
    return any(test.rejected and test.kind == "bound" for test in tests)


def headline(
    verdict: Verdict,
    claim: PrivacyGuarantee,
    bound: EpsilonBound,
    conformance: ConformanceReport | None,
    curve_tests: Sequence[CurveTest] = (),
    *,
    trials: str = "canaries",
) -> str:
    """Say the verdict in one sentence that a manager understands; `trials` names what a stronger audit needs more of."""
    claimed, shown = (f"epsilon {text}" for text in told_apart(claim.epsilon, bound.epsilon))
    origin = "the declared mechanism" if math.isinf(claim.epsilon) else f"the claim of {claimed}"
    if verdict == "violation":
        return f"The claim is false: {claimed} was claimed, but the attack proves at least {shown} at level {bound.level:g}."
    if verdict == "suspicious" and conformance is not None and not conformance.passed:
        reuse = " Repeated noise can be subtracted, so this run protects nothing." if conformance.noise_is_reused else ""
        return f"The training engine does not do what {origin} assumes: its tests of {listed(conformance.broken)} failed.{reuse}"
    if verdict == "suspicious" and curve_is_refuted(curve_tests):
        return f"The run is not as private as the privacy curve behind {origin}: its canaries can be told apart too well."
    if verdict == "suspicious":
        return f"The evidence points above the claim of {claimed}, but does not prove it: audit again with more {trials}."
    if verdict == "tight":
        return f"No violation found, and the claim is nearly reached: {claimed} claimed, at least {shown} shown."
    if verdict == "inconclusive":
        return f"This audit is too weak to say anything about the claim of {claimed}: use more {trials}."
    checked = " and the engine passed every conformance test" if conformance is not None else ""
    if math.isinf(claim.epsilon):
        return f"No finite epsilon is claimed; the attack shows at least epsilon {number(bound.epsilon)}{checked}."
    return f"No violation found: {claimed} is claimed, the attack shows at least {shown}{checked}."
