"""The cases of `bench_synth`, each run in a process of its own, so that its peak memory is its own: prints rows as JSON.

Run: python experiments/synth_cases.py CASE [PATH]
"""

from __future__ import annotations

import json
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from experiments.simulated_tables import simulated_table
from experiments.survey_tables import SurveyTable, adult_fine_table, adult_table
from experiments.synth_methods import RELATION
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise
from synth.counts import EncodedCounts
from synth.duckdb_counts import DuckDbCounts
from synth.encoded import EncodedTable
from synth.evaluate import workload_error
from synth.private_gsd import PrivateGSDSynthesizer
from synth.schema import Ordinal, Schema

Row = dict[str, object]
BOUNDS = {0.1: (0.068, 0.19, 0.036), 1.0: (0.0162, 0.055, 0.0055), 10.0: (0.0037, 0.0135, 0.0008)}
WIDE_BOUNDS = {"tree": (0.034, 0.14), "mixed": (0.042, 0.14), "latent": (0.060, 0.078)}
N_SEEDS = 5
SEED = 20261208


def adult(path: Path) -> Iterable[Row]:
    """Accuracy of Adult in one shot against the bounds of its specification; the last row is timed from the data frame to the sample."""
    table = adult_table(path)
    source = table.counts()
    for epsilon, bounds in BOUNDS.items():
        errors = []
        for repeat in range(N_SEEDS):
            made = _synthesizer(table.schema, epsilon, table.n_rows**-2, "one_shot", SEED + repeat).fit(source)
            errors.append(_errors(source, made))
        means = dict(zip(("avg_tv", "max_tv", "max_cell"), np.mean(errors, axis=0).tolist(), strict=True))
        yield {"case": "adult", "epsilon": epsilon, **means, "bounds": bounds, "met": bool(np.all(np.mean(errors, axis=0) <= bounds))}
    yield _whole_fit("adult, one shot", table, "one_shot")


def adult_fine(path: Path) -> Iterable[Row]:
    """All 14 columns with all their codes."""
    table = adult_fine_table(path)
    _synthesizer(table.schema, 1.0, table.n_rows**-2, "one_shot", SEED).fit(table.frame.head(2000))
    yield _whole_fit("adult, 14 columns, one shot", table, "one_shot")


def make_tables(folder: Path) -> Iterable[Row]:
    """Simulate the tables of the cases below, in a process whose memory is nobody's concern."""
    import pyarrow as pa
    from pyarrow import parquet

    for structure in WIDE_BOUNDS:
        np.save(folder / f"{structure}.npy", simulated_table(structure, 100_000, 100, 20, np.random.default_rng(SEED)))
    million = simulated_table("mixed", 1_000_000, 15, 20, np.random.default_rng(SEED))
    np.save(folder / "million.npy", million)
    parquet.write_table(pa.table({f"c{place}": million[:, place] for place in range(15)}), folder / "million.parquet")
    return ()


def million(folder: Path) -> Iterable[Row]:
    """A million rows of 15 columns in memory, by the default mode."""
    codes = np.load(folder / "million.npy")
    start = time.process_time()
    schema = _plain_schema(codes.shape[1], 20)
    made = _synthesizer(schema, 1.0, 1e-12, "auto", SEED).fit({f"c{place}": codes[:, place] for place in range(codes.shape[1])})
    seconds, peak = time.process_time() - start, _peak_gb()
    yield {"case": "10^6 rows, 15 columns", "mode": made.mode_, "cpu_seconds": seconds, "peak_gb": peak}


def million_in_duckdb(folder: Path) -> Iterable[Row]:
    """Count all pairs of a Parquet file of a million rows, next to codes in memory."""
    schema = _plain_schema(15, 20)
    pairs = [(i, j) for i in range(15) for j in range(i + 1, 15)]
    start = time.process_time()
    counted = DuckDbCounts(folder / "million.parquet", schema).marginals(pairs)
    seconds, peak = time.process_time() - start, _peak_gb()
    codes = np.load(folder / "million.npy")
    start = time.process_time()
    in_memory = EncodedCounts(EncodedTable(codes), schema).marginals(pairs)
    same = all(np.array_equal(left, right) for left, right in zip(counted, in_memory, strict=True))
    row: Row = {"case": "10^6 rows, 15 columns, DuckDB counts", "cpu_seconds": seconds, "peak_gb": peak}
    yield {**row, "in_memory_cpu_seconds": time.process_time() - start, "same_counts": same}


def wide(folder: Path, structure: str) -> Iterable[Row]:
    """100 columns of 20 values, 100,000 rows, adaptive at epsilon 1."""
    codes = np.load(folder / f"{structure}.npy")
    schema = _plain_schema(codes.shape[1], 20)
    source = EncodedCounts(EncodedTable(codes), schema)
    start = time.process_time()
    made = _synthesizer(schema, 1.0, 1e-10, "adaptive", SEED).fit(source)
    seconds, peak = time.process_time() - start, _peak_gb()
    errors = dict(zip(("avg_tv", "max_tv", "max_cell"), _errors(source, made), strict=True))
    met = errors["avg_tv"] <= WIDE_BOUNDS[structure][0] and errors["max_tv"] <= WIDE_BOUNDS[structure][1]
    row: Row = {"case": f"100 columns, {structure}, adaptive", "cpu_seconds": seconds, "peak_gb": peak}
    yield {**row, "epsilon": 1.0, **errors, "bounds": WIDE_BOUNDS[structure], "met": met}


def _whole_fit(case: str, table: SurveyTable, mode: str) -> Row:
    """Time a fit from the data frame to the sample, at epsilon 1, and the part that counts alone."""
    start = time.process_time()
    made = _synthesizer(table.schema, 1.0, table.n_rows**-2, mode, SEED).fit(table.frame)
    fitted = time.process_time()
    made.sample()
    sampled = time.process_time()
    source = table.counts()
    counted = time.process_time() - sampled
    error = workload_error(source, EncodedCounts(made.encoded_, table.schema))
    cells = sum(answer.answer.size for answer in made.measurements_)
    times: Row = {"fit_cpu_seconds": fitted - start, "sample_cpu_seconds": sampled - fitted, "encode_cpu_seconds": counted}
    return {"case": case, "cells": cells, "cpu_seconds": sampled - start, **times, "peak_gb": _peak_gb(), "avg_tv": error.avg_tv}


def _synthesizer(schema: Schema, epsilon: float, delta: float, mode: str, seed: int) -> PrivateGSDSynthesizer:
    noise = SeededNoise(seed)
    return PrivateGSDSynthesizer(epsilon, delta, schema, neighboring=RELATION, mode=mode, random_state=seed, noise=noise)


def _errors(source: EncodedCounts, made: PrivateGSDSynthesizer) -> tuple[float, float, float]:
    error = workload_error(source, EncodedCounts(made.encoded_, source.schema))
    return float(error.avg_tv or 0.0), float(error.max_tv or 0.0), error.max_cell


def _plain_schema(n_columns: int, size: int) -> Schema:
    return Schema(tuple(Ordinal(f"c{place}", 0, size - 1) for place in range(n_columns)))


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


CASES: dict[str, Callable[[Path], Iterable[Row]]] = {
    "adult": adult,
    "adult_fine": adult_fine,
    "make_tables": make_tables,
    "million": million,
    "million_in_duckdb": million_in_duckdb,
    **{structure: lambda folder, structure=structure: wide(folder, structure) for structure in WIDE_BOUNDS},  # type: ignore[misc]
}


def main(case: str, path: str) -> None:
    """Run one case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)  # it is meant for releases
        for row in CASES[case](Path(path)):
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
