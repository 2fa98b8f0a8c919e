"""Parts of a hand-written SVG picture: elements with everything escaped, linear and logarithmic scales, ticks.

Colors come from CSS classes of the page, so a picture follows light, dark and print. Nothing has an id, so a picture may stand twice.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import ArrayLike, NDArray


def element(tag: str, *children: str, **attributes: str | float) -> Markup:
    """Return one element; children and attribute values are escaped unless they are Markup.

    Examples
    --------
    >>> element("text", "a < b", x=1.26, class_="label")
    Markup('<text x="1.3" class="label">a &lt; b</text>')
    """
    written = "".join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), value if isinstance(value, str) else _coordinate(value))
        for name, value in attributes.items()
    )
    inside = Markup("").join(escape(child) for child in children)
    return Markup(f"<{tag}{written}>{inside}</{tag}>")


def picture(width: float, height: float, title: str, description: str, parts: Iterable[Markup], css_class: str) -> Markup:
    """Return a whole SVG picture with its title and description for people who hear the page."""
    return element(
        "svg",
        element("title", title),
        element("desc", description),
        *parts,
        class_=f"privacy-audit-picture {css_class}",
        viewBox=f"0 0 {_coordinate(width)} {_coordinate(height)}",
        role="img",
        aria_label=f"{title}. {description}",
    )


def label(x: float, y: float, text: str, css_class: str = "", anchor: str = "start") -> Markup:
    """Return a line of text."""
    return element("text", text, x=x, y=y, class_=css_class, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, css_class: str) -> Markup:
    """Return a straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css_class)


def path(points: Sequence[tuple[float, float]], css_class: str, *, close: bool = False) -> Markup:
    """Return a path through the points, closed to an area if wanted."""
    steps = " ".join(f"{_coordinate(x)},{_coordinate(y)}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if close else ''}", class_=css_class)


def points_of(x: ArrayLike, y: ArrayLike) -> list[tuple[float, float]]:
    """Return the points of two arrays of equal length."""
    return [(float(a), float(b)) for a, b in zip(np.asarray(x, dtype=float), np.asarray(y, dtype=float), strict=True)]


def shortened(text: str, columns: int) -> str:
    """Cut a text to so many columns, wide characters counting two; a cut is marked by an ellipsis.

    Examples
    --------
    >>> shortened("likelihood ratio", 11)
    'likelihood…'
    """
    text, used = " ".join(text.split()), 0
    for position, character in enumerate(text):
        used += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if used > columns - (position < len(text) - 1):
            return text[:position].rstrip() + "…"
    return text


@dataclass(frozen=True, slots=True)
class LinearScale:
    """Maps [0, high] to [start, end] pixels."""

    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of a value; what lies beyond `high` is put there."""
        return self.start + (self.end - self.start) * (min(value, self.high) / self.high)

    def ticks(self, at_most: int) -> list[float]:
        """Return round values from 0 up to `high`."""
        rough = self.high / at_most
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
        return [step * k for k in range(math.floor(self.high / step * (1 + 1e-9)) + 1)]


@dataclass(frozen=True, slots=True)
class LogScale:
    """Maps [10 ** lowest, 1] to [start, end] pixels; zero and everything below lands on `zero`."""

    lowest: int
    start: float
    end: float
    zero: float

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return the pixels of the values."""
        array = np.asarray(values, dtype=np.float64)
        low = 10.0**self.lowest
        share = 1 - np.log10(np.clip(array, low, 1.0)) / self.lowest
        return np.where(array < low * (1 - 1e-12), self.zero, self.start + (self.end - self.start) * share)

    def decades(self) -> list[int]:
        """Return the exponents of the ticks, at most five of them."""
        step = math.ceil(-self.lowest / 4)
        return list(range(0, self.lowest - 1, -step))


def _coordinate(value: float) -> str:
    text = f"{value:.1f}"
    return text.removesuffix(".0")
