"""The compiled part of `synth.pairwise`: counting pairs, pricing all moves of a row, making the best one.

E is `residual`, (D + 1, 4 C), with the residuals of one-way targets as its last row; `rows` holds in each row the D-numbering of its values
and, last, the number of that row of E. `place` says where each of the D values stands among the 4 C places of the padded layout. A
function may be inlined into `sweep_rows`, where no array may be sliced: a slice costs as much as twenty additions.
"""

from __future__ import annotations

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

from synth.forbidden import Places, hide_forbidden

Residuals = NDArray[np.float32] | NDArray[np.float64]

LANES = 4


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def count_pairs(rows: NDArray[np.int32], offset: Places) -> NDArray[np.int32]:
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
def energy_of(residual: Residuals, weight: Residuals, offset: Places, place: Places) -> float:
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
def add_rows(residual: Residuals, rows: NDArray[np.int32], r: int, total: Residuals) -> None:
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
def sweep_rows(
    residual: Residuals,
    rows: NDArray[np.int32],
    order: NDArray[np.int64],
    weight: Residuals,
    weights: Residuals,
    least: Residuals,
    offset: Places,
    chunk: Places,
    place: Places,
    limits: tuple[float, int],
    rules: tuple[Places, Places, Places, Places, NDArray[np.bool_]],
) -> tuple[int, float]:
    """Visit the rows in this order; return how many moves were made and how far F fell."""
    room, moves_per_visit = limits
    lanes = np.empty((LANES, chunk[-1]), dtype=residual.dtype)
    total, lowest = lanes.reshape(1, lanes.size), np.empty(chunk[-1], dtype=residual.dtype)
    ruled = len(rules[4]) > 0
    moves, fallen = 0, 0.0
    for r in order:
        add_rows(residual, rows, r, total)
        for left in range(moves_per_visit - 1, -1, -1):
            if ruled:
                hide_forbidden(rules[0], rules[1], rules[2], rules[3], rules[4], rows, r, offset, place, total)
            i, half = _best_column(lanes, total, lowest, rows, r, weights, least, chunk, place)
            if i < 0:
                break
            moves += 1
            fallen -= 2 * np.float64(half)
            old, new = rows[r, i], _lowest_value(total, place, offset[i], offset[i + 1])
            _move(residual, rows, r, i, new, weight, place)
            if left and ruled:
                add_rows(residual, rows, r, total)  # what was hidden may be allowed now
            elif left:
                _follow(residual, rows, r, i, old, weight, weights, place, total)
        if fallen >= room:
            break
    return moves, fallen


@njit(cache=True, nogil=True, fastmath=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _best_column(
    lanes: Residuals,
    total: Residuals,
    lowest: Residuals,
    rows: NDArray[np.int32],
    r: int,
    weights: Residuals,
    least: Residuals,
    chunk: Places,
    place: Places,
) -> tuple[int, float]:
    """Return the column of the best move and its half change, or -1 where no move is worth it."""
    for c in range(len(lowest)):
        lowest[c] = min(min(lanes[0, c], lanes[1, c]), min(lanes[2, c], lanes[3, c]))
    i, best = -1, lanes.dtype.type(0)
    c = 0
    for k in range(len(weights)):
        low = lowest[c]
        c += 1
        while c < chunk[k + 1]:
            low = min(low, lowest[c])
            c += 1
        half = low - total[0, place[rows[r, k]]] + weights[k]
        if half < -least[k] and half < best:
            i, best = k, half
    return i, float(best)


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


@njit(cache=True, nogil=True, fastmath=True, inline="always")  # type: ignore[untyped-decorator, unused-ignore]
def _follow(
    residual: Residuals,
    rows: NDArray[np.int32],
    r: int,
    i: int,
    old: int,
    weight: Residuals,
    weights: Residuals,
    place: Places,
    total: Residuals,
) -> None:
    """Bring total[0] = g up to date after a move of column i from `old`: two rows of E instead of d, and what the move did to them."""
    new = rows[r, i]
    for q in range(residual.shape[1]):
        total[0, q] += residual[new, q] - residual[old, q]
    for j in range(len(weight)):
        if j != i:
            total[0, place[rows[r, j]]] -= weight[i, j]  # g held row `old` as it was before the move
    total[0, place[old]] -= weights[i]
    total[0, place[new]] += weights[i]
