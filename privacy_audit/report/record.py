"""AuditReport: one audit, whole: claim, evidence, assumptions, and what would be needed to run it again.

It separates three things: what is claimed, what was measured (each statement with its kind), and under which assumptions.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from attacks.canaries.finding import Finding
from attacks.scores import MembershipScores
from mechanisms.guarantee import PrivacyGuarantee, require_same_neighboring
from mechanisms.json_ready import JsonValue, json_ready
from mechanisms.whole_file import write_whole
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.curves.curve_test_record import CurveTest
from privacy_audit.estimate.signals.conformance_report import ConformanceReport
from privacy_audit.report.distribution_words import distribution_headline
from privacy_audit.report.statements import shown_engine_posterior, shown_posterior
from privacy_audit.report.verdict import Verdict, decide, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
    from privacy_audit.estimate.posterior import EpsilonPosterior
    from privacy_audit.estimate.signals.raw_signal_record import RawSignalPosterior
    from privacy_audit.report.distribution import DistributionEvidence
    from privacy_audit.report.membership import MembershipEvidence

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AuditReport:
    """One audit.

    Parameters
    ----------
    claim : the guarantee that was tested; an infinite epsilon says that none is claimed.
    bound : the pre-registered lower bound, the only one that may decide the verdict.
    other_bounds : further bounds at the same level, each with assumptions of its own; they do not decide.
    posterior : Bayesian posterior of the attack's epsilon (kind "credible"), hierarchical where several guesses were made about each of
        several models; None after a failed conformance test.
    engine_posterior : posterior of the engine's epsilon from raw signals (kind "credible"); None without them or after a failed test.
    conformance : tests of the implementation; None where the audit has no raw signals.
    curve_tests : tests of the whole claimed curve; a rejection with a finite-sample level makes the verdict "suspicious", never more.
    findings : what static checks saw before training.
    scores : the attack's scores, for the ROC; None where only counts are known.
    power : probability that this audit leaves a positive bound if the claim is tight (simulated ideal mechanism).
    level : probability content of every interval in the report.
    threat_model : label -> sentence: what the attacker saw, how many runs and canaries.
    settings, versions, seeds : what is needed to run the audit again.
    title : the name the user gave the audit.
    membership : what attacks with reference models found; None where there were none.
    distribution : what attacks on the training distribution found. Its worlds are ratios, not records: it stands alone, and never beside
        membership, scores, tests of an engine or a posterior of epsilon. None where there were none.

    Raises
    ------
    ValueError : a bound or a posterior has another neighboring relation or another delta than the claim, the posterior is of many
        attacks (one axis of epsilon could not show them), or evidence about a distribution stands beside evidence about records.
    """

    claim: PrivacyGuarantee
    bound: EpsilonBound
    other_bounds: tuple[EpsilonBound, ...] = ()
    posterior: EpsilonPosterior | HierarchicalEpsilonPosterior | None = None
    engine_posterior: RawSignalPosterior | None = None
    conformance: ConformanceReport | None = None
    curve_tests: tuple[CurveTest, ...] = ()
    findings: tuple[Finding, ...] = ()
    scores: MembershipScores | None = None
    power: float | None = None
    level: float = 0.95
    threat_model: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, str] = field(default_factory=dict)
    title: str = "Privacy audit"
    membership: MembershipEvidence | None = None
    distribution: DistributionEvidence | None = None

    def __post_init__(self) -> None:
        posteriors = [posterior for posterior in (self.posterior, self.engine_posterior) if posterior is not None]
        for statement in (self.bound, *self.other_bounds, *posteriors):
            require_same_neighboring(self.claim.neighboring, statement.neighboring)
            if statement.delta != self.claim.delta:
                raise ValueError(f"all statements must have the claim's delta {self.claim.delta:g}, got {statement.delta:g}")
        if self.posterior is not None and not self.posterior.is_single:
            raise ValueError("posterior must be of one attack, got one of many; pass the attack that was chosen beforehand")
        about_records = (*posteriors, *self.curve_tests, *(x for x in (self.membership, self.scores, self.conformance) if x is not None))
        if self.distribution is not None and about_records:
            raise ValueError("evidence about a distribution is never pooled with evidence about records; make a report of each")

    @property
    def verdict(self) -> Verdict:
        """One of "violation", "suspicious", "consistent", "tight", "inconclusive"; rules in `privacy_audit.report.verdict`."""
        lower = None if self.posterior is None else self.posterior.interval(self.level, kind="lower")[0]
        return decide(
            self.claim,
            self.bound,
            credible_lower=lower,
            conformance=self.conformance,
            curve_tests=self.curve_tests,
            power=self.power,
            reach=None if self.distribution is None else self.distribution.reach,
        )

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        if self.distribution is not None:
            return distribution_headline(self.verdict, self.claim, self.bound, self.distribution)
        trials = "canaries" if self.membership is None else "models"
        return headline(self.verdict, self.claim, self.bound, self.conformance, self.curve_tests, trials=trials)

    @property
    def contradicted(self) -> bool:
        """Whether the evidence speaks against the claim: the command line then exits with 1."""
        return self.verdict in ("violation", "suspicious")

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record: the facts of the page, no record's score; a posterior that the page withholds is None."""
        posterior, engine = shown_posterior(self), shown_engine_posterior(self)
        return {
            "schema_version": SCHEMA_VERSION,
            "title": self.title,
            "verdict": self.verdict,
            "headline": self.headline,
            "level": self.level,
            "claim": self.claim.to_dict(),
            "bound": self.bound.to_dict(),
            "other_bounds": [bound.to_dict() for bound in self.other_bounds],
            "posterior": None if posterior is None else json_ready(posterior.to_dict()),
            "engine_posterior": None if engine is None else json_ready(engine.to_dict()),
            "conformance": None if self.conformance is None else self.conformance.to_dict(),
            "curve_tests": [test.to_dict() for test in self.curve_tests],
            "findings": [finding.to_dict() for finding in self.findings],
            "scores": None if self.scores is None else self.scores.to_dict(),
            "power": self.power,
            "threat_model": json_ready(dict(self.threat_model)),
            "settings": json_ready(dict(self.settings)),
            "versions": json_ready(dict(self.versions)),
            "seeds": json_ready(dict(self.seeds)),
            "membership": None if self.membership is None else self.membership.to_dict(level=self.level),
            "distribution": None if self.distribution is None else self.distribution.to_dict(level=self.level),
        }

    def to_json(self, path: str | os.PathLike[str]) -> Path:
        """Write the record as JSON; the file appears whole or not at all."""
        return write_whole(path, json.dumps(self.to_dict(), indent=2, allow_nan=False).encode() + b"\n")

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write one self-contained page; the file appears whole or not at all."""
        from privacy_audit.report.html import render

        return write_whole(path, render(self).encode())

    def _repr_html_(self) -> str:
        from privacy_audit.report.html import render_summary

        return render_summary(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the epsilon ladder: claim, bounds, posterior and conformance side by side."""
        from privacy_audit.report.plots import draw_ladder

        return draw_ladder(self, ax)
