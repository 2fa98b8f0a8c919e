"""Training samples of a world: records drawn so that a Boolean property has the share alpha, and each label its own fixed rate.

Symbols: a in {0, 1} the property, b in {0, ..., K - 1} the label, t_ab the world's cell probabilities (2, K), n the size of the sample.

    raking    rows and columns of the pool's table are scaled in turn until rows sum to (1 - alpha, alpha) and columns to the label
              rates; every odds ratio t_ab t_cd / (t_ad t_cb) of the pool is kept (Deming and Stephan 1940)
    quota     cell counts are the largest-remainder rounding of n t: what most published experiments do, raises leakage a little
    iid       cell counts are multinomial: the formal game

Inside a cell records are drawn without replacement; a cell that is short is refused and named, never filled with duplicates.
Both worlds must share n and the label rates, or an attack finds the size or the label rate. Cost: O(N), and a few hundred rounds of O(K).

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022. Deming, Stephan, On a Least Squares Adjustment of a
Sampled Frequency Table, Annals of Mathematical Statistics 1940.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.scores import as_membership
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_dimensional, one_of, same_length, whole_number

Method = Literal["quota", "iid"]
Floats = NDArray[np.float64]
Ids = NDArray[np.intp]

METHODS = ("quota", "iid")
MOST_ROUNDS = 20_000  # 200 are enough for odds ratios up to about 1000, and are all that ordinary tables take
SMALLEST_CHANGE = 1e-12
MARGIN_TOLERANCE = 1e-6


def resample_ratio(
    prop: ArrayLike,
    y: ArrayLike,
    alpha: float,
    n: int,
    *,
    label_rate: ArrayLike | None = None,
    method: Method = "quota",
    rng: RngLike = None,
) -> Ids:
    """Draw n records of a pool so that the share alpha has the property.

    Parameters
    ----------
    prop : (N,) bool, or 0 and 1: who of the pool has the property.
    y : (N,) labels 0 to K - 1.
    alpha : share with the property, in [0, 1].
    n : size of the sample.
    label_rate : rates of the K labels, or one number: the rate of label 1 of two. None leaves the pool's law of labels given the property.
    method : "quota" for fixed cell counts, "iid" for multinomial ones.

    Returns
    -------
    (n,) indices into the pool in random order, none twice.

    Raises
    ------
    ValueError : a cell has fewer records than needed (the message names it), margins that the pool can't meet, bad arguments.

    Examples
    --------
    >>> prop, y = np.array([0, 0, 1, 1] * 50), np.array([0, 1] * 100)
    >>> chosen = resample_ratio(prop, y, 0.2, 20, label_rate=0.5, rng=1)
    >>> int(prop[chosen].sum()), int(y[chosen].sum()), len(set(chosen.tolist()))
    (4, 10, 20)
    """
    has, label = as_records(prop, y)
    law = world_law(cell_table(has, label), alpha, label_rate=label_rate)
    return sample_of_law(has, label, law, n, method=method, rng=rng)


def as_records(prop: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return property and labels, checked; at least one record and labels 0, 1, ... that are whole numbers."""
    has, label = as_membership(prop=prop), one_dimensional(y=y)
    if same_length(prop=has, y=label) == 0:
        raise ValueError("prop and y must hold at least one record, got none")
    if label.dtype.kind not in "iub" or label.min() < 0:
        raise ValueError(f"y must hold classes 0, 1, ... as whole numbers, got dtype {label.dtype}")
    return has, label.astype(np.int64)


def cell_table(prop: NDArray[np.bool_], y: NDArray[np.int64], *, n_classes: int | None = None) -> NDArray[np.int64]:
    """Return the (2, K) number of records of each property and label."""
    classes = int(y.max(initial=-1)) + 1 if n_classes is None else n_classes
    return np.bincount(prop * classes + y, minlength=2 * classes).reshape(2, classes)


