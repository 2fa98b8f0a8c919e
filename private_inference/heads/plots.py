"""The heat map of head entropies over training: a row a head, layer by layer, a column an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from private_inference.heads.entropy import causal_max_entropy

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_head_entropies(
    steps: NDArray[np.int64], head_entropy: NDArray[np.float64], *, T: int, note: str = "", ax: Axes | None = None
) -> Axes:
    """Draw head entropies; colors run from 0 to Ebar_max(T), entropies that are not finite stay gray.

    Parameters
    ----------
    steps : (n,), increasing.
    head_entropy : (n, L, H), in nats.
    T : context length.
    note : added to the title.
    ax : where to draw; a new figure if None.
    """
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(layout="constrained")
    n, n_layer, n_head = head_entropy.shape
    rows = np.ma.masked_invalid(head_entropy.reshape(n, n_layer * n_head).T)
    ax.set_facecolor("0.7")
    mesh = ax.pcolormesh(_edges(steps), np.arange(n_layer * n_head + 1), rows, cmap="viridis", vmin=0.0, vmax=causal_max_entropy(T))
    for layer in range(1, n_layer):
        ax.axhline(layer * n_head, color="white", linewidth=0.8)
    ax.set_yticks((np.arange(n_layer) + 0.5) * n_head, [f"layer {layer}" for layer in range(n_layer)])
    ax.invert_yaxis()
    ax.set_xlabel("step")
    ax.set_title(f"head entropy{'; ' if note else ''}{note}", fontsize="medium")
    ax.figure.colorbar(mesh, ax=ax, label="nats, up to the largest possible")
    return ax


def _edges(steps: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return where columns begin and end: half way between steps."""
    if len(steps) == 1:
        return np.array([steps[0] - 0.5, steps[0] + 0.5])
    middle = (steps[1:] + steps[:-1]) / 2
    return np.concatenate([[2 * steps[0] - middle[0]], middle, [2 * steps[-1] - middle[-1]]])
