"""The picture of `e_private_gsd`: average total variation of pairs against epsilon, one panel per table, one line per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt

STYLES = {
    "one_shot": ("#1c4b87", "o", "-"),
    "adaptive": ("#2f8f6b", "s", "-"),
    "auto": ("#1c4b87", "x", ":"),
    "independent": ("#b9bcc4", ".", "-"),
    "mst": ("#c98a1b", "^", "--"),
    "aim": ("#a01c17", "D", "--"),
}


def draw(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Draw rows that have an error, and write the picture; the same rows give the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "e_private_gsd"
    measured = [row for row in rows if "avg_tv" in row]
    tables = list(dict.fromkeys(str(row["table"]) for row in measured))
    fig, axes = plt.subplots(1, len(tables), figsize=(2.9 * len(tables), 3.4), layout="constrained", squeeze=False)
    for ax, table in zip(axes[0], tables, strict=True):
        for method, (color, mark, line) in STYLES.items():
            points = sorted(
                (float(str(row["epsilon"])), float(str(row["avg_tv"])))
                for row in measured
                if row["table"] == table and row["method"] == method
            )
            if points:
                ax.plot(*zip(*points, strict=True), color=color, marker=mark, linestyle=line, linewidth=1.2, markersize=5, label=method)
        ax.set(title=table, xscale="log", yscale="log", xlabel="epsilon")
        ax.grid(color="#e3e5ea", linewidth=0.5)
    axes[0][0].set_ylabel("average total variation of pairs")
    handles = {label: handle for ax in axes[0] for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=len(handles), frameon=False, fontsize="small")
    fig.savefig(path, metadata={"Date": None})
    plt.close(fig)
