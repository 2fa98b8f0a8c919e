"""Bought bounds: outermost inhabited magnitudes, on a public grid, widened by nothing that no row has, but with probability beta."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.domain import bounds
from synth.domain.bounds import bounded_column, bounds_of
from synth.domain.buy import buy_domain
from synth.domain.noisy_histogram import NoisyHistogram
from synth.domain.open_schema import BuyBounds, OpenSchema
from synth.domain.source import TableColumns
from synth.schema import Continuous, Ordinal
from tests.synth.domain.fixed_columns import FixedColumns

REPLACE = Neighboring.REPLACE
seeded_is_fine = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")


def bought(values: np.ndarray, seed: int, **options: object) -> Continuous | Ordinal:
    schema = OpenSchema((BuyBounds("x", **options),))  # type: ignore[arg-type]
    column = buy_domain({"x": values}, schema, rho=0.1, neighboring=REPLACE, noise=SeededNoise(seed)).schema.columns[0]
    assert isinstance(column, Continuous | Ordinal)
    return column


@seeded_is_fine
def test_bounds_hold_nearly_all_rows_and_ignore_outliers(rng: np.random.Generator):
    """sigma is 3.2 and the threshold 22: one row passes by noise above 6.6 sigma only, 2e-11.

    The least inhabited outer magnitude expects 200 rows with a standard deviation of 14.5, noise included: 12 of those above the threshold.
    """
    seed = int(rng.integers(2**32))
    values = np.concatenate([rng.uniform(20, 100, 5000), [1e9, -1e9], [3e7]])
    column = bought(values, seed, false_bin=1e-9, bins=10)
    assert (column.lower, column.upper, column.bins) == (16.0, 128.0, 10)
    column = bought(-values, seed, false_bin=1e-9)
    assert (column.lower, column.upper) == (-128.0, -16.0)
    column = bought(np.concatenate([values, -values / 1000, np.zeros(300)]), seed, false_bin=1e-9)
    assert (column.lower, column.upper) == (-0.125, 128.0)
    whole = rng.integers(0, 100, 20_000)
    assert bought(whole, seed, kind="ordinal", false_bin=1e-9) == Ordinal("x", 0, 127, step=4)
    assert bought(np.zeros(500, dtype=int), seed, kind="ordinal", false_bin=1e-9) == Ordinal("x", 0, 1)
    assert bought(-whole - 1, seed, kind="ordinal", false_bin=1e-9) == Ordinal("x", -128, -1, step=4)


@seeded_is_fine
def test_false_bins(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch):
    """1,000 purchases at beta = 0.05: at most a binomial's (1 - 1e-6)-quantile widen the bounds. A threshold for one cell is caught."""
    n, beta = 1000, 0.05
    columns = tuple(BuyBounds(f"x{i}", largest=2.0**20, smallest=1.0, false_bin=beta) for i in range(n))
    counts = np.zeros(columns[0].magnitudes.size, dtype=np.int64)
    counts[30] = 10_000
    edges = columns[0].magnitudes.all_edges

    def widened(seed: int) -> int:
        noise = SeededNoise(seed)
        found = buy_domain(FixedColumns(counts), OpenSchema(columns), rho=n * 0.005, neighboring=REPLACE, noise=noise).schema
        return sum((column.lower, column.upper) != (edges[30], edges[31]) for column in found)

    allowed = stats.binom.isf(1e-6, n, beta)
    assert 0 < widened(int(rng.integers(2**32))) <= allowed
    right = bounds.false_bin_threshold
    monkeypatch.setattr(bounds, "false_bin_threshold", lambda sigma, n_cells, p: right(sigma, 1, p))
    assert widened(int(rng.integers(2**32))) > allowed


@given(st.lists(st.integers(-50, 200), min_size=22, max_size=22), st.floats(0.5, 20))
def test_bounds_are_on_the_grid(counts: list[int], sigma: float):
    placeholder = BuyBounds("x", largest=1024, smallest=1)
    answer = NoisyHistogram(counts, sigma)
    if max(counts) <= bounds.false_bin_threshold(sigma, 22, 0.01):
        with pytest.raises(InsufficientEvidenceError, match="column 'x': no magnitude has enough rows"):
            bounds_of(placeholder, answer)
        return
    lower, upper = bounds_of(placeholder, answer)
    assert lower < upper
    assert {lower, upper} <= {0.0, *(sign * 2.0**k for k in range(11) for sign in (-1, 1))}
    assert bounded_column(placeholder, lower, upper).bins == 32
    whole = bounded_column(BuyBounds("x", kind="ordinal", bins=5), lower, upper)
    assert whole.lower == lower
    assert whole.n_values <= 5


def test_cells_hold_what_they_say():
    """Each value is counted in the cell of its magnitude, by the plain rule; missing ones nowhere."""
    column = BuyBounds("x", largest=8, smallest=0.5, nullable=True).magnitudes
    values = [-100.0, -8.0, -4.1, -4.0, -0.5, -0.1, 0.0, 0.3, 0.5, 1.0, 3.9, 7.9, 8.0, 1e12, None]
    counts = TableColumns({"x": values}).cells(column)
    edges = column.all_edges
    naive = [sum(v is not None and a <= min(max(v, -8.0), 7.99) < b for v in values) for a, b in pairwise(edges)]
    assert counts.tolist() == [1, *naive]


def test_too_little_to_say_anything():
    """One row and noise of 3: nothing stands out. The budget is spent, and the ledger says so."""
    with pytest.raises(InsufficientEvidenceError, match="column 'x'.*the budget is spent") as caught:
        buy_domain({"x": [123456.0]}, OpenSchema((BuyBounds("x", false_bin=1e-12),)), rho=0.1, neighboring=REPLACE)
    assert "123456" not in str(caught.value)
