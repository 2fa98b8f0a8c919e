"""The purchase as a whole: one ledger, refusals before anything is counted, no value in a message, and our own audit."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from attacks.scores import AttackCounts
from mechanisms.accounting.gaussian import gaussian_mu
from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from synth.domain.buy import buy_domain
from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema, Placeholder
from synth.domain.source import CountedColumns, TableColumns, column_source, n_rows
from synth.duckdb_counts import DuckDbCounts
from synth.schema import Ordinal, Schema
from tests.synth.domain.fixed_columns import FixedColumns
from tests.synth.naive_source import HalvedNoise, NoNoise

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
seeded_is_fine = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
ibis_is_fine = pytest.mark.filterwarnings("ignore:fetch_.* is deprecated:DeprecationWarning", "ignore::DeprecationWarning:ibis")
SCHEMA = OpenSchema(
    (
        BuyBounds("income", bins=8),
        Ordinal("age", 0, 99),
        BuyEdges("weight", 0, 150, bins=8, levels=3, nullable=True),
        BuyCategories("city", nullable=True),
    )
)


def rows(n: int = 600) -> dict[str, list[object]]:
    return {
        "income": [float(30 + i % 90) for i in range(n)],
        "age": [i % 80 for i in range(n)],
        "weight": [None if i % 50 == 0 else 40.0 + i % 60 for i in range(n)],
        "city": [None if i % 40 == 0 else ("Bern", "Basel", "Chur")[i % 3] for i in range(n)],
    }


@pytest.mark.parametrize(("neighboring", "D"), [(ADD, 1.0), (REPLACE, math.sqrt(2))])
def test_sensitivities_of_one_histogram(neighboring: Neighboring, D: float):
    """Over all tables of up to 3 rows and their neighbors: cells of magnitudes, and counts of labels, move by D at most, and by D."""
    magnitudes = BuyBounds("x", largest=8, smallest=1, nullable=True).magnitudes

    def cells(table: tuple[object, ...]) -> np.ndarray:
        return TableColumns({"x": np.array(table, dtype=float)}).cells(magnitudes)[1:]

    def labels(table: tuple[object, ...]) -> np.ndarray:
        found = TableColumns({"x": list(table)}).labels("x", str)
        return np.array([found.get(label, 0) for label in ("a", "b", "c")])

    def neighbors(table: tuple[object, ...], values: tuple[object, ...]) -> Iterator[tuple[object, ...]]:
        for value in values:
            if neighboring is ADD:
                yield (*table, value)
            else:
                yield from ((*table[:i], value, *table[i + 1 :]) for i in range(len(table)))

    for count, values in ((cells, (-3.0, 0.0, 5.5, None)), (labels, ("a", "b", "c", None))):
        tables = [table for n in (1, 2, 3) for table in combinations_with_replacement(values, n)]
        moved = max(float(((count(a) - count(b)) ** 2).sum()) for a in tables for b in neighbors(a, values))
        assert math.sqrt(moved) == pytest.approx(D)


def test_ledger_sums():
    ledger = Ledger(1.0)
    ledger.spend_rho("before", "discrete gaussian", sensitivity=1.0, scale=1.0, rho=0.25)
    shares = {"income": 0.5, "weight": 0.3, "city": 0.2}
    bought = buy_domain(rows(), SCHEMA, rho=0.5, delta=1e-6, neighboring=ADD, shares=shares, ledger=ledger)
    income, weight, city = bought.purchases
    assert [entry.step for entry in bought.entries][:2] == ["bounds of income", "edges of weight, level 0"]
    assert bought.entries[-1].step == "categories of city"
    assert bought.entries == ledger.entries[1:]
    assert bought.rho == pytest.approx(ledger.spent - 0.25)
    assert ledger.spent <= 0.75
    assert (income.rho, city.rho) == (pytest.approx(0.25), pytest.approx(0.1))
    assert weight.rho == pytest.approx(0.15 * len(weight.answers) / 4)
    assert (income.delta, weight.delta, city.delta, bought.delta) == (0.0, 0.0, 1e-6, 1e-6)
    assert bought.schema.names == SCHEMA.names
    assert bought.schema.columns[1] == Ordinal("age", 0, 99)
    assert json.loads(json.dumps(bought.to_dict()))["rho"] == bought.rho


def test_delta_is_shared_by_categories():
    schema = OpenSchema((BuyCategories("a"), BuyCategories("b"), BuyEdges("c", 0, 1)))
    table = {"a": ["x"] * 9, "b": ["y"] * 9, "c": [0.5] * 9}
    bought = buy_domain(table, schema, rho=1.0, delta=1e-6, neighboring=ADD)
    assert [purchase.delta for purchase in bought.purchases] == [5e-7, 5e-7, 0.0]


def test_refusals_count_nothing():
    source = FixedColumns()

    def refused(error: type[Exception], match: str, schema: object = SCHEMA, **options: object) -> None:
        given = {"rho": 1.0, "delta": 1e-9, "neighboring": ADD, "noise": NoNoise(), **options}
        with pytest.raises(error, match=match):
            buy_domain(source, schema, **given)  # type: ignore[arg-type]

    ledger = Ledger(1.0)
    refused(BudgetExhaustedError, "the domain costs rho 1.1, but only 1 of 1 is left", rho=1.1, ledger=ledger)
    refused(ValueError, "rho must be positive", rho=0.0, ledger=ledger)
    refused(ValueError, "sigma must be at most", rho=1e-25, ledger=ledger)
    refused(ValueError, "delta must be in", delta=0.0, ledger=ledger)
    refused(ValueError, "delta must be 0 where no categories", OpenSchema((BuyEdges("w", 0, 1),)), ledger=ledger)
    refused(ValueError, "shares must name the columns to buy", shares={"income": 1.0}, ledger=ledger)
    refused(ValueError, "shares must sum to 1", shares={"income": 0.5, "weight": 0.5, "city": 0.5}, ledger=ledger)
    refused(ValueError, "share must be positive", shares={"income": 1.5, "weight": -0.5, "city": 0.0}, ledger=ledger)
    refused(ValueError, "zero_out", neighboring=Neighboring.ZERO_OUT, ledger=ledger)
    refused(TypeError, "NoiseSource", noise=np.random.default_rng(0), ledger=ledger)
    refused(TypeError, "open_schema must be an OpenSchema, got Schema", Schema((Ordinal("age", 0, 9),)), ledger=ledger)
    assert ledger.entries == ()
    assert source.n_counted == 0


@pytest.mark.parametrize(
    ("column", "values"),
    [("income", ["4711", "4712"]), ("income", [4711.0, None]), ("income", [4711.0, float("inf")]), ("city", [4711, 4712])],
)
def test_no_value_in_messages(column: str, values: list[object]):
    table = {"income": [5.0, 6.0] * 300, "age": [1, 2] * 300, "weight": [50.0, 60.0] * 300, "city": ["Bern", "Chur"] * 300}
    with pytest.raises(ValueError, match=f"column '{column}'") as caught:
        buy_domain(table | {column: values * 300}, SCHEMA, rho=1.0, delta=1e-9, neighboring=REPLACE)
    assert "471" not in str(caught.value)


def test_same_noise_same_schema_for_any_order_of_rows():
    table = pd.DataFrame(rows())
    with pytest.warns(InsecureNoiseWarning):
        first = buy_domain(table, SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE, noise=SeededNoise(3))
    with pytest.warns(InsecureNoiseWarning):
        second = buy_domain(table.sample(frac=1.0), SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE, noise=SeededNoise(3))
    assert first.to_dict() == second.to_dict()
    third = buy_domain(table, SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE)
    assert first.to_dict() != third.to_dict()


def warehouse(table: pd.DataFrame) -> object:
    ibis = pytest.importorskip("ibis")
    return ibis.memtable(pa.Table.from_pandas(table, preserve_index=False))


@ibis_is_fine
def test_counted_elsewhere(tmp_path: Path):
    """Files, DuckDB, ibis and a source of counts give what the table in memory gives."""
    import duckdb

    table = pd.DataFrame(rows()).assign(extra=1)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.to_parquet(tmp_path / "rows.parquet", index=False)
    relation = duckdb.from_df(table)

    def opened(schema: Schema) -> DuckDbCounts:
        return DuckDbCounts(relation, schema, ignore_extra=True)

    numbers = CountedColumns(opened)
    counted = CountedColumns(opened, TableColumns(table).labels)
    here = buy_domain(table, SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE, noise=NoNoise())
    assert here.schema.columns[3].labels == ("Basel", "Bern", "Chur", "other")  # type: ignore[union-attr]
    for other in (
        tmp_path / "rows.csv",
        str(tmp_path / "rows.parquet"),
        relation,
        warehouse(table),
        counted,
    ):
        there = buy_domain(other, SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE, noise=NoNoise())
        assert here.to_dict() == there.to_dict()
        assert n_rows(column_source(other, SCHEMA), SCHEMA) == 600
    with pytest.raises(ValueError, match="column 'city': categories can't be bought from counts"):
        buy_domain(numbers, SCHEMA, rho=0.5, delta=1e-6, neighboring=REPLACE)


@ibis_is_fine
def test_labels_counted_elsewhere():
    import duckdb

    table = pd.DataFrame({"whole": [1.0, 1.0, 2.5, np.nan, 1e300, -4.0], 'te"xt': ["a", None, "b", "a", "", "a"]})
    schema = OpenSchema((BuyCategories("whole", other=0), BuyCategories('te"xt')))
    for given in (table, duckdb.from_df(table), warehouse(table)):
        source = column_source(given, schema)
        assert source.labels("whole", int) == {1: 2, -4: 1}
        assert source.labels('te"xt', str) == {"a": 3, "b": 1, "": 1}
        with pytest.raises(ValueError, match="column 'whole' holds double"):
            source.labels("whole", str)


def test_a_table_with_columns_of_these_names_is_a_table():
    table = pd.DataFrame({"cells": [0.5] * 50, "labels": ["a"] * 50})
    schema = OpenSchema((BuyEdges("cells", 0, 1), BuyCategories("labels")))
    assert buy_domain(table, schema, rho=1.0, delta=1e-6, neighboring=REPLACE).schema.names == ("cells", "labels")


def test_a_source_with_other_counts_is_refused():
    with pytest.raises(ValueError, match="column 'w': the source must count its 2048 codes"):
        buy_domain(FixedColumns(np.zeros(3, dtype=np.int64)), OpenSchema((BuyEdges("w", 0, 1),)), rho=1.0, neighboring=REPLACE)


KINDS: dict[str, Placeholder] = {
    "bounds": BuyBounds("x", largest=4, smallest=1),
    "edges": BuyEdges("x", 0, 1, bins=4, levels=1),
    "categories": BuyCategories("x"),
}


@pytest.mark.slow
@seeded_is_fine
@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
@pytest.mark.parametrize("kind", KINDS)
def test_audit(kind: str, neighboring: Neighboring, rng: np.random.Generator):
    """A likelihood-ratio attack on the published answers of two neighboring tables, n purchases at once; halved noise is caught.

    One row lies at the lower end, in the neighbor nowhere (add/remove) or at the upper end (replacement). False alarm 1e-6.
    """
    n, epsilon, delta = 3000, 2.0, 0.01
    mu, base = gaussian_mu(epsilon, delta), 9000 if kind == "categories" else 0  # far above the threshold
    schema = OpenSchema(tuple(replace(KINDS[kind], name=f"x{i}") for i in range(n)))
    two_ends = neighboring is REPLACE

    def source(low: int, high: int) -> FixedColumns:
        if kind == "categories":
            return FixedColumns(labels={"a": base + low, "b": base, "c": base + high})
        cells = np.zeros(6 if kind == "bounds" else 8, dtype=np.int64)
        cells[2:-2] = 5000
        cells[0], cells[-1] = low, high
        return FixedColumns(cells)

    def scores(low: int, high: int, noise: NoiseSource) -> np.ndarray:
        """Of unit variance if the noise is right; means differ by mu."""
        spent = 1e-9 * n if kind == "categories" else 0.0
        bought = buy_domain(source(low, high), schema, rho=n * mu**2 / 2, delta=spent, neighboring=neighboring, noise=noise)
        ends = [
            [(answer.counts[0] - (answer.counts[-1] if two_ends else base)) / answer.sigma for answer in purchase.answers]
            for purchase in bought.purchases
        ]
        return np.sum(ends, axis=1) / math.sqrt(len(ends[0]) * (2 if two_ends else 1))

    def bound(noise: NoiseSource, sd: float) -> float:
        without, with_row = scores(0, int(two_ends), noise), scores(1, 0, noise)
        guesses = np.concatenate([without, with_row]) >= 2.33 * sd - (mu / 2 if two_ends else 0.0)
        return epsilon_lower_bound(AttackCounts.from_predictions(np.arange(2 * n) >= n, guesses), delta=delta, level=1 - 1e-6).epsilon

    seed = int(rng.integers(2**32))
    assert bound(SeededNoise(seed), 1.0) <= epsilon
    assert bound(HalvedNoise(seed), 0.5) > epsilon
