"""An audit on one screen: the small table that `demo` and `run` print."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

from privacy_audit.report.distribution import DistributionEvidence
from privacy_audit.report.distribution_view import records_text
from privacy_audit.report.membership import MembershipEvidence
from privacy_audit.report.record import AuditReport

COLUMNS = 80


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """Where the page and the record were written."""

    page: Path
    record: Path


def write_report(report: AuditReport, folder: str | os.PathLike[str]) -> WrittenReport:
    """Write report.html and report.json into the folder; each appears whole or not at all."""
    target = Path(folder)
    return WrittenReport(page=report.to_html(target / "report.html"), record=report.to_json(target / "report.json"))


def summary_lines(report: AuditReport) -> list[str]:
    """Return the table: what is claimed, what each kind of evidence says, the verdict. At most 80 columns."""
    claim, bound = report.claim, report.bound
    claimed = "no epsilon" if math.isinf(claim.epsilon) else f"epsilon <= {_epsilon(claim.epsilon)}"
    rows = [("claim", claimed, f"delta {claim.delta:g}, {claim.neighboring.value} neighbors")]
    runs = "one-run " if report.membership is None and report.distribution is None else ""
    rows.append(("bound", f"epsilon >= {_epsilon(bound.epsilon)}", f"{runs}{bound.method} bound, level {bound.level:g}"))
    if report.membership is not None:
        rows.append(_membership_row(report.membership))
    if report.distribution is not None:
        rows += _distribution_rows(report.distribution, level=report.level)
    if report.posterior is not None:
        low, high = report.posterior.interval(report.level)
        rows.append(("credible", f"[{low:.3f}, {high:.3f}]", f"posterior of the attack, level {report.level:g}"))
    if report.conformance is not None:
        rows.append(_conformance_row(report))
    lines = [line for name, value, note in rows for line in _folded(f"  {name:<12} {value:<17} ", note, indent=33)]
    for finding in report.findings:
        lines += _folded(f"  {finding.severity:<12} ", finding.message)
    for sentence in () if report.distribution is None else report.distribution.findings:
        lines += _folded(f"  {'warning':<12} ", sentence)
    for test in () if report.conformance is None else report.conformance.failures:
        lines += _folded(f"  {'failed':<12} ", f"{test.name}: {test.finding}")
    return [*lines, "", *_folded(f"  {report.verdict.upper()}: ", report.headline, indent=2)]


def _epsilon(value: float) -> str:
    return f"{value:.3f}" if value == 0 or value >= 0.1 else f"{value:.3g}"


def _folded(start: str, text: str, *, indent: int = 15) -> list[str]:
    return wrap(start + text, width=COLUMNS, subsequent_indent=" " * indent, drop_whitespace=True, replace_whitespace=False)


def _membership_row(membership: MembershipEvidence) -> tuple[str, str, str]:
    area = membership.scores[membership.registered].auc
    return "membership", f"AUC {area:.3f}", f"{membership.registered}, {membership.n_targets} of {membership.n_models} models attacked"


def _distribution_rows(evidence: DistributionEvidence, *, level: float) -> list[tuple[str, str, str]]:
    """One row for each pair of ratios, and one for all of them: the accuracy, and the exact number of leaked records."""
    readings, pooled = evidence.readings(level=level), evidence.pooled(level=level)
    rows = [
        (name if k else "ratios", f"accuracy {pair.accuracy:.3f}", f"{pair.name}: leaks {records_text(readings[pair.name])} records")
        for k, (name, pair) in enumerate(("", pair) for pair in evidence.pairs)
    ]
    return rows if pooled is None else [*rows, ("", "", f"all pairs: leak {records_text(pooled)} records")]


def _conformance_row(report: AuditReport) -> tuple[str, str, str]:
    conformance = report.conformance
    if conformance is None or not conformance.passed:
        n = 0 if conformance is None else len(conformance.failures)
        return "conformance", f"{n} tests failed", "no interval of epsilon is given"
    n = len(conformance.tests)
    if conformance.epsilon_interval is None:
        return "conformance", "passed", f"{n} tests"
    low, high = conformance.epsilon_interval
    return "conformance", f"[{low:.3f}, {high:.3f}]", f"{n} tests passed, level {conformance.level:g}"
