"""The genetic algorithm: its changes by recomputation, the whole of it against a plain twin, and a tiny problem it must solve."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mechanisms.guarantee import Neighboring
from synth.decode import codes_of
from synth.encoded import Codes, EncodedTable, Positions
from synth.forbidden import ForbiddenCells
from synth.genetic import N_CANDIDATES, OperatorChoice, Population, fit_genetic
from synth.genetic_operators import Operators
from synth.queries.halfspace import Halfspace
from synth.query_fit import fit_queries
from synth.query_start import start_rows
from synth.query_targets import FamilyTarget, Objective
from synth.schema import Categorical, Continuous, Schema
from tests.synth.query_tables import MIXED, all_families, random_table
from tests.synth.test_query_start import RULES


class Parity:
    """A family of one's own: whether codes of two columns sum to an odd number."""

    is_partition = False
    needs_positions = False
    n_queries = 3
    pairs = ((0, 2), (0, 3), (2, 3))

    def sensitivity(self, neighboring: Neighboring) -> float:
        return math.sqrt(3)

    def answers(self, table: EncodedTable) -> np.ndarray:
        return self.row_answers(table.codes, table.positions).sum(axis=0).astype(float)

    def row_answers(self, codes: Codes, positions: Positions | None) -> np.ndarray:
        return np.stack([(codes[:, i] + codes[:, j]) % 2 == 1 for i, j in self.pairs], axis=1)


def some_targets(rng: np.random.Generator, sigma: float = 0.0) -> list[FamilyTarget]:
    truth = random_table(MIXED, 100, rng)
    return [
        FamilyTarget(family, family.answers(truth) + sigma * rng.normal(size=family.n_queries), sigma, weight=float(rng.uniform(0.5, 2)))
        for family in (*all_families(MIXED)[1:6:2], all_families(MIXED)[6], Parity())
    ]


@pytest.mark.parametrize("name", ["mutate", "continuous", "swap", "crossover"])
def test_changes_by_recomputation(name: str, rng: np.random.Generator) -> None:
    objective, table = Objective(some_targets(rng, sigma=2.0), 40, total=100), random_table(MIXED, 40, rng)
    population = Population(objective, table.codes.copy(), np.array(table.positions), min_gain=1.0)
    proposal = Operators(MIXED, 40, True, rng).available[name](population.codes, population.positions, 30)
    change, noise = population.changes(proposal)
    assert proposal.positions is not None
    counts = objective.counts(table.codes, table.positions)
    for i, rows in enumerate(proposal.rows):
        codes, positions = table.codes.copy(), np.array(table.positions)
        codes[rows], positions[rows] = proposal.codes[i], proposal.positions[i]
        then = objective.counts(codes, positions)
        assert change[i] == pytest.approx(1600 * (objective.fitness(then) - objective.fitness(counts)), abs=1e-6)
        assert noise[i] == pytest.approx(2 * math.sqrt((then - counts) ** 2 @ objective.variance))
    assert (change != 0).any()


def plain_twin(targets: list[FamilyTarget], n_rows: int, n_generations: int, seed: int, *, sign: float = 1.0) -> tuple[Codes, float]:
    """The published algorithm, every candidate counted from scratch."""
    rng = np.random.default_rng(seed)
    objective = Objective(targets, n_rows, total=100)
    codes, positions = start_rows(MIXED, n_rows, None, True, (), rng)
    assert positions is not None
    operators = Operators(MIXED, n_rows, True, rng)
    choice = OperatorChoice(list(operators.available), rng)
    fitness = objective.fitness(objective.counts(codes, positions))
    for _ in range(n_generations):
        name = choice.draw()
        proposal = operators.available[name](codes, positions, N_CANDIDATES)
        tried = []
        for i, rows in enumerate(proposal.rows):
            other_codes, other_positions = codes.copy(), positions.copy()
            other_codes[rows], other_positions[rows] = proposal.codes[i], np.asarray(proposal.positions)[i]
            tried.append((sign * objective.fitness(objective.counts(other_codes, other_positions)), other_codes, other_positions))
        best = min(tried, key=lambda one: one[0])
        if best[0] < sign * fitness - 1e-12:
            fitness, codes, positions = sign * best[0], best[1], best[2]
            choice.reward(name, True)
    return codes, fitness


def test_the_same_table_as_the_plain_twin(rng: np.random.Generator) -> None:
    targets, seed = some_targets(rng, sigma=1.0), int(rng.integers(1000))
    codes, fitness = plain_twin(targets, 12, 15, seed)
    fit = fit_genetic(targets, MIXED, n_rows=12, total=100, max_generations=15, min_gain=0.0, rng=seed)
    np.testing.assert_array_equal(fit.codes, codes)
    assert fit.fitness == pytest.approx(fitness)
    assert fit.stopped == "max_generations"
    _, worse = plain_twin(targets, 12, 3, seed, sign=-1.0)  # a twin that takes the worst goes the other way
    assert worse > fit.history[0]


