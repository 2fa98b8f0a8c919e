"""Noisy marginals: sensitivities by brute force, the noise that is really there, nothing told beside it, and our own audit."""

from __future__ import annotations

import copy
import json
import math
import pickle
from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from synth.budget import marginal_sensitivity, one_shot_budget
from synth.measure import MarginalAnswer, budget_shares, measure_marginals, weighted_targets
from tests.synth.naive_source import HalvedNoise, NaiveSource, NoNoise, Table, added, plain_schema, replaced, tables

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
SIZES = (2, 3)
SCHEMA = plain_schema(SIZES)
GROUPS = [(0,), (1,), (0, 1)]
seeded_is_fine = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")


@pytest.mark.parametrize(("neighboring", "neighbors"), [(ADD, added), (REPLACE, replaced)])
def test_sensitivities(neighboring: Neighboring, neighbors: Callable[[Table, tuple[int, ...]], Iterator[Table]]):
    """Over all tables of 1 to 3 rows of a domain of 6 cells and all their neighbors: one marginal moves by D, m of them by sqrt(m) D."""
    alone, together = np.zeros(len(GROUPS)), 0.0
    for n_rows in (1, 2, 3):
        for table in tables(SIZES, n_rows):
            here = NaiveSource(table, SCHEMA).marginals(GROUPS)
            for neighbor in neighbors(table, SIZES):
                there = NaiveSource(neighbor, SCHEMA).marginals(GROUPS)
                moved = np.array([((a - b) ** 2).sum() for a, b in zip(here, there, strict=True)])
                alone, together = np.maximum(alone, moved), max(together, moved.sum())
    D = marginal_sensitivity(neighboring)
    assert np.sqrt(alone) == pytest.approx(D)
    assert math.sqrt(together) == pytest.approx(math.sqrt(len(GROUPS)) * D)


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
@pytest.mark.parametrize("budget", ["cube_root", "two_thirds", "equal"])
def test_scales_and_ledger(neighboring: Neighboring, budget: str):
    ledger = Ledger(0.4)
    source = NaiveSource([(0, 1)] * 5, SCHEMA)
    answers = measure_marginals(source, GROUPS, rho=0.3, neighboring=neighboring, budget=budget, ledger=ledger, noise=NoNoise())
    power = {"cube_root": 1 / 3, "two_thirds": 2 / 3, "equal": 0.0}[budget]
    weight = np.array([2.0, 3.0, 6.0]) ** power
    D = 1.0 if neighboring is ADD else math.sqrt(2)
    assert [answer.sigma for answer in answers] == pytest.approx(D / np.sqrt(2 * 0.3 * weight / weight.sum()))
    assert [entry.rho for entry in ledger.entries] == pytest.approx(0.3 * weight / weight.sum())
    assert [entry.step for entry in ledger.entries] == ["marginal c0", "marginal c1", "marginal c0 x c1"]
    assert {(entry.mechanism, entry.sensitivity) for entry in ledger.entries} == {("discrete gaussian", D)}
    assert 0.3 * (1 - 1e-9) < ledger.spent <= 0.3
    assert [int(answer.answer.sum()) for answer in answers] == [5, 5, 5]
    assert answers[2].answer[0, 1] == 5


def test_own_shares_and_the_number_of_rows():
    ledger = Ledger(1.0)
    source = NaiveSource([(1, 2), (0, 0)], SCHEMA)
    answers = measure_marginals(source, [(), (0,)], rho=1.0, neighboring=ADD, shares=[0.2, 0.8], ledger=ledger, noise=NoNoise())
    assert answers[0].answer.shape == ()
    assert int(answers[0].answer) == 2
    assert answers[0].sigma == pytest.approx(1 / math.sqrt(0.4))
    assert ledger.entries[0].step == "number of rows"
    with pytest.raises(ValueError, match="public under replace"):
        measure_marginals(source, [()], rho=1.0, neighboring=REPLACE)


def test_weights():
    answers = [MarginalAnswer((0,), [1, 2], 3.0), MarginalAnswer((1,), [1, 2, 0], 6.0)]
    assert [target.weight for target in weighted_targets(answers)] == [1.0, 0.5]
    assert [target.sigma for target in weighted_targets(answers)] == [3.0, 6.0]
    assert answers[1].target().weight == 1.0
    assert weighted_targets([]) == []


