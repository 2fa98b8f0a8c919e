"""Rows that can't exist become rows that can: one column of each is drawn anew, until none is left.

A forbidden row redraws a random column of its first broken rule among the codes that break fewest rules, in proportion to given weights, so
that one-way counts change little. From the eleventh round on some draws take any code: that leaves traps in which every mending of one
rule breaks two others. Post-processing of a synthetic table.

Cost: O(rows that break a rule x size of the column) a round; one or two rounds as a rule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.randomness import RngLike, as_generator
from synth.encoded import Codes
from synth.forbidden import ForbiddenCells, Rule

_ROWS_AT_ONCE = 65_536
_PATIENCE = 1_000
_PLAIN_ROUNDS = 10


def repair_rows(
    codes: ArrayLike,
    forbidden: Sequence[Rule],
    sizes: Sequence[int],
    rng: RngLike = None,
    *,
    weights: Sequence[ArrayLike] | None = None,
) -> Codes:
    """Draw columns of forbidden rows anew until no row is forbidden; other rows stay.

    Parameters
    ----------
    codes : (n, d), of a synthetic table.
    forbidden : (columns, mask) pairs.
    sizes : number of codes of each column, `schema.sizes`.
    weights : one-way weights of each column's codes, such as noisy counts; negative ones count as 0. None: all equal.

    Returns
    -------
    (n, d) codes without violations. A row needs one new code as a rule, several where one can't help.

    Raises
    ------
    ValueError : weights of another shape, or rows that 1,000 rounds didn't repair: the constraints may contradict one another.
    """
    rng, rules = as_generator(rng), ForbiddenCells(forbidden, tuple(sizes))
    repaired = np.array(codes, dtype=np.int32)
    chances = [np.ones(size) for size in sizes] if weights is None else [np.maximum(np.asarray(own, np.float64), 0) for own in weights]
    if [own.shape for own in chances] != [(size,) for size in sizes]:
        raise ValueError("weights must have one array for each column, as long as it has codes")
    broken = np.flatnonzero(rules.violations(repaired))
    for round_id in range(_PATIENCE):
        if not len(broken):
            return repaired
        noise = 0.0 if round_id < _PLAIN_ROUNDS else 0.3  # leaves rows that no single better code can help
        for start in range(0, len(broken), _ROWS_AT_ONCE):
            rows = broken[start : start + _ROWS_AT_ONCE]
            repaired[rows] = _redrawn(repaired[rows], forbidden, chances, noise, rng)
        broken = broken[rules.violations(repaired[broken])]
    raise ValueError(f"no allowed cell found in {_PATIENCE:,} rounds; the constraints may contradict one another")


def _redrawn(rows: Codes, forbidden: Sequence[Rule], chances: list[NDArray[np.float64]], noise: float, rng: np.random.Generator) -> Codes:
    """Draw one column of each forbidden row anew: a random one of its first broken constraint."""
    drawn = rows.copy()
    column = np.full(len(rows), -1)
    for columns, mask in forbidden:
        first = mask[tuple(rows[:, place] for place in columns)] & (column < 0)
        column[first] = rng.choice(columns, size=int(first.sum()))
    for place in np.unique(column):
        mine = np.flatnonzero(column == place)
        broken = _broken_by_code(rows[mine], int(place), forbidden, len(chances[place]))
        broken[rng.random(len(mine)) < noise] = 0  # any code will do
        drawn[mine, place] = _draw(broken, chances[place], rng)
    return drawn


def _broken_by_code(rows: Codes, place: int, forbidden: Sequence[Rule], size: int) -> NDArray[np.int64]:
    """Return how many constraints each row would break with each code of the column, shape (rows, size)."""
    broken = np.zeros((len(rows), size), dtype=np.int64)
    for columns, mask in forbidden:
        if place in columns:
            others = tuple(rows[:, column] for column in columns if column != place)
            broken += np.moveaxis(mask, columns.index(place), -1)[others]
    return broken


def _draw(broken: NDArray[np.int64], chances: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw for each row a code that breaks fewest constraints, after its chances; after equal ones where none has a chance."""
    least = broken == broken.min(axis=1, keepdims=True)
    scaled = np.where(least, chances, 0.0)
    scaled = np.where(scaled.sum(axis=1, keepdims=True) > 0, scaled, least)
    upto = scaled.cumsum(axis=1)
    spot = rng.random(len(broken))[:, None] * upto[:, -1:]
    chosen: NDArray[np.int64] = np.argmax(upto > spot, axis=1)
    return chosen
