"""What holds for every family: sensitivities by brute force, one answer whichever way it's asked, and families of one's own."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from mechanisms.guarantee import Neighboring
from synth.encoded import EncodedTable
from synth.queries.family import AdditiveFamily, QueryFamily, chosen_columns
from tests.synth.query_tables import MIXED, TINY, all_families, every_row, random_table


def brute_force_sensitivity(family: QueryFamily, rows: EncodedTable, neighboring: Neighboring) -> float:
    met = family.row_answers(rows.codes, rows.positions).astype(np.float64)
    if neighboring is Neighboring.ADD_REMOVE:
        return float(np.linalg.norm(met, axis=1).max())
    return float(np.linalg.norm(met[:, None] - met[None, :], axis=2).max())


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize("neighboring", [Neighboring.ADD_REMOVE, Neighboring.REPLACE])
def test_no_neighbors_differ_by_more_than_the_sensitivity(place: int, neighboring: Neighboring, rng: np.random.Generator) -> None:
    family, rows = all_families(TINY)[place], every_row(TINY, rng)
    assert brute_force_sensitivity(family, rows, neighboring) <= family.sensitivity(neighboring) + 1e-12


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("neighboring", [Neighboring.ADD_REMOVE, Neighboring.REPLACE])
def test_cells_reach_their_sensitivity(place: int, neighboring: Neighboring, rng: np.random.Generator) -> None:
    family, rows = all_families(TINY)[place], every_row(TINY, rng)
    assert brute_force_sensitivity(family, rows, neighboring) == pytest.approx(family.sensitivity(neighboring))
    # the relation matters: an add/remove sensitivity would be too small for replace
    assert brute_force_sensitivity(family, rows, Neighboring.REPLACE) > family.sensitivity(Neighboring.ADD_REMOVE) + 0.1


def test_the_smallest_row_meets_every_prefix() -> None:
    family = all_families(TINY)[5]
    lowest = EncodedTable([[0, 1, 0]], positions=[[0.0, 0.0, 0.0]])
    assert brute_force_sensitivity(family, lowest, Neighboring.ADD_REMOVE) == family.sensitivity(Neighboring.ADD_REMOVE) == math.sqrt(60)


@pytest.mark.parametrize("place", range(7))
def test_zero_out_is_refused(place: int) -> None:
    with pytest.raises(ValueError, match="no null record"):
        all_families(TINY)[place].sensitivity(Neighboring.ZERO_OUT)


@pytest.mark.parametrize("place", range(7))
def test_answers_are_the_sums_of_row_answers_exactly(place: int, rng: np.random.Generator) -> None:
    family, table = all_families(MIXED, seed=int(rng.integers(1000)))[place], random_table(MIXED, 300, rng)
    met = family.row_answers(table.codes, table.positions)
    assert met.shape == (300, family.n_queries)
    assert met.dtype == np.bool_
    np.testing.assert_array_equal(family.answers(table), met.sum(axis=0))
    assert family.is_partition is False


@pytest.mark.parametrize("place", range(7))
def test_the_additive_form_says_the_same(place: int, rng: np.random.Generator) -> None:
    family, table = all_families(MIXED, seed=int(rng.integers(1000)))[place], random_table(MIXED, 200, rng)
    assert isinstance(family, AdditiveFamily)
    assert table.positions is not None
    total = np.zeros((200, family.n_queries))
    for column in range(len(MIXED)):
        part = family.contributions(column, table.codes[:, column], table.positions[:, column])
        touched = family.touched(column)
        assert part.dtype == np.float32
        assert (np.diff(touched) > 0).all()
        total[:, touched] += part
    clear = np.abs(total - family.thresholds) > 1e-5  # single precision can't tell nearer ones
    assert clear.mean() > 0.99
    np.testing.assert_array_equal((total <= family.thresholds)[clear], family.row_answers(table.codes, table.positions)[clear])


@pytest.mark.parametrize("place", range(2, 7))
def test_positions_are_asked_for(place: int, rng: np.random.Generator) -> None:
    family, table = all_families(MIXED)[place], random_table(MIXED, 10, rng)
    assert family.needs_positions
    with pytest.raises(ValueError, match="reads? positions"):
        family.answers(EncodedTable(table.codes))


@pytest.mark.parametrize("place", range(7))
def test_families_survive_pickling(place: int, rng: np.random.Generator) -> None:
    family, table = all_families(MIXED)[place], random_table(MIXED, 50, rng)
    twin = pickle.loads(pickle.dumps(family))
    np.testing.assert_array_equal(twin.answers(table), family.answers(table))
    for name in ("weights", "limits", "columns"):
        if isinstance(getattr(twin, name, None), np.ndarray):
            assert not getattr(twin, name).flags.writeable


def test_columns_by_name() -> None:
    assert chosen_columns(MIXED, None) == (0, 1, 2, 3, 4, 5)
    assert chosen_columns(MIXED, None, numeric=True) == (1, 3, 4, 5)
    assert chosen_columns(MIXED, ("age", "color")) == (0, 3)
    with pytest.raises(ValueError, match="'size' is not in the schema"):
        chosen_columns(MIXED, ("size",))
    with pytest.raises(ValueError, match="'age' is listed twice"):
        chosen_columns(MIXED, ("age", "age"))
    with pytest.raises(ValueError, match="'sex' is categorical"):
        chosen_columns(MIXED, ("sex",), numeric=True)
