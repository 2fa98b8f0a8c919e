"""The epsilon ladder: claim, bounds, posterior and conformance on one axis of epsilon, one row each, so no labels can meet.

A wide form has words on the left and figures on the right; a narrow one, for small screens, has both above each row's mark.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from privacy_audit.report.plain_text import number
from privacy_audit.report.statements import Statement
from privacy_audit.report.svg_axes import LinearScale, element, label, line, path, picture, shortened

MOST_ROWS = 10
TITLE = "Epsilon ladder"


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand: width, ends of the axis, height of a row, where its mark lies in it, and how many characters fit."""

    width: float
    left: float
    right: float
    row: float
    mark: float
    name_columns: int
    method_columns: int
    narrow: bool


WIDE = Layout(width=920, left=228, right=696, row=50, mark=25, name_columns=24, method_columns=34, narrow=False)
NARROW = Layout(width=360, left=8, right=352, row=62, mark=46, name_columns=22, method_columns=0, narrow=True)
TOP = 36.0


@dataclass(frozen=True, slots=True)
class EpsilonAxis:
    """Epsilon to pixels; infinite values get a place of their own at the right end, behind a break of the axis."""

    scale: LinearScale
    infinity: float | None

    def __call__(self, epsilon: float) -> float:
        """Return the pixel of an epsilon."""
        if math.isinf(epsilon) and self.infinity is not None:
            return self.infinity
        return self.scale(epsilon)

    @property
    def end(self) -> float:
        """The rightmost pixel."""
        return self.scale.end if self.infinity is None else self.infinity + 10


def ladder(rows: Sequence[Statement], layout: Layout) -> Markup:
    """Draw the ladder; the first statement is the claim."""
    claim, shown = rows[0], rows[1 : MOST_ROWS + 1]
    axis = epsilon_axis([claim, *shown], layout)
    bottom = TOP + layout.row * len(shown)
    parts = [*_frame(axis, layout, bottom), *_claim(claim, axis, layout, bottom)]
    for k, row in enumerate(shown):
        parts += [*_words(row, layout, TOP + k * layout.row), *_mark(row, axis, TOP + k * layout.row + layout.mark)]
    return picture(layout.width, bottom + 44, TITLE, described(rows), parts, "narrow" if layout.narrow else "wide")


def described(rows: Sequence[Statement]) -> str:
    """Say the picture in words."""
    said = [f"{row.name} ({row.kind}): {'' if row.claims_nothing else 'epsilon '}{row.value()}" for row in rows]
    return "; ".join(said) + "."


def epsilon_axis(rows: Sequence[Statement], layout: Layout) -> EpsilonAxis:
    """Choose an axis from 0 to a little more than the largest finite value."""
    drawn = [row for row in rows if not (row.withheld or row.claims_nothing)]
    values = [value for row in drawn for value in (row.low, row.middle, row.high) if value is not None]
    high = largest_finite(values)
    infinite = any(math.isinf(value) for value in values)
    end = layout.right - (52 if infinite else 0)
    return EpsilonAxis(LinearScale(high, layout.left, end), layout.right - 10 if infinite else None)


def largest_finite(values: Sequence[float]) -> float:
    """Return the end of an axis that shows these values with some room on the right."""
    return max((value for value in values if math.isfinite(value)), default=0.0) * 1.15 or 1.0


def _frame(axis: EpsilonAxis, layout: Layout, bottom: float) -> list[Markup]:
    parts = [line(layout.left, bottom, axis.scale.end, bottom, "axis")]
    for tick in axis.scale.ticks(4 if layout.narrow else 7):
        x = axis(tick)
        anchor = "start" if layout.narrow and tick == 0 else "middle"
        parts += [
            line(x, bottom if layout.narrow else TOP, x, bottom + 4 * layout.narrow, "grid"),
            label(x, bottom + 17, number(tick, 6), "tick", anchor),
        ]
    if axis.infinity is not None:
        gap = (axis.scale.end + axis.infinity) / 2
        slashes = [line(gap - 5 + dx, bottom + 5, gap - 1 + dx, bottom - 5, "axis") for dx in (0, 5)]
        parts += [*slashes, line(axis.infinity - 9, bottom, axis.infinity + 9, bottom, "axis")]
        parts.append(label(axis.infinity, bottom + 17, "∞", "tick", "middle"))
    parts.append(label((layout.left + layout.right) / 2, bottom + 36, "epsilon (nats); 0 leaks nothing", "tick", "middle"))
    return parts


