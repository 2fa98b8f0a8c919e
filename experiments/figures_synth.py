"""README tables of synthetic tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]

_METHODS = {"one_shot": "one shot", "adaptive": "adaptive", "auto": "auto", "independent": "independent columns"}


def survey_tables(rows: list[Row]) -> str:
    """Average and largest total variation of pairs for each table and epsilon."""
    found = {(row["table"], row["epsilon"], row["method"]): row for row in rows}
    cases = list(dict.fromkeys((row["table"], row["epsilon"]) for row in rows))
    cells = []
    for name, epsilon in cases:
        errors = [_error(found[name, epsilon, method]) for method in _METHODS]
        best = min(errors)
        shown = [f"**{avg:.4f}**, {largest:.2f}" if (avg, largest) == best else f"{avg:.4f}, {largest:.2f}" for avg, largest in errors]
        cells.append([str(name), f"{number_from_json(epsilon):g}", *shown])
    return table(["table", "epsilon", *_METHODS.values()], cells)


def _error(row: Row) -> tuple[float, float]:
    return number_from_json(row["avg_tv"]), number_from_json(row["max_tv"])


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_private_gsd": survey_tables}
