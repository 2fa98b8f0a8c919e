"""The inner loop of the move engine: for one row after another, the best of all single-value moves.

symbols: T queries     L pairs (column, query that reads it), column after column     C candidate values, column after column
    V contribution     z_q = sum of V over a row's columns     a_q = 1[z_q <= t_q]     E_q = w_q (count_q - wanted_q)

Moving column c to candidate v gives a'_q = 1[V[v, q] <= t_q - z_q + V_now], hence
    change = sum over q with a'_q != a_q of g_q,      g_q = w_q + 2 E_q where the row enters q, w_q - 2 E_q where it leaves,
and (2 lambda)^2 times the noise variance of half of it is the sum over the same q of a vector given.

Only pairs whose limit t_q - z_q + V_now lies among the candidates' V tell candidates apart. Where V has two values and the lower one is
taken by a run of neighboring candidates (thresholds, cells), the run's two ends are enough: its gain is added at one and taken off at the
other, and summed up at the end. Else candidates are compared one by one, in the innermost loop, so that it is vectorized and each sum is
taken in one order on every machine. Single precision; the move chosen is checked in double precision before it is taken.

Cost of a row: L comparisons, plus for each pair that separates 1 (a run) or the number of its column's candidates.
"""

from __future__ import annotations

import numpy as np
from numba import njit  # type: ignore[import-untyped, unused-ignore]
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Doubles = NDArray[np.float64]
Places = NDArray[np.int64]
ShortPlaces = NDArray[np.uint32]

