"""Forbidden rows are repaired: none is left, sound rows stay, codes follow their weights, contradictions are found."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from synth.forbidden import Rule
from synth.repair import repair_rows

FALSE_ALARM = 1e-6


def rule(columns: tuple[int, ...], mask: object) -> Rule:
    return columns, np.array(mask, dtype=np.bool_)


def violations(codes: np.ndarray, rules: object) -> np.ndarray:
    """Which rows break a rule, by a look at each mask."""
    return np.any([mask[tuple(codes[:, column] for column in columns)] for columns, mask in rules], axis=0)


@given(st.integers(0, 2**32))
def test_repair_leaves_no_violation_and_sound_rows_alone(seed: int):
    """Random masks over columns that overlap."""
    rng = np.random.default_rng(seed)
    sizes = (3, 4, 2, 5)
    pairs = list(itertools.combinations(range(4), 2))
    rules = tuple(rule(pair, rng.random([sizes[c] for c in pair]) < 0.3) for pair in pairs)
    possible = np.array(list(itertools.product(*map(range, sizes))))
    if violations(possible, rules).all():
        return
    codes = np.column_stack([rng.integers(0, size, 40) for size in sizes])
    before = violations(codes, rules)
    assert before.tolist() == [any(mask[tuple(row[list(columns)])] for columns, mask in rules) for row in codes]
    fixed = repair_rows(codes, rules, sizes, rng)
    assert not violations(fixed, rules).any()
    assert np.array_equal(fixed[~before], codes[~before])
    assert fixed.min() >= 0
    assert (fixed < np.array(sizes)).all()


def test_repair_follows_the_weights():
    """False alarm 1e-6; equal weights fail. Negative weights count as none."""
    mask = [True, False, False, False]
    codes, weights = np.zeros((30_000, 1), dtype=int), [[5.0, 1.0, 3.0, -2.0]]
    rules = [rule((0,), mask)]
    seen = np.bincount(repair_rows(codes, rules, (4,), None, weights=weights)[:, 0], minlength=4)
    assert seen[[0, 3]].tolist() == [0, 0]
    assert chisquare(seen[1:3], [7_500, 22_500]).pvalue > FALSE_ALARM
    equal = np.bincount(repair_rows(codes, rules, (4,), None)[:, 0], minlength=4)
    assert chisquare(equal[1:], [10_000] * 3).pvalue > FALSE_ALARM
    assert chisquare(equal[1:3], equal[1:3].sum() * np.array([0.25, 0.75])).pvalue < FALSE_ALARM
    only = repair_rows(codes, rules, (4,), None, weights=[[5.0, 0.0, 0.0, -1.0]])[:, 0]
    assert set(only) == {1, 2, 3}  # no allowed code has a weight: all are equal


def test_repair_leaves_a_trap_that_no_single_code_can():
    """Each change that mends the broken constraint breaks two others."""
    pairs = {(0, 1): (0, 0), (0, 2): (1, 0), (0, 3): (1, 0), (1, 4): (1, 0), (1, 5): (1, 0)}
    rules = [rule(pair, [[(a, b) == cell for b in (0, 1)] for a in (0, 1)]) for pair, cell in pairs.items()]
    fixed = repair_rows(np.zeros((20, 6), dtype=int), rules, (2,) * 6, 0)
    assert not violations(fixed, rules).any()


def test_contradictions_are_found():
    rules = [rule((0, 1), [[a == b for b in (0, 1)] for a in (0, 1)]), rule((0,), [True, False])]
    rules.append(rule((1,), [True, False]))  # both must be 1, and may not be equal
    with pytest.raises(ValueError, match="may contradict one another"):
        repair_rows(np.zeros((3, 2), dtype=int), rules, (2, 2), 0)


def test_many_rows_are_repaired_in_parts(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    monkeypatch.setattr("synth.repair._ROWS_AT_ONCE", 7)
    sizes, rules = (3, 3), [rule((0, 1), [[False] * 3, [False] * 3, [True, False, True]])]
    codes = np.column_stack([rng.integers(0, size, 200) for size in sizes])
    assert violations(codes, rules).sum() > 7
    assert not violations(repair_rows(codes, rules, sizes, rng), rules).any()


def test_sound_tables_and_no_rules_change_nothing():
    codes = np.array([[0, 1], [1, 0]])
    assert np.array_equal(repair_rows(codes, [], (2, 2)), codes)
    assert np.array_equal(repair_rows(codes, [rule((0, 1), np.eye(2, dtype=bool))], (2, 2)), codes)


def test_weights_must_fit():
    with pytest.raises(ValueError, match="weights must have one array"):
        repair_rows(np.array([[0]]), [], (2,), 0, weights=[[1.0]])
