"""Rows of a fitted table, as many as asked for."""

from __future__ import annotations

import numpy as np

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from synth.encoded import Codes


def sample_rows(codes: Codes, n_rows: int | None = None, rng: RngLike = None) -> Codes:
    """Return rows of a table in random order, each as often as the other ones, give or take one.

    Parameters
    ----------
    codes : (n', d), n' >= 1.
    n_rows : m; up to n' rows are drawn without replacement, beyond that the table is taken whole as often as it fits, and a sample without
        replacement fills up. None: n', the table itself, shuffled.
    rng : of the draw.

    Raises
    ------
    ValueError : no rows to draw from, or m < 0.

    Guarantee
    ---------
    Post-processing of the table: costs no privacy.

    Examples
    --------
    >>> np.bincount(sample_rows(np.array([[0], [1], [2]]), 8, rng=0)[:, 0]).sum()
    np.int64(8)
    """
    rng = as_generator(rng)
    table = np.asarray(codes)
    if table.ndim != 2 or not len(table):
        raise ValueError(f"codes must be a table with at least one row, got shape {table.shape}")
    m = len(table) if n_rows is None else whole_number(0, n_rows=n_rows)
    whole, rest = divmod(m, len(table))
    chosen = np.concatenate([np.tile(np.arange(len(table)), whole), rng.permutation(len(table))[:rest]])
    return np.ascontiguousarray(table[rng.permutation(chosen)], dtype=np.int32)
