"""The report as one page that needs nothing else: no script, no network, every string escaped.

The page has two readers: a manager, who reads its first screen, and an expert, who checks the rest. Its numbers are those of
`AuditReport.to_dict()`, rounded; no score of any record stands in it. Settings whose key starts with "nist." fill the fields of NIST
SP 800-226 (`privacy_audit.report.nist`), the setting "not_tested" adds sentences to what was not tested (`privacy_audit.report.scope`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment
from markupsafe import Markup

from attacks.scores import AttackCounts
from privacy_audit.report import words
from privacy_audit.report.curves import posterior_density, roc_curve
from privacy_audit.report.distribution_view import (
    DistributionView,
    accuracy_figure,
    count_text,
    distribution_view,
    leakage_figure,
    rate_text,
    records_text,
)
from privacy_audit.report.distribution_words import NOT_CONCLUDED
from privacy_audit.report.nist import PREFIX, nist_fields
from privacy_audit.report.page_environment import page_environment
from privacy_audit.report.plain_text import interval, number, plain, told_apart
from privacy_audit.report.scope import NOT_TESTED_KEY, not_tested
from privacy_audit.report.statements import Statement, shown_posterior, statements
from privacy_audit.report.svg_ladder import NARROW, WIDE, ladder
from privacy_audit.report.svg_posterior import posterior_picture
from privacy_audit.report.svg_roc import roc_family, roc_picture, swatch

if TYPE_CHECKING:
    from attacks.membership.attack_report import AttackReport
    from privacy_audit.report.membership import MembershipEvidence
    from privacy_audit.report.record import AuditReport


@dataclass(frozen=True, slots=True)
class MembershipView:
    """What the section on membership inference shows: the evidence, its rates, a picture, and a piece of each curve for the legend."""

    evidence: MembershipEvidence
    rates: dict[str, AttackReport]
    picture: Markup
    swatches: dict[str, Markup]


def render(report: AuditReport) -> str:
    """Return the whole page.

    Parameters
    ----------
    report : the audit.

    Returns
    -------
    One HTML document below 500 kB, whatever the number of scores.
    """
    rows = statements(report)
    distribution = _distribution(report)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            tone=_tone(report),
            claims_nothing=math.isinf(report.claim.epsilon),
            rows=rows,
            withheld=words.withheld_reason(report.conformance),
            figures=_key_figures(report, rows, distribution),
            ladder_wide=ladder(rows, WIDE),
            ladder_narrow=ladder(rows, NARROW),
            posterior=_posterior(report, rows),
            roc=_roc(report),
            counts=_counts(report),
            membership=_membership(report),
            distribution=distribution,
            nist=nist_fields(report),
            not_tested=not_tested(report),
            settings=_settings(report),
        )
    )


def render_summary(report: AuditReport) -> str:
    """Return a small fragment for notebooks: verdict, sentence and ladder; its style touches nothing outside it."""
    rows = statements(report)
    return _environment().get_template("summary.html.j2").render(report=report, tone=_tone(report), rows=rows, ladder=ladder(rows, WIDE))


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.globals.update(
        words=words, rate_text=rate_text, count_text=count_text, records_text=records_text, not_concluded=NOT_CONCLUDED
    )
    return environment


def _tone(report: AuditReport) -> str:
    """Return the verdict that lends its color; silence about a claim of nothing is no good news."""
    return "inconclusive" if report.verdict == "consistent" and math.isinf(report.claim.epsilon) else report.verdict


def _key_figures(report: AuditReport, rows: tuple[Statement, ...], distribution: DistributionView | None) -> list[tuple[str, str, str]]:
    """Return (label, figure, note) for the strip below the headline."""
    claim, bound = report.claim, report.bound
    claimed, shown = told_apart(claim.epsilon, bound.epsilon)
    note = words.NOTHING_CLAIMED if math.isinf(claim.epsilon) else f"at delta {number(claim.delta)}"
    figures = [
        ("Claimed epsilon", "none" if math.isinf(claim.epsilon) else claimed, note),
        ("Shown at least", shown, f"{bound.kind}, level {bound.level:g}"),
    ]
    if distribution is not None:
        figures += [accuracy_figure(distribution), leakage_figure(distribution)]
    posterior = next((row for row in rows if row.role == "posterior"), None)
    if posterior is not None and posterior.withheld:
        figures.append(("Posterior", "withheld", "a conformance test failed"))
    elif posterior is not None and posterior.middle is not None and posterior.low is not None and posterior.high is not None:
        ends = f"credible, {interval(posterior.low, posterior.high)}"
        figures.append(("This attack’s epsilon", number(posterior.middle), ends))
    engine = next((row for row in rows if row.role == "engine posterior"), None)
    if engine is not None and engine.middle is not None and engine.low is not None and engine.high is not None:
        figures.append(("Engine’s epsilon", number(engine.middle), f"credible, {interval(engine.low, engine.high)}"))
    if report.conformance is not None:
        passed = sum(test.passed for test in report.conformance.tests)
        figures.append(("Conformance tests", f"{passed} of {len(report.conformance.tests)}", "passed"))
    elif report.power is not None and math.isfinite(claim.epsilon):
        figures.append(("Power", number(report.power, 2), "if the claim is just reached"))
    return figures


def _posterior(report: AuditReport, rows: tuple[Statement, ...]) -> dict[str, Markup | Statement | float] | None:
    posterior = shown_posterior(report)
    if posterior is None:
        return None
    density = posterior_density(posterior, report.claim)
    row = next(row for row in rows if row.role == "posterior")
    return {"picture": posterior_picture(density, row, report.claim), "row": row, "at_zero": density.at_zero}


def _roc(report: AuditReport) -> Markup | None:
    counts = _counts(report)
    curve = None if report.scores is None else roc_curve(report.scores)
    return None if curve is None and counts is None else roc_picture(report.claim, curve, counts)


def _counts(report: AuditReport) -> AttackCounts | None:
    posterior = shown_posterior(report)
    counts = None if posterior is None else posterior.counts
    return counts if isinstance(counts, AttackCounts) else None


def _membership(report: AuditReport) -> MembershipView | None:
    evidence = report.membership
    if evidence is None:
        return None
    chosen = evidence.registered
    picture = roc_family(report.claim, {name: roc_curve(scores) for name, scores in evidence.scores.items()}, chosen)
    swatches = {name: swatch(k, chosen=name == chosen) for k, name in enumerate(evidence.scores)}
    return MembershipView(evidence, evidence.attack_reports(level=report.level), picture, swatches)


def _distribution(report: AuditReport) -> DistributionView | None:
    return None if report.distribution is None else distribution_view(report.distribution, level=report.level)


def _settings(report: AuditReport) -> dict[str, str]:
    hidden = NOT_TESTED_KEY
    return {key: plain(value) for key, value in report.settings.items() if key != hidden and not key.startswith(PREFIX)}
