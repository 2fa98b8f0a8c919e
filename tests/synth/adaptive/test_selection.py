"""A choice of k pairs costs what it says: brute force over neighboring tables and over exact laws of ordered choices."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.special import logsumexp

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.adaptive.selection import choose_pairs, pair_scores, score_sensitivity

ORDERS = np.geomspace(1.01, 60, 25)


def scores_of(rows, model):
    counts = np.zeros((2, 3), dtype=np.int64)
    for a, b in rows:
        counts[a, b] += 1
    return pair_scores({(0, 1): counts}, {(0, 1): model}, [(0, 1)], sigma=2.0)[0]


@pytest.mark.parametrize("neighboring", [Neighboring.ADD_REMOVE, Neighboring.REPLACE])
def test_sensitivity_by_brute_force(neighboring, rng):
    cells = list(product(range(2), range(3)))
    model = rng.normal(size=(2, 3)) * 2
    largest = 0.0
    for rows in product(cells, repeat=2):
        changed = [(cell, rows[1]) for cell in cells] if neighboring is Neighboring.REPLACE else [rows[1:]]
        largest = max(largest, *(abs(scores_of(rows, model) - scores_of(other, model)) for other in changed))
    assert largest <= score_sensitivity(neighboring) + 1e-12
    assert largest > 0.5 * score_sensitivity(neighboring)


def ordered_law(scores, k, epsilon_each):
    """Probability of every ordered choice of k by peeling with weight exp(epsilon u / 2) each (sensitivity 1)."""
    law = {}
    for order in permutations(range(len(scores)), k):
        left, probability = list(range(len(scores))), 1.0
        for place in order:
            weight = np.exp(epsilon_each * scores[left] / 2)
            probability *= weight[left.index(place)] / weight.sum()
            left.remove(place)
        law[order] = probability
    return np.array(list(law.values()))


def largest_divergence(k, rho, epsilon_each, rng):
    worst = 0.0
    for _ in range(60):
        scores = rng.normal(size=5) * 2
        p, q = (ordered_law(s, k, epsilon_each) for s in (scores, scores + rng.choice([-1.0, 1.0], size=5)))
        worst = max(worst, *(logsumexp(a * np.log(p) + (1 - a) * np.log(q)) / (a - 1) / (a * rho) for a in ORDERS))
    return worst


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_costs_rho(k, rng):
    for rho in (0.01, 0.5):
        assert largest_divergence(k, rho, np.sqrt(8 * rho / k), rng) <= 1 + 1e-9


@pytest.mark.parametrize("k", [2, 3])
def test_without_the_root_of_k_it_would_cost_more(k, rng):
    assert largest_divergence(k, 0.01, np.sqrt(8 * 0.01), rng) > 1.3


def test_the_choice_follows_the_law(rng):  # false alarm about 1e-6
    scores, k, rho = np.array([0.0, 1.0, -2.0, 0.5]), 2, 2.0
    pairs = [(0, 1), (0, 2), (1, 2), (2, 3)]
    noise = SeededNoise(int(rng.integers(2**32)))
    orders = list(permutations(range(4), k))
    found = np.zeros(len(orders))
    for _ in range(3000):
        chosen = choose_pairs(scores, pairs, k, rho=rho, neighboring=Neighboring.ADD_REMOVE, noise=noise, ledger=Ledger(rho))
        found[orders.index(tuple(pairs.index(pair) for pair in chosen))] += 1

    def chi_square(epsilon_each):
        expected = 3000 * ordered_law(scores, k, epsilon_each)
        return np.sum((found - expected) ** 2 / expected)

    assert chi_square(np.sqrt(8 * rho / k)) < 51  # 11 degrees of freedom: 1 - 4e-7
    assert chi_square(2 * np.sqrt(8 * rho / k)) > 100


def test_an_overdrawn_ledger_draws_nothing():
    noise = SeededNoise(3)
    before = noise.state()
    with pytest.raises(BudgetExhaustedError, match="choice"):
        choose_pairs(np.zeros(2), [(0, 1), (0, 2)], 1, rho=1.0, neighboring=Neighboring.REPLACE, noise=noise, ledger=Ledger(0.5))
    assert noise.state() == before
