"""What the page's section on distribution inference shows: readings of every pair of ratios, and two pictures of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from privacy_audit.report.plain_text import number
from privacy_audit.report.ratio_readings import PooledReading, RatioReading
from privacy_audit.report.svg_ratios import RatioRow, accuracy_axis, ratio_picture, records_axis

if TYPE_CHECKING:
    from privacy_audit.report.distribution import DistributionEvidence, RatioPair

POOLED_NAME = "all pairs together"


@dataclass(frozen=True, slots=True)
class DistributionView:
    """The evidence, the posterior of each of its pairs, of all together, and the pictures of accuracy and of leaked records."""

    evidence: DistributionEvidence
    readings: tuple[tuple[RatioPair, RatioReading], ...]
    pooled: PooledReading | None
    accuracy_picture: Markup
    records_picture: Markup


def distribution_view(evidence: DistributionEvidence, *, level: float) -> DistributionView:
    """Compute the readings at `level` and draw them."""
    by_name = evidence.readings(level=level)
    readings = tuple((pair, by_name[pair.name]) for pair in evidence.pairs)
    pooled = evidence.pooled(level=level)
    accuracies = [_accuracy_row(pair, reading) for pair, reading in readings]
    records = [_records_row(pair, reading) for pair, reading in readings]
    if pooled is not None:
        records.append(RatioRow(POOLED_NAME, records_text(pooled), pooled.n_leaked.low, pooled.n_leaked.median, pooled.n_leaked.high))
    return DistributionView(
        evidence,
        readings,
        pooled,
        ratio_picture(accuracies, accuracy_axis(accuracies), title="Accuracy for each pair of ratios", guessing=0.5),
        ratio_picture(records, records_axis(records), title="Leaked records for each pair of ratios"),
    )


def rate_text(value: float) -> str:
    """Write an accuracy or a rate: three digits behind the point, 0 and 1 as they are."""
    return number(value) if value in (0, 1) else f"{value:.3f}"


def count_text(value: float) -> str:
    """Write a number of records: three significant digits, two below 1, whole from 100 on.

    Examples
    --------
    >>> count_text(0.0), count_text(0.07861), count_text(4.237), count_text(1234.4), count_text(math.inf)
    ('0', '0.079', '4.24', '1,234', '∞')
    """
    if value < 100:
        return number(value, 2 if value < 1 else 3)
    return "∞" if math.isinf(value) else number(float(round(value)), 6)


def records_text(reading: RatioReading | PooledReading) -> str:
    """Write the posterior of the number of records: median and interval."""
    spread = reading.n_leaked
    return f"{count_text(spread.median)} ({count_text(spread.low)} to {count_text(spread.high)})"


def accuracy_figure(view: DistributionView) -> tuple[str, str, str]:
    """Return (label, figure, note) of the accuracy for the strip below the headline."""
    values = [pair.accuracy for pair, _ in view.readings]
    shown = f"{min(values):.2f}" if f"{min(values):.2f}" == f"{max(values):.2f}" else f"{min(values):.2f} – {max(values):.2f}"
    return "Accuracy on victims", shown, f"{view.evidence.n_victims:,} models; 0.5 is guessing"


def leakage_figure(view: DistributionView) -> tuple[str, str, str]:
    """Return (label, figure, note) of the leaked records, of all pairs together where there are several."""
    reading: RatioReading | PooledReading = view.readings[0][1] if view.pooled is None else view.pooled
    spread = reading.n_leaked
    return "Leaked records", count_text(spread.median), f"credible, {count_text(spread.low)} to {count_text(spread.high)}"


def _accuracy_row(pair: RatioPair, reading: RatioReading) -> RatioRow:
    spread = reading.accuracy
    value = f"{pair.accuracy:.2f} ({spread.low:.2f} to {spread.high:.2f})"
    others = tuple(attack.accuracy for attack in pair.attacks if attack.name != pair.chosen)
    return RatioRow(pair.name, value, spread.low, pair.accuracy, spread.high, others)


def _records_row(pair: RatioPair, reading: RatioReading) -> RatioRow:
    spread = reading.n_leaked
    return RatioRow(pair.name, records_text(reading), spread.low, spread.median, spread.high, (reading.published.median,))
