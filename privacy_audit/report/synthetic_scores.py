"""The picture of train-on-synthetic: for each measure what independent columns, synthetic rows and real rows reach, on one axis."""

from __future__ import annotations

import math

from markupsafe import Markup

from privacy_audit.report.svg_axes import element, label, line, picture
from synth.train_on_synthetic import TrainOnSynthetic

WIDTH, LEFT, RIGHT, TOP, ROW = 420.0, 94.0, 404.0, 14.0, 44.0
MEASURES = {"auc": "AUC", "f1": "F1", "accuracy": "accuracy"}
_MARK = {"real": "score-real", "synthetic": "score-made", "independent": "score-independent"}


def scores_picture(training: TrainOnSynthetic) -> Markup:
    """Draw the three classifiers' scores, from a little below the lowest up to 1."""
    values = {name: [(scores.trained_on, float(getattr(scores, name))) for scores in training.scores] for name in MEASURES}
    low = math.floor(10 * min(value for row in values.values() for _, value in row)) / 10
    low = min(low, 0.9)
    bottom = TOP + ROW * len(values)
    parts = _axis(low, bottom)
    for k, (name, row) in enumerate(values.items()):
        y = TOP + ROW * (k + 0.5)
        ends = [_x(value, low) for _, value in row]
        parts += [label(LEFT - 12, y + 5, MEASURES[name], "name", "end"), line(min(ends), y, max(ends), y, "score-span")]
        parts += [mark(kind, _x(value, low), y) for kind, value in sorted(row, key=lambda entry: entry[0] == "synthetic")]
    said = "; ".join(f"{MEASURES[name]}: " + ", ".join(f"{kind} {value:.3f}" for kind, value in row) for name, row in values.items())
    return picture(WIDTH, bottom + 24, f"Scores of models that guess {training.target}", f"{said}.", parts, "square")


def mark(kind: str, x: float, y: float) -> Markup:
    """Return the mark of a kind of training rows."""
    if kind == "independent":
        return element("path", d=f"M{x - 6:.1f} {y:.1f}L{x:.1f} {y - 6:.1f}L{x + 6:.1f} {y:.1f}L{x:.1f} {y + 6:.1f}Z", class_=_MARK[kind])
    return element("circle", cx=x, cy=y, r=6.5 if kind == "real" else 5.0, class_=_MARK[kind])


def score_swatch(kind: str) -> Markup:
    """Return a mark for the legend."""
    return element("svg", mark(kind, 9, 9), class_="privacy-audit-picture score-swatch", viewBox="0 0 18 18", aria_hidden="true")


def _x(value: float, low: float) -> float:
    return LEFT + (RIGHT - LEFT) * (value - low) / (1 - low)


def _axis(low: float, bottom: float) -> list[Markup]:
    step = 0.1 if low >= 0.45 else 0.2
    ticks = [k * step for k in range(math.ceil(low / step - 1e-9), round(1 / step) + 1)]
    parts = []
    for tick in ticks:
        parts += [
            line(_x(tick, low), TOP, _x(tick, low), bottom, "grid"),
            label(_x(tick, low), bottom + 18, f"{tick:.1f}", "tick", "middle"),
        ]
    return parts