@seeded_is_fine
@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_noise_scale(neighboring: Neighboring, rng: np.random.Generator):
    """Empirical over stated scale in [0.99, 1.01], 250,000 cells and more each: 7 standard deviations, false alarm 1e-11."""
    schema = plain_schema((500, 500, 2))
    source = NaiveSource([], schema)
    source.marginals = lambda groups: [np.zeros([schema.sizes[c] for c in group], dtype=np.int64) for group in groups]

    def ratios(noise: NoiseSource) -> list[float]:
        answers = measure_marginals(source, [(0, 1), (0, 1, 2)], rho=0.01, neighboring=neighboring, max_cells=10**7, noise=noise)
        return [float(np.sqrt((answer.answer.astype(float) ** 2).mean())) / answer.sigma for answer in answers]

    seed = int(rng.integers(2**32))
    assert all(0.99 < ratio < 1.01 for ratio in ratios(SeededNoise(seed)))
    assert not any(0.99 < ratio < 1.01 for ratio in ratios(HalvedNoise(seed)))


@pytest.mark.parametrize(("neighboring", "second"), [(ADD, [(0, 1)] * 41 + [(1, 2)]), (REPLACE, [(0, 1)] * 40 + [(1, 2)])])
def test_nothing_beside_the_answers(neighboring: Neighboring, second: list[tuple[int, int]]):
    """All that is released beside the noisy counts is the same, byte by byte, for two neighboring tables."""

    def beside(rows: list[tuple[int, int]]) -> tuple[str, int]:
        shares = budget_shares([2, 3, 6])
        budget = one_shot_budget(epsilon=1.0, delta=1e-6, neighboring=neighboring, shares=shares)
        ledger = budget.ledger()
        answers = measure_marginals(
            NaiveSource(rows, SCHEMA), GROUPS, rho=budget.rho, neighboring=neighboring, ledger=ledger, noise=NoNoise()
        )
        records = [answer.to_dict() for answer in answers]
        counted = [record.pop("answer") for record in records]
        shapes = [(np.shape(count), answer.answer.dtype.str) for count, answer in zip(counted, answers, strict=True)]
        return json.dumps([records, shapes, ledger.to_dict(), budget.to_dict()]), hash(str(counted))

    first_beside, first_counts = beside([(0, 1)] * 41)
    second_beside, second_counts = beside(second)
    assert first_beside == second_beside
    assert first_counts != second_counts  # the tables do differ


@seeded_is_fine
@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_audit(neighboring: Neighboring, rng: np.random.Generator):
    """A likelihood-ratio attack on two neighboring tables, n runs at once; halved noise is caught. False alarm 1e-6.

    n runs of rho each are one run of n rho over a table of n times the columns: run r measures columns 2 r and 2 r + 1.
    """
    epsilon, delta, n = 1.0, 0.01, 6000
    shares, schema = budget_shares([2, 3, 6]), plain_schema(SIZES * n)
    rho = one_shot_budget(epsilon=epsilon, delta=delta, neighboring=neighboring, shares=shares).rho
    rows = [(0, 1)] * 6
    other = [*rows[1:], (1, 2)] if neighboring is REPLACE else [*rows, (1, 2)]
    before, after = (NaiveSource(table, SCHEMA).marginals(GROUPS) for table in (rows, other))
    moved = [new - old for old, new in zip(before, after, strict=True)]
    groups = [tuple(2 * r + column for column in group) for r in range(n) for group in GROUPS]

    def scores(counts: list[np.ndarray], noise: NoiseSource) -> np.ndarray:
        source = NaiveSource([], schema)
        source.marginals = lambda groups: counts * n
        answers = measure_marginals(source, groups, rho=n * rho, neighboring=neighboring, shares=np.tile(shares / n, n), noise=noise)
        all_runs = zip(answers, before * n, moved * n, strict=True)
        return np.reshape([((a.answer - old) * way).sum() / a.sigma**2 for a, old, way in all_runs], (n, 3)).sum(axis=1)

    def bound(noise: NoiseSource, sd: float) -> float:
        guesses = np.concatenate([scores(before, noise), scores(after, noise)]) >= 2.33 * sd
        return epsilon_lower_bound(AttackCounts.from_predictions(np.arange(2 * n) >= n, guesses), delta=delta, level=1 - 1e-6).epsilon

    mu, seed = math.sqrt(2 * rho), int(rng.integers(2**32))
    assert bound(SeededNoise(seed), mu) <= epsilon
    assert bound(HalvedNoise(seed), mu / 2) > epsilon


