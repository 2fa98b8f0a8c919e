"""What a report says about attacks on a training distribution: the verdict in one sentence, and what can't be concluded.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022. Suri, Lu, Chen, Evans, Dissecting Distribution Inference,
SaTML 2023.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mechanisms.guarantee import PrivacyGuarantee
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.report.plain_text import interval, told_apart
from privacy_audit.report.verdict import Verdict

if TYPE_CHECKING:
    from privacy_audit.report.distribution import DistributionEvidence

NO_VIOLATION = "Success against the distribution is by itself no violation of differential privacy."

NOT_CONCLUDED = (
    "That the models leak no more: the number of leaked records is a lower limit, set by the strength of the attack that was used.",
    "That a distribution is safe where the accuracy is near 1/2: a stronger attack may tell the worlds apart.",
    "That so many persons are exposed: the number counts draws from the distribution that would tell an ideal observer as much as the "
    "model does. It gives no risk of membership inference.",
    "Anything about other ratios or another size of the training set: each number belongs to its pair of ratios and to this size.",
    "A comparison of numbers that were computed by different methods: the exact number and the published bound answer different questions.",
    "Anything beyond these victims' law: the posterior covers the sampling of victims, for this attack, these shadow models and this pool "
    "of data.",
    NO_VIOLATION,
)


def distribution_headline(verdict: Verdict, claim: PrivacyGuarantee, bound: EpsilonBound, evidence: DistributionEvidence) -> str:
    """Say the verdict in one or two sentences that a manager understands."""
    claimed, shown = (f"epsilon {text}" for text in told_apart(claim.epsilon, bound.epsilon))
    if verdict == "violation":
        return (
            f"The claim is false: {claimed} was claimed, but {evidence.n_victims:,} victim models tell more of their training distribution "
            f"than it allows; that proves at least {shown} at level {bound.level:g}."
        )
    if verdict == "inconclusive":
        claimed, most = (f"epsilon {text}" for text in told_apart(claim.epsilon, evidence.reach))
        return (
            f"This audit can't test the claim of {claimed}: an attack that is right about every one of {evidence.n_victims:,} victim "
            f"models would show only {most}. {NO_VIOLATION}"
        )
    if verdict == "tight":
        victims = f"{evidence.n_victims:,} victim models"
        return f"No violation found, and the claim is nearly reached: {claimed} claimed, at least {shown} shown by {victims}."
    told = f"{_told(evidence)} {NO_VIOLATION}"
    if math.isinf(claim.epsilon):
        return f"No finite epsilon is claimed. {told}"
    return f"No violation found: {claimed} is claimed, the victim models show at least {shown}. {told}"


def _told(evidence: DistributionEvidence) -> str:
    accuracies = [pair.accuracy for pair in evidence.pairs]
    low, high = min(accuracies), max(accuracies)
    if low == high:
        pairs = "the two ratios" if len(accuracies) == 1 else f"each of {len(accuracies)} pairs of ratios"
        return f"An attack told {pairs} apart with accuracy {low:.2f} on victim models."
    return (
        f"Attacks told {len(accuracies)} pairs of ratios apart with accuracy {interval(round(low, 2), round(high, 2), 2)} on victim models."
    )
