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


def speed(rows: list[Row]) -> str:
    """CPU time, memory and errors of each case."""
    cells = []
    for row in rows:
        name = f"{row['case']}, epsilon {number_from_json(row['epsilon']):g}" if row["case"] == "adult" else str(row["case"])
        styles = {"cpu_seconds": ".3g", "peak_gb": ".2f", "avg_tv": ".4f", "max_tv": ".3f"}
        cells.append([name, *(_shown(row, column, style) for column, style in styles.items())])
    return table(["case", "CPU s", "peak GB", "average TV", "largest TV"], cells)


def _shown(row: Row, name: str, style: str) -> str:
    return format(number_from_json(row[name]), style) if name in row else ""


def peers(rows: list[Row]) -> str:
    """What MST and AIM reach, and the CPU time of each."""
    found = {(row["table"], row["epsilon"], row["method"]): row for row in rows}
    cases = list(dict.fromkeys((row["table"], row["epsilon"]) for row in rows))
    cells = []
    for name, epsilon in sorted(cases, key=lambda case: (str(case[0]), number_from_json(case[1]))):
        cells.append([str(name), f"{number_from_json(epsilon):g}", *(_peer(found.get((name, epsilon, method))) for method in ("mst", "aim"))])
    return table(["table", "epsilon", "MST: average TV, largest TV", "AIM: average TV, largest TV"], cells)


def _peer(row: Row | None) -> str:
    if row is None:
        return ""
    if "ended" in row:
        return str(row["ended"])
    avg, largest = _error(row)
    return f"{avg:.4f}, {largest:.2f} ({number_from_json(row['cpu_seconds']):,.0f} CPU s)"


TABLES: dict[str, Callable[[list[Row]], str]] = {"e_private_gsd": survey_tables, "e_synth_peers": peers, "bench_synth": speed}
