"""How a posterior is shown and handed on: a figure, a table for notebooks, and draws for ArviZ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from privacy_audit.estimate.rates.beta_law import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataTree

    from privacy_audit.estimate.posterior import EpsilonPosterior
    from privacy_audit.estimate.rates.credible import CredibleLaw

_MOST_ROWS = 12
_CURVE_POINTS = 240
CAUTION = "Credible interval of this attack's epsilon. It is no bound and can't call a claim violated."


def datatree(draws: Mapping[str, FloatArray], n_chains: int) -> DataTree:
    """Return independent draws as a tree with group `posterior`.

    Parameters
    ----------
    draws : variable -> draws, shape (n_chains * n_draws,) or (n_attacks, n_chains * n_draws).
    n_chains : number of chains that the draws are dealt to.
    """
    import xarray

    variables = {}
    for name, values in draws.items():
        chains = values.reshape(*values.shape[:-1], n_chains, -1)
        variables[name] = (("chain", "draw", "attack")[: chains.ndim], np.moveaxis(chains, 0, -1) if chains.ndim == 3 else chains)
    _, shape = next((dims, array.shape) for dims, array in variables.values())
    coords = {name: np.arange(length) for name, length in zip(("chain", "draw", "attack"), shape, strict=False)}
    return xarray.DataTree.from_dict({"posterior": xarray.Dataset(variables, coords=coords)})


def plot(posterior: CredibleLaw, ax: Axes | None, *, title: str = "90 % credible interval shaded") -> Axes:
    """Draw the density of each attack's epsilon and shade its 90 % credible interval."""
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots()[1]
    ends = np.atleast_2d(posterior.ppf(np.array([0.002, 0.05, 0.95, 0.998])))
    low, high = float(ends[:, 0].min()), float(ends[:, 3].max())
    grid = np.linspace(low, high if high > low else low + 1.0, _CURVE_POINTS)
    for row, density in zip(ends, np.atleast_2d(posterior.pdf(grid)), strict=True):
        (line,) = ax.plot(grid, density)
        ax.fill_between(grid, density, where=((grid >= row[1]) & (grid <= row[2])).tolist(), alpha=0.25, color=line.get_color())
    ax.set_xlabel("epsilon (nats)")
    ax.set_ylabel("posterior density")
    ax.set_title(title)
    ax.set_ylim(bottom=0)
    return ax


def html(posterior: EpsilonPosterior) -> str:
    """Return a table: counts, median and 90 % credible interval of each attack, at most twelve rows."""
    table = posterior.count_arrays
    shown = min(len(table), _MOST_ROWS)
    summary = np.atleast_2d(posterior.ppf(np.array([0.5, 0.05, 0.95])))
    head = "".join(f"<th>{title}</th>" for title in ("tp", "fp", "tn", "fn", "median", "5 %", "95 %"))
    body = ""
    for i in range(shown):
        cells = [str(int(column[i])) for column in (table.tp, table.fp, table.tn, table.fn)] + [f"{value:.4g}" for value in summary[i]]
        body += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    more = f"<p>and {len(table) - shown} more</p>" if len(table) > shown else ""
    title = f"Posterior of epsilon at delta = {posterior.delta:g}, neighbors: {posterior.neighboring.value}"
    return f"<div><p><b>{title}</b></p><table><tr>{head}</tr>{body}</table>{more}<p>{CAUTION}</p></div>"
