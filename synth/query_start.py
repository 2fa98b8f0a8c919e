"""Rows to begin with, and combinations of codes that no row may have.

A `Forbidden` is (columns, mask): places of columns, increasing, and an array with one axis for each, True where a combination is forbidden.
A start that breaks one is repaired: a random single-value change where one is enough, else a copy of a random allowed row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synth.encoded import Codes, EncodedTable, Positions
from synth.positions import draw_inside, draw_positions
from synth.schema import Schema

Forbidden = tuple[tuple[int, ...], NDArray[np.bool_]]
_TRIES = 1000


def start_rows(
    schema: Schema,
    n_rows: int,
    start: EncodedTable | None,
    with_positions: bool,
    forbidden: Sequence[Forbidden],
    rng: np.random.Generator,
) -> tuple[Codes, Positions | None]:
    """Return writable rows without forbidden combinations: a copy of `start`, or uniform ones.

    Raises
    ------
    ValueError : a start of another shape, a mask of another shape, or combinations that leave no row in 1,000 random tries.
    """
    _valid_masks(schema, forbidden)
    if start is None:
        codes = np.column_stack([rng.integers(size, size=n_rows, dtype=np.int32) for size in schema.sizes])
        positions = draw_positions(schema, codes, rng) if with_positions else None
    else:
        if start.codes.shape != (n_rows, len(schema)):
            raise ValueError(f"start must have {n_rows} rows and {len(schema)} columns, got {start.codes.shape}")
        codes = start.codes.copy()
        positions = None
        if with_positions:
            positions = draw_positions(schema, codes, rng) if start.positions is None else start.positions.copy()
    _repair(schema, codes, positions, forbidden, rng)
    return codes, positions


def breaks(codes: Codes, forbidden: Sequence[Forbidden]) -> NDArray[np.bool_]:
    """Return which rows have a forbidden combination, (m,)."""
    bad = np.zeros(len(codes), dtype=np.bool_)
    for columns, mask in forbidden:
        bad |= mask[tuple(codes[:, column] for column in columns)]
    return bad


def blocked_codes(codes: Codes, candidates: Sequence[NDArray[np.int32]], forbidden: Sequence[Forbidden]) -> NDArray[np.bool_]:
    """Return which candidate of which column would give a row a forbidden combination, (m, candidates of all columns)."""
    begins = np.cumsum([0, *(len(listed) for listed in candidates)])
    blocked = np.zeros((len(codes), begins[-1]), dtype=np.bool_)
    for columns, mask in forbidden:
        for column in columns:
            index = tuple(candidates[column] if other == column else codes[:, other, None] for other in columns)
            blocked[:, begins[column] : begins[column + 1]] |= mask[index]
    return blocked


def _valid_masks(schema: Schema, forbidden: Sequence[Forbidden]) -> None:
    for columns, mask in forbidden:
        wanted = tuple(schema.sizes[column] for column in columns)
        if np.shape(mask) != wanted or list(columns) != sorted(set(columns)):
            raise ValueError(f"forbidden: columns {columns} must increase and their mask have shape {wanted}, got {np.shape(mask)}")


def _repair(schema: Schema, codes: Codes, positions: Positions | None, forbidden: Sequence[Forbidden], rng: np.random.Generator) -> None:
    bad = breaks(codes, forbidden)
    if not bad.any():
        return
    listed = [np.arange(size, dtype=np.int32) for size in schema.sizes]
    good = codes[~bad] if not bad.all() else _allowed_row(schema, forbidden, rng)
    for row in np.flatnonzero(bad):
        fixed = _one_change(codes[row], listed, forbidden, rng)
        codes[row] = good[rng.integers(len(good))] if fixed is None else fixed
        if positions is not None:
            positions[row] = [float(draw_inside(column, codes[row, c : c + 1], rng)[0]) for c, column in enumerate(schema)]


def _one_change(
    row: NDArray[np.int32], listed: Sequence[NDArray[np.int32]], forbidden: Sequence[Forbidden], rng: np.random.Generator
) -> NDArray[np.int32] | None:
    """Return the row with one random value changed such that nothing is forbidden, or None where no single change is enough."""
    for column in rng.permutation(len(row)):
        changed = np.tile(row, (len(listed[column]), 1))
        changed[:, column] = listed[column]
        allowed = changed[~breaks(changed, forbidden)]
        if len(allowed):
            return np.asarray(allowed[rng.integers(len(allowed))])
    return None


def _allowed_row(schema: Schema, forbidden: Sequence[Forbidden], rng: np.random.Generator) -> Codes:
    tried = np.column_stack([rng.integers(size, size=_TRIES, dtype=np.int32) for size in schema.sizes])
    allowed = tried[~breaks(tried, forbidden)]
    if not len(allowed):
        raise ValueError("forbidden: no row of 1,000 random ones is allowed; forbid less, or pass an allowed start")
    return np.asarray(allowed)
