"""Consistent marginals against least squares over whole tables, and the variances that are stated."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest

from synth.consistency import consistent_one_ways, least_squares_answers, make_consistent
from synth.measure import MarginalAnswer
from synth.targets import MarginalTarget
from synth.totals import TotalEstimate, pooled_total

PAIRS = list(combinations(range(3), 2))
MIXED = [(0,), (0, 1), (1, 2), (0, 1, 3), (2, 3)]


def marginal_matrix(group: Sequence[int], sizes: Sequence[int]) -> np.ndarray:
    """0/1 matrix from all cells of the domain to the cells of a marginal."""
    cells = np.indices(sizes).reshape(len(sizes), -1)
    shape = tuple(sizes[column] for column in group)
    place = np.ravel_multi_index(tuple(cells[column] for column in group), shape)
    return (np.arange(int(np.prod(shape)))[:, np.newaxis] == place).astype(float)


def least_squares(answers: Sequence[MarginalTarget], sizes: Sequence[int], total: float | None) -> list[np.ndarray]:
    """The oracle: a table over the whole domain, by numpy's lstsq; a known total by elimination of the last cell."""
    matrices = [marginal_matrix(answer.columns, sizes) for answer in answers]
    A = np.vstack([matrix / answer.sigma for matrix, answer in zip(matrices, answers, strict=True)])
    y = np.concatenate([answer.answer.ravel() / answer.sigma for answer in answers])
    if total is None:
        x = np.linalg.lstsq(A, y, rcond=None)[0]
    else:
        rest = np.linalg.lstsq(A[:, :-1] - A[:, -1:], y - total * A[:, -1], rcond=None)[0]
        x = np.append(rest, total - rest.sum())
    return [(matrix @ x).reshape(answer.answer.shape) for matrix, answer in zip(matrices, answers, strict=True)]


def noisy(
    groups: Sequence[tuple[int, ...]], sizes: Sequence[int], sigmas: Sequence[float], rng: np.random.Generator
) -> list[MarginalTarget]:
    table = rng.integers(0, 50, tuple(sizes)).ravel()
    exact = [(marginal_matrix(group, sizes) @ table).reshape([sizes[column] for column in group]) for group in groups]
    return [MarginalTarget(g, e + s * rng.normal(size=e.shape), s) for g, e, s in zip(groups, exact, sigmas, strict=True)]


