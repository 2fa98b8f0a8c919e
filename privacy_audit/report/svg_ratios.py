"""Pictures of a distribution-inference game: one row per pair of ratios, a bar for the interval, a dot for the middle, rings beside it.

The axis is a function value -> [0, 1]: straight for accuracies, logarithmic with a place for 0 for numbers of records. Words stand above
each mark, so one form serves wide and narrow screens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from privacy_audit.report.plain_text import number
from privacy_audit.report.svg_axes import element, label, line, picture, shortened

WIDTH, LEFT, RIGHT, TOP, ROW = 420.0, 14.0, 406.0, 22.0, 56.0
LOWEST_ACCURACY = 0.4
INFINITY_STRIP = 34.0
_NAME_COLUMNS, _VALUE_COLUMNS = 25, 30


@dataclass(frozen=True, slots=True)
class RatioRow:
    """One row: its words, its interval with the middle, and what is shown beside it as rings."""

    name: str
    value: str
    low: float
    middle: float
    high: float
    beside: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class AccuracyAxis:
    """Accuracies from a little below guessing to 1, on a straight scale."""

    low: float
    words: str = "accuracy on victims; 0.5 is guessing"

    def __call__(self, value: float) -> float:
        """Return the pixel."""
        return LEFT + (RIGHT - LEFT) * (value - self.low) / (1 - self.low)

    def ticks(self) -> list[float]:
        """Return round values of the scale."""
        step = 0.1 if self.low >= 0.3 else 0.2
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, round(1 / step) + 1)]


@dataclass(frozen=True, slots=True)
class RecordsAxis:
    """Numbers of records from 0, on a scale of log(1 + n), with a strip for infinity where it is needed."""

    high: float
    has_infinity: bool = False
    words: str = "records, logarithmic"

    def __call__(self, value: float) -> float:
        """Return the pixel."""
        if math.isinf(value):
            return RIGHT - 6
        end = RIGHT - INFINITY_STRIP * self.has_infinity
        return LEFT + (end - LEFT) * math.log1p(min(value, self.high)) / math.log1p(self.high)

    def ticks(self) -> list[float]:
        """Return 0 and powers of ten, at most seven of them."""
        most = math.floor(math.log10(self.high) + 1e-9)
        return [0.0, *(10.0**k for k in range(0, most + 1, 1 + most // 6)), *([math.inf] if self.has_infinity else [])]


def accuracy_axis(rows: Sequence[RatioRow]) -> AccuracyAxis:
    """Choose an axis that shows every row; it begins at 0.4 unless something lies lower."""
    lowest = min(min(row.low, row.middle, *row.beside) for row in rows)
    return AccuracyAxis(LOWEST_ACCURACY if lowest >= LOWEST_ACCURACY else math.floor(lowest * 10) / 10)


def records_axis(rows: Sequence[RatioRow]) -> RecordsAxis:
    """Choose an axis that shows every finite value with a little room."""
    values = [value for row in rows for value in (row.low, row.middle, row.high, *row.beside)]
    high = max((value for value in values if math.isfinite(value)), default=0.0)
    return RecordsAxis(max(10.0, 1.15 * high), any(math.isinf(value) for value in values))


def ratio_picture(rows: Sequence[RatioRow], axis: AccuracyAxis | RecordsAxis, *, title: str, guessing: float | None = None) -> Markup:
    """Draw the rows.

    Parameters
    ----------
    rows : from top to bottom.
    axis : made for these rows.
    title : for people who hear the page.
    guessing : where a dashed line marks what guessing gives; None draws none.
    """
    bottom = TOP + ROW * len(rows)
    parts = _frame(axis, bottom)
    for k, row in enumerate(rows):
        top = TOP + ROW * k
        if guessing is not None:  # in pieces: it must not run through the words
            parts.append(line(axis(guessing), top + 18, axis(guessing), top + 46, "diagonal"))
        parts += [
            label(LEFT, top + 12, shortened(row.name, _NAME_COLUMNS), "name"),
            label(RIGHT, top + 12, shortened(row.value, _VALUE_COLUMNS), "value", "end"),
            *_mark(row, axis, top + 32),
        ]
    said = "; ".join(f"{row.name}: {row.value}" for row in rows)
    return picture(WIDTH, bottom + 42, title, f"{said}.", parts, "square")


def _frame(axis: AccuracyAxis | RecordsAxis, bottom: float) -> list[Markup]:
    parts = [line(LEFT, bottom, RIGHT, bottom, "axis")]
    for tick in axis.ticks():
        x = axis(tick)
        side = "start" if x < LEFT + 4 else "end" if x > RIGHT - 4 else "middle"
        text = f"{tick:.1f}" if isinstance(axis, AccuracyAxis) and 0 < tick < 1 - 1e-9 else number(tick, 6)
        parts += [line(x, bottom, x, bottom + 4, "axis"), label(x, bottom + 18, text, "tick", side)]
    return [*parts, label((LEFT + RIGHT) / 2, bottom + 37, axis.words, "tick", "middle")]


def _mark(row: RatioRow, axis: AccuracyAxis | RecordsAxis, y: float) -> list[Markup]:
    low, high = axis(row.low), max(axis(row.high), axis(row.low) + 1)
    rings = [element("circle", cx=axis(value), cy=y, r=4.0, class_="ring") for value in row.beside]
    bar = element("rect", x=low, y=y - 5, width=high - low, height=10, rx=5, class_="mark posterior area")
    return [bar, *rings, element("circle", cx=axis(row.middle), cy=y, r=5, class_="mark posterior median")]