def world_law(table: ArrayLike, alpha: float, *, label_rate: ArrayLike | None = None) -> Floats:
    """Return the (2, K) cell probabilities of the world with share alpha.

    Parameters
    ----------
    table : (2, K) counts or probabilities of the public distribution.
    alpha, label_rate : see `resample_ratio`.

    Raises
    ------
    ValueError : bad arguments, or margins that the table's empty cells make impossible.

    Notes
    -----
    With label rates the result keeps the odds ratios of the table: raking multiplies rows and columns only.

    Examples
    --------
    >>> world_law([[30, 10], [10, 30]], 0.5, label_rate=0.5).round(3).tolist()
    [[0.375, 0.125], [0.125, 0.375]]
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or len(counts) != 2 or not np.all(np.isfinite(counts) & (counts >= 0)) or counts.sum() == 0:
        raise ValueError(f"table must hold numbers >= 0 of shape (2, labels) and not be all 0, got shape {counts.shape}")
    alpha = in_range(0, 1, closed="both", alpha=alpha)
    rows = np.array([1 - alpha, alpha])
    for value in (0, 1):
        if rows[value] > 0 and counts[value].sum() == 0:
            raise ValueError(f"alpha is {alpha:g}, but no record has prop == {value}; take another alpha or pool")
    law = counts * _factor(rows, counts.sum(axis=1))[:, None]
    return law if label_rate is None else _raked(law, rows, as_label_rate(label_rate, counts.shape[1]))


def as_label_rate(label_rate: ArrayLike, n_classes: int) -> Floats:
    """Return the rates of K labels that sum to 1; one number is the rate of label 1 of two."""
    rate = np.asarray(label_rate, dtype=np.float64)
    if rate.ndim == 0:
        if n_classes != 2:
            raise ValueError(f"label_rate must hold {n_classes} rates, one per label, got one number")
        rate = np.array([1 - rate, rate])
    if rate.shape != (n_classes,) or not np.all((rate >= 0) & (rate <= 1)) or abs(rate.sum() - 1) > 1e-9:
        raise ValueError(f"label_rate must hold {n_classes} rates in [0, 1] that sum to 1, got shape {rate.shape} and sum {rate.sum():g}")
    return rate


def sample_of_law(
    prop: NDArray[np.bool_], y: NDArray[np.int64], law: Floats, n: int, *, method: Method = "quota", rng: RngLike = None
) -> Ids:
    """Draw n records whose cells follow `law`, see `resample_ratio`; the pool may be another one than the law came from."""
    n = whole_number(1, n=n)
    one_of(METHODS, method=method)
    generator = as_generator(rng)
    counts = generator.multinomial(n, law.ravel() / law.sum()).reshape(law.shape) if method == "iid" else largest_remainder(n * law)
    return drawn_cells(prop, y, counts, rng=generator)


def largest_remainder(quota: Floats) -> NDArray[np.int64]:
    """Round numbers >= 0 whose sum is whole to whole numbers of the same sum, each within 1; equal remainders go to the first.

    Examples
    --------
    >>> largest_remainder(np.array([0.4, 1.3, 2.3])).tolist()
    [1, 1, 2]
    """
    whole = np.floor(quota + 1e-9)
    missing = round(float(quota.sum() - whole.sum()))
    first = np.argsort(-np.round(quota - whole, 9), axis=None, kind="stable")[:missing]
    whole.flat[first] += 1
    return whole.astype(np.int64)


def drawn_cells(prop: NDArray[np.bool_], y: NDArray[np.int64], counts: NDArray[np.int64], *, rng: np.random.Generator) -> Ids:
    """Draw counts[a, b] records of each cell without replacement, and shuffle them.

    Raises
    ------
    ValueError : a cell is short; the message names it.
    """
    chosen = []
    for has, label in np.argwhere(counts > 0):
        cell = np.flatnonzero((prop == bool(has)) & (y == label))
        need = int(counts[has, label])
        if len(cell) < need:
            raise ValueError(short_cell(int(has), int(label), len(cell), need))
        chosen.append(rng.choice(cell, need, replace=False))
    return rng.permutation(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.intp)


def short_cell(has: int, label: int, n_there: int, n_needed: int) -> str:
    """The sentence about a cell with too few records."""
    return (
        f"the cell (prop == {has}, y == {label}) holds {n_there} records, {n_needed} are needed; "
        "take a smaller sample, other ratios or label rates, or a larger pool"
    )


def _raked(law: Floats, rows: Floats, columns: Floats) -> Floats:
    for _ in range(MOST_ROUNDS):
        before = law
        law = law * _factor(columns, law.sum(axis=0))
        law = law * _factor(rows, law.sum(axis=1))[:, None]
        if np.abs(law - before).max() < SMALLEST_CHANGE:
            break
    gap = float(np.abs(law.sum(axis=0) - columns).max())
    if gap > MARGIN_TOLERANCE:
        raise ValueError(
            f"label_rate can't be met at this alpha: {int(np.sum(law == 0))} of {law.size} cells are empty and the rates stay "
            f"{gap:.2g} apart after {MOST_ROUNDS} rounds; take other rates, another alpha or a pool with every cell filled"
        )
    return law


def _factor(wanted: Floats, there: Floats) -> Floats:
    """wanted / there; 0 where nothing is wanted or nothing is there (a margin that stays unmet is seen at the end)."""
    return np.divide(wanted, there, out=np.zeros_like(there), where=there > 0)