def test_refusals_count_and_draw_nothing():
    source = NaiveSource([(0, 0)], SCHEMA)

    def refused(error: type[Exception], match: str, groups: list[tuple[int, ...]], **options: object) -> None:
        given = {"rho": 1.0, "neighboring": ADD, "noise": NoNoise(), **options}
        with pytest.raises(error, match=match):
            measure_marginals(source, groups, **given)

    refused(ValueError, "marginal c0 x c1 is asked for twice", [(0, 1), (0,), (0, 1)])
    refused(ValueError, "marginal c0 x c1 has 6 cells, more than max_cells = 5", [(0,), (0, 1)], max_cells=5)
    refused(ValueError, "increasing places", [(1, 0)])
    refused(ValueError, "increasing places", [(0, 0)])
    refused(ValueError, "increasing places", [(0, 2)])
    refused(ValueError, "at least one marginal", [])
    refused(ValueError, "at least one marginal", [], shares=[])
    refused(ValueError, "rho must be positive", [(0,)], rho=0.0)
    refused(ValueError, "sigma must be at most", [(0,)], rho=1e-30)
    refused(ValueError, "zero_out", [(0,)], neighboring=Neighboring.ZERO_OUT)
    refused(TypeError, "NoiseSource", [(0,)], noise=np.random.default_rng(0))
    refused(ValueError, "budget must be one of", [(0,)], budget="fair")
    refused(ValueError, "shares must sum to 1", [(0,), (1,)], shares=[0.5, 0.6])
    refused(ValueError, "lengths must agree", [(0,)], shares=[0.5, 0.5])
    refused(ValueError, "shares must be positive", [(0,), (1,)], shares=[1.5, -0.5])
    ledger = Ledger(1.0)
    refused(BudgetExhaustedError, "2 marginals cost rho 1.1", [(0,), (1,)], rho=1.1, ledger=ledger)
    assert ledger.entries == ()
    assert source.n_counted == 0


def test_a_source_with_other_shapes():
    source = NaiveSource([(0, 0)], SCHEMA)
    source.marginals = lambda groups: [np.zeros(3, dtype=np.int64) for _ in groups]
    with pytest.raises(ValueError, match="shape"):
        measure_marginals(source, [(0,)], rho=1.0, neighboring=ADD)


def test_seeded_noise_is_marked_and_repeats():
    source = NaiveSource([(0, 0)] * 10, SCHEMA)
    with pytest.warns(InsecureNoiseWarning):
        first = measure_marginals(source, GROUPS, rho=0.1, neighboring=ADD, noise=SeededNoise(3))
    with pytest.warns(InsecureNoiseWarning):
        second = measure_marginals(source, GROUPS, rho=0.1, neighboring=ADD, noise=SeededNoise(3))
    assert all(a.equals(b) for a, b in zip(first, second, strict=True))
    third = measure_marginals(source, GROUPS, rho=0.1, neighboring=ADD)
    assert not all(a.equals(b) for a, b in zip(first, third, strict=True))


def test_record_keeps_its_counts():
    counts = np.arange(6).reshape(2, 3)
    answer = MarginalAnswer((0, 1), counts, 2.0)
    counts[0, 0] = 99
    for kept in (answer, copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
        assert kept.answer[0, 0] == 0
        assert not kept.answer.flags.writeable
        assert kept.equals(answer)
    assert json.loads(json.dumps(answer.to_dict()))["answer"] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="an axis for each"):
        MarginalAnswer((0,), [[1, 2]], 1.0)
    with pytest.raises(ValueError, match="sigma must be positive"):
        MarginalAnswer((0,), [1, 2], 0.0)


def test_all_pairs_of_many_columns():
    """Entries and answers stay in the order of the groups, whatever their scales."""
    sizes = tuple(range(2, 22))
    groups = list(combinations(range(20), 2))
    rows = np.column_stack([np.arange(50) % size for size in sizes])
    ledger = Ledger(2.0)
    answers = measure_marginals(
        NaiveSource(rows, plain_schema(sizes)), groups, rho=2.0, neighboring=REPLACE, ledger=ledger, noise=NoNoise()
    )
    for answer, group, exact in zip(answers, groups, NaiveSource(rows, plain_schema(sizes)).marginals(groups), strict=True):
        assert answer.columns == group
        assert np.array_equal(answer.answer, exact)
    assert ledger.spent == pytest.approx(2.0, rel=1e-9)
