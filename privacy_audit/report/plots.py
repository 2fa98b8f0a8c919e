"""The report's pictures for notebooks, in matplotlib: the epsilon ladder, the posterior's density, the ROC."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from privacy_audit.report.curves import largest_tpr, posterior_density, roc_curve
from privacy_audit.report.plain_text import number
from privacy_audit.report.statements import Statement, shown_posterior, statements
from privacy_audit.report.svg_axes import shortened
from privacy_audit.report.svg_ladder import MOST_ROWS, largest_finite
from privacy_audit.report.words import NOTHING_CLAIMED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privacy_audit.report.record import AuditReport

BLUE, PURPLE, TEAL, RED, GREEN, GRAY = "#1c4b87", "#6f3f94", "#14645a", "#a01c17", "#1a6439", "#585b63"


def draw_ladder(report: AuditReport, ax: Axes | None = None) -> Axes:
    """Draw claim, bounds, posterior and conformance on one axis of epsilon; infinite values stand at the right edge.

    Parameters
    ----------
    report : the audit.
    ax : where to draw; a new figure if None.
    """
    claim, *rows = statements(report)[: MOST_ROWS + 1]
    ax = _axes((7.5, 1.2 + 0.55 * len(rows)), ax)
    values = [value for row in (claim, *rows) if not row.withheld for value in (row.low, row.middle, row.high) if value is not None]
    high = largest_finite(values)
    if not claim.claims_nothing:
        ax.axvspan(min(report.claim.epsilon, high), high, color=RED, alpha=0.08, linewidth=0)
        ax.axvline(min(report.claim.epsilon, high), color="black", linestyle="--", linewidth=1.2)
    for k, row in enumerate(rows):
        _draw_row(ax, row, k, high)
    ax.set_yticks(
        range(len(rows)),
        [f"{row.name}{'' if row.kind == row.name.lower() else f' ({row.kind})'}\n{shortened(row.value(), 24)}" for row in rows],
    )
    ax.set(xlim=(0, high), ylim=(len(rows) - 0.5, -0.5), xlabel="epsilon (nats)")
    claimed = NOTHING_CLAIMED if claim.claims_nothing else f"claim: at most {number(report.claim.epsilon)}"
    ax.set_title(f"{report.verdict}; {claimed}", fontsize="medium")
    return ax


def draw_posterior(report: AuditReport, ax: Axes | None = None) -> Axes:
    """Draw the density of the attack's epsilon with its interval and the claim.

    Raises
    ------
    ValueError : the report has no posterior, or a failed conformance test withholds it.
    """
    posterior = shown_posterior(report)
    if posterior is None:
        raise ValueError("this report shows no posterior: it has none, or a failed conformance test withholds it")
    ax = _axes((5, 3.5), ax)
    curve = posterior_density(posterior, report.claim)
    low, high = (float(end) for end in posterior.interval(report.level, kind="equal_tailed"))
    inside = (curve.epsilon >= low) & (curve.epsilon <= high)
    ax.fill_between(
        curve.epsilon[inside], curve.density[inside], color=PURPLE, alpha=0.25, linewidth=0, label=f"credible, level {report.level:g}"
    )
    ax.plot(curve.epsilon, curve.density, color=PURPLE)
    if report.claim.epsilon <= curve.epsilon[-1]:
        ax.axvline(report.claim.epsilon, color="black", linestyle="--", linewidth=1.2, label="claim")
    ax.set(xlim=(0, float(curve.epsilon[-1])), ylim=(0, None), yticks=[], xlabel="epsilon of this attack (nats)")
    ax.set_title("its upper end is not an upper bound on the mechanism's epsilon", fontsize="small", color=GRAY)
    ax.legend(frameon=False, fontsize="small")
    return ax


def draw_roc(report: AuditReport, ax: Axes | None = None) -> Axes:
    """Draw the ROC on logarithmic axes over the region that the claim allows.

    Raises
    ------
    ValueError : the report holds no scores.
    """
    if report.scores is None:
        raise ValueError("this report holds no scores, so it has no ROC")
    ax = _axes((4.5, 4.5), ax)
    curve = roc_curve(report.scores)
    low = 10.0**curve.lowest
    grid = np.logspace(curve.lowest, 0, 200)
    if math.isfinite(report.claim.epsilon):
        edge = np.maximum(largest_tpr(report.claim, grid), low / 2)
        ax.fill_between(grid, low / 2, edge, color=GREEN, alpha=0.13, linewidth=0, label="allowed by the claim")
    fpr, tpr = curve.corners()
    ax.plot(np.maximum(fpr, low / 2), np.maximum(tpr, low / 2), color=BLUE, label="attack")
    ax.plot([low, 1], [low, 1], color=GRAY, linestyle=":", linewidth=1, label="guessing")
    ax.set(xscale="log", yscale="log", xlim=(low / 2, 1), ylim=(low / 2, 1), xlabel="false positive rate", ylabel="true positive rate")
    ax.set_title(f"{report.scores.n_members:,} members, {report.scores.n_non_members:,} non-members", fontsize="small", color=GRAY)
    ax.legend(frameon=False, fontsize="small", loc="lower right")
    return ax


def _axes(size: tuple[float, float], ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    from matplotlib import pyplot

    _, made = pyplot.subplots(figsize=size, layout="constrained")
    return made


def _draw_row(ax: Axes, row: Statement, y: int, end: float) -> None:
    if row.withheld or row.low is None:
        return
    low = min(row.low, end)
    if row.high is None:
        style = "--" if row.kind == "estimate" else "-"
        ax.plot([low, end], [y, y], color=BLUE, linestyle=style, linewidth=3 if row.role == "bound" else 1.5)
        ax.plot(
            [end if math.isinf(row.low) else low], [y], color=BLUE, marker=">" if math.isinf(row.low) else "|", markersize=12, clip_on=False
        )
        ax.plot([end], [y], color=BLUE, marker=">", clip_on=False)
        return
    is_posterior = row.role in ("posterior", "engine posterior")
    color = PURPLE if is_posterior else TEAL
    ax.plot([low, min(row.high, end)], [y, y], color=color, linewidth=5 if is_posterior else 2.5, alpha=0.6)
    if row.middle is not None:
        ax.plot([min(row.middle, end)], [y], color=color, marker="o")
