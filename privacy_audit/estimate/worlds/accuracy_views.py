"""How a posterior of accuracy is shown: a figure, and a table for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from privacy_audit.estimate.accuracy import AccuracyPosterior
    from privacy_audit.estimate.rates.credible import CredibleLaw

MOST_ROWS = 12
CAUTION = "Credible interval of this attack's accuracy on victims of this game. An accuracy near 1/2 doesn't show that nothing leaks."
_CURVE_POINTS = 240


def plot_accuracy(posterior: CredibleLaw, ax: Axes | None) -> Axes:
    """Draw the density of each attack's accuracy, shade its 95 % credible interval and mark chance."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    ends = np.atleast_2d(posterior.ppf(np.array([0.002, 0.025, 0.975, 0.998])))
    grid = np.linspace(float(ends[:, 0].min()), float(ends[:, 3].max()), _CURVE_POINTS)
    for row, density in zip(ends, np.atleast_2d(posterior.pdf(grid)), strict=True):
        (line,) = ax.plot(grid, density)
        ax.fill_between(grid, density, where=((grid >= row[1]) & (grid <= row[2])).tolist(), alpha=0.25, color=line.get_color())
    ax.axvline(0.5, color="gray", linestyle="--", linewidth=1)
    ax.set_xlabel("balanced accuracy")
    ax.set_ylabel("posterior density")
    ax.set_title("95 % credible interval shaded, chance dashed")
    ax.set_ylim(bottom=0)
    return ax


def accuracy_html(posterior: AccuracyPosterior) -> str:
    """Return a table: counts, median and 95 % credible interval of each attack, at most twelve rows."""
    table = posterior.count_arrays
    summary = np.atleast_2d(posterior.ppf(np.array([0.5, 0.025, 0.975])))
    columns = (table.tn, table.fp, table.tp, table.fn)
    rows = [
        [*(str(int(column[i])) for column in columns), *(f"{value:.4g}" for value in summary[i])] for i in range(min(len(table), MOST_ROWS))
    ]
    head = ("world 0, right", "world 0, wrong", "world 1, right", "world 1, wrong", "median", "2.5 %", "97.5 %")
    return html_table("Posterior of balanced accuracy", head, rows, len(table), CAUTION)


def html_table(title: str, head: tuple[str, ...], rows: list[list[str]], n_rows: int, caution: str) -> str:
    """Return a titled table with a sentence below; `n_rows` is how many there are if not all are shown."""
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    more = f"<p>and {n_rows - len(rows)} more</p>" if n_rows > len(rows) else ""
    return f"<div><p><b>{title}</b></p><table><tr>{cells}</tr>{body}</table>{more}<p>{caution}</p></div>"