def _claim(claim: Statement, axis: EpsilonAxis, layout: Layout, bottom: float) -> list[Markup]:
    if claim.claims_nothing:
        return [label(layout.left, TOP - 17, claim.value(), "claim-label")]
    epsilon = claim.high if claim.high is not None else math.inf
    x = axis(epsilon)
    anchor = "start" if x < layout.left + 75 else "end" if x > layout.right - 75 else "middle"
    at = x if anchor == "middle" else x - 6 if anchor == "start" else x + 6
    # in the narrow form words stand above each mark: the claim's line must not run through them
    tops = range(round(TOP), round(bottom), round(layout.row)) if layout.narrow else (round(TOP),)
    spans = [(top + 33, top + 59) if layout.narrow else (TOP - 6, bottom) for top in tops]
    parts = [label(at, TOP - 17, f"claim: at most {number(epsilon)}", "claim-label", anchor), line(x, TOP - 10, x, TOP, "claim-line")]
    for top, end in spans:
        parts.append(element("rect", x=x, y=top, width=max(axis.end - x, 0.0), height=end - top, class_="above-claim"))
        parts.append(line(x, top, x, end, "claim-line"))
    return parts


def _words(row: Statement, layout: Layout, top: float) -> list[Markup]:
    name, kind = shortened(row.name, layout.name_columns), f"kind: {row.kind}"
    value = shortened(row.value(), 24)
    if layout.narrow:
        kind = "" if row.kind == row.name.lower() or len(name) + len(row.kind) + len(value) > 40 else f" · {row.kind}"
        words = element("text", name, element("tspan", kind, class_="quiet"), x=layout.left, y=top + 26, class_="name")
        return [words, label(layout.right, top + 26, value, "value", "end")]
    second = kind if not row.method or row.role not in ("bound", "other bound") else f"{row.kind} · {row.method}"
    return [
        label(0, top + layout.mark - 3, name, "name"),
        label(0, top + layout.mark + 14, shortened(second, layout.method_columns), "quiet"),
        label(layout.right + 18, top + layout.mark + 5, value, "value"),
    ]


def _mark(row: Statement, axis: EpsilonAxis, y: float) -> list[Markup]:
    is_posterior = row.role in ("posterior", "engine posterior")
    css = "posterior" if is_posterior else row.role.replace(" ", "-")
    if row.withheld:
        return [line(axis.scale.start, y, axis.end, y, "withheld")]
    if row.low is None:
        return []
    if row.high is None:
        return _arrow(axis(row.low), axis.end, y, f"mark {css} {row.kind}")
    low, high = axis(row.low), max(axis(row.high), axis(row.low) + 1)
    if is_posterior:
        bar = element("rect", x=low, y=y - 5, width=high - low, height=10, rx=5, class_=f"mark {css} area")
        middle = [] if row.middle is None else [element("circle", cx=axis(row.middle), cy=y, r=5, class_=f"mark {css} median")]
        return [bar, *middle]
    ends = [line(x, y - 8, x, y + 8, f"mark {css}") for x in (low, high)]
    return [line(low, y, high, y, f"mark {css}"), *ends]


def _arrow(start: float, end: float, y: float, css: str) -> list[Markup]:
    if start > end - 16:  # at infinity: no room for a shaft
        return [path([(start - 7, y - 8), (start + 7, y), (start - 7, y + 8)], f"{css} head", close=True)]
    size = 7 if "other-bound" not in css else 5
    head = path([(end - 1.5 * size, y - size), (end, y), (end - 1.5 * size, y + size)], f"{css} head", close=True)
    return [line(start, y - 9, start, y + 9, css), line(start, y, end - size, y, css), head]
