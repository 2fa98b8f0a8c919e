"""Tables from which a fit starts: independent columns with given one-way counts, or uniform ones.

Counts are rounded by strata: each value gets the floor of its expected count, and what remains is dealt out systematically, so that a
value's expectation is exact, its count within 1 of it, and the counts sum to n'. A column is then shuffled on its own, which makes the
columns independent. Where all pairs are measured, a start with dependences of its own (a sampled forest) fits worse under noise.

Cost: O(n' d).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from synth.encoded import Codes


def independent_start(one_ways: Sequence[ArrayLike], n_rows: int, rng: RngLike = None) -> Codes:
    """Return a table of independent columns.

    Parameters
    ----------
    one_ways : of each column, counts or probabilities of its codes; noisy counts may be negative: they are projected on the simplex.
    n_rows : n' >= 1.
    rng : of rounding and shuffling.

    Returns
    -------
    Codes, (n', d).

    Raises
    ------
    ValueError : no column, an answer that isn't a vector of finite numbers, or n' < 1.

    Guarantee
    ---------
    Post-processing of the one-ways: costs no privacy.

    Examples
    --------
    >>> table = independent_start([[5, 15], [1.0, 0.0, -0.2]], 8, rng=0)
    >>> np.bincount(table[:, 0]).tolist(), np.bincount(table[:, 1]).tolist()
    ([2, 6], [8])
    """
    rng = as_generator(rng)
    n_rows = whole_number(1, n_rows=n_rows)
    if not len(one_ways):
        raise ValueError("one_ways must hold a vector for each column, got none")
    columns = [rng.permutation(np.repeat(np.arange(len(counts)), counts)) for counts in (_counts(w, n_rows, rng) for w in one_ways)]
    return np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.int32)


def uniform_start(sizes: Sequence[int], n_rows: int, rng: RngLike = None) -> Codes:
    """Return a table of independent columns, all codes equally often, give or take one.

    Parameters
    ----------
    sizes : number of codes of each column.
    n_rows : n' >= 1.
    rng : of rounding and shuffling.

    Examples
    --------
    >>> np.bincount(uniform_start((2, 3), 6, rng=0)[:, 1]).tolist()
    [2, 2, 2]
    """
    return independent_start([np.ones(whole_number(1, size=size)) for size in sizes], n_rows, rng)


def stratified_counts(expected: ArrayLike, rng: RngLike = None) -> NDArray[np.int64]:
    """Return whole counts with exactly these expectations, each within 1 of its own, and the sum within 1 of theirs.

    One uniform shift u rounds the cumulated sums, S_k -> floor(S_k + u): systematic sampling of the remainders.

    Parameters
    ----------
    expected : (k,) >= 0.
    rng : of u.

    Examples
    --------
    >>> stratified_counts([2.0, 0.5, 0.5], rng=0).sum()
    np.int64(3)
    """
    wanted = np.asarray(expected, dtype=np.float64)
    whole = np.floor(wanted)
    sums = np.cumsum(wanted - whole)
    near = np.round(sums)
    sums = np.where(np.abs(sums - near) < 1e-9 * max(1.0, float(wanted.sum())), near, sums)  # sums that should be whole are
    dealt: NDArray[np.int64] = np.diff(np.concatenate([[0], np.floor(sums + as_generator(rng).random())])).astype(np.int64)
    return whole.astype(np.int64) + dealt


def _counts(one_way: ArrayLike, n_rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    mass = np.asarray(one_way, dtype=np.float64)
    if mass.ndim != 1 or not mass.size or not np.isfinite(mass).all():
        raise ValueError(f"a one-way answer must be a vector of finite numbers, got shape {mass.shape}")
    order = rng.permutation(len(mass))  # so that which values are rounded up together doesn't depend on their order
    counts = np.empty(len(mass), dtype=np.int64)
    counts[order] = stratified_counts(on_simplex(mass)[order] * n_rows, rng)
    return counts


def on_simplex(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probabilities nearest to mass / sum, in squared distance; uniform where the sum is not positive."""
    total = float(mass.sum())
    if total <= 0:
        return np.full(len(mass), 1 / len(mass))
    falling = np.sort(mass / total)[::-1]
    shift = (np.cumsum(falling) - 1) / np.arange(1, len(mass) + 1)
    kept = np.maximum(mass / total - shift[falling > shift][-1], 0)
    return np.asarray(kept / kept.sum())
