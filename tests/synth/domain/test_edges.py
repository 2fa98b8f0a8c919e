"""Bought edges: levels of one histogram each, increasing edges on a public grid, bins of about equal mass."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.domain.buy import buy_domain
from synth.domain.edges import buy_edges, halve, heavy_bins, quantile_borders
from synth.domain.noisy_histogram import NoisyHistogram
from synth.domain.open_schema import BuyBounds, BuyEdges, OpenSchema
from synth.domain.source import TableColumns
from synth.schema import Continuous
from tests.synth.naive_source import NoNoise

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
seeded_is_fine = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")


def exact(step: str, counts: np.ndarray) -> NoisyHistogram:
    return NoisyHistogram(counts, 1.0)


@pytest.mark.parametrize(("neighboring", "D"), [(ADD, 1.0), (REPLACE, math.sqrt(2))])
def test_sensitivity_and_scale_of_all_levels(neighboring: Neighboring, D: float):
    """Over tables of 3 rows: with the same noisy answers, all levels together move by D sqrt(h + 1); sigma^2 = that^2 / (2 rho)."""
    placeholder, values = BuyEdges("x", 0, 8, bins=2, levels=2, nullable=True), (0.5, 3.0, 7.9, None)
    script = [[5, 1], [9, 0, 1], [9, 1, 0, 0]]  # answers that lead down the left side, whatever the rows are

    def levels(rows: list[float | None]) -> np.ndarray:
        seen: list[np.ndarray] = []

        def measure(step: str, counts: np.ndarray) -> NoisyHistogram:
            seen.append(counts)
            return NoisyHistogram(script[len(seen) - 1], 1.0)

        buy_edges(placeholder, TableColumns({"x": np.array(rows, dtype=float)}).cells(placeholder.grid)[1:], measure)
        return np.concatenate(seen)

    largest = 0.0
    for a in values:
        for b in values:
            base = [a, b, 1.0]
            others = [[*base, c] for c in values] if neighboring is ADD else [[c, b, 1.0] for c in values]
            largest = max(largest, *(float(((levels(base) - levels(other)) ** 2).sum()) for other in others))
    assert math.sqrt(largest) == pytest.approx(D * math.sqrt(3))
    ledger = Ledger(0.3)
    rows = {"x": np.repeat([0.1, 7.0], [90, 10])}
    bought = buy_domain(rows, OpenSchema((placeholder,)), rho=0.3, neighboring=neighboring, noise=NoNoise(), ledger=ledger)
    (purchase,) = bought.purchases
    assert [answer.sigma**2 for answer in purchase.answers] == pytest.approx([3 * D**2 / (2 * 0.3)] * 3)
    assert [entry.step for entry in ledger.entries] == [f"edges of x, level {level}" for level in range(3)]
    assert ledger.spent == pytest.approx(0.3)
    assert ledger.spent <= 0.3


@seeded_is_fine
def test_equal_mass_on_skewed_data(rng: np.random.Generator):
    """50,000 lognormal values, K = 32: every bin has at most 2.2 / K, where equal bins have more than 1 / 2.

    sigma is 18.7. A bin's noisy mass is at most 2 / K; 0.2 / K more are 312 rows, 6 standard deviations of the noise in 8 parts, and
    bins that come near 2 / K are made of two. Over 60 seeds the largest mass was 1.77 / K in the mean, 1.86 / K at worst.
    """
    values = rng.lognormal(10.0, 1.0, 50_000)
    schema = OpenSchema((BuyEdges("income", 0, 1e6, bins=32, levels=6),))
    (column,) = buy_domain({"income": values}, schema, rho=0.02, neighboring=REPLACE, noise=SeededNoise(int(rng.integers(2**32)))).schema

    def largest_mass(column: Continuous) -> float:
        return float(TableColumns({"income": values}).cells(column).max()) / len(values)

    assert isinstance(column, Continuous)
    assert 20 <= column.bins <= 32
    assert all(left < right for left, right in pairwise(column.all_edges))
    assert set(column.all_edges) <= set(schema.to_buy[0].grid.all_edges)  # type: ignore[union-attr]
    assert largest_mass(column) <= 2.2 / 32
    assert largest_mass(Continuous("income", 0, 1e6, bins=32)) > 0.5


@given(st.integers(2, 6), st.integers(1, 4), st.data())
def test_edges_without_noise(bins: int, levels: int, data: st.DataObject):
    """Any counts, also with noise: edges increase and lie on the grid. Without noise no bin of several parts is above 2 / K."""
    placeholder = BuyEdges("x", -3, 7, bins=bins, levels=levels)
    fine = np.array(data.draw(st.lists(st.integers(0, 30), min_size=bins * 2**levels, max_size=bins * 2**levels)))
    column, answers = buy_edges(placeholder, fine, exact)
    assert 1 <= column.bins <= bins
    grid = placeholder.grid.all_edges
    assert set(column.all_edges) <= set(grid)
    assert len(answers) <= levels + 1
    places = [grid.index(edge) for edge in column.all_edges]
    masses = [fine[left:right].sum() for left, right in pairwise(places)]
    largest_part = max(fine.max(), fine.sum() / bins)  # what can't be halved any more, or needn't be
    assert max(masses) <= fine.sum() / bins + largest_part + 1e-9
    wild = np.array(data.draw(st.lists(st.integers(-40, 30), min_size=len(fine), max_size=len(fine))))
    assert 1 <= buy_edges(placeholder, wild, exact)[0].bins <= bins


def test_uniform_data_keep_equal_bins_and_pay_for_one_level():
    rows = {"x": (np.arange(320) % 32) + 0.5}
    ledger = Ledger(0.7)
    schema = OpenSchema((BuyEdges("x", 0, 32, bins=32, levels=6),))
    bought = buy_domain(rows, schema, rho=0.7, neighboring=REPLACE, noise=NoNoise(), ledger=ledger)
    (column,) = bought.schema
    assert isinstance(column, Continuous)
    assert column.all_edges == tuple(float(k) for k in range(33))
    assert len(ledger.entries) == 1
    assert bought.rho == ledger.spent == pytest.approx(0.1)
    assert ledger.left == pytest.approx(0.6)  # the rest is for the measurements


def test_counts_that_sum_to_nothing_leave_equal_bins():
    column, answers = buy_edges(BuyEdges("x", 0, 4, bins=4, levels=3), np.full(32, -1), exact)
    assert column.all_edges == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert len(answers) == 1


def test_one_value_of_most_rows_gets_the_narrowest_bin():
    placeholder = BuyEdges("x", 0, 16, bins=4, levels=4)
    fine = np.bincount(np.repeat([5, 40], [900, 100]), minlength=64)
    column, _ = buy_edges(placeholder, fine, exact)
    assert {1.25, 1.5} & set(column.all_edges)
    assert all(left < right for left, right in pairwise(column.all_edges))


def test_steps():
    assert heavy_bins(np.array([5, 5]), 2).tolist() == [False, False]
    assert heavy_bins(np.array([-5, 3]), 2).tolist() == [False, False]
    borders, parent = halve(np.array([0, 2, 4, 8]), np.array([True, False, True]))
    assert borders.tolist() == [0, 1, 2, 4, 6, 8]
    assert parent.tolist() == [0, 0, 1, 2, 2]
    assert quantile_borders(np.arange(5), np.array([1.0, 0, 0, 1.0]), 2).tolist()[::2] == [0, 4]


@seeded_is_fine
def test_bounds_and_edges_together(rng: np.random.Generator):
    """Half of rho on bounds, half on edges inside them; the whole is within the budget."""
    values = rng.lognormal(10.0, 1.0, 50_000)
    ledger = Ledger(0.1)
    schema = OpenSchema((BuyBounds("income", levels=5, false_bin=1e-6),))
    bought = buy_domain(
        {"income": values}, schema, rho=0.1, neighboring=REPLACE, noise=SeededNoise(int(rng.integers(2**32))), ledger=ledger
    )
    (column,) = bought.schema
    assert isinstance(column, Continuous)
    assert column.lower in {2.0**k for k in range(6, 12)}
    assert column.upper in {2.0**k for k in range(17, 21)}
    assert TableColumns({"income": values}).cells(column).max() / len(values) <= 2.2 / 32
    assert ledger.entries[0].rho == pytest.approx(0.05)
    assert ledger.spent <= 0.1
