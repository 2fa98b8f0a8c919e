"""Rebalancing as a defense: train on records chosen so that both worlds look alike.

Symbols: n_ab records of property a and label b in a training sample; d the target share of the property; n1 records with it, n0 without.

    multiplicity rule    n1 stays, n0 = n1 (1 - d) / d (undersample the larger side, or duplicate the smaller one); the share is checked
    fixed cells          c_ab records of every (property, label) cell, the same whatever the world: the only one that makes worlds equal

Balancing the property alone leaves two ways to see the world. The number of records that remain depends on alpha (from 1000 records a
target of .5 keeps 1000 at alpha = .5 and 400 at alpha = .2), and a model's outputs show its training size. And where label rates are held
fixed, P(label | property) still depends on alpha.

References
----------
Hartmann et al., Distribution Inference Risks: Identifying and Mitigating Sources of Leakage, SaTML 2023. Suri, Lu, Chen, Evans,
Dissecting Distribution Inference, SaTML 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from attacks.distribution.resample import Floats, Ids, as_records, drawn_cells, largest_remainder
from mechanisms.json_ready import JsonValue
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, whole_number

Counts = NDArray[np.int64]
Cells = tuple[tuple[int, ...], ...]
PUBLIC: Literal["public"] = "public"


class Defense(Protocol):
    """What a trainer does to its training sample before training."""

    def apply(self, prop: ArrayLike, y: ArrayLike, *, rng: RngLike = None) -> Ids:
        """Return the places of the records to train on; a place may stand several times."""


@dataclass(frozen=True, slots=True)
class RebalanceDefense:
    """Train on a rebalanced part of the sample. Protection is paid in training size: every record beyond the fixed counts is thrown away.

    Parameters
    ----------
    cells : "public", the default: fixed counts of every (property, label) cell, set by `for_worlds` from the public distribution; or
        these counts themselves, ((c_00, c_01, ...), (c_10, c_11, ...)); or None: only the property is balanced, which leaks (see Notes).
    target : share d of the property, in (0, 1). It is not used where cell counts are given.
    mode : "under" leaves records out; "over" duplicates records of the smaller side, only with `cells=None`.
    fixed_size : records to train on. None: as many as the cells allow, or, with `cells=None`, what the multiplicity rule leaves.

    Raises
    ------
    ValueError : values out of their range, or `mode="over"` where a size or counts are fixed.

    Guarantee
    ---------
    With fixed cells the advantage of every attack is exactly 0, if (1) both worlds have the same law of a record given its property and
    label, and (2) the counts come from public knowledge, not from the sample. Proof: given the sample's cells, its records are independent
    draws of P(record | a, b), the same in both worlds; c_ab of them, chosen uniformly, are again independent draws of it, and c_ab does not
    depend on the world. So the defended samples of both worlds have one distribution, and a model is a function of it and of coins:
    TV(M | 0, M | 1) = 0. A cell that is short is refused, for a smaller sample would show the world; a refusal itself is seen by whoever
    waits for the model, so counts should be low enough never to need it. It says nothing about single records.

    Notes
    -----
    `cells=None` is here to measure what published rebalancing leaks: without `fixed_size` the number of records depends on alpha (a
    game's result names it), and with it P(label | property) still does. Always report the adaptive adversary, whose shadow models
    are defended in the same way: it is stronger.

    Examples
    --------
    >>> defense = RebalanceDefense(cells=((2, 1), (1, 2)))
    >>> prop, y = np.array([0, 0, 1, 1] * 10), np.array([0, 1] * 20)
    >>> kept = defense.apply(prop, y, rng=3)
    >>> len(kept), int(prop[kept].sum())
    (6, 3)
    """

    _: KW_ONLY
    cells: Cells | Literal["public"] | None = PUBLIC
    target: float = 0.5
    mode: Literal["under", "over"] = "under"
    fixed_size: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", in_range(0, 1, target=self.target))
        one_of(("under", "over"), mode=self.mode)
        if self.fixed_size is not None:
            object.__setattr__(self, "fixed_size", whole_number(2, fixed_size=self.fixed_size))
        if self.mode == "over" and (self.cells is not None or self.fixed_size is not None):
            raise ValueError("mode 'over' duplicates records of the smaller side and fixes neither size nor cells; pass cells=None for it")
        if self.cells is not None and self.cells != PUBLIC:
            object.__setattr__(self, "cells", _as_cells(self.cells))

    def for_worlds(self, laws: Sequence[Floats], n: int) -> RebalanceDefense:
        """Return the defense with counts that every world's sample of n records can give, from the public cell probabilities of the worlds.

        Raises
        ------
        ValueError : a cell that is empty in some world, or a `fixed_size` that some world can't give.
        """
        return self if self.cells != PUBLIC else replace(self, cells=public_cells(laws, n, target=self.target, size=self.fixed_size))

    def apply(self, prop: ArrayLike, y: ArrayLike, *, rng: RngLike = None) -> Ids:
        """Choose the records to train on.

        Parameters
        ----------
        prop, y : (n,) property and labels of the training sample.

        Returns
        -------
        Places in the sample in random order; with `mode="over"` a place may stand several times.

        Raises
        ------
        ValueError : a cell (or a side) with fewer records than needed, named; or public cells that `for_worlds` has not set.
        """
        has, label = as_records(prop, y)
        generator = as_generator(rng)
        if self.cells is None:
            return self._balanced(has, generator)
        if isinstance(self.cells, str):
            raise ValueError("cells are still 'public': a game sets them; elsewhere call for_worlds(laws, n) or give the counts")
        return drawn_cells(has, label, np.array(self.cells), rng=generator)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready settings."""
        cells: JsonValue = [list(row) for row in self.cells] if isinstance(self.cells, tuple) else self.cells
        return {"name": type(self).__name__, "cells": cells, "target": self.target, "mode": self.mode, "fixed_size": self.fixed_size}

    def _balanced(self, has: NDArray[np.bool_], rng: np.random.Generator) -> Ids:
        """Balance the property alone."""
        there = np.array([int(np.sum(~has)), int(np.sum(has))])
        wanted = side_sizes(there, self.target, mode=self.mode, size=self.fixed_size)
        chosen = []
        for side in (0, 1):
            places = np.flatnonzero(has == bool(side))
            if self.mode == "under" and wanted[side] > len(places):
                raise ValueError(f"the side prop == {side} holds {len(places)} records, {wanted[side]} are needed; lower fixed_size")
            copies, rest = divmod(int(wanted[side]), len(places))
            chosen += [places] * copies + [rng.choice(places, rest, replace=False)]
        return rng.permutation(np.concatenate(chosen))


def side_sizes(there: Counts, target: float, *, mode: Literal["under", "over"] = "under", size: int | None = None) -> Counts:
    """Return (n0, n1), the records without and with the property, so that n1 / (n0 + n1) is the target to half a record.

    Parameters
    ----------
    there : (n0, n1) of the sample, both >= 1.

    Raises
    ------
    ValueError : an empty side, or a sample too small to meet the target.

    Examples
    --------
    >>> side_sizes(np.array([800, 200]), 0.5).tolist(), side_sizes(np.array([800, 200]), 0.3, mode="over").tolist()
    ([200, 200], [800, 343])
    """
    if there.min() < 1:
        raise ValueError(f"the side prop == {int(there.argmin())} holds no record, so no ratio can be made; take another world or sample")
    odds = target / (1 - target)  # n1 = n0 odds, n0 = n1 / odds
    if size is not None:
        wanted = np.array([size - round(size * target), round(size * target)])
    else:
        keep_property = (there[1] <= there[0] * odds) == (mode == "under")
        wanted = np.array([round(there[1] / odds), there[1]] if keep_property else [there[0], round(there[0] * odds)])
    if wanted.min() < 1 or abs(wanted[1] - target * wanted.sum()) > 0.5 + 1e-9:
        raise ValueError(f"a share of {target:g} can't be made of {int(there.sum())} records; take a larger sample or another target")
    return wanted


def public_cells(laws: Sequence[Floats], n: int, *, target: float = 0.5, size: int | None = None) -> Cells:
    """Return fixed cell counts for a sample of n records of any of the worlds.

    Parameters
    ----------
    laws : (2, K) cell probabilities of each world, public knowledge.
    n : size of a training sample.
    target : share of the property among the counts.
    size : sum of the counts; None takes the largest.

    Returns
    -------
    Counts: the smallest expected cell of all worlds bounds each, rows are scaled to the target, labels keep the proportions of the bounds.

    Raises
    ------
    ValueError : a cell that is empty in some world, named, or a size beyond what the worlds give.

    Examples
    --------
    >>> public_cells([np.array([[0.25, 0.25], [0.25, 0.25]]), np.array([[0.4, 0.4], [0.1, 0.1]])], 100)
    ((10, 10), (10, 10))
    """
    least = np.floor(n * np.min(np.stack(laws), axis=0) + 1e-9)
    for has, label in np.argwhere((least < 1) & (np.max(np.stack(laws), axis=0) > 0)):
        raise ValueError(
            f"the cell (prop == {has}, y == {label}) is expected to hold less than one of {n} records in some world, so no fixed count "
            "fits every world; take a larger sample or worlds closer together"
        )
    sides, shares = least.sum(axis=1), np.array([1 - target, target])
    most = int(np.min(sides / shares) + 1e-9)
    if size is not None and size > most:
        raise ValueError(f"fixed_size must be at most {most} at a target of {target:g}, what every world's sample gives; got {size}")
    cells = largest_remainder(least * (shares / sides)[:, None] * (most if size is None else size))
    for has, label in np.argwhere((cells < 1) & (least >= 1)):
        raise ValueError(f"the cell (prop == {has}, y == {label}) would keep no record; take a larger size or a target nearer to 1/2")
    return _as_cells(cells)


def _as_cells(cells: ArrayLike) -> Cells:
    counts = np.asarray(cells)
    if counts.ndim != 2 or len(counts) != 2 or counts.dtype.kind not in "iu" or counts.size == 0 or counts.min() < 0 or counts.sum() == 0:
        raise ValueError(f"cells must hold whole numbers >= 0 of shape (2, labels), not all 0, got {counts.dtype} of shape {counts.shape}")
    return tuple(tuple(int(count) for count in row) for row in counts)
