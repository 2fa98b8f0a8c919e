"""Counts of a rebalanced sample, the multiplicity rule, public counts and refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.distribution.defense import RebalanceDefense, public_cells, side_sizes
from attacks.distribution.resample import cell_table, world_law


@pytest.fixture
def sample(rng):
    prop = np.arange(1000) < 200
    return prop, (rng.random(1000) < 0.4).astype(int)


@given(st.integers(20, 2000), st.integers(20, 2000), st.floats(0.1, 0.9), st.sampled_from(["under", "over"]))
def test_multiplicity_rule(n0, n1, target, mode):
    wanted = side_sizes(np.array([n0, n1]), target, mode=mode)
    assert wanted[1] / wanted.sum() == pytest.approx(target, abs=0.5 / wanted.sum() + 1e-9)
    assert (wanted <= [n0, n1]).all() if mode == "under" else (wanted >= [n0, n1]).all()
    assert n0 == wanted[0] or n1 == wanted[1]


def test_target_below_one_half_is_not_mirrored():
    """n0 = n1 (1 - d) / d; the wrong multiplicity n1 d / (1 - d) yields .70 for a target of .3."""
    kept = RebalanceDefense(cells=None, target=0.3).apply(np.arange(1000) < 500, np.zeros(1000, dtype=int), rng=1)
    assert np.mean(kept < 500) == pytest.approx(0.3, abs=1e-3)


def test_fixed_cells_are_exact_whatever_the_sample(sample):
    prop, y = sample
    kept = RebalanceDefense(cells=((30, 20), (10, 40))).apply(prop, y, rng=1)
    assert cell_table(prop[kept], y[kept]).tolist() == [[30, 20], [10, 40]]
    assert len(set(kept.tolist())) == 100


def test_property_only_undersampling_and_oversampling(sample):
    prop, y = sample
    under = RebalanceDefense(cells=None).apply(prop, y, rng=1)
    assert (len(under), prop[under].sum(), len(set(under.tolist()))) == (400, 200, 400)
    over = RebalanceDefense(cells=None, mode="over").apply(prop, y, rng=1)
    assert (len(over), prop[over].sum(), len(set(over.tolist()))) == (1600, 800, 1000)
    assert np.bincount(over)[:200].tolist() == [4] * 200
    fixed = RebalanceDefense(cells=None, fixed_size=100, target=0.25).apply(prop, y, rng=1)
    assert (len(fixed), prop[fixed].sum()) == (100, 25)


def test_public_cells_fit_every_world_and_meet_the_target():
    table = np.array([[300, 100], [150, 450]])
    laws = [world_law(table, alpha, label_rate=0.25) for alpha in (0.5, 0.2)]
    for target in (0.3, 0.5):
        cells = np.array(public_cells(laws, 1000, target=target))
        assert all((cells <= 1000 * law + 1e-6).all() for law in laws)
        assert cells[1].sum() / cells.sum() == pytest.approx(target, abs=1 / cells.sum())
    assert np.sum(public_cells(laws, 1000, size=160)) == 160
    assert RebalanceDefense(fixed_size=160).for_worlds(laws, 1000).cells == public_cells(laws, 1000, size=160)


def test_short_cells_are_refused_by_name(sample):
    prop, y = sample
    with pytest.raises(ValueError, match=r"cell \(prop == 1, y == 1\) holds \d+ records, 190 are needed"):
        RebalanceDefense(cells=((1, 1), (1, 190))).apply(prop, y)
    with pytest.raises(ValueError, match=r"side prop == 1 holds 200 records, 300 are needed"):
        RebalanceDefense(cells=None, fixed_size=600).apply(prop, y)
    with pytest.raises(ValueError, match=r"side prop == 1 holds no record"):
        RebalanceDefense(cells=None).apply(np.zeros(10), y[:10])
    laws = [world_law([[300, 100], [150, 450]], alpha, label_rate=0.25) for alpha in (0.5, 0.0)]
    with pytest.raises(ValueError, match=r"cell \(prop == 1, y == 0\).*less than one"):
        public_cells(laws, 1000)
    with pytest.raises(ValueError, match="fixed_size must be at most"):
        public_cells(laws[:1], 1000, size=5000)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target": 1.0}, "target must be in"),
        ({"mode": "both"}, "mode must be one of"),
        ({"mode": "over"}, "pass cells=None"),
        ({"cells": None, "mode": "over", "fixed_size": 10}, "pass cells=None"),
        ({"cells": ((1, 2, 3),)}, "cells must hold"),
        ({"cells": ((-1, 2), (1, 1))}, "cells must hold"),
        ({"fixed_size": 1}, "fixed_size must be a whole number"),
    ],
)
def test_bad_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RebalanceDefense(**options)


def test_public_cells_must_be_set_before_use(sample):
    with pytest.raises(ValueError, match="call for_worlds"):
        RebalanceDefense().apply(*sample)
