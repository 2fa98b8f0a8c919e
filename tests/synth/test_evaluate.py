"""Errors of a workload: closed forms by hand, an oracle with dictionaries, yardsticks, views."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot

from synth.column_shares import ColumnShares, code_labels, column_shares
from synth.counts import EncodedCounts
from synth.encode import encode
from synth.encoded import EncodedTable
from synth.evaluate import NOT_PRIVATE, WorkloadError, workload_error
from synth.queries.halfspace import Halfspace
from synth.queries.marginals import Marginals
from synth.schema import Categorical, Continuous, Datetime, Ordinal, Schema
from synth.yardsticks import mean_deviation, yardsticks
from tests.synth.tables import EVERY_KIND, random_codes

BITS = Schema((Categorical("a", ("0", "1")), Categorical("b", ("0", "1")), Categorical("c", ("0", "1", "2"))))
REAL = EncodedTable([[0, 0, 0], [0, 1, 1], [1, 0, 2], [1, 1, 0]])


@pytest.fixture(autouse=True)
def _no_window():
    mpl.use("Agg")
    yield
    pyplot.close("all")


def oracle(real: EncodedTable, synthetic: EncodedTable, schema: Schema, k: int) -> tuple[dict[tuple[str, ...], float], list[float]]:
    """Total variation of each group, and the absolute difference of every cell, from dictionaries of rows."""
    tv, cells = {}, []
    for group in combinations(range(len(schema)), k):
        counts = [Counter(tuple(row[c] for c in group) for row in table.codes.tolist()) for table in (real, synthetic)]
        shape = tuple(schema.sizes[c] for c in group)
        differences = [abs(counts[0][cell] / real.n_rows - counts[1][cell] / synthetic.n_rows) for cell in np.ndindex(shape)]
        tv[tuple(schema.names[c] for c in group)] = sum(differences) / 2
        cells += differences
    return tv, cells


def test_by_hand() -> None:
    synthetic = EncodedTable([[0, 0, 0], [0, 0, 0]])
    error = workload_error(REAL, synthetic, Marginals(k=1), schema=BITS)
    # a: (1/2, 1/2) against (1, 0); c: (1/2, 1/4, 1/4) against (1, 0, 0)
    assert [(group.columns, group.tv, group.max_cell) for group in error.groups] == [
        (("a",), 0.5, 0.5),
        (("b",), 0.5, 0.5),
        (("c",), 0.5, 0.5),
    ]
    assert (error.avg_tv, error.max_tv, error.max_cell) == (0.5, 0.5, 0.5)
    assert error.avg_cell == pytest.approx(3.0 / 7)  # 7 cells whose differences sum to 1 for each column
    assert error.rmse == pytest.approx(np.sqrt((4 * 0.25 + 0.25 + 2 / 16) / 7))
    pairs = workload_error(REAL, synthetic, schema=BITS)
    assert [group.tv for group in pairs.groups] == [0.75, 0.75, 0.75]
    assert [group.max_cell for group in pairs.groups] == [0.75, 0.75, 0.75]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_equal_tables_have_no_error_whatever_their_order_and_size(k: int, rng: np.random.Generator) -> None:
    codes = random_codes(BITS, 30, rng)
    twice = np.concatenate([codes, codes])[rng.permutation(60)]
    error = workload_error(EncodedTable(codes), EncodedTable(twice), Marginals(k=k), schema=BITS)
    assert error.max_tv == error.max_cell == error.rmse == error.avg_cell == 0
    moved = codes.copy()
    moved[0, 0] = 1 - moved[0, 0]
    assert workload_error(EncodedTable(codes), EncodedTable(moved), Marginals(k=k), schema=BITS).max_tv == pytest.approx(1 / 30)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_errors_are_those_of_the_oracle(k: int, rng: np.random.Generator) -> None:
    schema = Schema(EVERY_KIND.columns[:5])
    real, synthetic = EncodedTable(random_codes(schema, 40, rng)), EncodedTable(random_codes(schema, 70, rng) // 2)
    error = workload_error(real, synthetic, Marginals(k=k), schema=schema)
    tv, cells = oracle(real, synthetic, schema, k)
    assert {group.columns: pytest.approx(group.tv) for group in error.groups} == tv
    assert error.avg_tv == pytest.approx(np.mean(list(tv.values())))
    assert error.max_tv == pytest.approx(max(tv.values()))
    assert error.avg_cell == pytest.approx(np.mean(cells))
    assert error.max_cell == pytest.approx(max(cells))
    assert error.rmse == pytest.approx(np.sqrt(np.mean(np.square(cells))))


@given(st.integers(0, 2**32 - 1))
def test_total_variation_is_a_distance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second, third = (EncodedTable(random_codes(BITS, int(rng.integers(1, 20)), rng)) for _ in range(3))

    def distances(one: EncodedTable, other: EncodedTable) -> np.ndarray:
        return np.array([group.tv for group in workload_error(one, other, schema=BITS).groups])

    assert np.allclose(distances(first, second), distances(second, first))
    assert (distances(first, third) <= distances(first, second) + distances(second, third) + 1e-12).all()
    assert (distances(first, second) <= 1 + 1e-12).all()
    single = workload_error(first, second, Marginals(k=1), schema=BITS)
    of_column = {group.columns[0]: group.tv for group in single.groups}
    for group in workload_error(first, second, schema=BITS).groups:  # a marginal can't be closer than its part
        assert group.tv >= max(of_column[name] for name in group.columns) - 1e-12


def test_queries_without_marginals_have_cells_only() -> None:
    schema = Schema((Continuous("x", 0, 1), Continuous("y", 0, 1)))
    tables = [{"x": [0.1, 0.9], "y": [0.2, 0.3]}, {"x": [0.5, 0.9], "y": [0.2, 0.3]}]
    workload = Halfspace(50, seed=3)
    error = workload_error(*tables, workload, schema=schema)
    family = workload.bind(schema)
    answers = [family.answers(encode(table, schema, positions=True)) / 2 for table in tables]
    assert error.avg_tv is None
    assert error.groups == ()
    assert error.avg_cell == pytest.approx(np.abs(answers[0] - answers[1]).mean())
    assert error.max_cell == 0.5
    with pytest.raises(ValueError, match="heat map needs marginals"):
        error.plot()
    assert "total variation" not in error._repr_html_()


def test_a_schema_must_be_known() -> None:
    with pytest.raises(TypeError, match="schema must be given"):
        workload_error({"a": [1]}, {"a": [1]})


def test_shares_of_a_column() -> None:
    schema = Schema((Categorical("color", ("red", "blue"), nullable=True),))
    real, synthetic = (
        EncodedCounts(encode({"color": colors}, schema), schema) for colors in (["red", None, "blue", "blue"], ["red", "red"])
    )
    (shares,) = column_shares(real, synthetic)
    assert shares.labels == ("missing", "red", "blue")
    assert shares.real.tolist() == [0.25, 0.25, 0.5]
    assert shares.synthetic.tolist() == [0, 1, 0]
    assert shares.tv == 0.75
    assert not shares.real.flags.writeable
    assert shares.equals(ColumnShares(*shares.__reduce__()[1]))
    assert not shares.equals(ColumnShares(shares.column, shares.synthetic, shares.synthetic))
    assert shares.to_dict()["labels"] == ["missing", "red", "blue"]
    with pytest.raises(ValueError, match="real must hold a share for each of the 3 codes"):
        ColumnShares(shares.column, [1.0], [0, 0, 1])
    with pytest.raises(ValueError, match="same schema"):
        column_shares(real, EncodedCounts(REAL, BITS))


def test_one_way_total_variations_are_those_of_the_shares(rng: np.random.Generator) -> None:
    real, synthetic = (EncodedCounts(EncodedTable(random_codes(EVERY_KIND, n, rng)), EVERY_KIND) for n in (30, 40))
    by_shares = [shares.tv for shares in column_shares(real, synthetic)]
    assert by_shares == pytest.approx([group.tv for group in workload_error(real, synthetic, Marginals(k=1)).groups])


def test_labels_say_what_a_code_stands_for() -> None:
    assert [len(code_labels(column)) for column in EVERY_KIND] == list(EVERY_KIND.sizes)
    assert code_labels(Datetime("t", "2024-01-01", "2024-01-10", step=7)) == ("2024-01-01 to 2024-01-07", "2024-01-08 to 2024-01-10")
    assert code_labels(Ordinal("x", -1, 1)) == ("-1", "0", "1")
    assert code_labels(Categorical("x", (True, False), nullable=True)) == ("missing", "True", "False")


@pytest.mark.parametrize("n", [1, 2, 7, 40])
@pytest.mark.parametrize("p", [0.0, 1e-9, 0.1, 0.5, 0.77, 1.0])
def test_mean_deviation_is_the_sum_over_outcomes(n: int, p: float) -> None:
    from scipy.stats import binom

    outcomes = np.arange(n + 1)
    assert float(mean_deviation(n, p)) == pytest.approx(float(np.sum(binom.pmf(outcomes, n, p) * np.abs(outcomes - n * p))), abs=1e-12)


def test_the_resampled_yardstick_is_the_mean_error_of_fresh_samples(rng: np.random.Generator) -> None:
    """False alarm below 1e-6: means of 400 tables lie within 6 of their standard errors."""
    table = random_codes(BITS, 50, rng)
    real, groups = EncodedCounts(EncodedTable(table), BITS), [(0, 1), (0, 2), (1, 2)]
    yardstick = yardsticks(real, groups, n_rows=20)[1]
    found = [workload_error(real, EncodedTable(table[rng.integers(0, 50, 20)]), schema=BITS).avg_tv for _ in range(400)]
    error = float(np.std(found)) / 20
    assert abs(np.mean(found) - yardstick.avg_tv) < 6 * error
    assert abs(np.mean(found) - 1.3 * yardstick.avg_tv) > 6 * error  # it can fail
    assert yardstick.max_tv >= yardstick.avg_tv


def test_the_independent_yardstick_is_the_error_of_the_product() -> None:
    codes = [[0, 0, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]]  # a = b, c tells nothing
    real, groups = EncodedCounts(EncodedTable(codes), BITS), [(0, 1), (0, 2), (1, 2)]
    assert yardsticks(real, groups, n_rows=4)[0].to_dict() == {"name": "independent", "avg_tv": 0.5 / 3, "max_tv": 0.5}
    product = [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]
    assert yardsticks(EncodedCounts(EncodedTable(product), BITS), [(0, 1, 2)], n_rows=4)[0].max_tv == pytest.approx(0)
    with pytest.raises(ValueError, match="n_rows"):
        yardsticks(real, groups, n_rows=0)


def test_a_record_says_that_it_is_not_private_and_shows_itself() -> None:
    schema = Schema((Categorical("a<b>", ("0", "1")), *BITS.columns[1:]))
    error = workload_error(REAL, EncodedTable([[0, 0, 0]]), schema=schema)
    record = error.to_dict()
    assert (record["private"], record["note"]) == (False, NOT_PRIVATE)
    assert len(record["groups"]) == 3
    shown = error._repr_html_()
    assert "a&lt;b&gt; × b" in shown
    assert NOT_PRIVATE in shown
    ax = error.plot()
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a<b>", "b", "c"]
    assert sorted(text.get_text() for text in ax.texts) == ["0.75"] * 6  # the diagonal was not compared
    _, other = pyplot.subplots()
    assert error.plot(other) is other
    other.figure.canvas.draw()


def test_only_the_worst_marginals_stand_in_the_small_table() -> None:
    schema = Schema(tuple(Categorical(f"c{k}", ("0", "1")) for k in range(7)))
    error = workload_error(EncodedTable([[0] * 7]), EncodedTable([[0] * 6 + [1]]), schema=schema)
    assert error._repr_html_().count("×") == 10
    assert "and 11 more marginals" in error._repr_html_()
    assert error._repr_html_().count("<td>1</td>") == 8  # six pairs with c6, max_tv, max_cell
    assert isinstance(error, WorkloadError)
