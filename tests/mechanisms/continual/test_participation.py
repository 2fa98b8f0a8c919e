"""Several participations: closed form and dynamic program against the enumeration of all patterns, and the check that matters."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from mechanisms.continual.catalog import make_factorization
from mechanisms.continual.participation import (
    non_increasing_majorant,
    participation_bound,
    participation_by_enumeration,
    toeplitz_participation,
)
from mechanisms.continual.square_root import root_coefficients

shapes = {"k": st.integers(1, 5), "b": st.integers(1, 5)}
some = settings(max_examples=40)


def toeplitz(c: np.ndarray) -> np.ndarray:
    return np.tril(linalg.toeplitz(c))


def unchecked(c: np.ndarray, k: int, b: int) -> float:
    """The closed form without its check: the broken twin."""
    column = sum(np.concatenate([np.zeros(i * b), c[: len(c) - i * b]]) for i in range(k))
    return float(np.linalg.norm(column))


@some
@given(T=st.integers(1, 11), seed=st.integers(0, 2**32), **shapes)
def test_closed_form_for_monotone_coefficients(T: int, seed: int, k: int, b: int):
    c = np.sort(np.random.default_rng(seed).exponential(size=T))[::-1]
    assert (non_increasing_majorant(c) == c).all()
    exact = participation_by_enumeration(toeplitz(c), n_participations=k, min_gap=b)
    assert toeplitz_participation(c, n_participations=k, min_gap=b) == pytest.approx(exact, rel=1e-12)


@some
@given(T=st.integers(1, 11), seed=st.integers(0, 2**32), **shapes)
def test_other_coefficients_are_majorized(T: int, seed: int, k: int, b: int):
    c = np.random.default_rng(seed).normal(size=T)
    exact = participation_by_enumeration(toeplitz(c), n_participations=k, min_gap=b)
    assert toeplitz_participation(c, n_participations=k, min_gap=b) >= exact * (1 - 1e-12)


def test_the_closed_form_without_its_check_is_too_small():
    c = np.array([1.0, 0.0, 1.0])
    exact = participation_by_enumeration(toeplitz(c), n_participations=2)
    assert exact**2 == pytest.approx(5)
    assert unchecked(c, 2, 1) ** 2 == pytest.approx(3)
    assert toeplitz_participation(c, n_participations=2) >= exact


@some
@given(T=st.integers(1, 10), n_rows=st.integers(1, 12), seed=st.integers(0, 2**32), **shapes)
def test_the_dynamic_program_is_an_upper_bound(T: int, n_rows: int, seed: int, k: int, b: int):
    R = np.random.default_rng(seed).normal(size=(n_rows, T))
    exact = participation_by_enumeration(R, n_participations=k, min_gap=b)
    bound = participation_bound(R, n_participations=k, min_gap=b)
    assert bound >= exact * (1 - 1e-12)
    if k == 1:
        assert bound == pytest.approx(exact)


@some
@given(T=st.integers(1, 9), seed=st.integers(0, 2**32), **shapes)
def test_no_change_of_a_pattern_exceeds_the_bound(T: int, seed: int, k: int, b: int):
    """Random unit vectors in random patterns, straight through R."""
    rng = np.random.default_rng(seed)
    R = rng.normal(size=(T + 2, T))
    exact = participation_by_enumeration(R, n_participations=k, min_gap=b)
    for _ in range(20):
        change, step = np.zeros((T, 3)), int(rng.integers(T))
        for _ in range(k):
            if step >= T:
                break
            vector = rng.normal(size=3)
            change[step] = vector / np.linalg.norm(vector)
            step += b + int(rng.integers(2))
        assert np.linalg.norm(R @ change) <= exact + 1e-9


def test_aligned_changes_reach_it():
    R = toeplitz(root_coefficients(12))
    change = np.zeros(12)
    change[[0, 3, 6]] = 1
    assert np.linalg.norm(R @ change) == pytest.approx(participation_by_enumeration(R, n_participations=3, min_gap=3))


@pytest.mark.parametrize("name", ["tree", "honaker", "smooth", "k_ary", "square_root", "buffered_toeplitz", "scaled_square_root"])
def test_one_participation_is_the_usual_sensitivity(name: str):
    made = make_factorization(name, 9)
    right = made.right_matrix()
    assert participation_by_enumeration(right, n_participations=1) == pytest.approx(math.sqrt((right**2).sum(axis=0).max()))
    three = participation_by_enumeration(right, n_participations=3)
    assert three <= 3 * made.l2_sensitivity * (1 + 1e-12), "group privacy is the worst case"


def test_more_participations_than_fit_change_nothing():
    c = root_coefficients(10)
    assert toeplitz_participation(c, n_participations=99, min_gap=4) == toeplitz_participation(c, n_participations=3, min_gap=4)


def test_refusals():
    with pytest.raises(ValueError, match="patterns must be at most"):
        participation_by_enumeration(np.eye(200), n_participations=10)
    with pytest.raises(ValueError, match="min_gap"):
        toeplitz_participation([1.0], n_participations=1, min_gap=0)
    with pytest.raises(ValueError, match="finite"):
        toeplitz_participation([1.0, np.nan], n_participations=1)
    with pytest.raises(ValueError, match="matrix"):
        participation_bound([1.0], n_participations=1)
