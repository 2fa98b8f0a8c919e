"""README tables of continual release and of training noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from experiments.markdown import table
from mechanisms.json_ready import number_from_json

Row = Mapping[str, object]

_HORIZONS = (2**10, 2**16, 2**20)


def continual_error(rows: list[Row]) -> str:
    """Mean and largest variance of each counter at three horizons."""
    found = {(str(row["mechanism"]), row["horizon"]): row for row in rows}
    names = list(dict.fromkeys(name for name, horizon in found if horizon in _HORIZONS))
    names.sort(key=lambda name: number_from_json(found.get((name, _HORIZONS[0]), {"mean": 0})["mean"]))
    cells = [[name.replace("_", " "), *(_errors(found.get((name, horizon))) for horizon in _HORIZONS)] for name in names]
    return table(["mechanism", *(f"T = {horizon:,}" for horizon in _HORIZONS)], cells)


def _errors(row: Row | None) -> str:
    return "" if row is None else f"{number_from_json(row['mean']):.2f}, {number_from_json(row['max']):.2f}"


def max_sum(rows: list[Row]) -> str:
    """Bounds of both methods and errors of 50 runs."""
    header = ["T", "d", "chosen", "bound, recompute", "bound, per coordinate", "mean largest error", "runs below the bound"]
    cells = [
        [
            f"{row['horizon']:,}",
            f"{row['dim']:,}",
            str(row["method"]).replace("_", " "),
            *(f"{number_from_json(row[name]):.1f}" for name in ("recompute", "per_coordinate", "mean_error")),
            f"{number_from_json(row['below_bound']):.0%}",
        ]
        for row in rows
    ]
    return table(header, cells)


def continual_speed(rows: list[Row]) -> str:
    """Steps against jax-privacy, draws against OpenDP."""
    steps = [
        [
            f"{_name(row, 'who')}, {_coordinates(row)}",
            f"{number_from_json(row['step']):.1f} us",
            f"{number_from_json(row['ratio_on_host']):.2f} x",
            f"{number_from_json(row['ratio_on_device']):.2f} x",
            f"{number_from_json(row['ratio_batch']):.1f} x",
        ]
        for row in rows
        if row.get("task") == "step" and "ratio_batch" in row
    ]
    draws = [
        [
            f"discrete Gaussian, sigma {number_from_json(row['scale']):g}",
            f"{number_from_json(row['us']):.3f} us",
            "",
            "",
            f"{number_from_json(row['ratio']):.0f} x",
        ]
        for row in rows
        if row.get("task") == "discrete Gaussian"
    ]
    long = [
        [f"2^20 steps at once, {str(row['who']).replace('_', ' ')}", f"{number_from_json(row['seconds']):.2f} s", "", "", ""]
        for row in rows
        if row.get("task") == "long batch"
    ]
    header = [
        "what",
        "time",
        "jax-privacy 2.0.0, as an array of numpy",
        "jax-privacy, left on its device",
        "in bulk: jax-privacy, OpenDP 0.16.0",
    ]
    return table(header, [*steps, *draws, *long])


def _coordinates(row: Row) -> str:
    return "1 coordinate" if row["dim"] == 1 else f"{row['dim']:,} coordinates"


def _name(row: Row, key: str) -> str:
    return str(row[key]).replace("_", " ")


def training_noise(rows: list[Row]) -> str:
    """Accuracy on digits by epsilon."""
    found = {(row["mechanism"], row["rates"], row["epsilon"]): row for row in rows}
    epsilons = sorted({number_from_json(row["epsilon"]) for row in rows})
    names = list(dict.fromkeys((row["mechanism"], row["rates"]) for row in rows))
    cells = [
        [f"{mechanism}, {rates} rate".replace("_", " "), *(_accuracy(found[mechanism, rates, epsilon]) for epsilon in epsilons)]
        for mechanism, rates in names
    ]
    return table(["noise", *(f"epsilon {epsilon:g}" for epsilon in epsilons)], cells)


def _accuracy(row: Row) -> str:
    return f"{number_from_json(row['accuracy']):.3f} (sd {number_from_json(row['sd']):.3f})"


TABLES: dict[str, Callable[[list[Row]], str]] = {
    "e_continual_error": continual_error,
    "e_max_sum": max_sum,
    "bench_continual": continual_speed,
    "e_ftrl": training_noise,
}
