"""Fit a table to pairwise marginals: the exact change of every possible move of a row from one sum of rows of a matrix.

Columns i = 1..d have s_i codes, D = sum s_i values in all, off_i the first value of column i. One symmetric matrix E holds the weighted
residuals of all pairs, block (i, j) = w_ij (count_ij - (n'/n) y_ij), diagonal blocks 0. For a row with codes x,

    g = e + sum_j E[off_j + x_j, :]                                       e: residuals of one-way targets, w_i (count_i - (n'/n) y_i)
    half change of a move of column i from a to b = g[off_i + b] - g[off_i + a] + sum_{j != i} w_ij + w_i

so d contiguous additions price all D moves. The best one is made if it is worth it (`synth.sweeps`), 4 (d - 1) entries of E follow, and
the next row is visited. A pair without a target is a block of zeros with weight 0.

Layout: the values of a column stand four apart, (4, C) with C = sum of ceil(s_i / 4), padded with HUGE, so that the search for the best
value of each column is three vector operations, then a short scan. E is in single precision up to 2^18 rows: its entries are sums of
weights, recounted every 20 sweeps; the fitness handed back is recomputed from whole counts in double precision.

Cost: O(d D) a row and sweep, 0.2 microseconds for 13 columns with D = 161, 15 for 100 columns with D = 2,000; memory 4 D^2 bytes, and
16 D^2 for a moment while counting. One thread; the order of the rows matters, so rows can't be shared among threads.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023 (the objective; its genetic search is
`synth.genetic`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from mechanisms.randomness import RngLike
from synth.encoded import Codes
from synth.forbidden import HUGE, Places, Rule, hide_forbidden
from synth.sweeps import MAX_PASSES, MIN_GAIN, Descent, Floats, Plan, Progress, Task
from synth.targets import Fit, MarginalTarget

Residuals = NDArray[np.float32] | NDArray[np.float64]

_LANES = 4
_MANY_ROWS = 2**18  # beyond, single precision could lose a count


def fit_pairs(
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
    """Return a table whose one-way and two-way marginals are close to the targets.

    Parameters
    ----------
    targets : noisy marginals of one or two columns; several of the same columns are all fitted.
    sizes : number of codes of every column, (d,).
    start : codes of the first table, (n', d); see `synth.start`.
    total : n, the number of rows that the answers count, or its noisy estimate.
    min_gain : lambda >= 0, what a move must be worth in units of the noise.
    max_passes : at most so many passes; 1 where no target has noise, or `min_gain` is 0.
    noise_floor : stop once the first pass reaches this multiple of the noise energy; None: never.
    max_sweeps : at most so many visits of each row, over all passes.
    rng : of the order of the rows.
    forbidden : (columns, mask) pairs; no row of the output lies where a mask is true.
    progress : called with (sweeps done, max_sweeps, label).

    Returns
    -------
    The table with its path; the same `rng` seed gives the same table on the same machine.

    Raises
    ------
    ValueError : a target of three columns or more, or arguments that don't fit together.

    Guarantee
    ---------
    Post-processing of the targets: costs no privacy.

    Examples
    --------
    >>> counts = np.array([[30, 5], [5, 60]])
    >>> start = np.repeat([[0, 0], [0, 1], [1, 0], [1, 1]], 25, axis=0)
    >>> fit = fit_pairs([MarginalTarget((0, 1), counts, sigma=0.0)], (2, 2), start, total=100, rng=0)
    >>> fit.fitness, np.bincount(fit.codes @ [2, 1]).tolist(), fit.stopped
    (0.0, [30, 5, 5, 60], 'converged')
    """
    task = Task(targets, sizes, start, total, forbidden)
    plan = Plan(min_gain, max_passes, noise_floor, max_sweeps, progress)
    return Descent(PairEngine(task, plan.min_gain), task, plan, rng).run()


class PairEngine:
    """The matrix E and the rows that it counts.

    Parameters
    ----------
    task : targets of one or two columns.
    min_gain : lambda.
    precision : dtype of E; None: single up to 2^18 rows.
    """

    def __init__(self, task: Task, min_gain: float, precision: type[np.floating] | None = None) -> None:
        if any(len(target.columns) > 2 for target in task.targets):
            raise ValueError("targets must have one or two columns here; fit_marginals takes more")
        precision = precision or (np.float32 if task.n_rows <= _MANY_ROWS else np.float64)
        self._task = task
        self._offset: Places = np.cumsum([0, *task.sizes])
        self._chunk: Places = np.cumsum([0, *(-(-size // _LANES) for size in task.sizes)])
        self._place = _places(task.sizes, self._chunk)
        d, n_values = len(task.sizes), int(self._offset[-1])
        # a row's last entry leads to the residuals of one-way targets
        self._rows = np.append(task.codes + self._offset[:-1], np.full((task.n_rows, 1), n_values), axis=1).astype(np.int32)
        self._residual = np.full((n_values + 1, _LANES * int(self._chunk[-1])), HUGE, dtype=precision)
        self._weight = np.zeros((d, d), dtype=precision)
        for target in task.targets:
            i, j = target.columns[0], target.columns[-1]
            self._weight[i, j] += target.weight
            self._weight[j, i] = self._weight[i, j]
        self._gain = task.least_gains(min_gain)
        self._wanted = [task.scale * target.answer for target in task.targets]  # z
        self._unpriced = 0.0  # part of F that no table changes: several answers of the same columns disagree

    @property
    def codes(self) -> Codes:
        """Return the present table, (n', d)."""
        return np.ascontiguousarray(self._rows[:, :-1] - self._offset[:-1], dtype=np.int32)

    def recount(self, *, lift: bool = False) -> float:
        """Count the table from scratch, add what is left to the targets if asked, replace E; return F exactly, of y."""
        offset, n_values = self._offset, int(self._offset[-1])
        counts = _count(self._rows, offset)
        residual, fitness, lifted = np.zeros((n_values + 1, n_values)), 0.0, 0.0
        for target, wanted in zip(self._task.targets, self._wanted, strict=True):
            i, j = target.columns[0], target.columns[-1]
            rows, cols = slice(offset[i], offset[i + 1]), slice(offset[j], offset[j + 1])
            count = counts[rows, cols] if i != j else np.diagonal(counts)[rows]
            difference = count - self._task.scale * target.answer
            fitness += target.weight * float(np.vdot(difference, difference))
            if lift:
                wanted -= difference
            difference = count - wanted
            lifted += target.weight * float(np.vdot(difference, difference))
            if i == j:
                residual[-1, rows] += target.weight * difference
            else:
                residual[rows, cols] += target.weight * difference
                residual[cols, rows] = residual[rows, cols].T
        self._residual[:, self._place] = residual
        drift = np.finfo(self._residual.dtype).eps * self._rows.shape[1] * float(np.abs(residual).max(initial=0.0))
        self._least = np.maximum(self._gain, drift).astype(self._residual.dtype)
        self._unpriced = lifted - _energy(self._residual, self._weight, offset, self._place)
        return fitness

    def fitness(self) -> float:
        """Return F from the running sums, of the targets as they are."""
        return self._unpriced + float(_energy(self._residual, self._weight, self._offset, self._place))

    def changes(self, row: int) -> Floats:
        """Return the change of F by every single-value move of a row, (D,); 0 for its present values."""
        total = np.empty((1, self._residual.shape[1]), dtype=self._residual.dtype)
        _add_rows(self._residual, self._rows, row, total)
        g, x = total[0, self._place].astype(np.float64), self._rows[row, :-1]
        half = g - np.repeat(g[x] - self._weight.sum(1), self._task.sizes)
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
            self._weight.sum(1),
            self._least,
            self._offset,
            self._chunk,
            self._place,
            room,
            (rules.first, rules.column, rules.stride, rules.start, rules.mask),
        )
        return int(moves), float(fallen)


def _places(sizes: tuple[int, ...], chunk: Places) -> Places:
    """Return where each of the D values stands in the padded layout."""
    codes = [np.arange(size) for size in sizes]
    return np.concatenate([(code % _LANES) * chunk[-1] + chunk[i] + code // _LANES for i, code in enumerate(codes)])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _count(rows: NDArray[np.int32], offset: Places) -> NDArray[np.int32]:
    """Count all pairs of values, blocks (i, j) with i <= j; the diagonal holds the one-way counts."""
    n, d = len(rows), len(offset) - 1
    counts = np.zeros((offset[d], offset[d]), dtype=np.int32)
    for i in range(d):  # column after column: a column's rows of counts stay in the processor's cache
        for r in range(n):
            a = rows[r, i]
            for j in range(i, d):
                counts[a, rows[r, j]] += 1
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _energy(residual: Residuals, weight: Residuals, offset: Places, place: Places) -> float:
    """Return the sum of E^2 / w over the blocks i <= j."""
    d, last = len(weight), len(residual) - 1
    energy = 0.0
    for i in range(d):
        for j in range(i, d):
            if weight[i, j] > 0:
                block = 0.0
                for a in range(offset[i], offset[i + 1]) if i < j else range(last, last + 1):
                    for b in range(offset[j], offset[j + 1]):
                        block += np.float64(residual[a, place[b]]) ** 2
                energy += block / weight[i, j]
    return energy


@njit(cache=True, nogil=True, fastmath=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _add_rows(residual: Residuals, rows: NDArray[np.int32], r: int, total: Residuals) -> None:
    """Put g of row r into total[0]."""
    n_terms, width = rows.shape[1], residual.shape[1]
    for q in range(width):
        total[0, q] = 0
    k = 0
    while k + 4 <= n_terms:
        a, b, c, e = rows[r, k], rows[r, k + 1], rows[r, k + 2], rows[r, k + 3]
        for q in range(width):
            total[0, q] += (residual[a, q] + residual[b, q]) + (residual[c, q] + residual[e, q])
        k += 4
    while k < n_terms:
        a = rows[r, k]
        for q in range(width):
            total[0, q] += residual[a, q]
        k += 1


@njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator, unused-ignore]
def _sweep(
    residual: Residuals,
    rows: NDArray[np.int32],
    order: NDArray[np.int64],
    weight: Residuals,
    weights: Residuals,
    least: Residuals,
    offset: Places,
    chunk: Places,
    place: Places,
    room: float,
    rules: tuple[Places, Places, Places, Places, NDArray[np.bool_]],
) -> tuple[int, float]:
    d, n_chunks = len(weight), chunk[-1]
    lanes = np.empty((_LANES, n_chunks), dtype=residual.dtype)
    total = lanes.reshape(1, _LANES * n_chunks)
    lowest, price = np.empty(n_chunks, dtype=residual.dtype), np.empty(d, dtype=residual.dtype)
    ruled = len(rules[4]) > 0
    moves, fallen = 0, 0.0
    for r in order:
        _add_rows(residual, rows, r, total)
        for k in range(d):
            price[k] = weights[k] - total[0, place[rows[r, k]]]
        if ruled:
            hide_forbidden(rules[0], rules[1], rules[2], rules[3], rules[4], rows, r, offset, place, total)
        for c in range(n_chunks):
            lowest[c] = min(min(lanes[0, c], lanes[1, c]), min(lanes[2, c], lanes[3, c]))
        i, best = -1, residual.dtype.type(0)
        c = 0
        for k in range(d):
            low = lowest[c]
            c += 1
            while c < chunk[k + 1]:
                low = min(low, lowest[c])
                c += 1
            half = low + price[k]
            if half < -least[k] and half < best:
                i, best = k, half
        if i >= 0:
            moves += 1
            fallen -= 2 * np.float64(best)
            _move(residual, rows, r, i, _lowest_value(total, place, offset[i], offset[i + 1]), weight, place)
            if fallen >= room:
                break
    return moves, fallen


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _lowest_value(total: Residuals, place: Places, first: int, last: int) -> int:
    value = first
    for v in range(first + 1, last):
        if total[0, place[v]] < total[0, place[value]]:
            value = v
    return value


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _move(residual: Residuals, rows: NDArray[np.int32], r: int, i: int, new: int, weight: Residuals, place: Places) -> None:
    """Give column i of row r its new value, and E what follows."""
    old = rows[r, i]
    for j in range(len(weight)):
        w, other = weight[i, j], rows[r, j]
        if j == i:
            residual[-1, place[old]] -= w
            residual[-1, place[new]] += w
        else:
            residual[old, place[other]] -= w
            residual[new, place[other]] += w
            residual[other, place[old]] -= w
            residual[other, place[new]] += w
    rows[r, i] = new
