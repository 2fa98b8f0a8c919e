"""Noisy marginals made to agree: on the total, on every column, on all that several of them count.

Any table splits into effects: a constant, one main effect per column, one interaction per set of columns, each summing to 0 along each of
its axes. Effects of a marginal are orthogonal and its noise is alike in all directions, so the least-squares fit of many marginals falls
apart into one small problem per set S of columns: pool what the marginals that contain S say of its effect. The effect of S in
marginal g, summed over the other columns, has noise sigma_g^2 c_g / c_S a cell, so all sets share the weights

    w_g = 1 / (sigma_g^2 c_g)        for pairs of equal noise: 1 / s_j for what pair (i, j) says of column i

and the fit is closed form, for unequal noise, any set of marginals and any number of columns (`least_squares_answers`). A known total n
replaces the constant. For complete pairs that is the same as: pool the implied one-ways, shift them to the total, then

    M_ij += (one_i - rowsum) / s_j + (one_j - colsum) / s_i - (n - sum of M) / (s_i s_j),

the last term being 0 once M sums to n. Results are real and may be negative: clip inside derived estimates only. All of it is
post-processing.

Symbols: s_i size of column i, c_g cells of marginal g, c_S product of the sizes of S, M an answer. Cost: O(2^k) passes over each answer of
k columns.

References
----------
Barak et al., Privacy, Accuracy, and Consistency Too, PODS 2007. Xiao, He, Zhang, Kifer, An Optimal and Scalable Matrix Mechanism for Noisy
Marginals (ResidualPlanner), NeurIPS 2023. Qardaji, Yang, Li, PriView, SIGMOD 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import non_negative
from synth.totals import NoisyMarginal, TotalEstimate, pooled_total, pooling_weights

Floats = NDArray[np.float64]
Columns = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class OneWayEstimate:
    """What all answers together say of one column.

    Parameters
    ----------
    column : its place in the schema.
    counts : (s,) estimates, real, may be negative; copied and read-only.
    variance : of each of them; infinite for a column that no answer contains: its counts are equal then.
    """

    column: int
    counts: Floats
    variance: float

    def __init__(self, column: int, counts: ArrayLike, variance: float) -> None:
        kept = np.array(counts, dtype=np.float64)
        kept.flags.writeable = False
        object.__setattr__(self, "column", int(column))
        object.__setattr__(self, "counts", kept)
        object.__setattr__(self, "variance", float(variance))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "column": self.column, "counts": self.counts, "variance": self.variance})

    def __reduce__(self) -> tuple[type[OneWayEstimate], tuple[int, Floats, float]]:
        return type(self), (self.column, self.counts, self.variance)


def consistent_one_ways(
    answers: Sequence[NoisyMarginal], sizes: Sequence[int], *, total: float | TotalEstimate | None = None
) -> list[OneWayEstimate]:
    """Return one estimate per column, all of one sum.

    Parameters
    ----------
    answers : noisy marginals of the columns; at least one.
    sizes : number of codes of every column of the schema.
    total : number of rows: known (replacement neighbors), estimated, or None to estimate it from the answers.

    Returns
    -------
    One-ways in the order of the columns. They are those of the least-squares fit of all answers.

    Raises
    ------
    ValueError : no answer, a bad total, or answers with noise beside answers without.

    Examples
    --------
    >>> from synth.targets import MarginalTarget
    >>> pair = MarginalTarget((0, 1), [[10.0, 22.0], [30.0, 42.0]], 1.0)
    >>> [one.counts.tolist() for one in consistent_one_ways([pair], (2, 2), total=100.0)]
    [[30.0, 70.0], [38.0, 62.0]]
    """
    weights = pooling_weights(answers)
    whole = _total(answers, total)
    sums = [np.zeros(size) for size in sizes]
    precision = np.zeros(len(sizes))
    for answer, weight in zip(answers, weights, strict=True):
        for column in answer.columns:
            sums[column] += weight * _summed(np.asarray(answer.answer, dtype=np.float64), answer.columns, (column,))
            precision[column] += weight
    noiseless = answers[0].sigma == 0
    return [_one_way(i, size, sums[i], float(precision[i]), whole, noiseless) for i, size in enumerate(sizes)]


def make_consistent(answers: Sequence[NoisyMarginal], one_ways: Sequence[OneWayEstimate]) -> list[Floats]:
    """Return the nearest tables to the answers that have the given one-ways, one per answer.

    Parameters
    ----------
    answers : noisy marginals.
    one_ways : of every column, all of one sum, as `consistent_one_ways` returns them.

    Returns
    -------
    Arrays of the shapes of the answers. For pairs, each in one answer, they are the least-squares fit of all answers.

    Raises
    ------
    ValueError : one-ways whose sums differ, or that don't fit the answers.

    Examples
    --------
    >>> from synth.targets import MarginalTarget
    >>> pair = MarginalTarget((0, 1), [[10.0, 22.0], [30.0, 42.0]], 1.0)
    >>> make_consistent([pair], consistent_one_ways([pair], (2, 2), total=100.0))[0].tolist()
    [[9.0, 21.0], [29.0, 41.0]]
    """
    total = _common_sum(one_ways)
    effects: dict[Columns, Floats] = {(): np.asarray(total)}
    effects |= {(one.column,): _effect(one.counts) for one in one_ways}
    return [_with_effects(answer, {s: effects[s] for s in ((), *((i,) for i in answer.columns))}) for answer in answers]


def least_squares_answers(answers: Sequence[NoisyMarginal], *, total: float | TotalEstimate | None = None) -> list[Floats]:
    """Return the answers of the weighted least-squares fit: the consistent answers nearest to the given ones.

    Minimizes the sum over answers of |A_g x - y_g|^2 / sigma_g^2 over all real tables x, with sum of x = `total` where one is given.

    Parameters
    ----------
    answers, total : as `consistent_one_ways`.

    Returns
    -------
    Arrays of the shapes of the answers; any two agree on the columns they share, and sums of all are the total.

    Raises
    ------
    ValueError : as `consistent_one_ways`.

    Examples
    --------
    >>> from synth.targets import MarginalTarget
    >>> one, pair = MarginalTarget((0,), [30.0, 70.0], 1.0), MarginalTarget((0, 1), [[10.0, 23.0], [30.0, 37.0]], 1.0)
    >>> [fitted.tolist() for fitted in least_squares_answers([one, pair])]
    [[31.0, 69.0], [[9.0, 22.0], [31.0, 38.0]]]
    """
    weights = pooling_weights(answers)
    effects: dict[Columns, Floats] = {}
    precision: dict[Columns, float] = {}
    for answer, weight in zip(answers, weights, strict=True):
        table = np.asarray(answer.answer, dtype=np.float64)
        for chosen in _subsets(answer.columns):
            effects[chosen] = effects.get(chosen, 0.0) + weight * _effect(_summed(table, answer.columns, chosen))
            precision[chosen] = precision.get(chosen, 0.0) + float(weight)
    effects = {chosen: effect / precision[chosen] for chosen, effect in effects.items()}
    effects[()] = np.asarray(_total(answers, total).count)
    return [_with_effects(answer, {s: effects[s] for s in _subsets(answer.columns)}) for answer in answers]


def _total(answers: Sequence[NoisyMarginal], total: float | TotalEstimate | None) -> TotalEstimate:
    if total is None:
        return pooled_total(answers)
    return total if isinstance(total, TotalEstimate) else TotalEstimate(non_negative(total=total), 0.0)


def _one_way(column: int, size: int, weighted: Floats, precision: float, total: TotalEstimate, noiseless: bool) -> OneWayEstimate:
    if precision == 0:
        return OneWayEstimate(column, np.full(size, total.count / size), np.inf)
    counts = weighted / precision
    counts += (total.count - counts.sum()) / size
    variance = 0.0 if noiseless else (1 - 1 / size) / (size * precision)  # implied counts have variance sigma^2 c / s = 1 / (s w)
    return OneWayEstimate(column, counts, variance + total.variance / size**2)


def _common_sum(one_ways: Sequence[OneWayEstimate]) -> float:
    sums = np.array([one.counts.sum() for one in one_ways])
    if not sums.size or np.ptp(sums) > 1e-9 * max(1.0, float(np.abs(sums).max())):
        raise ValueError("one-ways must have one common sum; take them from consistent_one_ways")
    return float(sums[0])


def _subsets(columns: Columns) -> list[Columns]:
    return [chosen for k in range(len(columns) + 1) for chosen in combinations(columns, k)]


def _summed(table: Floats, columns: Columns, kept: Columns) -> Floats:
    """Return the table summed over all columns but the kept ones."""
    return np.asarray(table.sum(axis=tuple(axis for axis, column in enumerate(columns) if column not in kept)), dtype=np.float64)


def _effect(table: Floats) -> Floats:
    """Return the part of a table that sums to 0 along each axis."""
    for axis in range(table.ndim):
        table = table - table.mean(axis=axis, keepdims=True)
    return table


def _with_effects(answer: NoisyMarginal, effects: dict[Columns, Floats]) -> Floats:
    """Return the answer with its effects of these sets of columns replaced; each is spread evenly over the other columns."""
    table = np.array(answer.answer, dtype=np.float64)
    for chosen, effect in effects.items():
        own = _effect(_summed(table, answer.columns, chosen))
        if own.shape != effect.shape:
            raise ValueError(f"sizes of the columns {chosen} differ between answers and one-ways")
        shape = [size if column in chosen else 1 for column, size in zip(answer.columns, table.shape, strict=True)]
        table += (effect - own).reshape(shape) * (effect.size / table.size)
    return table
