"""The objective for arbitrary queries, and its records."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from synth.queries.halfspace import Halfspace
from synth.queries.marginals import Marginals
from synth.query_targets import FamilyTarget, Objective, QueryFit
from tests.synth.query_tables import MIXED, random_table


def test_fitness_is_the_weighted_sum_of_squares(rng: np.random.Generator) -> None:
    families = [Marginals(k=1).bind(MIXED), Halfspace(50).bind(MIXED)]
    answers = [rng.normal(size=family.n_queries) for family in families]
    targets = [FamilyTarget(families[0], answers[0], sigma=2.0, weight=0.5), FamilyTarget(families[1], answers[1], sigma=3.0)]
    table = random_table(MIXED, 40, rng)
    objective = Objective(targets, 40, total=100)
    counts = objective.counts(table.codes, table.positions)
    expected = 0.0
    for family, answer, weight in zip(families, answers, (0.5, 1.0), strict=True):
        expected += weight * ((family.answers(table) - 0.4 * answer) ** 2).sum()
    assert objective.fitness(counts) == pytest.approx(expected / 1600)
    assert objective.noise_energy == pytest.approx((0.5 * 4 * families[0].n_queries + 9 * 50) / 1e4)
    np.testing.assert_array_equal(counts, objective.row_answers(table.codes, table.positions).sum(axis=0))


def test_change_of_fitness_follows_residual_and_weight(rng: np.random.Generator) -> None:
    family = Halfspace(30).bind(MIXED)
    objective = Objective([FamilyTarget(family, 50 * rng.random(30), sigma=1.0, weight=0.3)], 50, total=50)
    counts, step = rng.integers(50, size=30).astype(float), rng.integers(-1, 2, size=30)
    change = 2 * step @ objective.residual(counts) + step**2 @ objective.weight
    assert change == pytest.approx(2500 * (objective.fitness(counts + step) - objective.fitness(counts)))


def test_the_true_table_is_expected_to_have_the_noise_energy(rng: np.random.Generator) -> None:
    """False alarm below 1e-8: six standard deviations of a chi-square with 2,000 degrees of freedom."""
    family, table = Halfspace(2000).bind(MIXED), random_table(MIXED, 100, rng)
    objective = Objective([FamilyTarget(family, family.answers(table) + 7 * rng.normal(size=2000), sigma=7.0)], 100, total=100)
    ratio = objective.fitness(objective.counts(table.codes, table.positions)) / objective.noise_energy
    assert abs(ratio - 1) < 6 * np.sqrt(2 / 2000)


def test_bad_targets() -> None:
    family = Marginals(k=1).bind(MIXED)
    with pytest.raises(TypeError, match="bind a workload"):
        FamilyTarget(Marginals(k=1), [1.0], sigma=1.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"answer must have shape \(28,\)"):
        FamilyTarget(family, [1.0], sigma=1.0)
    with pytest.raises(ValueError, match="answer must be finite"):
        FamilyTarget(family, np.full(28, np.nan), sigma=1.0)
    with pytest.raises(ValueError, match="sigma must be non-negative"):
        FamilyTarget(family, np.zeros(28), sigma=-1.0)
    with pytest.raises(ValueError, match="weight must be positive"):
        FamilyTarget(family, np.zeros(28), sigma=1.0, weight=0.0)
    with pytest.raises(ValueError, match="targets must not be empty"):
        Objective([], 10, total=10)
    with pytest.raises(ValueError, match="total must be positive"):
        Objective([FamilyTarget(family, np.zeros(28), sigma=1.0)], 10, total=0)


def test_records_stay_read_only() -> None:
    target = FamilyTarget(Marginals(k=1).bind(MIXED), np.zeros(28), sigma=1.0)
    fit = QueryFit(np.zeros((3, 2), dtype=np.int32), np.zeros((3, 2)), 0.5, 0.1, (1.0, 0.5), "converged")
    for record, name in ((target, "answer"), (fit, "codes"), (fit, "positions")):
        assert not getattr(record, name).flags.writeable
        assert not getattr(pickle.loads(pickle.dumps(record)), name).flags.writeable
    assert fit.table().n_rows == 3
