"""ROC curves with both axes logarithmic, over the region that the claim allows: of one attack, or of several.

Rates of zero have no place on a logarithmic axis: they stand in a strip of their own, left and below, marked "0".
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from attacks.scores import AttackCounts
from mechanisms.guarantee import PrivacyGuarantee
from privacy_audit.report.curves import RocCurve, largest_tpr, lowest_decade
from privacy_audit.report.svg_axes import LogScale, element, label, line, path, picture, points_of

WIDTH, HEIGHT = 420.0, 370.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 410.0, 10.0, 302.0
STRIP = 26.0
N_COLORS, N_DASHES = 6, 4
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def roc_picture(claim: PrivacyGuarantee, curve: RocCurve | None, counts: AttackCounts | None) -> Markup:
    """Draw the curve, the point of the counts, or both, whichever is known."""
    lowest = curve.lowest if curve is not None else lowest_decade(counts.n_members, counts.n_non_members) if counts is not None else -2
    x, y = _scales(lowest)
    parts = [*_allowed(claim, x, y), *_frame(x, y)]
    if curve is not None:
        parts += _curve(curve, x, y, "roc")
    if counts is not None:
        parts.append(element("circle", cx=float(x(counts.fpr)), cy=float(y(counts.tpr)), r=4.5, class_="roc point"))
    return picture(WIDTH, HEIGHT, "ROC of the attack", _described(claim), parts, "square")


def roc_family(claim: PrivacyGuarantee, curves: Mapping[str, RocCurve], emphasized: str) -> Markup:
    """Draw one curve per attack; the emphasized one is thicker and lies on top.

    Color and dash of a curve follow its place in `curves` (`series_class`), so that a legend outside the picture can name them.
    """
    x, y = _scales(min(curve.lowest for curve in curves.values()))
    drawn = [(name == emphasized, _curve(curve, x, y, f"roc {series_class(k)}")) for k, (name, curve) in enumerate(curves.items())]
    groups = [element("g", *parts, class_="chosen" if chosen else "other") for chosen, parts in sorted(drawn, key=lambda pair: pair[0])]
    description = f"One curve for each of {len(curves)} attacks. {_described(claim)}"
    return picture(WIDTH, HEIGHT, "ROC of the attacks", description, [*_allowed(claim, x, y), *_frame(x, y), *groups], "square")


def series_class(k: int) -> str:
    """Return the CSS classes of the k-th curve: six colors and four dashes make twelve curves that differ."""
    return f"color-{k % N_COLORS} dash-{k % N_DASHES}"


def swatch(k: int, *, chosen: bool) -> Markup:
    """Return a piece of the k-th curve for a legend; it says nothing to people who hear the page."""
    stroke = line(1, 6, 35, 6, f"roc curve {series_class(k)}")
    group = element("g", stroke, class_="chosen" if chosen else "other")
    return element("svg", group, class_="privacy-audit-picture swatch", viewBox="0 0 36 12", aria_hidden="true", focusable="false")


def tick_text(exponent: int) -> str:
    """Write a power of ten: "1", "0.1", "0.01", "10⁻³"."""
    return f"{10.0**exponent:g}" if exponent >= -2 else "10" + str(exponent).translate(SUPERSCRIPT)


def _scales(lowest: int) -> tuple[LogScale, LogScale]:
    return LogScale(lowest, LEFT, RIGHT, LEFT - STRIP), LogScale(lowest, BOTTOM, TOP, BOTTOM + STRIP)


def _described(claim: PrivacyGuarantee) -> str:
    shaded = "" if math.isinf(claim.epsilon) else "; the region that the claim allows is shaded"
    return f"True positive rate over false positive rate, both logarithmic{shaded}."


def _allowed(claim: PrivacyGuarantee, x: LogScale, y: LogScale) -> list[Markup]:
    if math.isinf(claim.epsilon):
        return []
    fpr = np.logspace(x.lowest, 0, 100)
    edge = points_of(x(fpr), y(largest_tpr(claim, fpr)))
    at_zero = float(y(largest_tpr(claim, np.zeros(1))[0]))
    outline = [
        (LEFT - STRIP, BOTTOM + STRIP),
        (LEFT - STRIP, at_zero),
        (LEFT - STRIP / 2, at_zero),
        (LEFT - STRIP / 2, edge[0][1]),
        *edge,
        (RIGHT, BOTTOM + STRIP),
    ]
    return [path(outline, "allowed", close=True)]


def _frame(x: LogScale, y: LogScale) -> list[Markup]:
    parts = [line(LEFT, BOTTOM, RIGHT, TOP, "diagonal")]
    parts += [
        line(LEFT - STRIP, BOTTOM + STRIP, RIGHT, BOTTOM + STRIP, "axis"),
        line(LEFT - STRIP, TOP, LEFT - STRIP, BOTTOM + STRIP, "axis"),
    ]
    for exponent in x.decades():
        across, up = float(x(10.0**exponent)), float(y(10.0**exponent))
        parts += [line(across, TOP, across, BOTTOM + STRIP, "grid"), line(LEFT - STRIP, up, RIGHT, up, "grid")]
        parts.append(label(across, BOTTOM + STRIP + 16, tick_text(exponent), "tick", "end" if exponent == 0 else "middle"))
        parts.append(label(LEFT - STRIP - 6, up + 4, tick_text(exponent), "tick", "end"))
    parts += [
        label(LEFT - STRIP, BOTTOM + STRIP + 16, "0", "tick", "middle"),
        label(LEFT - STRIP - 6, BOTTOM + STRIP + 4, "0", "tick", "end"),
    ]
    parts.append(label((LEFT + RIGHT) / 2, HEIGHT - 6, "false positive rate", "tick", "middle"))
    middle = (TOP + BOTTOM) / 2
    parts.append(
        element("text", "true positive rate", x=12, y=middle, class_="tick", text_anchor="middle", transform=f"rotate(-90 12 {middle:g})")
    )
    return parts


def _curve(curve: RocCurve, x: LogScale, y: LogScale, css: str) -> list[Markup]:
    fpr, tpr = curve.corners()
    positive = fpr >= 10.0**curve.lowest * (1 - 1e-12)
    inside = path(points_of(x(fpr[positive]), y(tpr[positive])), f"{css} curve")
    at_zero, first = float(y(curve.tpr[0])), float(x(fpr[positive][0]))
    parts = [inside, line(LEFT - STRIP, at_zero, first, at_zero, f"{css} link")]
    return [*parts, element("circle", cx=LEFT - STRIP, cy=at_zero, r=3.5, class_=f"{css} zero")]
