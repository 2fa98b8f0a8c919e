"""Fit a table to marginals of any number of columns: a table of cells a group, a short sum for every candidate value.

Each group g keeps its weighted residuals R_g = w_g (count_g - (n'/n) y_g). For a row in cell c_g of every group,

    half change of a move of column i from a to b = sum over groups g with column i of  R_g[c_g with b for a] - R_g[c_g] + w_g

which for pairs is what the matrix of `synth.pairwise` gives, by another way: strided reads instead of long sums of rows. It's slower
where all pairs have targets, about equal where one in ten has, and takes memory for the cells of its groups only.

Cost: a row and sweep, sum over groups and their columns of s_i.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023 (the objective).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from mechanisms.randomness import RngLike
from synth.encoded import Codes
from synth.forbidden import Places, Rule, hide_forbidden
from synth.pairwise import fit_pairs
from synth.sweeps import MAX_PASSES, MIN_GAIN, Descent, Floats, Plan, Progress, Task
from synth.targets import Fit, MarginalTarget

LARGEST_MATRIX = 2**13  # values of all columns, 256 MB: beyond, the matrix of all pairs isn't made


def fit_marginals(
    targets: Sequence[MarginalTarget],
    sizes: Sequence[int],
    start: Codes,
    *,
    total: float,
    min_gain: float = MIN_GAIN,
    max_passes: int = MAX_PASSES,
    noise_floor: float | None = None,
    max_sweeps: int = 60,
    rng: RngLike = None,
    forbidden: Sequence[Rule] = (),
    progress: Progress | None = None,
) -> Fit:
    """Return a table whose marginals are close to the targets, by the engine that suits them.

    `fit_pairs` where no target has more than two columns and the columns have at most 8,192 values in all, `fit_k_way` else. The
    arguments, the result and the guarantee are theirs.

    Parameters
    ----------
    targets : noisy marginals of one or more columns.
    sizes, start, total, min_gain, max_passes, noise_floor, max_sweeps, rng, forbidden, progress : as `fit_pairs`.

    Examples
    --------
    >>> even = [[[10, 0], [0, 10]], [[0, 10], [10, 0]]]
    >>> start = np.arange(40)[:, None] // [1, 2, 4] % 2
    >>> fit_marginals([MarginalTarget((0, 1, 2), even, sigma=0.0)], (2, 2, 2), start, total=40, rng=0).fitness
    0.0
    """
    pairs = all(len(target.columns) <= 2 for target in targets) and sum(sizes) <= LARGEST_MATRIX
    return (fit_pairs if pairs else fit_k_way)(
        targets,
        sizes,
        start,
        total=total,
        min_gain=min_gain,
        max_passes=max_passes,
        noise_floor=noise_floor,
        max_sweeps=max_sweeps,
        rng=rng,
        forbidden=forbidden,
        progress=progress,
    )


def fit_k_way(
    targets: Sequence[MarginalTarget],
    sizes: Sequence[int],
    start: Codes,
    *,
    total: float,
    min_gain: float = MIN_GAIN,
    max_passes: int = MAX_PASSES,
    noise_floor: float | None = None,
    max_sweeps: int = 60,
    rng: RngLike = None,
    forbidden: Sequence[Rule] = (),
    progress: Progress | None = None,
) -> Fit:
    """Return a table whose marginals are close to the targets, of any number of columns each.

    Parameters
    ----------
    targets : noisy marginals of one or more columns.
    sizes, start, total, min_gain, max_passes, noise_floor, max_sweeps, rng, forbidden, progress : as `fit_pairs`.

    Raises
    ------
    ValueError : arguments that don't fit together.

    Guarantee
    ---------
    Post-processing of the targets: costs no privacy.
    """
    task = Task(targets, sizes, start, total, forbidden)
    plan = Plan(min_gain, max_passes, noise_floor, max_sweeps, progress)
    return Descent(GroupEngine(task, plan.min_gain), task, plan, rng).run()


class GroupEngine:
    """The residuals of every group's cells, one after another, and the rows that they count.

    Parameters
    ----------
    task : targets of any number of columns.
    min_gain : lambda.
    """

    def __init__(self, task: Task, min_gain: float) -> None:
        targets = task.targets
        self._task = task
        self._offset: Places = np.cumsum([0, *task.sizes])
        self._rows = (task.codes + self._offset[:-1]).astype(np.int32)  # values, numbered over all columns
        self._start: Places = np.cumsum([0, *(target.answer.size for target in targets)])
        self._first: Places = np.cumsum([0, *(len(target.columns) for target in targets)])
        self._column: Places = np.array([column for target in targets for column in target.columns], dtype=np.int64)
        strides = [np.cumprod([1, *target.answer.shape[:0:-1]])[::-1] for target in targets]
        self._stride: Places = np.concatenate([np.zeros(0, dtype=np.int64), *strides])
        self._weight = np.array([target.weight for target in targets], dtype=np.float64)
        self._answer = task.scale * np.concatenate([np.zeros(0), *(target.answer.ravel() for target in targets)])
        self._wanted = self._answer.copy()  # z
        self._cell_weight = np.repeat(self._weight, np.diff(self._start))
        self._residual = np.zeros(len(self._answer))
        self._least = task.least_gains(min_gain)
        self._weights = np.zeros(len(task.sizes))
        np.add.at(self._weights, self._column, np.repeat(self._weight, np.diff(self._first)))

    @property
    def codes(self) -> Codes:
        """Return the present table, (n', d)."""
        return np.ascontiguousarray(self._rows - self._offset[:-1], dtype=np.int32)

    def recount(self, *, lift: bool = False) -> float:
        """Count the table from scratch, add what is left to the targets if asked, replace the residuals; return F exactly, of y."""
        counts = np.zeros(len(self._answer), dtype=np.int64)
        _count(self._rows, self._offset, self._start, self._first, self._column, self._stride, counts)
        difference = counts - self._answer
        if lift:
            self._wanted -= difference
        self._residual[:] = self._cell_weight * (counts - self._wanted)
        return float(np.dot(self._cell_weight, difference**2))

    def fitness(self) -> float:
        """Return F from the running sums, of the targets as they are."""
        return float(np.sum(self._residual**2 / self._cell_weight))

    def changes(self, row: int) -> Floats:
        """Return the change of F by every single-value move of a row, (D,); 0 for its present values."""
        total, cells = np.zeros((1, int(self._offset[-1]))), np.zeros(len(self._weight), dtype=np.int64)
        _add_cells(self._residual, self._rows, row, self._offset, self._start, self._first, self._column, self._stride, cells, total)
        x = self._rows[row]
        half = total[0] - np.repeat(total[0, x] - self._weights, self._task.sizes)
        half[x] = 0.0
        return np.asarray(2 * half)

    def sweep(self, order: NDArray[np.int64], room: float) -> tuple[int, float]:
        """Visit the rows in this order until F has fallen by `room`; return how many moves were made and how far it fell."""
        rules = self._task.rules
        moves, fallen = _sweep(
            self._residual,
            self._rows,
            order,
            self._weight,
            self._weights,
            self._least,
            self._offset,
            (self._start, self._first, self._column, self._stride),
            room,
            (rules.first, rules.column, rules.stride, rules.start, rules.mask),
        )
        return int(moves), float(fallen)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _cell(rows: NDArray[np.int32], r: int, g: int, offset: Places, start: Places, first: Places, column: Places, stride: Places) -> int:
    """Return the cell of row r in group g."""
    cell: int = start[g]
    for m in range(first[g], first[g + 1]):
        cell += stride[m] * (rows[r, column[m]] - offset[column[m]])
    return cell


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _count(
    rows: NDArray[np.int32], offset: Places, start: Places, first: Places, column: Places, stride: Places, counts: NDArray[np.int64]
) -> None:
    for g in range(len(first) - 1):
        for r in range(len(rows)):
            counts[_cell(rows, r, g, offset, start, first, column, stride)] += 1


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _add_cells(
    residual: Floats,
    rows: NDArray[np.int32],
    r: int,
    offset: Places,
    start: Places,
    first: Places,
    column: Places,
    stride: Places,
    cells: Places,
    total: Floats,
) -> None:
    """Put into total[0] what each value of each column would meet in the groups, and into `cells` where the row is now."""
    total[0, :] = 0.0
    for g in range(len(first) - 1):
        cell = _cell(rows, r, g, offset, start, first, column, stride)
        cells[g] = cell
        for m in range(first[g], first[g + 1]):
            i = column[m]
            foot = cell - stride[m] * (rows[r, i] - offset[i])
            for b in range(offset[i + 1] - offset[i]):
                total[0, offset[i] + b] += residual[foot + stride[m] * b]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sweep(
    residual: Floats,
    rows: NDArray[np.int32],
    order: NDArray[np.int64],
    weight: Floats,
    weights: Floats,
    least: Floats,
    offset: Places,
    groups: tuple[Places, Places, Places, Places],
    room: float,
    rules: tuple[Places, Places, Places, Places, NDArray[np.bool_]],
) -> tuple[int, float]:
    start, first, column, stride = groups
    d = len(offset) - 1
    total, price = np.empty((1, offset[d])), np.empty(d)
    cells, place = np.empty(len(weight), dtype=np.int64), np.arange(offset[d])
    ruled = len(rules[4]) > 0
    moves, fallen = 0, 0.0
    for r in order:
        _add_cells(residual, rows, r, offset, start, first, column, stride, cells, total)
        for k in range(d):
            price[k] = weights[k] - total[0, rows[r, k]]
        if ruled:
            hide_forbidden(rules[0], rules[1], rules[2], rules[3], rules[4], rows, r, offset, place, total)
        i, new, best = -1, -1, 0.0
        for k in range(d):
            for v in range(offset[k], offset[k + 1]):
                half = total[0, v] + price[k]
                if half < -least[k] and half < best:
                    i, new, best = k, v, half
        if i >= 0:
            moves += 1
            fallen -= 2 * best
            for g in range(len(weight)):
                for m in range(first[g], first[g + 1]):
                    if column[m] == i:
                        residual[cells[g]] -= weight[g]
                        residual[cells[g] + stride[m] * (new - rows[r, i])] += weight[g]
            rows[r, i] = new
            if fallen >= room:
                break
    return moves, fallen
