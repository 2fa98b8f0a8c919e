"""How errors of a workload are shown in a notebook: a heat map of pairs, and a small table."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from synth.evaluate import WorkloadError

MOST_ROWS = 10
_MOST_NUMBERS = 16  # columns beyond which cells are too small for a number


def error_matrix(error: WorkloadError) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return names of columns and their total variations: pairs off the diagonal, single columns on it, NaN where nothing was compared.

    Raises
    ------
    ValueError : a workload without marginals of one or two columns.
    """
    small = [group for group in error.groups if 1 <= len(group.columns) <= 2]
    if not small:
        raise ValueError("a heat map needs marginals of one or two columns; evaluate Marginals(k=2)")
    names = tuple(dict.fromkeys(name for group in small for name in group.columns))
    tv = np.full((len(names), len(names)), np.nan)
    for group in small:
        first, last = names.index(group.columns[0]), names.index(group.columns[-1])
        tv[first, last] = tv[last, first] = group.tv
    return names, tv


def draw_errors(error: WorkloadError, ax: Axes | None = None) -> Axes:
    """Draw the total variation of every pair of columns.

    Parameters
    ----------
    error : of a workload with marginals of one or two columns.
    ax : where to draw; a new figure if None.
    """
    names, tv = error_matrix(error)
    if ax is None:
        from matplotlib import pyplot

        side = 2.5 + 0.45 * min(len(names), 30)
        _, ax = pyplot.subplots(figsize=(side, side), layout="constrained")
    ax.imshow(np.ma.masked_invalid(tv), cmap="Blues", vmin=0.0, vmax=max(float(np.nanmax(tv)), 1e-3))
    ax.set_xticks(range(len(names)), names, rotation=90)
    ax.set_yticks(range(len(names)), names)
    if len(names) <= _MOST_NUMBERS:
        middle = float(np.nanmax(tv)) / 2
        for (row, column), value in np.ndenumerate(tv):
            if not np.isnan(value):
                ink = "white" if value > middle else "black"
                ax.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize="x-small", color=ink)
    ax.set_title("total variation; not private", fontsize="medium")
    return ax


def error_html(error: WorkloadError, note: str) -> str:
    """Return a table for notebooks: the means, and the marginals that are worst."""
    names = {
        "avg_tv": "average total variation",
        "max_tv": "largest total variation",
        "avg_cell": "average cell",
        "max_cell": "largest cell",
        "rmse": "root mean square",
    }
    facts = [(text, getattr(error, name)) for name, text in names.items() if getattr(error, name) is not None]
    worst = sorted(error.groups, key=lambda group: -group.tv)[:MOST_ROWS]
    rows = "".join(f"<tr><td>{text}</td><td>{value:.4g}</td></tr>" for text, value in facts)
    rows += "".join(f"<tr><td>{escape(' × '.join(group.columns))}</td><td>{group.tv:.4g}</td></tr>" for group in worst)
    more = len(error.groups) - len(worst)
    rest = f"<p>and {more} more marginals</p>" if more > 0 else ""
    return (
        "<div><p><b>Error of a synthetic table</b></p>"
        f"<table><tr><th>what</th><th>error</th></tr>{rows}</table>{rest}<p>Not private: {escape(note)}.</p></div>"
    )
