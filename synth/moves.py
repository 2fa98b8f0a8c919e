"""The move engine for thresholds on sums: halfspaces, prefixes, trees, marginals of any order.

A sweep visits all n' rows in random order. For the visited row the exact change of the objective under every single-value move is computed
(`synth.move_kernel`), and the best move is taken if its gain exceeds `min_gain` standard deviations of its noise. Where queries read
positions, candidates of a numeric column are up to 4 random positions inside each of its codes, drawn anew for every sweep, so that
positions stay spread, and its two bounds, where clipped values pile up. A column with more than 256 codes shows 256 of them a sweep, one
from each of as many equal ranges. Counts are refreshed from scratch at the start of every sweep. The fit ends when few rows move, or when
the objective falls by less than 0.5 % of itself in a sweep.

Where the genetic algorithm tries 50 random changes a generation and keeps one at most, this looks at all of them for each row.

References
----------
The objective is that of Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import non_negative, whole_number
from synth.encoded import Codes, EncodedTable, Positions
from synth.forbidden import Rule
from synth.move_kernel import find_runs, visit_rows
from synth.positions import draw_inside, settle
from synth.queries.family import AdditiveFamily
from synth.query_start import blocked_candidates, start_rows
from synth.query_targets import FamilyTarget, Objective, QueryFit
from synth.schema import Categorical, Column, Schema
from synth.sweeps import FEW_MOVES, Progress

MAX_CANDIDATES = 256
_BATCH = 32
_MOST_INSIDE = 4
_LEAST_CHANGE = 0.005


def fit_moves(
    targets: Sequence[FamilyTarget],
    schema: Schema,
    *,
    n_rows: int,
    total: float,
    start: EncodedTable | None = None,
    max_sweeps: int = 60,
    min_gain: float = 1.0,
    noise_floor: float | None = None,
    forbidden: Sequence[Rule] = (),
    rng: RngLike = None,
    progress: Progress | None = None,
) -> QueryFit:
    """Fit n_rows rows to noisy answers of additive families.

    Parameters
    ----------
    targets : of families that are `AdditiveFamily`.
    schema : public.
    n_rows : n' >= 1; thousands are enough for halfspaces and prefixes.
    total : n, the number of rows that the answers count; exact if public, else noisy.
    start : n' rows to begin with; None for uniform ones. Positions are drawn where it has none.
    max_sweeps : sweeps at most.
    min_gain : lambda; a move must gain more than this many standard deviations of its noise. 0 takes every gain.
    noise_floor : stop as soon as F / n'^2 is at most this share of the noise energy; None to go on.
    forbidden : (columns, mask) pairs of combinations that no row may have, see `synth.forbidden`; the start is repaired.
    rng : of this fit; it protects nothing.
    progress : called with (sweeps done, max_sweeps, "sweeps").

    Returns
    -------
    The fit; the same for the same rng.

    Raises
    ------
    ValueError, TypeError : an argument out of range, a family that is not additive, or a start of another shape.

    Guarantee
    ---------
    Reads noisy answers only: post-processing.

    Examples
    --------
    >>> from synth.queries.marginals import Marginals
    >>> from synth.schema import Categorical
    >>> schema = Schema((Categorical("sex", ("f", "m")), Categorical("vote", ("yes", "no"))))
    >>> target = FamilyTarget(Marginals(k=1).bind(schema), [40.0, 60.0, 50.0, 50.0], sigma=0.0)
    >>> fit_moves([target], schema, n_rows=10, total=100, rng=0).fitness
    0.0
    """
    require_additive(targets)
    rng = as_generator(rng)
    n_rows, max_sweeps = whole_number(1, n_rows=n_rows), whole_number(1, max_sweeps=max_sweeps)
    objective = Objective(targets, n_rows, total)
    codes, positions = start_rows(schema, n_rows, start, objective.needs_positions, forbidden, rng)
    floor = -1.0 if noise_floor is None else non_negative(noise_floor=noise_floor) * objective.noise_energy
    noise = (2 * non_negative(min_gain=min_gain)) ** 2 * objective.variance
    counts = objective.counts(codes, positions)
    history, stopped = [objective.fitness(counts)], "max_sweeps"
    best = (history[0], codes.copy(), None if positions is None else positions.copy())
    for sweep in range(max_sweeps):
        if history[-1] <= floor:
            stopped = "noise_floor"
            break
        n_moves = _sweep(objective, schema, codes, positions, objective.residual(counts), noise, forbidden, rng)
        counts = objective.counts(codes, positions)
        history.append(objective.fitness(counts))
        if history[-1] <= best[0]:
            best = (history[-1], codes.copy(), None if positions is None else positions.copy())
        if progress is not None:
            progress(sweep + 1, max_sweeps, "sweeps")
        if n_moves < max(FEW_MOVES * n_rows, 1) or history[-2] - history[-1] < _LEAST_CHANGE * history[-2]:
            stopped = "converged"
            break
    return QueryFit(best[1], best[2], best[0], objective.noise_energy, tuple(history), stopped)


def require_additive(targets: Sequence[FamilyTarget]) -> None:
    """Raise TypeError where a family is not additive."""
    for target in targets:
        if not isinstance(target.family, AdditiveFamily):
            raise TypeError(f"{type(target.family).__name__} is not an AdditiveFamily; fit it with fit_genetic")


class Candidates:
    """One sweep's candidate values and their contributions, in the layout of `synth.move_kernel`."""

    def __init__(self, objective: Objective, schema: Schema, rng: np.random.Generator) -> None:
        self._families = [family for family in objective.families if isinstance(family, AdditiveFamily)]
        listed = [_some_values(column, objective.needs_positions, rng) for column in schema]
        self.codes, self.positions = [codes for codes, _ in listed], [positions for _, positions in listed]
        self.values = np.cumsum([0, *(len(codes) for codes in self.codes)])
        offsets = np.cumsum([0, *(family.n_queries for family in self._families)])
        touched = [
            np.concatenate([family.touched(c) + offset for family, offset in zip(self._families, offsets, strict=False)])
            for c in range(len(schema))
        ]
        self.query = np.concatenate(touched).astype(np.uint32)
        self.pairs = np.cumsum([0, *(len(queries) for queries in touched)])
        parts = [np.ascontiguousarray(self.contributions(c, self.codes[c], self.positions[c]).T) for c in range(len(schema))]
        self.low = np.concatenate([part.min(axis=1) for part in parts])
        self.high = np.concatenate([part.max(axis=1) for part in parts])
        self.table = np.concatenate([part.ravel() for part in parts])
        self.begins = np.cumsum([0, *(part.size for part in parts)])[:-1]
        self.run = np.empty((len(self.query), 2), dtype=np.int64)
        for part, first, last in zip(parts, self.pairs[:-1], self.pairs[1:], strict=True):
            find_runs(part, self.low[first:last], self.high[first:last], self.run[first:last])
        self.threshold = np.concatenate([family.thresholds for family in self._families]).astype(np.float32)

    def contributions(self, column: int, codes: NDArray[np.int32], positions: NDArray[np.float64] | None) -> NDArray[np.float32]:
        """Return V of m values of a column, (m, pairs of the column)."""
        return np.concatenate([family.contributions(column, codes, positions) for family in self._families], axis=1)

    def of_rows(self, codes: Codes, positions: Positions | None) -> NDArray[np.float32]:
        """Return V of rows' own values, (m, L)."""
        columns = range(codes.shape[1])
        own = [self.contributions(c, codes[:, c], None if positions is None else positions[:, c]) for c in columns]
        return np.concatenate(own, axis=1)

    def layout(self) -> tuple[NDArray[np.generic], ...]:
        """Return what the kernel reads of the candidates, in its order."""
        return (self.query, self.pairs, self.values, self.table, self.begins, self.low, self.high, self.run, self.threshold)

    def move(self, codes: Codes, positions: Positions | None, rows: NDArray[np.int64], chosen: NDArray[np.int64]) -> int:
        """Give each row its chosen candidate, in place, where it has one; return how many have."""
        moved, picks = rows[chosen >= 0], chosen[chosen >= 0]
        columns = np.searchsorted(self.values, picks, side="right") - 1
        codes[moved, columns] = np.concatenate(self.codes)[picks]
        if positions is not None:
            positions[moved, columns] = np.concatenate(self.positions)[picks]
        return len(moved)


