"""The forest of a Markov law gives that law back; its samples keep expectations to one row."""

import math
from itertools import combinations, product

import numpy as np
import pytest

from synth.adaptive.forest import (
    drawn_codes,
    mutual_information,
    non_negative_counts,
    pair_answers,
    sample_forest,
    spanning_forest,
)

SIZES = (3, 2, 4, 3)
EDGES = ((0, 1), (0, 2), (2, 3))


@pytest.fixture
def law(rng):
    """Joint law of four columns on the tree 1 - 0 - 2 - 3, shape SIZES."""
    first = rng.dirichlet(np.ones(3))
    tables = {edge: rng.dirichlet(np.full(SIZES[edge[1]], 0.4), size=SIZES[edge[0]]) for edge in EDGES}
    joint = np.zeros(SIZES)
    for codes in product(*map(range, SIZES)):
        joint[codes] = first[codes[0]] * math.prod(tables[a, b][codes[a], codes[b]] for a, b in EDGES)
    return joint


def marginal(joint, columns):
    return joint.sum(axis=tuple(axis for axis in range(joint.ndim) if axis not in columns))


def test_chains_give_every_pair_of_a_tree_law(law):
    one_ways = [1000 * marginal(law, (column,)) for column in range(4)]
    measured = {edge: 1000 * marginal(law, edge) for edge in EDGES}
    answers = pair_answers(spanning_forest(one_ways, measured), measured)
    assert set(answers) == set(combinations(range(4), 2))
    for pair, answer in answers.items():
        assert np.allclose(answer, 1000 * marginal(law, pair), atol=1e-9), pair


def test_unlinked_columns_are_independent(law):
    one_ways = [1000 * marginal(law, (column,)) for column in range(4)]
    measured = {(0, 1): 1000 * marginal(law, (0, 1))}
    answers = pair_answers(spanning_forest(one_ways, measured), measured)
    assert np.allclose(answers[2, 3], np.outer(one_ways[2], one_ways[3]) / 1000)
    assert np.array_equal(answers[0, 1], measured[0, 1])


def test_the_forest_drops_the_weakest_edge_of_a_cycle(law):
    pairs = [(0, 1), (0, 2), (1, 2)]
    measured = {pair: marginal(law, pair) for pair in pairs}
    weakest = min(pairs, key=lambda pair: mutual_information(measured[pair]))
    forest = spanning_forest([marginal(law, (column,)) for column in range(4)], measured)
    kept = {(a, b) for a, b in forest.conditional if a < b}
    assert kept == set(pairs) - {weakest}


def test_mutual_information_has_its_known_values():
    assert mutual_information(np.outer([1.0, 3.0], [2.0, 5.0])) == pytest.approx(0.0, abs=1e-12)
    assert mutual_information(np.eye(4)) == pytest.approx(math.log(4))
    assert mutual_information(-np.ones((2, 2))) == 0.0


def test_samples_keep_each_conditional_to_one_row(law, rng):
    one_ways = [1000 * marginal(law, (column,)) for column in range(4)]
    measured = {edge: 1000 * marginal(law, edge) for edge in EDGES}
    forest = spanning_forest(one_ways, measured)
    codes = sample_forest(forest, 5000, rng)
    assert np.abs(np.bincount(codes[:, 0], minlength=3) - 5 * one_ways[0]).max() < 1
    for parent, child in forest.walk(0):
        for code in range(SIZES[parent]):
            rows = codes[codes[:, parent] == code]
            expected = len(rows) * forest.conditional[parent, child][code]
            assert np.abs(np.bincount(rows[:, child], minlength=SIZES[child]) - expected).max() < 1 + 1e-9


def test_strata_are_unbiased_and_sum(rng):
    weights = np.array([0.2, 0.5, 3.3, 1.0])
    counts = np.mean([np.bincount(drawn_codes(weights, 7, rng), minlength=4) for _ in range(4000)], axis=0)
    assert counts.sum() == pytest.approx(7)
    assert np.abs(counts - 7 * weights / 5).max() < 0.06  # 7 standard errors of a count that takes two values
    assert drawn_codes(weights, 0, rng).size == 0


def test_counts_without_mass_become_uniform():
    assert non_negative_counts(np.array([-3.0, -1.0])) == pytest.approx([0.5, 0.5])
    assert non_negative_counts(np.array([-3.0, 9.0, 4.0])) == pytest.approx([0.0, 7.5, 2.5])  # the others share what is taken away
