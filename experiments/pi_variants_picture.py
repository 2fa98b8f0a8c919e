"""The picture of `e_pi_variants`: held-out perplexity against bytes, one mark a variant, softmax and fold.

Rings and steps join what nothing beats in one without losing in the other. A variant's marks lie on one height, the mean perplexity of its
seeds; its name stands at the right, moved where names would touch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]
COLORS = {"stock": "#a01c17", "row reciprocal": "#c98a1b", "packed in 4": "#1c4b87"}
GRAY = "#b9bcc4"
HIGHEST = 1.45  # perplexity in the picture, as a multiple of the lowest
_HEIGHT = 0.028  # of one name, as a share of the axis


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw all variants that have a perplexity and a cost, and write the picture; the same rows give the same bytes."""
    mpl.rcParams["svg.hashsalt"] = "e_pi_variants"
    means = mean_perplexities(rows)
    top = HIGHEST * min(means.values())
    points = [(*point, means[point[0]]) for point in cost_points(rows) if means.get(point[0], math.inf) <= top]
    axes = (figure := Figure(figsize=(10, 8), layout="constrained")).subplots()
    for _, softmax, folded, cost, perplexity in points:
        face = COLORS[softmax] if folded else "white"
        axes.plot(cost, perplexity, "o", ms=6, color=COLORS[softmax], markerfacecolor=face, zorder=3)
    front = pareto_front([point[3:] for point in points])
    ring = {"marker": "o", "markersize": 12, "markerfacecolor": "none"}
    axes.step(*zip(*front, strict=True), where="post", color="black", lw=1.1, ls="--", zorder=2, label="not beaten in both", **ring)
    axes.set(xscale="log", yscale="log", xlabel="megabytes sent by one party, whole model with logits", ylabel="held-out perplexity")
    axes.set_title("Quality against the cost of private inference, toy size; filled: folded, hollow: as trained", fontsize="medium")
    megabytes = [point[3] for point in points]
    _ticks(axes, megabytes, [point[4] for point in points])
    _write_names(axes, {point[0]: point[4] for point in points}, min(megabytes), max(megabytes))
    beyond = [f"{name} ({mean:.0f})" for name, mean in means.items() if mean > top]
    if beyond:
        axes.text(0.01, 0.985, f"above the picture: {', '.join(beyond)}", transform=axes.transAxes, va="top", fontsize="small")
    for softmax, color in COLORS.items():
        axes.plot([], [], "o", color=color, label=f"softmax: {softmax}")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize="small")
    figure.savefig(path, metadata={"Date": None})


def mean_perplexities(rows: Sequence[Row]) -> dict[str, float]:
    """Return each case's perplexity, the mean of its seeds; cases with a seed that diverged are left out."""
    training = [row for row in rows if row["part"] == "training"]
    broken = {row["case"] for row in training if row["status"] == "diverged"}
    found: dict[str, list[float]] = {}
    for row in training:
        if row["case"] not in broken:
            found.setdefault(str(row["case"]), []).append(number_from_json(row["perplexity"]))
    return {name: sum(values) / len(values) for name, values in found.items()}


def cost_points(rows: Sequence[Row]) -> list[tuple[str, str, bool, float]]:
    """Return (case, softmax, folded, megabytes) of every kind that has a color, once."""
    found: dict[tuple[str, str, bool], float] = {}
    for row in rows:
        if row["part"] == "cost" and "bytes" in row and row["softmax"] in COLORS:
            found.setdefault((str(row["case"]), str(row["softmax"]), bool(row["folded"])), number_from_json(row["bytes"]) / 1e6)
    return [(*key, megabytes) for key, megabytes in found.items()]


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (cost, perplexity) that no other point beats in one without losing in the other, by cost."""
    front: list[tuple[float, float]] = []
    for point in sorted(points):
        if not front or point[1] < front[-1][1]:
            front.append(point)
    return front


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places in [low, high] moved apart to at least `gap`, order kept; groups that would touch are centered on their mean place."""

    def start(group: list[int]) -> float:
        centered = sum(places[i] for i in group) / len(group) - gap * (len(group) - 1) / 2
        return max(low, min(high - gap * (len(group) - 1), centered))

    groups: list[list[int]] = []
    for i in sorted(range(len(places)), key=lambda i: places[i]):
        groups.append([i])
        while len(groups) > 1 and start(groups[-1]) < start(groups[-2]) + gap * len(groups[-2]):
            last = groups.pop()
            groups[-1] += last
    moved = list(places)
    for group in groups:
        for number, i in enumerate(group):
            moved[i] = start(group) + gap * number
    return moved


def _ticks(axes: Axes, megabytes: Sequence[float], perplexities: Sequence[float]) -> None:
    low, high = 0.9 * min(megabytes), 4.2 * max(megabytes)
    axes.set_xlim(low, high)
    axes.set_xticks(ticks := [tick for tick in (1, 2, 3, 5, 8, 12, 20, 30, 50, 80) if low <= tick <= max(megabytes)], map(str, ticks))
    low, high = 0.97 * min(perplexities), 1.05 * max(perplexities)
    axes.set_ylim(low, high)
    axes.set_yticks(ticks := [tick for tick in (*range(10, 60, 2), *range(60, 1000, 20)) if low <= tick <= high], map(str, ticks))
    axes.minorticks_off()
    axes.grid(color="#e3e5ea", linewidth=0.5)


def _write_names(axes: Axes, heights: Mapping[str, float], left: float, right: float) -> None:
    """Draw a line through each variant's marks to its name."""
    low, high = map(math.log, axes.get_ylim())
    shares = [(math.log(height) - low) / (high - low) for height in heights.values()]
    for (name, height), share in zip(heights.items(), spread(shares, _HEIGHT, 0.02, 0.95), strict=True):
        place = math.exp(low + share * (high - low))
        axes.plot([left, 1.06 * right, 1.25 * right], [height, height, place], color=GRAY, lw=0.6, zorder=1)
        axes.text(1.28 * right, place, f"{name}, {height:.1f}", va="center", fontsize="small")
