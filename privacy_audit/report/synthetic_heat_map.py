"""The heat map of a synthetic table: total variation of every pair of columns below the diagonal, of every column on it.

Colors stand for the same values on every page: classes of total variation with fixed limits. Cells of a wide picture hold their number
where there is room for it; with many columns only every second, third, ... name is written, and cells of one color are one path.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from privacy_audit.report.plain_text import number
from privacy_audit.report.svg_axes import element, label, picture, shortened

if TYPE_CHECKING:
    from privacy_audit.report.synthetic_record import TableEvaluation

LIMITS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # of the eight colors
MOST_COLUMNS = 120
_MOST_TITLES = 32  # columns beyond which cells have no words of their own
_ROOM_FOR_NUMBER = 33.0
_LINE, _LETTER, _TOP, _END = 14.0, 8.6, 10.0, 8.0


@dataclass(frozen=True, slots=True)
class HeatLayout:
    """A form of the picture: its width, letters of a name, the largest cell, and its class."""

    width: float
    letters: int
    cell: float
    css_class: str


WIDE = HeatLayout(width=960.0, letters=20, cell=58.0, css_class="wide")
NARROW = HeatLayout(width=440.0, letters=13, cell=48.0, css_class="narrow")


@dataclass(frozen=True, slots=True, eq=False)
class HeatMap:
    """Names of the columns that are drawn and the (d, d) total variations, single columns on the diagonal."""

    names: tuple[str, ...]
    tv: NDArray[np.float64]


def heat_map(evaluation: TableEvaluation) -> HeatMap:
    """Return what is drawn: all columns, or the `MOST_COLUMNS` with the largest mean over their pairs, in the order of the schema."""
    names = tuple(shares.name for shares in evaluation.columns)
    place = {name: k for k, name in enumerate(names)}
    tv = np.diag([shares.tv for shares in evaluation.columns])
    for group in evaluation.pairs.groups:
        if len(group.columns) == 2:
            first, second = (place[name] for name in group.columns)
            tv[first, second] = tv[second, first] = group.tv
    kept = np.sort(np.argsort(-tv.mean(axis=1), kind="stable")[:MOST_COLUMNS])
    return HeatMap(tuple(names[k] for k in kept), tv[np.ix_(kept, kept)])


def color_class(tv: float) -> int:
    """Return which of the eight colors a total variation has.

    Examples
    --------
    >>> [color_class(tv) for tv in (0.0, 0.005, 0.019, 0.7)]
    [0, 1, 2, 7]
    """
    return bisect_right(LIMITS, tv)


def color_words() -> list[str]:
    """Return what each color stands for."""
    ends = [f"{limit:g}" for limit in LIMITS]
    return [f"below {ends[0]}", *(f"{low} to {high}" for low, high in pairwise(ends)), f"{ends[-1]} and more"]


def heat_picture(shown: HeatMap, layout: HeatLayout) -> Markup:
    """Draw the heat map in one of its forms."""
    d = len(shown.names)
    letters = min(layout.letters, max(len(name) for name in shown.names))
    left = letters * _LETTER + 8
    size = min(layout.cell, (layout.width - left - _END) / d)
    every = math.ceil(_LINE / size)
    parts = list(_cells(shown, left, size))
    for k in range(0, d, every):
        middle = (k + 0.5) * size
        name = shortened(shown.names[k], letters)
        parts.append(label(left - 6, _TOP + middle + 4.5, name, "heat-name", "end"))
        turn = f"translate({left + middle + 4.5:.1f} {_TOP + d * size + 8:.1f}) rotate(-90)"
        parts.append(element("text", name, transform=turn, text_anchor="end", class_="heat-name"))
    first, second = (int(k) for k in np.unravel_index(int(np.argmax(shown.tv)), shown.tv.shape))
    where = shown.names[first] if first == second else f"{shown.names[second]} and {shown.names[first]}"
    said = f"{d} columns. The largest is {number(shown.tv[first, second])}, of {where}."
    return picture(layout.width, _TOP + d * size + left + 4, "Total variation of every pair of columns", said, parts, layout.css_class)


def swatch(color: int) -> Markup:
    """Return a small square of a color, for the legend."""
    square = element("rect", x=0.5, y=0.5, width=13, height=13, class_=f"heat heat-{color}")
    return element("svg", square, class_="privacy-audit-picture heat-swatch", viewBox="0 0 14 14", aria_hidden="true")


def _cells(shown: HeatMap, left: float, size: float) -> list[Markup]:
    d = len(shown.names)
    if d > _MOST_TITLES:
        return _paths(shown, left, size)
    parts = []
    for row in range(d):
        for column in range(row + 1):
            tv = float(shown.tv[row, column])
            what = shown.names[row] if row == column else f"{shown.names[column]} × {shown.names[row]}"
            x, y, color = left + column * size, _TOP + row * size, color_class(tv)
            place = {"x": x + 0.5, "y": y + 0.5, "width": size - 1, "height": size - 1}
            edge = " alone" if row == column else ""
            parts.append(element("rect", element("title", f"{what}: {number(tv)}"), **place, class_=f"heat heat-{color}{edge}"))
            if size >= _ROOM_FOR_NUMBER:
                parts.append(label(x + size / 2, y + size / 2 + 4, _short(tv), f"heat-number on-{color}", "middle"))
    return parts


def _paths(shown: HeatMap, left: float, size: float) -> list[Markup]:
    steps: dict[int, list[str]] = defaultdict(list)
    side = f"{size:.2f}"
    for row in range(len(shown.names)):
        for column in range(row + 1):
            corner = f"M{left + column * size:.1f} {_TOP + row * size:.1f}"
            steps[color_class(float(shown.tv[row, column]))].append(f"{corner}h{side}v{side}h-{side}z")
    return [element("path", d="".join(moves), class_=f"heat heat-{color}") for color, moves in sorted(steps.items())]


def _short(tv: float) -> str:
    """Write a total variation in four letters: .004, .015, .12, 1."""
    if tv >= 0.995:
        return "1"
    return (f"{tv:.2f}" if tv >= 0.0995 else f"{tv:.3f}")[1:]
