"""Noisy answers of a family: sensitivity by brute force, scale, ledger, and what is refused."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.encoded import Codes, EncodedTable, Positions
from synth.measure_family import FamilyAnswer, centering_pays, family_sensitivity, measure_family
from synth.queries.family import QueryFamily
from synth.queries.halfspace import Halfspace
from synth.queries.marginals import Marginals
from tests.synth.naive_source import HalvedNoise, NoNoise, added, plain_schema, tables

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE


@dataclass(frozen=True)
class AtMost:
    """T conditions "code of the first column <= t", t = 0 .. T - 1."""

    n_queries: int
    needs_positions: bool = False
    factor: float = 1.0
    is_partition = False

    def sensitivity(self, neighboring: Neighboring) -> float:
        return math.sqrt(self.n_queries)

    def answers(self, table: EncodedTable) -> np.ndarray:
        return self.factor * self.row_answers(table.codes, None).sum(axis=0).astype(float)

    def row_answers(self, codes: Codes, positions: Positions | None) -> np.ndarray:
        return codes[:, :1] <= np.arange(self.n_queries)


class Weighted(AtMost):
    """Each row counts twice."""

    def sensitivity(self, neighboring: Neighboring) -> float:
        return 2 * super().sensitivity(neighboring)


TABLE = EncodedTable([[0, 1], [2, 0], [1, 1]])


def test_scale_and_ledger():
    family, ledger = AtMost(4), Ledger(1.0)
    assert isinstance(family, QueryFamily)
    answer = measure_family(family, TABLE, rho=0.5, neighboring=ADD, step="prefixes", ledger=ledger, noise=NoNoise())
    assert answer.answer.tolist() == [1, 2, 3, 3]
    assert answer.sigma == pytest.approx(2.0)
    entry = ledger.entries[0]
    assert (entry.step, entry.sensitivity, entry.scale) == ("prefixes", 2.0, answer.sigma)
    assert entry.rho == pytest.approx(0.5)
    with pytest.raises(BudgetExhaustedError):
        measure_family(family, TABLE, rho=0.6, neighboring=ADD, ledger=ledger)


def test_sensitivity():
    family = AtMost(3)
    moves = [
        np.linalg.norm(family.answers(EncodedTable(neighbor)) - family.answers(EncodedTable(table)))
        for table in tables((3, 2), 2)
        for neighbor in added(table, (3, 2))
    ]
    assert max(moves) == pytest.approx(family.sensitivity(ADD))


@pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
def test_noise_scale(rng: np.random.Generator):
    """300,000 answers: 0.13 % is one standard deviation. False alarm 1e-13."""
    family, seed = AtMost(300_000), int(rng.integers(2**32))
    exact = family.answers(TABLE)
    honest, halved = (
        measure_family(family, TABLE, rho=2.0, neighboring=ADD, noise=noise) for noise in (SeededNoise(seed), HalvedNoise(seed))
    )
    assert abs(np.std(honest.answer - exact) / honest.sigma - 1) < 0.01
    assert abs(np.std(halved.answer - exact) / halved.sigma - 1) > 0.4


def test_refusals():
    with pytest.raises(ValueError, match="reads positions"):
        measure_family(AtMost(2, needs_positions=True), TABLE, rho=1.0, neighboring=ADD)
    with pytest.raises(ValueError, match="whole numbers"):
        measure_family(AtMost(2, factor=0.5), TABLE, rho=1.0, neighboring=ADD)
    with pytest.raises(ValueError, match="rho must be positive"):
        measure_family(AtMost(2), TABLE, rho=0.0, neighboring=ADD)
    with pytest.raises(TypeError, match="neighboring"):
        measure_family(AtMost(2), TABLE, rho=1.0, neighboring="add_remove")
    with pytest.raises(ValueError, match="sensitivity must be positive"):
        measure_family(AtMost(0), TABLE, rho=1.0, neighboring=ADD)


def test_record():
    answer = FamilyAnswer([1, -2], 3.0)
    assert copy.deepcopy(answer).equals(answer)
    assert not copy.deepcopy(answer).answer.flags.writeable
    assert json.loads(json.dumps(answer.to_dict()))["answer"] == [1, -2]
    assert not answer.equals(FamilyAnswer([1, -2], 4.0))


def test_centered_answers_have_half_the_noise_and_their_sensitivity(rng: np.random.Generator):
    """2 c - n moves by sqrt(T) whatever row comes or goes, by brute force; its counts are right and half as noisy."""
    codes = rng.integers(0, 3, (200, 3))
    family = Halfspace(50, seed=3).bind(plain_schema((3, 3, 3)))
    table = EncodedTable(codes, np.zeros(codes.shape))
    released = 2 * family.answers(table) - 200
    for row in product(range(3), repeat=3):
        more = EncodedTable([*codes, row], np.zeros((201, 3)))
        moved = 2 * family.answers(more) - 201 - released
        assert np.sum(moved**2) == pytest.approx(family_sensitivity(family, ADD, centered=True) ** 2)
    assert centering_pays(family, ADD)
    assert not centering_pays(family, REPLACE)
    assert centering_pays(AtMost(9), ADD)
    assert not centering_pays(Weighted(9), ADD)  # a row counts twice there: 2 c - n moves by more than sqrt(T)
    assert not centering_pays(Marginals(k=2).bind(plain_schema((3, 3, 3))), ADD)
    rho, noise = 0.5, SeededNoise(int(rng.integers(2**32)))
    with pytest.warns(InsecureNoiseWarning):
        answer = measure_family(family, table, rho=rho, neighboring=ADD, centered=True, noise=noise)
    counts, sigma = answer.counts(200.0)
    assert sigma == pytest.approx(family.sensitivity(ADD) / np.sqrt(2 * rho) / 2, rel=1e-6)
    z = (counts - family.answers(table)) / sigma
    assert chi2.sf(np.sum(z**2), 50) > 1e-7  # false alarm 2e-7 with the line below
    assert chi2.cdf(np.sum(z**2), 50) > 1e-7
    assert pickle.loads(pickle.dumps(answer)).equals(answer)
    with pytest.raises(ValueError, match="add_remove"):
        measure_family(family, table, rho=rho, neighboring=REPLACE, centered=True)
