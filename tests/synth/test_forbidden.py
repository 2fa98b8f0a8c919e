"""Forbidden cells: refused by both engines, repaired in starts."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.forbidden import ForbiddenCells, Rule
from synth.k_way import GroupEngine, fit_k_way
from synth.pairwise import PairEngine, fit_pairs
from synth.repair import repair_rows
from synth.start import uniform_start
from synth.sweeps import Task
from synth.targets import MarginalTarget
from tests.synth.naive_fit import naive_sweep

SIZES = (3, 4, 2)


def some_rules(rng: np.random.Generator) -> list[Rule]:
    """Rules that leave the row (0, 0, 0) allowed."""
    masks = {group: rng.random([SIZES[i] for i in group]) < 0.3 for group in ((0, 1), (0, 1, 2), (2,))}
    masks[2,][:] = False
    for mask in masks.values():
        mask.flat[0] = False
    return list(masks.items())


@given(st.integers(0, 2**32))
@settings(max_examples=8)
def test_moves_into_forbidden_cells_are_refused(seed: int):
    """Both engines go exactly the way of the plain loop that skips forbidden moves."""
    rng = np.random.default_rng(seed)
    rules = some_rules(rng)
    start = repair_rows(uniform_start(SIZES, 12, rng), rules, SIZES, rng)
    targets = [MarginalTarget(g, rng.integers(0, 9, [SIZES[i] for i in g]), 0.1) for g in combinations(range(3), 2)]
    task = Task(targets, SIZES, start, 12, rules)
    for engine in (PairEngine(task, 0.0), GroupEngine(task, 0.0)):
        engine.recount()
        codes, order = start, rng.permutation(12)
        for _ in range(2):
            codes = naive_sweep(task, codes, order, 0.0)
            engine.sweep(order, np.inf)
        np.testing.assert_array_equal(engine.codes, codes)
        assert not task.rules.violations(engine.codes).any()


def test_rules_make_a_difference(rng: np.random.Generator):
    """Both columns ask for their last value, which together are forbidden: no row has both; without the rule, all do."""
    mask = np.zeros((3, 4), dtype=bool)
    mask[2, 3] = True
    targets = [MarginalTarget((0,), [0, 0, 30], 0.0), MarginalTarget((1,), [0, 0, 0, 30], 0.0)]
    start = np.zeros((30, 3), dtype=np.int32)
    for fit in (fit_pairs, fit_k_way):
        free, ruled = (fit(targets, SIZES, start, total=30, rng=rng, forbidden=rules) for rules in ([], [((0, 1), mask)]))
        assert (free.codes[:, :2] == [2, 3]).all()
        assert not (ruled.codes[:, :2] == [2, 3]).all(axis=1).any()


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (((1, 0), np.zeros((4, 3), dtype=bool)), "increase"),
        (((0, 3), np.zeros((3, 2), dtype=bool)), "0 to 2"),
        (((), np.zeros((), dtype=bool)), "increase"),
        (((0, 1), np.zeros((4, 3), dtype=bool)), r"shape \(3, 4\), got \(4, 3\)"),
    ],
)
def test_bad_rules(rule: Rule, message: str):
    with pytest.raises(ValueError, match=message):
        ForbiddenCells([rule], SIZES)
