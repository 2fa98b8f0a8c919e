"""Multiplicative weights: error and updates on 20,000 queries, the fall of KL, exact budget, audits with twins that must be caught."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from collections.abc import Callable
from threading import Thread

import numpy as np
import pytest

from attacks.scores import AttackCounts
from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.zcdp import zcdp_epsilon
from mechanisms.adaptive.multiplicative_weights import PrivateMultiplicativeWeights, update_limit
from mechanisms.adaptive.threshold_tests import ThresholdTests
from mechanisms.adaptive.whole_sums import UNITS, in_units, rounded_count
from mechanisms.continual.exact_budget import exact_budget
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from privacy_audit.estimate.lower_bound import epsilon_lower_bound

N, ALPHA = 512, 0.1


def seeded(rng: np.random.Generator) -> SeededNoise:
    return SeededNoise(int(rng.integers(2**63)))


def answerer(counts: np.ndarray, noise: SeededNoise | None = None, **options: float) -> PrivateMultiplicativeWeights:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return PrivateMultiplicativeWeights.from_counts(counts, np.arange(len(counts)), noise=noise, **{"alpha": ALPHA} | options)


def kl(p: np.ndarray, w: np.ndarray) -> float:
    return float((p[p > 0] * np.log(p[p > 0] / w[p > 0])).sum())


def hard_queries(p: np.ndarray, weights: Callable[[], np.ndarray], rng: np.random.Generator, n: int):
    """Half of the queries look for the cells where the public weights are wrong, the others are random."""
    for i in range(n):
        if i % 2:
            yield (rng.random(len(p)) < rng.random()).astype(np.float64)
        else:
            wrong = np.sign(p - weights()) * (1 if i % 4 else -1)
            yield (wrong + rng.normal(0, 0.5, len(p)) > 0).astype(np.float64)


def run(n: int, n_queries: int, rng: np.random.Generator, **budget: float) -> tuple[np.ndarray, list[float], int]:
    """Errors of all answers, and the falls of KL at updates whose true gap was alpha / 2 or more."""
    p = rng.dirichlet(np.full(N, 0.05))
    counts = rng.multinomial(n, p)
    p = counts / n
    weights = answerer(counts, seeded(rng), **budget)
    errors, falls = [], []
    for query in hard_queries(p, lambda: weights.weights_, rng, n_queries):
        before = weights.weights_
        answer = weights.answer(query)
        errors.append(abs(answer.value - p @ query))
        if answer.updated and abs(p @ query - before @ query) >= ALPHA / 2:
            falls.append(kl(p, before) - kl(p, weights.weights_))
    return np.array(errors), falls, weights.update_limit - weights.remaining_


# --- error ---


@pytest.mark.parametrize(("n", "budget"), [(10**7, {"epsilon": 1.0}), (4 * 10**5, {"rho": 0.5})])
def test_answers_stay_within_alpha_and_updates_within_the_limit(n: int, budget: dict[str, float], rng: np.random.Generator):
    """Predicted failure probability 1e-6 (the error bound's own beta)."""
    errors, falls, n_updates = run(n, 2000, rng, **budget)
    assert answerer(np.full(N, n // N), **budget).error_bound(2000, beta=1e-6) <= ALPHA
    assert errors.max() <= ALPHA
    assert 20 < n_updates <= 1248
    assert len(falls) > 20
    assert min(falls) >= 0.005


@pytest.mark.slow
def test_twenty_thousand_queries(rng: np.random.Generator):
    errors, falls, n_updates = run(10**7, 20_000, rng, epsilon=1.0)
    assert (errors > ALPHA).mean() <= 0.005
    assert n_updates <= 1248
    assert min(falls) >= 0.005


def test_negative_control_too_few_records_exhaust_the_updates(rng: np.random.Generator):
    weights = answerer(rng.multinomial(1000, np.full(N, 1 / N)), seeded(rng), epsilon=0.1)
    assert weights.error_bound(20_000) == 1.0
    while weights.remaining_ and weights.n_queries_ < 20_000:
        weights.answer((rng.random(N) < 0.5).astype(np.float64))
    with pytest.raises(BudgetExhaustedError, match="1,248 updates"):
        weights.answer(np.ones(N))


def test_a_wrong_sign_is_the_noise_s_and_not_the_data_s(rng: np.random.Generator):
    """With noise far above the data half of the updates go the wrong way; a sign taken from the data never would. False alarm 1e-12."""
    counts = np.array([100, 0])
    signs = []
    for _ in range(40):
        weights = answerer(counts, seeded(rng), epsilon=1e-3, alpha=0.5)
        while not weights.answer(np.array([1.0, 0.0])).updated:
            pass
        signs.append(weights.weights_[0] > 0.5)
    assert 0 < sum(signs) < 40


# --- budget ---


@pytest.mark.parametrize("budget", [{"epsilon": 1.0}, {"rho": 0.5}, {"epsilon": 1.0, "delta": 1e-6}])
def test_ledger_ends_at_the_budget(budget: dict[str, float], rng: np.random.Generator):
    weights = answerer(np.array([3, 2]), seeded(rng), alpha=0.5, **budget)  # so few records that noise fires
    assert (weights.ledger.spent, weights.remaining_, weights.update_limit) == (0.0, 6, 6)
    total = weights.ledger.epsilon if isinstance(weights.ledger, EpsilonLedger) else weights.ledger.rho
    spent = []
    while weights.remaining_:
        weights.answer(np.array([1.0, 0.0]))
        spent.append(weights.ledger.spent)
    assert spent == sorted(spent)
    assert weights.ledger.spent == pytest.approx(total, rel=1e-9)
    assert weights.ledger.spent <= total * (1 + 1e-9)
    before = weights.ledger.entries
    with pytest.raises(BudgetExhaustedError):
        weights.answer(np.array([1.0, 0.0]))
    assert weights.ledger.entries == before


def test_guarantees():
    counts = np.array([60, 40])
    pure = answerer(counts, epsilon=1.0).guarantee
    assert (pure.epsilon, pure.delta, pure.neighboring, pure.privacy_unit, pure.assumptions) == (
        1.0,
        0.0,
        Neighboring.REPLACE,
        "record",
        (),
    )
    assert answerer(counts, rho=0.5).guarantee.epsilon == zcdp_epsilon(0.5, 1e-6)
    approximate = answerer(counts, epsilon=1.0, delta=1e-6).guarantee
    assert (approximate.epsilon, approximate.delta) == (1.0, 1e-6)
    assert answerer(counts, SeededNoise(1), epsilon=1.0).guarantee.assumptions


def test_concentrated_tests_are_quieter_than_one_sparse_vector():
    budget = exact_budget(rho=0.5, epsilon=None, delta=None)
    tests = ThresholdTests(0, budget, 1248, SeededNoise(1).words)
    assert tests.start_cost * 1248 == pytest.approx(0.5, rel=1e-9)
    single = ThresholdTests(0, exact_budget(rho=None, epsilon=1.0, delta=None), 1248, SeededNoise(1).words)  # also 0.5-zCDP
    assert float(single.scales.query) / float(tests.scales.query) > math.sqrt(1248) / 2


@pytest.mark.parametrize(("value", "step"), [(0.3, 0.0), (0.999999, 1.0), (1.0, 0.0)])
def test_a_replaced_record_moves_a_count_by_one_at_most(value: float, step: float, rng: np.random.Generator):
    others = int(in_units(rng.random(1000)).sum())
    counts = [rounded_count(others + int(in_units(np.array([v]))[0])) for v in (value, step)]
    assert abs(counts[0] - counts[1]) <= 1
    assert int(in_units(np.array([1.0]))[0]) == UNITS


# --- privacy ---


def audited(spent: float, n_runs: int, rng: np.random.Generator) -> float:
    """Lower bound of epsilon, level 1 - 1e-6, of a mechanism that spends `spent`: one record in or out of the queried cell.

    The event: the first query fires with an answer above the middle.
    """
    source, hits = seeded(rng), []
    for counts in (np.array([4, 0]), np.array([3, 1])):
        hit = 0
        for _ in range(n_runs):
            answer = answerer(counts, source, epsilon=spent, alpha=0.8).answer(np.array([1.0, 0.0]))
            hit += answer.updated and answer.value > 3.5 / 4
        hits.append(hit)
    return epsilon_lower_bound(AttackCounts(tp=hits[0], fn=n_runs - hits[0], fp=hits[1], tn=n_runs - hits[1]), level=1 - 1e-6).epsilon


def test_audit_and_a_twin_with_a_tenth_of_the_noise(rng: np.random.Generator):
    assert audited(1.0, 600, rng) <= 1.0
    assert audited(10.0, 600, rng) > 1.0


# --- inputs, threads, copies ---


@pytest.mark.parametrize("query", [np.array([0.5, 1.5]), np.array([np.nan, 0.0]), lambda cells: -cells, np.zeros(3)])
def test_bad_queries_spend_nothing(query: object):
    weights = answerer(np.array([60, 40]), epsilon=1.0)
    with pytest.raises(ValueError, match="query"):
        weights.answer(query)
    assert (weights.n_queries_, weights.ledger.spent) == (0, 0.0)


@pytest.mark.parametrize("counts", [[1.0, 2.0], [1, 2, 3], [-1, 3], [0, 0]])
def test_bad_counts(counts: list[float]):
    with pytest.raises(ValueError, match="counts"):
        PrivateMultiplicativeWeights.from_counts(counts, np.arange(2), alpha=0.1, epsilon=1.0)


def test_records_of_a_product_and_a_callable_query():
    rows = np.repeat([[0, 1], [1, 2]], 50_000, axis=0)
    weights = PrivateMultiplicativeWeights(rows, (2, 3), alpha=0.2, epsilon=1.0)
    answer = weights.answer(lambda cells: (cells[:, 0] == 1) & (cells[:, 1] == 2))
    assert answer.updated
    assert answer.value == pytest.approx(0.5, abs=0.05)
    assert weights.weights_.sum() == pytest.approx(1.0)


def test_parameters_are_checked():
    for options in ({"alpha": 1.0, "epsilon": 1.0}, {"alpha": 0.1}, {"alpha": 0.1, "epsilon": 1.0, "rho": 1.0}):
        with pytest.raises(ValueError, match=r"alpha|rho"):
            PrivateMultiplicativeWeights([0, 1], np.arange(2), **options)
    assert update_limit(512, 0.1) == 1248


def test_threads_share_the_updates(rng: np.random.Generator):
    weights = answerer(rng.multinomial(50, np.full(4, 0.25)), seeded(rng), alpha=0.5, epsilon=0.01)
    bought: list[bool] = []

    def ask() -> None:
        try:
            while True:
                bought.append(weights.answer(np.array([1.0, 0.0, 0.0, 0.0])).updated)
        except BudgetExhaustedError:
            return

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(bought) == weights.update_limit
    assert len(bought) == weights.n_queries_


def test_no_second_copy_and_one_warning():
    with pytest.warns(InsecureNoiseWarning) as caught:
        weights = PrivateMultiplicativeWeights([0, 1], np.arange(2), alpha=0.5, rho=1.0, noise=SeededNoise(1))
    assert [warning.filename for warning in caught] == [__file__]
    assert "2 cells" in repr(weights)
    for spread in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="twice"):
            spread(weights)
