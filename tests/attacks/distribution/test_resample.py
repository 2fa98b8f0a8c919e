"""Raking against its closed form, quota and multinomial cells, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import chi2

from attacks.distribution.resample import cell_table, largest_remainder, resample_ratio, world_law

RATE = st.floats(0.05, 0.95)
CELL = st.integers(1, 1000)


@pytest.fixture
def pool(rng):
    prop = rng.random(4000) < 0.4
    return prop, (rng.random(4000) < np.where(prop, 0.7, 0.3)).astype(int)


@given(st.tuples(CELL, CELL, CELL, CELL), RATE, RATE)
def test_raking_meets_the_margins_and_keeps_the_odds_ratio(cells, alpha, rate):
    table = np.reshape(cells, (2, 2)).astype(float)
    law = world_law(table, alpha, label_rate=rate)
    assert law.sum(axis=0) == pytest.approx([1 - rate, rate], abs=2e-6)
    assert law.sum(axis=1) == pytest.approx([1 - alpha, alpha], abs=1e-9)
    odds = [t[0, 0] * t[1, 1] / (t[0, 1] * t[1, 0]) for t in (table, law)]
    assert odds[1] == pytest.approx(odds[0], rel=1e-9)


def test_raking_is_the_root_of_its_equation():
    """Of a 2 x 2 table with given margins and odds ratio w there is one: t (1 - alpha - rate + t) = w (alpha - t)(rate - t)."""
    alpha, rate, odds = 0.2, 0.35, (400 * 300) / (100 * 200)
    t = brentq(lambda t: t * (1 - alpha - rate + t) - odds * (alpha - t) * (rate - t), 0, min(alpha, rate), xtol=1e-15)
    assert world_law([[400, 100], [200, 300]], alpha, label_rate=rate)[1, 1] == pytest.approx(t, abs=1e-11)


def test_raking_keeps_every_odds_ratio_of_several_labels():
    table = np.array([[10.0, 20, 70, 5], [30, 5, 5, 60]])
    law = world_law(table, 0.3, label_rate=[0.1, 0.2, 0.3, 0.4])
    assert law.sum(axis=0) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    ratio = law / table
    assert ratio[0] / ratio[1] == pytest.approx(ratio[0, 0] / ratio[1, 0])


def test_without_label_rate_labels_keep_their_law_given_the_property():
    law = world_law([[30, 10], [15, 45]], 0.2)
    assert law == pytest.approx(np.array([[0.6, 0.2], [0.05, 0.15]]))


@pytest.mark.parametrize("alpha", [0, 1])
def test_degenerate_ratios(pool, alpha):
    prop, y = pool
    chosen = resample_ratio(prop, y, alpha, 200, label_rate=0.25, rng=1)
    assert prop[chosen].mean() == alpha
    assert y[chosen].sum() == 50


def test_quota_cells_are_exact(pool, rng):
    prop, y = pool
    law = world_law(cell_table(prop, y), 0.3, label_rate=0.5)
    for n in (1, 7, 400, 999):
        chosen = resample_ratio(prop, y, 0.3, n, label_rate=0.5, rng=rng)
        found = cell_table(prop[chosen], y[chosen], n_classes=2)
        assert np.array_equal(found, largest_remainder(n * law))
        assert len(set(chosen.tolist())) == n


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(1, 500))
def test_largest_remainder_keeps_the_sum(shares, n):
    total = sum(shares)
    quota = n * (np.array(shares) / total if total else np.ones(len(shares)) / len(shares))
    counts = largest_remainder(quota)
    assert counts.sum() == n
    assert np.abs(counts - quota).max() < 1 + 1e-6


def test_iid_cells_are_multinomial(pool, rng):
    """Pearson's statistic of 300 samples of 100, summed: chi-squared with 900 degrees of freedom, nearly. False alarm below 1e-6.

    A quota of the same law has statistic about 0, and the law of another ratio a huge one: both must fail.
    """
    prop, y = pool
    law = world_law(cell_table(prop, y), 0.3, label_rate=0.5)

    def statistic(method, alpha):
        drawn = [resample_ratio(prop, y, alpha, 100, label_rate=0.5, method=method, rng=rng) for _ in range(300)]
        counts = np.array([cell_table(prop[chosen], y[chosen], n_classes=2) for chosen in drawn])
        return float(((counts - 100 * law) ** 2 / (100 * law)).sum())

    low, high = chi2.ppf([1e-9, 1 - 1e-9], 900)
    assert low < statistic("iid", 0.3) < high
    assert statistic("quota", 0.3) < low
    assert statistic("iid", 0.4) > high


def test_every_record_of_a_cell_is_as_likely(rng):
    """2,000 samples of 3 of 10 records: each record's count is Bin(2000, .3), sd 20.5. False alarm below 1e-6 (6.2 sd, 10 records)."""
    prop, y = np.zeros(10, dtype=bool), np.zeros(10, dtype=int)
    counts = sum(np.bincount(resample_ratio(prop, y, 0, 3, rng=rng), minlength=10) for _ in range(2000))
    assert np.abs(counts - 600).max() < 6.2 * 20.5


def test_short_cells_are_named():
    prop, y = np.arange(60) >= 50, np.array([0, 1] * 25 + [0] * 9 + [1])
    with pytest.raises(ValueError, match=r"cell \(prop == 1, y == 0\) holds 9 records, 18 are needed"):
        resample_ratio(prop, y, 0.5, 40)


def test_bad_input_is_refused(pool):
    prop, y = pool
    for options, message in (
        ({"alpha": 1.1}, "alpha must be in"),
        ({"n": 0}, "n must be a whole number >= 1"),
        ({"method": "best"}, "method must be one of"),
        ({"label_rate": [0.2, 0.2, 0.6]}, "label_rate must hold 2 rates"),
        ({"label_rate": [0.2, 0.2]}, "sum to 1"),
    ):
        with pytest.raises(ValueError, match=message):
            resample_ratio(**{"prop": prop, "y": y, "alpha": 0.5, "n": 10, "rng": 1} | options)
    with pytest.raises(ValueError, match=r"no record has prop == 1"):
        resample_ratio(np.zeros(20), np.arange(20) % 2, 0.5, 10)
    with pytest.raises(ValueError, match="at least one record"):
        resample_ratio([], [], 0.5, 10)
    with pytest.raises(ValueError, match="can't be met"):
        resample_ratio(np.arange(20) < 10, np.arange(20) < 10, 0.5, 10, label_rate=0.2)


def test_same_seed_same_records(pool):
    prop, y = pool
    assert np.array_equal(resample_ratio(prop, y, 0.3, 50, method="iid", rng=3), resample_ratio(prop, y, 0.3, 50, method="iid", rng=3))
