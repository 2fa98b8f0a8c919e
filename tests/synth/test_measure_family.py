"""Noisy answers of a family: sensitivity by brute force, scale, ledger, and what is refused."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.encoded import Codes, EncodedTable, Positions
from synth.measure_family import FamilyAnswer, measure_family
from synth.queries.family import QueryFamily
from tests.synth.naive_source import HalvedNoise, NoNoise, added, tables

ADD = Neighboring.ADD_REMOVE


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
