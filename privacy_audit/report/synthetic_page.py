"""The page of a table evaluation: no script, no network, every string escaped; its first words are that it must not be published.

Its numbers are those of `TableEvaluation.to_dict()`, rounded. It shows at most 60 columns and 12 releases of the ledger in detail; the heat
map at most 120 columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment

from privacy_audit.report.page_environment import page_environment
from privacy_audit.report.plain_text import number, plain
from privacy_audit.report.synthetic_columns import column_picture
from privacy_audit.report.synthetic_heat_map import MOST_COLUMNS, NARROW, WIDE, color_words, heat_map, heat_picture, swatch
from privacy_audit.report.synthetic_scores import score_swatch, scores_picture
from privacy_audit.report.words import neighboring_name
from synth.column_shares import ColumnShares
from synth.train_on_synthetic import TrainedOn

if TYPE_CHECKING:
    from mechanisms.accounting.ledger import LedgerEntry
    from privacy_audit.report.synthetic_record import TableEvaluation

MOST_PICTURES, MOST_RELEASES, MOST_WORST = 60, 12, 8
YARDSTICK_WORDS = {
    "independent": ("Independent columns", "each column exactly right, no link between any two"),
    "resampled": ("Fresh sample", "expected, of as many rows drawn again from the real table"),
}
TRAINED_ON: dict[TrainedOn, tuple[str, str]] = {
    "real": ("Real rows", "what can be reached"),
    "synthetic": ("Synthetic rows", "what is asked"),
    "independent": ("Independent columns", "the classes’ shares for every row"),
}
NOT_CONCLUDED = (
    "That the synthetic table is private: a small error is no sign of it, nor is a large one. The guarantee comes from the mechanism and "
    "its ledger; attacks on the table are another audit.",
    "That other questions are answered as well: combinations of more columns than were compared, rare cells, single rows may be far off.",
    "That intervals and tests on synthetic rows hold as they stand: they don’t know of the noise that was added.",
)


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One line of the table of errors: its name, a note, and five figures; None where a figure isn't known."""

    name: str
    note: str
    avg_tv: float | None
    max_tv: float | None
    avg_cell: float | None = None
    max_cell: float | None = None
    rmse: float | None = None


def render_evaluation(evaluation: TableEvaluation) -> str:
    """Return the whole page.

    Returns
    -------
    One HTML document below 1 MB, whatever the number of rows and columns.
    """
    shown = heat_map(evaluation)
    columns = shown_columns(evaluation.columns)
    return (
        _environment()
        .get_template("synthetic.html.j2")
        .render(
            evaluation=evaluation,
            figures=_key_figures(evaluation),
            error_rows=error_rows(evaluation),
            heat_wide=heat_picture(shown, WIDE),
            heat_narrow=heat_picture(shown, NARROW),
            heat_left_out=len(evaluation.columns) - len(shown.names),
            worst=evaluation.worst(MOST_WORST),
            columns=[(shares, column_picture(shares)) for shares in columns],
            training=evaluation.training,
            scores=None if evaluation.training is None else scores_picture(evaluation.training),
            synthesis=evaluation.synthesis,
            releases=() if evaluation.synthesis is None else _dearest(evaluation.synthesis.ledger),
            settings={key: plain(value) for key, value in evaluation.settings.items()},
        )
    )


def shown_columns(columns: Sequence[ColumnShares]) -> list[ColumnShares]:
    """Return the columns that have a picture: all, or those with the largest total variation, in the order of the schema."""
    kept = sorted(sorted(range(len(columns)), key=lambda k: -columns[k].tv)[:MOST_PICTURES])
    return [columns[k] for k in kept]


def error_rows(evaluation: TableEvaluation) -> list[ErrorRow]:
    """Return the lines of the table of errors: the synthetic table, then what it is to be held against."""
    rows = []
    for k, error in evaluation.errors.items():
        groups, what = len(error.groups), "single columns" if k == 1 else "pairs of columns" if k == 2 else f"{k} columns together"
        note = f"{groups:,} marginal{'s' * (groups != 1)}"
        rows.append(ErrorRow(f"Synthetic, {what}", note, error.avg_tv, error.max_tv, error.avg_cell, error.max_cell, error.rmse))
    beside = evaluation.holdout
    if beside is not None:
        note = f"{evaluation.n_holdout:,} real rows that the table was not made from"
        rows.append(ErrorRow("Holdout, pairs", note, beside.avg_tv, beside.max_tv, beside.avg_cell, beside.max_cell, beside.rmse))
    for yardstick in evaluation.yardsticks:
        name, note = YARDSTICK_WORDS[yardstick.name]
        rows.append(ErrorRow(f"{name}, pairs", note, yardstick.avg_tv, yardstick.max_tv))
    return rows


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.globals.update(
        legend=[(swatch(color), words) for color, words in enumerate(color_words())],
        not_concluded=NOT_CONCLUDED,
        trained_on=TRAINED_ON,
        score_legend=[(score_swatch(kind), name) for kind, (name, _) in TRAINED_ON.items()],
        most_columns=MOST_COLUMNS,
        neighboring_name=neighboring_name,
    )
    return environment


def _key_figures(evaluation: TableEvaluation) -> list[tuple[str, str, str]]:
    """Return (label, figure, note) for the strip below the headline."""
    error = evaluation.pairs
    what = "pairs" if 2 in evaluation.errors else "column"
    figures = []
    if error.avg_tv is not None and error.max_tv is not None:
        figures = [
            ("Average total variation", number(error.avg_tv), f"over {len(error.groups):,} {what}"),
            ("Largest total variation", number(error.max_tv), " × ".join(evaluation.worst(1)[0].columns)),
        ]
    figures.append(("Largest cell error", number(error.max_cell), "share of all rows"))
    if evaluation.training is not None:
        reached = evaluation.training.of("real").auc
        figures.append(("AUC from synthetic rows", f"{evaluation.training.of('synthetic').auc:.3f}", f"{reached:.3f} from real rows"))
    if evaluation.synthesis is not None:
        claim = evaluation.synthesis.guarantee
        figures.append(("Epsilon of the table", number(claim.epsilon), f"at delta {number(claim.delta)}"))
    return figures


def _dearest(ledger: Sequence[LedgerEntry]) -> tuple[tuple[LedgerEntry, ...], int, float]:
    """Return the releases with the largest rho, how many there are besides, and their rho."""
    order = sorted(ledger, key=lambda entry: -entry.rho)
    return tuple(order[:MOST_RELEASES]), len(order[MOST_RELEASES:]), sum(entry.rho for entry in order[MOST_RELEASES:])