_ZERO = np.float32(0.0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def visit_rows(
    current: Singles,  # (rows, L): V of the rows' own values
    blocked: NDArray[np.bool_],  # (rows, C): candidates that a row may not take
    query: ShortPlaces,  # (L,)
    pairs: Places,  # (columns + 1,): where each column's pairs begin
    values: Places,  # (columns + 1,): where each column's candidates begin
    table: Singles,  # V of the candidates, flat: (pairs of c, candidates of c) for each column c
    begins: Places,  # (columns,): where each column's part of `table` begins
    low: Singles,  # (L,): least and largest V among a pair's candidates
    high: Singles,
    run: Places,  # (L, 2): first and one past the last candidate of a run, or (-1, -1) where there is none
    threshold: Singles,  # (T,)
    weight: Doubles,  # (T,)
    variance: Doubles,  # (T,): (2 lambda)^2 times the noise variance
    residual: Doubles,  # (T,): E, updated in place
    chosen: Places,  # (rows,): candidate taken, or -1; filled
) -> None:
    """Visit rows in order; take each one's best move if its gain exceeds its noise, and update E."""
    n_queries, n_columns = len(threshold), len(begins)
    slack = np.empty(n_queries, dtype=np.float32)
    gain = np.empty(n_queries, dtype=np.float32)
    noise = np.empty(n_queries, dtype=np.float32)
    limit = np.empty(len(query), dtype=np.float32)
    matters = np.empty(len(query), dtype=np.uint8)
    active = np.empty(len(query), dtype=np.int64)
    change = np.empty(blocked.shape[1], dtype=np.float32)
    spread = np.empty(blocked.shape[1], dtype=np.float32)
    for row in range(len(current)):
        mine = current[row]
        _prepare(mine, query, threshold, weight, variance, residual, slack, gain, noise)
        best, pick, column = _ZERO, -1, -1
        for c in range(n_columns):
            a, b, first, last = pairs[c], pairs[c + 1], values[c], values[c + 1]
            n_active = _separating(mine[a:b], query[a:b], low[a:b], high[a:b], slack, limit, matters, active)
            part = table[begins[c] : begins[c] + (b - a) * (last - first)].reshape(b - a, last - first)
            _changes(part, active[:n_active], limit, query[a:b], low[a:b], high[a:b], run[a:b], slack, gain, noise, change, spread)
            for v in range(last - first):
                penalized = change[v] + np.sqrt(max(spread[v], _ZERO))
                if penalized < best and not blocked[row, first + v]:
                    best, pick, column = penalized, v, c
        chosen[row] = -1
        if pick >= 0:
            a, b, width = pairs[column], pairs[column + 1], values[column + 1] - values[column]
            part = table[begins[column] : begins[column] + (b - a) * width].reshape(b - a, width)
            n_active = _separating(mine[a:b], query[a:b], low[a:b], high[a:b], slack, limit, matters, active)
            if _take(part[:, pick], active[:n_active], limit, query[a:b], slack, weight, variance, residual):
                chosen[row] = values[column] + pick


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _prepare(
    mine: Singles,
    query: ShortPlaces,
    threshold: Singles,
    weight: Doubles,
    variance: Doubles,
    residual: Doubles,
    slack: Singles,
    gain: Singles,
    noise: Singles,
) -> None:
    """Fill slack t - z, negative where the row is outside, and what each query adds to a candidate that has a' = 1."""
    slack[:] = 0.0
    for j in range(len(query)):
        slack[query[j]] += mine[j]
    for q in range(len(threshold)):
        slack[q] = threshold[q] - slack[q]
        inside = slack[q] >= 0
        gain[q] = 2 * residual[q] + (-weight[q] if inside else weight[q])
        noise[q] = -variance[q] if inside else variance[q]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _separating(
    mine: Singles,
    query: ShortPlaces,
    low: Singles,
    high: Singles,
    slack: Singles,
    limit: Singles,
    matters: NDArray[np.uint8],
    active: Places,
) -> int:
    """Fill each pair's limit, and list the pairs whose candidates are not all like the row itself; return how many."""
    for j in range(len(query)):
        room = slack[query[j]]
        at = room + mine[j]
        limit[j] = at
        matters[j] = ((at >= low[j]) | (room >= 0)) & ((at < high[j]) | (room < 0))
    n_active = 0
    for j in range(len(query)):
        active[n_active] = j
        n_active += matters[j]
    return n_active


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _changes(
    part: Singles,
    active: Places,
    limit: Singles,
    query: ShortPlaces,
    low: Singles,
    high: Singles,
    run: Places,
    slack: Singles,
    gain: Singles,
    noise: Singles,
    change: Singles,
    spread: Singles,
) -> None:
    """Fill the change and the noise of each candidate of one column."""
    width = part.shape[1]
    base, base_noise = 0.0, 0.0
    step, step_noise = np.zeros(width + 1), np.zeros(width + 1)
    change[:width] = 0.0
    spread[:width] = 0.0
    for i in range(len(active)):
        j = active[i]
        q = query[j]
        at, more, more_noise = limit[j], gain[q], noise[q]
        if slack[q] >= 0:
            base -= more
            base_noise -= more_noise
        if at >= high[j]:
            base += more
            base_noise += more_noise
        elif at >= low[j]:
            if run[j, 0] >= 0:
                step[run[j, 0]] += more
                step[run[j, 1]] -= more
                step_noise[run[j, 0]] += more_noise
                step_noise[run[j, 1]] -= more_noise
            else:
                row = part[j]
                for v in range(width):
                    inside = row[v] <= at
                    change[v] += more if inside else _ZERO
                    spread[v] += more_noise if inside else _ZERO
    for v in range(width):
        base += step[v]
        base_noise += step_noise[v]
        change[v] += base
        spread[v] += base_noise


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def _take(
    new: Singles,
    active: Places,
    limit: Singles,
    query: ShortPlaces,
    slack: Singles,
    weight: Doubles,
    variance: Doubles,
    residual: Doubles,
) -> bool:
    """Move a column to `new` if that gains more than its noise in double precision; return whether it did."""
    change, spread = 0.0, 0.0
    for i in range(len(active)):
        j = active[i]
        q = query[j]
        now = new[j] <= limit[j]
        if now != (slack[q] >= 0):
            change += weight[q] + (2 * residual[q] if now else -2 * residual[q])
            spread += variance[q]
    if not change + np.sqrt(spread) < 0:
        return False
    for i in range(len(active)):
        j = active[i]
        q = query[j]
        now = new[j] <= limit[j]
        if now != (slack[q] >= 0):
            residual[q] += weight[q] if now else -weight[q]
    return True


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator, unused-ignore]
def find_runs(part: Singles, low: Singles, high: Singles, run: Places) -> None:
    """Fill the run of each pair of one column: V is `low` at a run of neighboring candidates and `high` elsewhere."""
    for j in range(len(part)):
        first, last, n_low, n_high = -1, -1, 0, 0
        for v in range(part.shape[1]):
            if part[j, v] == low[j]:
                first = v if first < 0 else first
                last = v + 1
                n_low += 1
            elif part[j, v] == high[j]:
                n_high += 1
        single = n_low + n_high == part.shape[1] and last - first == n_low
        run[j, 0], run[j, 1] = (first, last) if single else (-1, -1)