def test_a_tiny_problem_is_solved(rng: np.random.Generator) -> None:
    truth = random_table(MIXED, 60, rng)
    targets = [
        FamilyTarget(family, family.answers(truth), sigma=0.0) for family in (all_families(MIXED)[1], all_families(MIXED)[6], Parity())
    ]
    fit = fit_genetic(targets, MIXED, n_rows=60, total=60, min_gain=0.0, max_generations=2000, rng=rng)
    assert fit.fitness < 0.05 * fit.history[0]
    assert (np.diff(fit.history) <= 1e-12).all()
    objective = Objective(targets, 60, total=60)
    assert fit.fitness == pytest.approx(objective.fitness(objective.counts(fit.codes, fit.positions)))
    assert fit.positions is not None
    np.testing.assert_array_equal(codes_of(MIXED, fit.positions, fit.codes), fit.codes)


def test_a_family_of_ones_own_passes_through(rng: np.random.Generator) -> None:
    target = FamilyTarget(Parity(), [30.0, 50.0, 60.0], sigma=0.0)
    fit = fit_queries([target], MIXED, n_rows=100, total=100, min_gain=0.0, rng=rng)
    assert fit.positions is None
    assert np.abs(Parity().answers(fit.table()) - [30, 50, 60]).max() <= 1
    assert fit.stopped == "converged"


def test_a_family_that_contradicts_itself_is_refused(rng: np.random.Generator) -> None:
    class Wrong(Parity):
        def answers(self, table: EncodedTable) -> np.ndarray:
            return super().answers(table) + 1

    with pytest.raises(ValueError, match="not the sums of its row_answers"):
        fit_genetic([FamilyTarget(Wrong(), np.zeros(3), sigma=1.0)], MIXED, n_rows=10, total=10, rng=rng)


def test_the_same_seed_gives_the_same_table(rng: np.random.Generator) -> None:
    targets, seed = some_targets(rng), int(rng.integers(1000))
    first, again = (fit_genetic(targets, MIXED, n_rows=20, total=100, max_generations=50, rng=seed) for _ in range(2))
    np.testing.assert_array_equal(first.codes, again.codes)
    np.testing.assert_array_equal(first.positions, again.positions)


def test_forbidden_combinations_never_appear(rng: np.random.Generator) -> None:
    fit = fit_genetic(some_targets(rng), MIXED, n_rows=40, total=100, max_generations=200, min_gain=0.0, forbidden=RULES, rng=rng)
    assert not ForbiddenCells(RULES, MIXED.sizes).violations(fit.codes).any()
    assert fit.fitness < fit.history[0]


def test_gains_within_the_noise_are_left(rng: np.random.Generator) -> None:
    schema = Schema((Categorical("a", (0, 1)), Continuous("x", 0.0, 1.0, bins=8)))
    truth = random_table(schema, 200, rng)
    family = Halfspace(80, seed=int(rng.integers(1000))).bind(schema)
    target = FamilyTarget(family, family.answers(truth) + 6 * rng.normal(size=80), sigma=6.0)
    careful, eager = (
        fit_genetic([target], schema, n_rows=200, total=200, start=truth, min_gain=gain, max_generations=400, rng=rng)
        for gain in (1.0, 0.0)
    )
    errors = [np.abs(family.answers(fit.table()) - family.answers(truth)).mean() for fit in (careful, eager)]
    assert errors[0] < errors[1]
    assert eager.fitness < careful.fitness


def test_noise_floor_and_progress(rng: np.random.Generator) -> None:
    targets, seen = some_targets(rng, sigma=3.0), []
    assert fit_genetic(targets, MIXED, n_rows=20, total=100, noise_floor=1e6, rng=rng).stopped == "noise_floor"
    fit_genetic(targets, MIXED, n_rows=20, total=100, max_generations=100, rng=rng, progress=lambda *step: seen.append(step))
    assert seen == [(100, 100, "generations")]


def test_operators_are_chosen_by_exponential_weights(rng: np.random.Generator) -> None:
    choice = OperatorChoice(["a", "b", "c", "d"], rng)
    np.testing.assert_allclose(choice.probabilities(), 0.25)
    choice.reward("b", True)
    choice.reward("a", False)
    grown = math.exp(0.1 / 0.25)
    expected = 0.95 * grown / (3 + grown) + 0.05 / 4
    np.testing.assert_allclose(choice.probabilities()[1], expected)
    for _ in range(1000):
        choice.reward("b", True)
    assert choice.probabilities().min() == pytest.approx(0.0125)
    choice.restart()
    np.testing.assert_allclose(choice.probabilities(), 0.25)