def largest(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("total", [None, 700.0])
@pytest.mark.parametrize("sigmas", [(10.0, 10.0, 10.0), (3.0, 10.0, 40.0)])
def test_all_pairs(total: float | None, sigmas: tuple[float, ...], rng: np.random.Generator):
    sizes = (2, 3, 5)
    answers = noisy(PAIRS, sizes, sigmas, rng)
    one_ways = consistent_one_ways(answers, sizes, total=total)
    fitted = make_consistent(answers, one_ways)
    oracle = least_squares(answers, sizes, total)
    assert largest(fitted, oracle) < 1e-9
    assert largest(least_squares_answers(answers, total=total), oracle) < 1e-9
    for table, (i, j) in zip(fitted, PAIRS, strict=True):
        assert largest([table.sum(axis=1), table.sum(axis=0)], [one_ways[i].counts, one_ways[j].counts]) < 1e-9
    assert largest(fitted, [answer.answer for answer in answers]) > 0.1  # something was to be done


def test_closed_form_of_pairs(rng: np.random.Generator):
    """Equal noise: weights 1 / s_j and a shift. Without the last term of the file's formula the sums would still disagree."""
    sizes, n = (2, 3, 5), 700.0
    answers = noisy(PAIRS, sizes, (10.0,) * 3, rng)
    implied = {(i, j): (answer.answer.sum(axis=1), answer.answer.sum(axis=0)) for (i, j), answer in zip(PAIRS, answers, strict=True)}
    for i, one in enumerate(consistent_one_ways(answers, sizes, total=n)):
        others = [j for j in range(3) if j != i]
        says = [implied[(i, j)][0] if i < j else implied[(j, i)][1] for j in others]
        plain = sum(count / sizes[j] for count, j in zip(says, others, strict=True)) / sum(1 / sizes[j] for j in others)
        assert one.counts == pytest.approx(plain + (n - plain.sum()) / sizes[i])
    table, one = answers[0].answer, [one.counts for one in consistent_one_ways(answers, sizes, total=n)]
    two_terms = table + (one[0] - table.sum(axis=1))[:, np.newaxis] / 3 + (one[1] - table.sum(axis=0)) / 2
    fitted = make_consistent(answers, consistent_one_ways(answers, sizes, total=n))[0]
    assert np.abs(two_terms - (n - table.sum()) / 6 - fitted).max() < 1e-9
    assert abs(two_terms.sum() - n) > 1e-3


@pytest.mark.parametrize("total", [None, 900.0])
def test_any_set_of_marginals(total: float | None, rng: np.random.Generator):
    """One-ways, pairs and a triple of four columns, unequal noise, some pairs missing."""
    sizes = (2, 3, 2, 4)
    answers = noisy(MIXED, sizes, (5.0, 9.0, 2.0, 7.0, 3.0), rng)
    oracle = least_squares(answers, sizes, total)
    assert largest(least_squares_answers(answers, total=total), oracle) < 1e-9
    for one in consistent_one_ways(answers, sizes, total=total):
        k = next(k for k, group in enumerate(MIXED) if one.column in group)
        axes = tuple(axis for axis, column in enumerate(MIXED[k]) if column != one.column)
        assert np.abs(oracle[k].sum(axis=axes) - one.counts).max() < 1e-9


@pytest.mark.parametrize("total", [None, 500.0])
def test_stated_variances(total: float | None, rng: np.random.Generator):
    """5,000 draws: a variance is known to 2 %, and allowed to be 5.5 times that away. False alarm 1e-6."""
    sizes, sigmas = (3, 2, 4), (2.0, 5.0, 3.0)
    shapes = [tuple(sizes[column] for column in pair) for pair in PAIRS]
    estimates, totals = [], []
    for _ in range(5000):
        answers = [MarginalTarget(g, s * rng.normal(size=shape) + 50, s) for g, s, shape in zip(PAIRS, sigmas, shapes, strict=True)]
        one_ways = consistent_one_ways(answers, sizes, total=total)
        estimates.append([one.counts for one in one_ways])
        totals.append(pooled_total(answers).count)
    for column in range(3):
        cells = np.array([one[column] for one in estimates])
        seen = cells.var(axis=0)
        assert np.all(np.abs(seen / one_ways[column].variance - 1) < 0.11)
    assert abs(np.var(totals) / pooled_total(answers).variance - 1) < 0.11


def test_pooled_total_is_least_squares(rng: np.random.Generator):
    sizes = (2, 3, 2, 4)
    answers = noisy(MIXED, sizes, (5.0, 9.0, 2.0, 7.0, 3.0), rng)
    assert pooled_total(answers).count == pytest.approx(float(least_squares(answers, sizes, None)[0].sum()), rel=1e-11)


def test_consistent_answers_stay(rng: np.random.Generator):
    """Exact counts: nothing to be done, with or without noise stated, and as whole numbers too."""
    sizes = (2, 3, 5)
    for sigma in (0.0, 4.0):
        exact = [MarginalTarget(a.columns, np.rint(a.answer), sigma) for a in noisy(PAIRS, sizes, (0.0,) * 3, rng)]
        assert largest(make_consistent(exact, consistent_one_ways(exact, sizes)), [a.answer for a in exact]) < 1e-9
        assert largest(least_squares_answers(exact), [a.answer for a in exact]) < 1e-9
    whole = [MarginalAnswer(a.columns, a.answer, 4.0) for a in exact]
    assert largest(make_consistent(whole, consistent_one_ways(whole, sizes)), [a.answer for a in exact]) < 1e-9
    assert all(one.variance == 0 for one in consistent_one_ways(noisy(PAIRS, sizes, (0.0,) * 3, rng), sizes))


def test_column_without_an_answer():
    answer = MarginalTarget((1,), [30.0, 10.0], 2.0)
    free, told = consistent_one_ways([answer], (4, 2))
    assert free.counts.tolist() == [10.0] * 4
    assert free.variance == np.inf
    assert told.counts.tolist() == [30.0, 10.0]
    assert told.variance == pytest.approx(4.0)  # the cell itself
    assert json.loads(json.dumps(free.to_dict()))["variance"] == "inf"
    assert not copy.deepcopy(told).counts.flags.writeable


def test_a_total_from_elsewhere():
    answer = MarginalTarget((0,), [30.0, 10.0], 2.0)
    one = consistent_one_ways([answer], (2,), total=TotalEstimate(60.0, 8.0))[0]
    assert one.counts.tolist() == [40.0, 20.0]
    assert one.variance == pytest.approx(4 / 2 + 8 / 4)


def test_bad_input():
    answer = MarginalTarget((0,), [30.0, 10.0], 2.0)
    with pytest.raises(ValueError, match="at least one answer"):
        consistent_one_ways([], (2,))
    with pytest.raises(ValueError, match="at least one answer"):
        pooled_total([])
    with pytest.raises(ValueError, match="can't be pooled"):
        pooled_total([answer, MarginalTarget((1,), [3.0, 3.0], 0.0)])
    with pytest.raises(ValueError, match="total must be non-negative"):
        consistent_one_ways([answer], (2,), total=-1.0)
    one, other = consistent_one_ways([answer], (2,)), consistent_one_ways([answer], (2,), total=7.0)
    with pytest.raises(ValueError, match="one common sum"):
        make_consistent([answer], [*one, *other])
    with pytest.raises(ValueError, match="sizes of the columns"):
        make_consistent([MarginalTarget((0,), [1.0, 2.0, 37.0], 2.0)], one)