def _some_values(column: Column, with_positions: bool, rng: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return candidate codes and positions of a column, in increasing order so that thresholds cut them into runs."""
    if column.size <= MAX_CANDIDATES:
        codes = np.arange(column.size, dtype=np.int32)
    else:
        edges = np.linspace(0, column.size, MAX_CANDIDATES + 1).astype(np.int64)
        codes = rng.integers(edges[:-1], edges[1:]).astype(np.int32)
    if not with_positions or isinstance(column, Categorical):
        return codes, np.zeros(len(codes))
    repeats = min(_MOST_INSIDE, MAX_CANDIDATES // len(codes))
    codes = np.concatenate([codes[codes < column.nullable], np.repeat(codes[codes >= column.nullable], repeats)])
    ends, bounds = settle(column, [0.0, 1.0])
    positions = np.concatenate([draw_inside(column, codes, rng), bounds])
    codes = np.concatenate([codes, ends])
    order = np.lexsort((positions, codes))
    return codes[order], positions[order]


def _sweep(
    objective: Objective,
    schema: Schema,
    codes: Codes,
    positions: Positions | None,
    residual: NDArray[np.float64],
    noise: NDArray[np.float64],
    forbidden: Sequence[Rule],
    rng: np.random.Generator,
) -> int:
    """Visit all rows once, changing them in place; return the number of moves."""
    candidates = Candidates(objective, schema, rng)
    order = rng.permutation(len(codes))
    n_moves = 0
    for first in range(0, len(order), _BATCH):
        rows = order[first : first + _BATCH]
        mine, place = codes[rows], None if positions is None else positions[rows]
        chosen = np.empty(len(rows), dtype=np.int64)
        visit_rows(
            candidates.of_rows(mine, place),
            blocked_candidates(mine, candidates.codes, forbidden),
            *candidates.layout(),
            objective.weight,
            noise,
            residual,
            chosen,
        )
        n_moves += candidates.move(codes, positions, rows, chosen)
    return n_moves
