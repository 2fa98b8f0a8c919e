"""The move engine: every move it makes is the best one, by recomputation from scratch."""

from __future__ import annotations

import numpy as np
import pytest

from mechanisms.guarantee import Neighboring
from synth.decode import codes_of
from synth.encoded import EncodedTable
from synth.forbidden import ForbiddenCells
from synth.move_candidates import Candidates
from synth.move_kernel import visit_rows
from synth.moves import fit_moves
from synth.queries.halfspace import Halfspace, HalfspaceFamily
from synth.queries.marginals import Marginals
from synth.queries.prefix import Prefix
from synth.query_targets import FamilyTarget, Objective
from synth.schema import Categorical, Continuous, Ordinal, Schema
from tests.synth.query_tables import MIXED, all_families, random_table
from tests.synth.test_query_start import RULES


def some_targets(rng: np.random.Generator, sigma: float) -> list[FamilyTarget]:
    truth = random_table(MIXED, 400, rng)
    return [
        FamilyTarget(family, family.answers(truth) + sigma * rng.normal(size=family.n_queries), sigma, weight=float(rng.uniform(0.2, 2)))
        for family in all_families(MIXED, seed=int(rng.integers(1000)))
    ]


def visit(
    objective: Objective, table: EncodedTable, candidates: Candidates, noise: np.ndarray, blocked: np.ndarray, *, sign: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    residual = sign * objective.residual(objective.counts(table.codes, table.positions))
    chosen = np.empty(table.n_rows, dtype=np.int64)
    visit_rows(candidates.of_rows(table.codes, table.positions), blocked, *candidates.layout(), objective.weight, noise, residual, chosen)
    return chosen, residual


@pytest.mark.parametrize("min_gain", [0.0, 1.0])
def test_the_best_of_all_moves_is_taken(min_gain: float, rng: np.random.Generator) -> None:
    objective, table = Objective(some_targets(rng, sigma=1.0), 60, total=400), random_table(MIXED, 60, rng)
    assert table.positions is not None
    candidates = Candidates(objective, MIXED, rng)
    noise = (2 * min_gain) ** 2 * objective.variance
    before = objective.row_answers(table.codes, table.positions)
    residual = objective.residual(before.sum(axis=0))
    n_taken = n_wrong = 0
    for row in range(12):
        codes, positions = np.tile(table.codes[row], (candidates.values[-1], 1)), np.tile(table.positions[row], (candidates.values[-1], 1))
        for column in range(len(MIXED)):
            span = slice(candidates.values[column], candidates.values[column + 1])
            codes[span, column], positions[span, column] = candidates.codes[column], candidates.positions[column]
        step = objective.row_answers(codes, positions).astype(float) - before[row]
        change = 2 * step @ residual + step**2 @ objective.weight
        penalized = change + np.sqrt(step**2 @ noise)
        blocked = np.zeros((60, candidates.values[-1]), dtype=bool)
        blocked[:, rng.integers(candidates.values[-1], size=3)] = True
        allowed = np.where(blocked[0], np.inf, penalized)
        order = np.concatenate([[row], np.delete(np.arange(60), row)])
        one = EncodedTable(table.codes[order], table.positions[order])
        chosen, _ = visit(objective, one, candidates, noise, np.where(np.arange(60)[:, None] == 0, blocked, True))
        if allowed.min() > -1e-4:
            assert chosen[0] == -1 or allowed[chosen[0]] < 1e-3
            continue
        n_taken += 1
        assert allowed[chosen[0]] == pytest.approx(allowed.min(), rel=1e-4, abs=1e-3)
        wrong, _ = visit(objective, one, candidates, noise, np.where(np.arange(60)[:, None] == 0, blocked, True), sign=-1.0)
        n_wrong += wrong[0] == -1 or allowed[wrong[0]] > allowed.min() + 1e-2  # a kernel with a sign wrong is caught
        assert (chosen[1:] == -1).all()
    assert n_taken > 6
    assert n_wrong > 0.9 * n_taken


def test_the_residual_follows_the_moves(rng: np.random.Generator) -> None:
    objective, table = Objective(some_targets(rng, sigma=0.0), 200, total=400), random_table(MIXED, 200, rng)
    candidates = Candidates(objective, MIXED, rng)
    chosen, residual = visit(objective, table, candidates, 0 * objective.variance, np.zeros((200, candidates.values[-1]), dtype=bool))
    codes, positions = table.codes.copy(), np.array(table.positions)
    candidates.move(codes, positions, np.arange(200), chosen)
    assert (chosen >= 0).sum() > 20
    recounted = objective.residual(objective.counts(codes, positions))
    assert (np.abs(recounted - residual) > 1e-9).mean() < 1e-2  # single precision may misjudge a halfspace, nothing else
    assert objective.fitness(objective.counts(codes, positions)) < objective.fitness(objective.counts(table.codes, table.positions))


def test_noise_free_answers_of_a_real_shape_are_met(rng: np.random.Generator) -> None:
    truth = random_table(MIXED, 300, rng)
    targets = [FamilyTarget(family, family.answers(truth), sigma=0.0) for family in all_families(MIXED)]
    fit = fit_moves(targets, MIXED, n_rows=300, total=300, min_gain=0.0, rng=rng)
    assert fit.fitness < 1e-2 * fit.history[0]
    objective = Objective(targets, 300, total=300)
    assert fit.fitness == pytest.approx(objective.fitness(objective.counts(fit.codes, fit.positions)))
    assert fit.fitness == min(fit.history)
    assert fit.positions is not None
    np.testing.assert_array_equal(codes_of(MIXED, fit.positions, fit.codes), fit.codes)


def test_one_column_reaches_rounding(rng: np.random.Generator) -> None:
    schema = Schema((Ordinal("age", 0, 9),))
    wanted = rng.dirichlet(np.ones(10)) * 1000
    family = Marginals(k=1).bind(schema)
    fit = fit_moves([FamilyTarget(family, wanted, sigma=0.0)], schema, n_rows=200, total=1000, min_gain=0.0, rng=rng)
    assert np.abs(family.answers(fit.table()) - wanted / 5).max() <= 1
    assert fit.positions is None


def test_the_same_seed_gives_the_same_table(rng: np.random.Generator) -> None:
    targets, seed = some_targets(rng, sigma=2.0), int(rng.integers(1000))
    first, again, other = (fit_moves(targets, MIXED, n_rows=100, total=400, rng=s) for s in (seed, seed, seed + 1))
    np.testing.assert_array_equal(first.codes, again.codes)
    np.testing.assert_array_equal(first.positions, again.positions)
    assert first.history == again.history
    assert (first.codes != other.codes).any()


def test_min_gain_keeps_a_good_start_from_following_noise(rng: np.random.Generator) -> None:
    schema = Schema(tuple(Continuous(name, 0.0, 1.0, bins=16) for name in "abc"))
    truth, family = random_table(schema, 500, rng), Halfspace(400, seed=int(rng.integers(1000))).bind(schema)
    target = FamilyTarget(family, family.answers(truth) + 8 * rng.normal(size=400), sigma=8.0)
    careful, eager = (fit_moves([target], schema, n_rows=500, total=500, start=truth, min_gain=gain, rng=rng) for gain in (1.0, 0.0))
    errors = [np.abs(family.answers(fit.table()) - family.answers(truth)).mean() for fit in (careful, eager)]
    assert errors[0] < 0.7 * errors[1]
    assert careful.noise_energy > 0


def test_noise_floor_ends_a_fit(rng: np.random.Generator) -> None:
    targets = some_targets(rng, sigma=3.0)
    fit = fit_moves(targets, MIXED, n_rows=100, total=400, noise_floor=1e6, rng=rng)
    assert fit.stopped == "noise_floor"
    assert len(fit.history) == 1
    assert fit_moves(targets, MIXED, n_rows=100, total=400, max_sweeps=1, rng=rng).stopped == "max_sweeps"


def test_forbidden_combinations_never_appear(rng: np.random.Generator) -> None:
    targets = some_targets(rng, sigma=0.0)  # of a table that has them
    fit = fit_moves(targets, MIXED, n_rows=150, total=400, forbidden=RULES, rng=rng)
    rules = ForbiddenCells(RULES, MIXED.sizes)
    assert not rules.violations(fit.codes).any()
    assert rules.violations(fit_moves(targets, MIXED, n_rows=150, total=400, rng=rng).codes).any()


def test_columns_with_many_codes_show_some_of_them_a_sweep(rng: np.random.Generator) -> None:
    schema = Schema((Ordinal("x", 0, 99_999), Categorical("c", (0, 1))))
    family = Prefix(30, k=1).bind(schema)
    truth = random_table(schema, 900, rng)
    fit = fit_moves([FamilyTarget(family, family.answers(truth), sigma=0.0)], schema, n_rows=900, total=900, min_gain=0.0, rng=rng)
    assert fit.fitness < 1e-3 * fit.history[0]
    assert len(np.unique(fit.codes[:, 0])) > 256


def test_progress_and_refusals(rng: np.random.Generator) -> None:
    seen: list[tuple[int, int, str]] = []
    targets = some_targets(rng, sigma=1.0)
    fit_moves(targets, MIXED, n_rows=20, total=400, max_sweeps=2, rng=rng, progress=lambda *step: seen.append(step))
    assert seen[0] == (1, 2, "sweeps")
    with pytest.raises(ValueError, match="n_rows must be a whole number >= 1"):
        fit_moves(targets, MIXED, n_rows=0, total=400)
    with pytest.raises(ValueError, match="min_gain must be non-negative"):
        fit_moves(targets, MIXED, n_rows=5, total=400, min_gain=-1.0)


def test_an_additive_form_that_contradicts_the_answers_is_refused(rng: np.random.Generator) -> None:
    class Wrong(HalfspaceFamily):
        def contributions(self, column: int, codes: np.ndarray, positions: np.ndarray | None) -> np.ndarray:
            return -super().contributions(column, codes, positions)

    right = Halfspace(50).bind(MIXED)
    wrong = Wrong(right.schema, right.columns, right.weights, right.thresholds)
    with pytest.raises(ValueError, match="contradict its row_answers"):
        fit_moves([FamilyTarget(wrong, np.zeros(50), sigma=1.0)], MIXED, n_rows=20, total=20, rng=rng)
    with pytest.raises(TypeError, match="Plain is not an AdditiveFamily; fit it with fit_genetic"):
        fit_moves([FamilyTarget(Plain(), np.zeros(1), sigma=1.0)], MIXED, n_rows=20, total=20, rng=rng)


class Plain:
    """A family without an additive form."""

    n_queries, is_partition, needs_positions = 1, False, False

    def sensitivity(self, neighboring: Neighboring) -> float:
        return 1.0

    def answers(self, table: EncodedTable) -> np.ndarray:
        return np.array([float(table.n_rows)])

    def row_answers(self, codes: np.ndarray, positions: np.ndarray | None) -> np.ndarray:
        return np.ones((len(codes), 1), dtype=bool)
