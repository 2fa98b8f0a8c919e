"""Small pictures of single columns, real beside synthetic: bars for categories, steps for what has an order.

A picture has at most 64 steps or 10 bars: neighboring codes share a step, and the categories with the smallest real shares share the last
bar. Missing values stand apart. NOT private: the real shares are exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from privacy_audit.report.svg_axes import LinearScale, element, label, line, path, picture, shortened
from synth.column_shares import MISSING, ColumnShares

WIDTH = 320.0
MOST_BARS, MOST_STEPS = 10, 64
_LEFT, _RIGHT, _BAR, _ROW = 124.0, 308.0, 8.0, 23.0
_STEP_TOP, _STEP_BOTTOM, _STEP_LEFT = 8.0, 120.0, 44.0
_NAME_LETTERS, _END_LETTERS = 14, 13

Shares = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bar:
    """A category, or several together, and its two shares."""

    name: str
    real: float
    synthetic: float


def column_picture(shares: ColumnShares) -> Markup:
    """Draw one column."""
    said = f"Total variation {shares.tv:.3f}."
    title = f"{shares.name}, real and synthetic"
    if shares.column.kind == "categorical":
        bars = bars_of(shares)
        return picture(WIDTH, len(bars) * _ROW + 22, title, said, _bars(bars), "column")
    return picture(WIDTH, _STEP_BOTTOM + 24, title, said, _steps(shares), "column")


def bars_of(shares: ColumnShares) -> list[Bar]:
    """Return the bars: all codes in their order, or the nine with the largest real shares and the others together."""
    bars = [Bar(*entry) for entry in zip(shares.labels, shares.real.tolist(), shares.synthetic.tolist(), strict=True)]
    if len(bars) <= MOST_BARS:
        return bars
    order = np.argsort(-shares.real, kind="stable")
    kept, others = order[: MOST_BARS - 1], order[MOST_BARS - 1 :]
    rest = Bar(f"{len(others)} others", float(shares.real[others].sum()), float(shares.synthetic[others].sum()))
    return [*(bars[k] for k in kept), rest]


def steps_of(shares: ColumnShares) -> tuple[Shares, Shares]:
    """Return the shares of the values, without "missing", in at most 64 steps of equally many codes (the last may have fewer)."""
    first = int(shares.column.nullable)
    n = shares.column.size - first
    starts = np.arange(0, n, math.ceil(n / MOST_STEPS))
    return np.add.reduceat(shares.real[first:], starts), np.add.reduceat(shares.synthetic[first:], starts)


def _bars(bars: list[Bar]) -> list[Markup]:
    axis = LinearScale(_highest(max(max(bar.real, bar.synthetic) for bar in bars)), _LEFT, _RIGHT)
    bottom = len(bars) * _ROW
    parts = _share_ticks(axis, bottom)
    for k, bar in enumerate(bars):
        top = k * _ROW + 3
        parts.append(label(_LEFT - 8, top + 13, shortened(bar.name, _NAME_LETTERS), "column-label", "end"))
        for share, y, name in ((bar.real, top, "real"), (bar.synthetic, top + _BAR, "made")):
            parts.append(element("rect", x=_LEFT, y=y, width=axis(share) - _LEFT, height=_BAR, class_=name))
    return parts


def _steps(shares: ColumnShares) -> list[Markup]:
    real, made = steps_of(shares)
    missing = (float(shares.real[0]), float(shares.synthetic[0])) if shares.column.nullable else None
    highest = max(float(real.max()), float(made.max()), *(missing or ()))
    axis = LinearScale(_highest(highest), _STEP_BOTTOM, _STEP_TOP)
    left = _STEP_LEFT + (42 if missing else 0)
    edges = np.linspace(left, _RIGHT, len(real) + 1)
    bottom = [(float(edges[-1]), _STEP_BOTTOM), (float(edges[0]), _STEP_BOTTOM)]
    parts = [
        *_height_ticks(axis),
        path(_outline(edges, real, axis) + bottom, "real", close=True),
        path(_outline(edges, made, axis), "made-line"),
        line(left, _STEP_BOTTOM, _RIGHT, _STEP_BOTTOM, "axis"),
        *_ends(shares, left),
    ]
    return parts if missing is None else [*parts, *_missing_bars(missing, axis)]


def _missing_bars(missing: tuple[float, float], axis: LinearScale) -> list[Markup]:
    bars = [
        element("rect", x=_STEP_LEFT + shift, y=axis(share), width=_BAR, height=_STEP_BOTTOM - axis(share), class_=name)
        for share, shift, name in ((missing[0], 4.0, "real"), (missing[1], 4.0 + _BAR, "made"))
    ]
    foot = line(_STEP_LEFT, _STEP_BOTTOM, _STEP_LEFT + 24, _STEP_BOTTOM, "axis")
    return [*bars, foot, label(_STEP_LEFT - 10, _STEP_BOTTOM + 17, MISSING, "tick")]


def _ends(shares: ColumnShares, left: float) -> list[Markup]:
    """Return the words below the first and the last step."""
    labels = shares.labels[int(shares.column.nullable) :]
    first, last = labels[0].split(" to ")[0], labels[-1].split(" to ")[-1]
    shift = 14.0 if shares.column.nullable else 0.0
    return [
        label(left + shift, _STEP_BOTTOM + 17, shortened(first, _END_LETTERS), "tick"),
        label(_RIGHT, _STEP_BOTTOM + 17, shortened(last, _END_LETTERS), "tick", "end"),
    ]


def _outline(edges: Shares, heights: Shares, axis: LinearScale) -> list[tuple[float, float]]:
    corners = []
    for k, height in enumerate(heights.tolist()):
        corners += [(float(edges[k]), axis(height)), (float(edges[k + 1]), axis(height))]
    return corners


def _share_ticks(axis: LinearScale, bottom: float) -> list[Markup]:
    parts = []
    for tick in axis.ticks(3):
        x, side = axis(tick), "middle" if 0 < tick < axis.high * 0.95 else "start" if tick == 0 else "end"
        parts += [line(x, 0, x, bottom, "grid"), label(x, bottom + 16, _percent(tick), "tick", side)]
    return parts


def _height_ticks(axis: LinearScale) -> list[Markup]:
    parts = []
    for tick in axis.ticks(3):
        parts += [
            line(_STEP_LEFT, axis(tick), _RIGHT, axis(tick), "grid"),
            label(_STEP_LEFT - 6, axis(tick) + 4, _percent(tick), "tick", "end"),
        ]
    return parts


def _highest(share: float) -> float:
    return min(1.0, max(share, 1e-4) * 1.02)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
