"""The report's statements about epsilon, one record each: what the ladder draws and what the table below it says.

Three kinds are never mixed (bound, credible, conformance; "estimate" where a bound's coverage is only approximate). After a failed
conformance test posterior and conformance interval are withheld, whatever the report holds: both assume what the test refuted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.signals.signal_views import VIEWS
from privacy_audit.report.plain_text import interval, number
from privacy_audit.report.words import ENGINE_MEANING, KIND_MEANING, NOTHING_CLAIMED, withheld_reason

if TYPE_CHECKING:
    from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
    from privacy_audit.estimate.signals.raw_signal_record import RawSignalPosterior
    from privacy_audit.report.record import AuditReport

Role = Literal["claim", "bound", "other bound", "posterior", "engine posterior", "conformance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement about epsilon.

    Parameters
    ----------
    role : what it is in this report; the claim comes first.
    name : its name for a reader.
    kind : "claim", "bound", "estimate", "credible" or "conformance".
    low, middle, high : its ends and its median where it has them; a lower bound has only `low`, a claim only `high`.
    level : probability content; None for a claim.
    method : how it was computed.
    assumptions : sentences that must be true for it to hold.
    withheld : why it is not shown; empty if it is.
    """

    role: Role
    name: str
    kind: str
    low: float | None = None
    middle: float | None = None
    high: float | None = None
    level: float | None = None
    method: str = ""
    assumptions: tuple[str, ...] = ()
    withheld: str = ""

    @property
    def meaning(self) -> str:
        """What a statement of this kind says, in one sentence."""
        if self.claims_nothing:
            return "Nobody asserts a finite upper bound on epsilon."
        return ENGINE_MEANING if self.role == "engine posterior" else KIND_MEANING[self.kind]

    @property
    def claims_nothing(self) -> bool:
        """Whether this is a claim of infinite epsilon, which says nothing."""
        return self.role == "claim" and self.high == math.inf

    def value(self, digits: int = 3) -> str:
        """Write the statement's figures: "at most 8", "at least 2.3", "2.9 (2.1 to 3.8)", "7.2 to 8.9"."""
        if self.withheld:
            return "withheld"
        if self.claims_nothing:
            return NOTHING_CLAIMED
        if self.low is None:
            return f"at most {number(self.high, digits)}" if self.high is not None else ""
        if self.high is None:
            return f"at least {number(self.low, digits)}"
        ends = interval(self.low, self.high, digits).replace(" ", "\N{NO-BREAK SPACE}")
        return ends if self.middle is None else f"{number(self.middle, digits)} ({ends})"


def statements(report: AuditReport) -> tuple[Statement, ...]:
    """Return the claim and every statement of the report, in the order of the ladder."""
    claim = report.claim
    first = Statement(
        role="claim", name="Claim", kind="claim", high=claim.epsilon, method=claim.mechanism, assumptions=tuple(claim.assumptions)
    )
    bounds = [_of_bound(report.bound, "bound"), *(_of_bound(bound, "other bound") for bound in report.other_bounds)]
    return (first, *bounds, *_of_posterior(report), *_of_engine_posterior(report), *_of_conformance(report))


def shown_posterior(report: AuditReport) -> EpsilonPosterior | HierarchicalEpsilonPosterior | None:
    """Return the posterior unless a failed conformance test withholds it."""
    return None if withheld_reason(report.conformance) else report.posterior


def shown_engine_posterior(report: AuditReport) -> RawSignalPosterior | None:
    """Return the engine's posterior unless a failed conformance test withholds it."""
    return None if withheld_reason(report.conformance) else report.engine_posterior


def _of_bound(bound: EpsilonBound, role: Role) -> Statement:
    return Statement(
        role=role,
        name="Lower bound" if role == "bound" else "Other bound",
        kind=bound.kind,
        low=bound.epsilon,
        level=bound.level,
        method=bound.method,
        assumptions=tuple(bound.assumptions),
    )


def _of_posterior(report: AuditReport) -> list[Statement]:
    name = "Posterior"
    withheld = withheld_reason(report.conformance)
    if withheld:
        return [Statement(role="posterior", name=name, kind="credible", withheld=withheld)]
    if report.posterior is None:
        return []
    low, high = (float(end) for end in report.posterior.interval(report.level, kind="equal_tailed"))
    middle = float(report.posterior.median)
    method, assumes = _how(report.posterior)
    return [
        Statement(
            role="posterior",
            name=name,
            kind="credible",
            low=low,
            middle=middle,
            high=high,
            level=report.level,
            method=f"median and equal-tailed interval; {method}",
            assumptions=assumes,
        )
    ]


def _how(posterior: EpsilonPosterior | HierarchicalEpsilonPosterior) -> tuple[str, tuple[str, ...]]:
    """Return how a posterior models the guesses, and what it assumes of them."""
    if isinstance(posterior, EpsilonPosterior):
        a, b = posterior.prior
        assumes = ("The trials of the attack are independent.", "The threshold was not chosen on the trials that are counted.")
        return f"Beta({a:g}, {b:g}) prior of both error rates", assumes
    a, b = posterior.rho_prior
    assumes = ("Models were trained independently.", "The threshold was not chosen on the models that are counted.")
    return f"rates vary between models, rho ~ Beta({a:g}, {b:g})", assumes


def _of_engine_posterior(report: AuditReport) -> list[Statement]:
    """The posterior from raw signals; after a failed test one withheld posterior stands for both."""
    posterior = shown_engine_posterior(report)
    if posterior is None:
        return []
    low, high = (float(end) for end in posterior.interval(report.level, kind="equal_tailed"))
    return [
        Statement(
            role="engine posterior",
            name="Engine posterior",
            kind="credible",
            low=low,
            middle=posterior.median,
            high=high,
            level=report.level,
            method=f"median and equal-tailed interval; seen: {VIEWS[posterior.view]} ({posterior.view})",
            assumptions=posterior.assumptions,
        )
    ]


def _of_conformance(report: AuditReport) -> list[Statement]:
    conformance = report.conformance
    if conformance is None:
        return []
    name, level = "Conformance", conformance.level
    if not conformance.passed:
        return [Statement(role="conformance", name=name, kind="conformance", withheld=withheld_reason(conformance))]
    if conformance.epsilon_interval is None:
        return []
    low, high = conformance.epsilon_interval
    assumes = ("Noise is independent and Gaussian, sampling is Poisson: tested below, not proved.",)
    method = "the accountant at the ends of what was measured"
    return [
        Statement(role="conformance", name=name, kind="conformance", low=low, high=high, level=level, method=method, assumptions=assumes)
    ]
