"""The picture of `e_reusable_holdout`: accuracies against the number of chosen variables, as reported and on fresh data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

LINES = {"train": ("#b9bcc4", "."), "reported": ("#a01c17", "o"), "fresh": ("#1c4b87", "s")}
TITLES = {"plain": "holdout used plainly", "thresholdout": "through Thresholdout"}


def draw(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Draw means over seeds with their range, one panel per case and way of asking; the same rows give the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "e_reusable_holdout"
    cases = list(dict.fromkeys(str(row["case"]) for row in rows))
    panels = [(case, asked) for case in cases for asked in TITLES]
    fig, axes = plt.subplots(1, len(panels), figsize=(2.9 * len(panels), 3.4), sharey=True, layout="constrained", squeeze=False)
    for ax, (case, asked) in zip(axes[0], panels, strict=True):
        here = [row for row in rows if row["case"] == case and row["asked"] == asked]
        ks = sorted({int(str(row["k"])) for row in here})
        for name, (color, mark) in LINES.items():
            values = [[float(str(row[name])) for row in here if row["k"] == k] for k in ks]
            ax.plot(ks, [sum(v) / len(v) for v in values], color=color, marker=mark, linewidth=1.2, markersize=4, label=name)
            ax.fill_between(ks, [min(v) for v in values], [max(v) for v in values], color=color, alpha=0.2, linewidth=0)
        ax.axhline(0.5, color="black", linestyle="--", linewidth=0.8)
        ax.set(title=f"{case}, {TITLES[asked]}", xlabel="variables k")
        ax.title.set_fontsize("medium")
        ax.grid(color="#e3e5ea", linewidth=0.5)
    axes[0][0].set_ylabel("accuracy")
    fig.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=len(LINES), frameon=False, fontsize="small")
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)
