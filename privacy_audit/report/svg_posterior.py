"""The posterior's density, with its credible interval, its median and the claim."""

from __future__ import annotations

import math

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from mechanisms.guarantee import PrivacyGuarantee
from privacy_audit.report.curves import Density
from privacy_audit.report.plain_text import number
from privacy_audit.report.statements import Statement
from privacy_audit.report.svg_axes import LinearScale, label, line, path, picture, points_of
from privacy_audit.report.words import NOTHING_CLAIMED

WIDTH, HEIGHT = 420.0, 330.0
LEFT, RIGHT, TOP, BOTTOM = 14.0, 406.0, 34.0, 282.0


def posterior_picture(density: Density, statement: Statement, claim: PrivacyGuarantee) -> Markup:
    """Draw the density over epsilon."""
    scale = LinearScale(float(density.epsilon[-1]), LEFT, RIGHT)
    height = LinearScale(float(density.density.max()) * 1.08 or 1.0, BOTTOM, TOP)
    x = np.array([scale(value) for value in density.epsilon])
    y = np.array([height(value) for value in density.density])
    curve = points_of(x, y)
    parts = [*_inside(density, statement, x, y), path(curve, "posterior curve"), line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")]
    for tick in scale.ticks(5):
        parts += [
            line(scale(tick), BOTTOM, scale(tick), BOTTOM + 4, "axis"),
            label(scale(tick), BOTTOM + 19, number(tick, 6), "tick", _side(scale(tick))),
        ]
    parts += [label((LEFT + RIGHT) / 2, BOTTOM + 40, "epsilon of this attack (nats)", "tick", "middle"), *_claim_line(scale, claim)]
    claimed = NOTHING_CLAIMED if math.isinf(claim.epsilon) else f"claim: at most {number(claim.epsilon)}"
    description = f"Median and interval at level {number(statement.level or 0)}: {statement.value()}; {claimed}."
    return picture(WIDTH, HEIGHT, "Posterior density of the attack's epsilon", description, parts, "square")


def _inside(density: Density, statement: Statement, x: NDArray[np.float64], y: NDArray[np.float64]) -> list[Markup]:
    if statement.low is None or statement.high is None or statement.middle is None:
        return []
    inside = (density.epsilon >= statement.low) & (density.epsilon <= statement.high)
    if not inside.any():
        return []
    shape = [(float(x[inside][0]), BOTTOM), *points_of(x[inside], y[inside]), (float(x[inside][-1]), BOTTOM)]
    middle = float(np.interp(statement.middle, density.epsilon, x))
    top = float(np.interp(statement.middle, density.epsilon, y))
    return [path(shape, "posterior area", close=True), line(middle, BOTTOM, middle, top, "posterior median-line")]


def _claim_line(scale: LinearScale, claim: PrivacyGuarantee) -> list[Markup]:
    if math.isinf(claim.epsilon):
        return [label(RIGHT, TOP - 16, NOTHING_CLAIMED, "claim-label", "end")]
    if claim.epsilon > scale.high:
        return [label(RIGHT, TOP - 16, f"claim: at most {number(claim.epsilon)}, beyond this axis →", "claim-label", "end")]
    x = scale(claim.epsilon)
    side = "start" if x < 80 else "end" if x > RIGHT - 66 else "middle"
    at = x if side == "middle" else x - 4 if side == "start" else min(x + 4, RIGHT + 8)
    return [line(x, TOP - 10, x, BOTTOM, "claim-line"), label(at, TOP - 16, f"claim: at most {number(claim.epsilon)}", "claim-label", side)]


def _side(x: float) -> str:
    return "start" if x < LEFT + 4 else "end" if x > RIGHT - 4 else "middle"
