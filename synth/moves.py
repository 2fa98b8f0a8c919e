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
from synth.move_candidates import Candidates
from synth.move_kernel import visit_rows
from synth.queries.family import AdditiveFamily
from synth.query_start import blocked_candidates, start_rows
from synth.query_targets import FamilyTarget, Objective, QueryFit
from synth.schema import Schema
from synth.sweeps import FEW_MOVES, Progress

_BATCH = 32
_LEAST_CHANGE = 0.005
_TOLERANCE = 1e-4


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
    ValueError, TypeError : an argument out of range, a family that is not additive or contradicts itself, or a start of another shape.

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
    history = [objective.fitness(counts)]
    best, stopped = (codes.copy(), _copy(positions)), "max_sweeps" if history[0] > floor else "noise_floor"
    while stopped == "max_sweeps" and len(history) <= max_sweeps:
        n_moves = _sweep(objective, schema, codes, positions, objective.residual(counts), noise, forbidden, rng)
        counts = objective.counts(codes, positions)
        history.append(objective.fitness(counts))
        if history[-1] == min(history):
            best = codes.copy(), _copy(positions)
        if progress is not None:
            progress(len(history) - 1, max_sweeps, "sweeps")
        if history[-1] <= floor:
            stopped = "noise_floor"
        elif n_moves < max(FEW_MOVES * n_rows, 1) or history[-2] - history[-1] < _LEAST_CHANGE * history[-2]:
            stopped = "converged"
    return QueryFit(*best, min(history), objective.noise_energy, tuple(history), stopped)


def require_additive(targets: Sequence[FamilyTarget]) -> None:
    """Raise TypeError where a family is not additive."""
    for target in targets:
        if not isinstance(target.family, AdditiveFamily):
            raise TypeError(f"{type(target.family).__name__} is not an AdditiveFamily; fit it with fit_genetic")


def require_consistent(objective: Objective, candidates: Candidates, codes: Codes, positions: Positions | None) -> None:
    """Raise ValueError where the additive form says other than `row_answers`, up to single precision."""
    slack = np.tile(candidates.threshold.astype(np.float64), (len(codes), 1))
    for row, own in enumerate(candidates.of_rows(codes, positions)):
        np.subtract.at(slack[row], candidates.query, own)
    wrong = (slack >= 0) != objective.row_answers(codes, positions)
    if (wrong & (np.abs(slack) > _TOLERANCE * (1 + np.abs(candidates.threshold)))).any():
        raise ValueError("targets: thresholds and contributions of a family contradict its row_answers; correct the family")


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
    require_consistent(objective, candidates, codes[:_BATCH], None if positions is None else positions[:_BATCH])
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


def _copy(positions: Positions | None) -> Positions | None:
    return None if positions is None else positions.copy()
