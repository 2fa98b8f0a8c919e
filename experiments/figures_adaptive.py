"""README tables of adaptive data analysis."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]

_SHOWN = (100, 1_000, 10_000)
_METHODS = {
    "gaussian": "Gaussian",
    "laplace": "Laplace",
    "split": "splitting",
    "guess_and_check": "guess and check",
    "transfer": "Gaussian, transfer theorem",
}


def answers(rows: list[Row]) -> str:
    """Promised widths by number of queries and method, then how often all intervals held against analysts that overfit."""
    widths = [
        [f"{_of(row, 'n'):,.0f}", f"{_of(row, 'queries'):,.0f}", *(f"{_of(row, name):.3f}" for name in _METHODS)]
        for row in rows
        if row["kind"] == "width" and row["queries"] in _SHOWN
    ]
    covered = [
        [
            str(row["analyst"]),
            f"{_of(row, 'queries'):,.0f}",
            str(row["method"]).replace("_", " "),
            f"{_of(row, 'covered'):.2f} of {_of(row, 'runs'):.0f}",
            f"{_of(row, 'mean_width'):.3f}",
            f"{_of(row, 'largest_error'):.3f}",
        ]
        for row in rows
        if row["kind"] == "coverage" and row["queries"] == _SHOWN[-1]
    ]
    header = ["analyst", "queries", "method", "runs where all intervals held", "mean half-width", "largest error"]
    return table(["records", "queries", *_METHODS.values()], widths) + "\n\n" + table(header, covered)


def holdout(rows: list[Row]) -> str:
    """Accuracies of the classifier that the analyst ends with, means over repeats: 500 attributes of noise alone, 50 or 500 of a signal."""
    cells = []
    for case, asked, k in (
        ("no signal", "plain", 500),
        ("no signal", "thresholdout", 500),
        ("signal", "plain", 500),
        ("signal", "thresholdout", 50),
    ):
        found = [row for row in rows if (row["case"], row["asked"], row.get("k")) == (case, asked, k)]
        means = [sum(_of(row, name) for row in found) / len(found) for name in ("train", "reported", "fresh")]
        cells.append([case, asked, f"{k}", *(f"{mean:.3f}" for mean in means)])
    return table(["data", "holdout", "attributes", "train", "reported by the holdout", "fresh data"], cells)


def _of(row: Row, name: str) -> float:
    return number_from_json(row[name])


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_adaptive_queries": answers, "e_reusable_holdout": holdout}
