"""The adaptive mechanism spends its budget exactly, tells nothing but noisy answers, and finds the links of a table."""

import json
from itertools import combinations

import numpy as np
import pytest

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SeededNoise
from synth.adaptive.measure_pairs import AdaptiveRecipe, measure_adaptively, measure_one_ways
from synth.consistency import consistent_one_ways
from synth.counts import EncodedCounts
from synth.encoded import EncodedTable
from synth.schema import Ordinal, Schema

pytestmark = pytest.mark.filterwarnings("ignore::mechanisms.errors.InsecureNoiseWarning")
SIZES = (4, 5, 3, 4, 6)
PAIRS = list(combinations(range(5), 2))
SCHEMA = Schema(tuple(Ordinal(f"c{i}", 0, size - 1) for i, size in enumerate(SIZES)))

THREE_PAIRS = AdaptiveRecipe(n_pairs=3, n_rounds=2)


def linked_table(rng, n=20_000):
    """Columns 0 - 1 and 2 - 4 are linked, 3 is alone."""
    codes = np.stack([rng.integers(0, size, n) for size in SIZES], axis=1)
    follow = rng.random((n, 2)) < 0.7
    codes[:, 1] = np.where(follow[:, 0], codes[:, 0], codes[:, 1])
    codes[:, 4] = np.where(follow[:, 1], 2 * codes[:, 2], codes[:, 4])
    return codes


def run(codes, rho, seed, neighboring=Neighboring.ADD_REMOVE, recipe=THREE_PAIRS):
    source, noise, ledger = EncodedCounts(EncodedTable(codes), SCHEMA), SeededNoise(seed), Ledger(rho)
    first = measure_one_ways(source, rho=0.3 * rho, neighboring=neighboring, noise=noise, ledger=ledger)
    one_ways = [one.counts for one in consistent_one_ways(first, SIZES)]
    return measure_adaptively(source, PAIRS, one_ways, neighboring=neighboring, noise=noise, ledger=ledger, recipe=recipe), ledger


@pytest.mark.parametrize("neighboring", [Neighboring.ADD_REMOVE, Neighboring.REPLACE])
def test_the_ledger_sums_to_the_budget(rng, neighboring):
    model, ledger = run(linked_table(rng), 0.1, 5, neighboring)
    assert ledger.spent == pytest.approx(0.1, rel=1e-6)
    assert ledger.spent <= 0.1 * (1 + 1e-9)
    assert [entry.mechanism for entry in ledger.entries].count("exponential, top k") == 2
    assert len(model.raw) == 3


def test_it_finds_the_links(rng):  # the links' scores stand 1,000 noise scales above the others'
    model, _ = run(linked_table(rng), 1.0, 6)
    assert {(0, 1), (2, 4)} <= set(model.measured)
    assert 1 in model.forest.neighbors[0]
    assert 4 in model.forest.neighbors[2]


def test_its_answers_are_better_than_independence(rng):
    codes = linked_table(rng)
    model, _ = run(codes, 1.0, 7)
    exact = dict(zip(PAIRS, EncodedCounts(EncodedTable(codes), SCHEMA).marginals(PAIRS), strict=True))
    for pair in ((0, 1), (2, 4)):
        product = np.outer(model.one_ways[pair[0]], model.one_ways[pair[1]]) / len(codes)
        assert np.abs(model.answers[pair] - exact[pair]).sum() < 0.1 * np.abs(product - exact[pair]).sum()


def test_a_seed_repeats_and_warns(rng):
    codes = linked_table(rng, 500)
    with pytest.warns(InsecureNoiseWarning):
        first, _ = run(codes, 0.1, 8)
    again, _ = run(codes, 0.1, 8)
    assert all(np.array_equal(a.answer, b.answer) for a, b in zip(first.raw, again.raw, strict=True))


def test_the_ledgers_of_neighbors_tell_nothing_but_the_choice(rng):
    codes = linked_table(rng, 500)
    _, one = run(codes, 1e-6, 9)
    _, other = run(codes[1:], 1e-6, 9)  # so little budget that the same coins choose the same pairs
    assert json.dumps(one.to_dict()) == json.dumps(other.to_dict())


def test_all_pairs_may_be_measured(rng):
    model, ledger = run(linked_table(rng, 300), 0.1, 10, recipe=AdaptiveRecipe(n_pairs=99, n_rounds=3))
    assert set(model.measured) == set(PAIRS)
    assert ledger.spent <= 0.1 * (1 + 1e-9)


@pytest.mark.parametrize(
    "wrong", [{"one_way_share": 0.5}, {"one_way_noise": -1}, {"select_share": 0.0}, {"n_rounds": 0}, {"n_pairs": 0}, {"shrunk": 1.1}]
)
def test_bad_recipes_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        AdaptiveRecipe(**wrong)
