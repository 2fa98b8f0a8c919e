"""The picture of the coverage experiment: for each method how often it is right, and how much of the true epsilon it finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

MARKS = ("o", "s", "^", "D", "v", "P")
INK, RED, GRAY = "#1c4b87", "#a01c17", "#b9bcc4"


def draw(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Draw one line per method and one mark per setting, and write the picture; the same rows give the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "e_coverage"
    sources = list(dict.fromkeys(row["source"] for row in rows))
    methods = sorted(dict.fromkeys((row["source"], row["method"]) for row in rows), key=lambda pair: sources.index(pair[0]))
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 0.27 * len(methods) + 1.8), sharey=True, layout="constrained")
    for row in rows:
        at, mark = methods.index((row["source"], row["method"])), MARKS[settings.index(row["setting"])]
        style = {"marker": mark, "color": RED if row["falls_short"] else INK, "linestyle": "none", "markersize": 5, "alpha": 0.8}
        left.plot(row["coverage"], at, **style)
        if row["epsilon"] > 0:
            right.plot(row["mean"] / row["epsilon"], at, **style)
    for ax, line in ((left, 0.95), (right, 1.0)):
        ax.axvline(line, color="black", linestyle="--", linewidth=0.8)
        ax.grid(axis="y", color=GRAY, linewidth=0.4)
    left.set_yticks(range(len(methods)), [f"{method}  ({source})" for source, method in methods], fontsize="small")
    left.set(xlabel="share of audits that were right (red: too few)", xlim=(-0.03, 1.03), ylim=(len(methods) - 0.5, -0.5))
    right.set(xlabel="mean lower end / epsilon")
    for mark, setting in zip(MARKS, settings, strict=False):
        right.plot([], [], marker=mark, color=INK, linestyle="none", label=setting)
    fig.legend(*right.get_legend_handles_labels(), loc="outside upper center", ncols=len(settings), frameon=False, fontsize="small")
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)
