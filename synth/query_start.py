"""Rows to begin with for the optimizers of arbitrary queries, and the candidates that rules forbid to a row (`synth.forbidden`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synth.decode import draw_positions
from synth.encoded import Codes, EncodedTable, Positions
from synth.forbidden import Rule
from synth.repair import repair_rows
from synth.schema import Schema
from synth.start import uniform_start


def start_rows(
    schema: Schema,
    n_rows: int,
    start: EncodedTable | None,
    with_positions: bool,
    forbidden: Sequence[Rule],
    rng: np.random.Generator,
) -> tuple[Codes, Positions | None]:
    """Return writable rows without forbidden combinations: a copy of `start`, or uniform ones.

    Positions are drawn inside codes where `start` has none, and where a repair changed a code.

    Raises
    ------
    ValueError : a start of another shape, rules that don't fit the schema, or rules that contradict one another.
    """
    if start is not None and start.codes.shape != (n_rows, len(schema)):
        raise ValueError(f"start must have {n_rows} rows and {len(schema)} columns, got {start.codes.shape}")
    before = uniform_start(schema.sizes, n_rows, rng) if start is None else start.codes
    codes = repair_rows(before, forbidden, schema.sizes, rng) if forbidden else before.copy()
    if not with_positions:
        return codes, None
    positions = draw_positions(schema, codes, rng)
    if start is not None and start.positions is not None:
        positions = np.where(codes == before, start.positions, positions)
    return codes, positions


def blocked_candidates(codes: Codes, candidates: Sequence[NDArray[np.int32]], forbidden: Sequence[Rule]) -> NDArray[np.bool_]:
    """Return which candidate code of which column would give a row a forbidden combination, (m, candidates of all columns)."""
    begins = np.cumsum([0, *(len(listed) for listed in candidates)])
    blocked = np.zeros((len(codes), begins[-1]), dtype=np.bool_)
    for columns, mask in forbidden:
        for column in columns:
            index = tuple(candidates[column] if other == column else codes[:, other, None] for other in columns)
            blocked[:, begins[column] : begins[column + 1]] |= mask[index]
    return blocked
