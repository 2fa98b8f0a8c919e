"""How a posterior of n_leaked is shown: a figure, and a table for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from privacy_audit.estimate.worlds.accuracy_views import MOST_ROWS, html_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privacy_audit.estimate.leakage import LeakagePosterior
    from privacy_audit.estimate.pooled_leakage import PooledLeakage

CAUTION = (
    "Records from which an ideal observer would be as accurate as this attack: a lower limit of what leaks, no count of exposed people, "
    "and only for this pair of rates and this method."
)
_CURVE_POINTS = 240


def plot_leakage(posterior: LeakagePosterior, ax: Axes | None) -> Axes:
    """Draw P(n_leaked > n) of each attack and shade its 95 % credible interval; the curve starts below 1 by the mass at 0."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    q = np.linspace(0.0, 0.998, _CURVE_POINTS)
    for n, (low, high) in zip(np.atleast_2d(posterior.ppf(q)), np.atleast_2d(posterior.interval(0.95)), strict=True):
        (line,) = ax.plot(n, 1 - q)
        ax.axvspan(low, high, alpha=0.15, color=line.get_color())
    ax.set_xlabel(f"n_leaked ({posterior.method}) at rates {posterior.p:g} and {posterior.q:g}")
    ax.set_ylabel("posterior probability of more")
    ax.set_title("95 % credible interval shaded")
    ax.set_ylim(0, 1.02)
    ax.set_xlim(left=0)
    return ax


def leakage_html(posterior: LeakagePosterior) -> str:
    """Return a table: median, 95 % credible interval and mass at 0 of each attack, at most twelve rows."""
    median, zero = np.atleast_1d(posterior.median), np.atleast_1d(posterior.prob_zero)
    ends, saturated = np.atleast_2d(posterior.interval(0.95)), np.atleast_1d(posterior.saturated)
    rows = [
        [f"{value:.4g}" for value in (median[i], ends[i, 0], ends[i, 1])] + [f"{zero[i]:.3g}", "yes" if saturated[i] else "no"]
        for i in range(min(len(median), MOST_ROWS))
    ]
    title = f"Posterior of n_leaked ({posterior.method}) at rates {posterior.p:g} and {posterior.q:g}"
    return html_table(title, ("median", "2.5 %", "97.5 %", "P(no leakage)", "no wrong guess"), rows, len(median), CAUTION)


def plot_pooled(posterior: PooledLeakage, ax: Axes | None) -> Axes:
    """Draw each pair's number with its 95 % credible interval; the common interval is a band."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    low, high = posterior.interval()
    ax.axvspan(low, high, alpha=0.15)
    ax.axvline(posterior.median, linewidth=1)
    rows = posterior.per_pair()
    for height, row in enumerate(rows):
        ax.plot([row.low, row.high], [height, height], color="black", linewidth=1)
        ax.plot([row.median], [height], "o", color="black")
    ax.set_yticks(range(len(rows)), [f"{row.p:g} or {row.q:g}" for row in rows])
    ax.set_xscale("log")
    ax.set_xlabel("records leaked (exact)")
    ax.set_title("95 % credible intervals; band: common to all pairs")
    return ax


def pooled_html(posterior: PooledLeakage) -> str:
    """Return a table: each pair's number, and the common one in the last row."""
    rows = [[f"{value:.4g}" for value in (row.p, row.q, row.median, row.low, row.high)] for row in posterior.per_pair()]
    rows.append(["all", "", *(f"{value:.4g}" for value in (posterior.median, *posterior.interval()))])
    median, low, high = posterior.spread
    caution = f"Spread of ln n between pairs: {median:.2g}, 95 % credible {low:.2g} to {high:.2g}. {CAUTION}"
    return html_table(
        "Posterior of n_leaked (exact), several pairs of rates", ("p", "q", "median", "2.5 %", "97.5 %"), rows, len(rows), caution
    )
