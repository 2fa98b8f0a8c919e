"""Worlds of a game: where training samples come from, for the adversary and for the victims, and which records are the queries.

    public        the law t_ab of each world (2, K), from the whole table
    adversary     a pool of records: queries, some from each world, and the rest, which shadow models train on
    victims       a pool disjoint of the adversary's, which victims train on

No record is in both pools; queries train no model. Pools are split cell by cell, so both have the table's law.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022 (disjoint splits of adversary and victim).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from attacks.distribution.defense import Defense, RebalanceDefense
from attacks.distribution.resample import Floats, Ids, Method, cell_table, sample_of_law, world_law
from attacks.distribution.samples import Array, TrainingSamples
from attacks.distribution.train import Queries
from attacks.distribution.views import QueryLabels

Side = Literal["adversary", "victim"]


class Worlds(Protocol):
    """A source of training samples; a world is known by one number (a ratio, a mean degree, ...)."""

    @property
    def queries(self) -> Queries:
        """What every model is asked."""

    @property
    def query_world(self) -> NDArray[np.intp]:
        """(Q,) which of the worlds each query was drawn from, by its place in the list of worlds."""

    def samples(self, side: Side, worlds: Sequence[float], *, rng: np.random.Generator) -> TrainingSamples:
        """Draw one training sample per entry of `worlds`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class RatioWorlds:
    """Worlds that differ in the share of a property; a world is known by this share alpha.

    Parameters
    ----------
    inputs, prop, label : the table, (N, ...), (N,), (N,).
    label_rate : (K,) rates that all worlds share.
    n_train, method : size of a training sample, before any defense, and how its cells are filled.
    pools : places of the adversary's and of the victims' records that may be trained on.
    queries, query_world : of the adversary, outside both.
    defense : what trainers do to their samples; `defended` names the sides that do it.
    """

    inputs: Array
    prop: NDArray[np.bool_]
    label: NDArray[np.int64]
    label_rate: Floats
    n_train: int
    method: Method
    pools: dict[Side, Ids]
    queries: Queries
    query_world: NDArray[np.intp]
    defense: Defense | None = None
    defended: frozenset[Side] = field(default_factory=frozenset)

    def samples(self, side: Side, worlds: Sequence[float], *, rng: np.random.Generator) -> TrainingSamples:
        """Draw one training sample per share, each from the side's whole pool.

        Raises
        ------
        ValueError : a cell of the pool (or, with a defense, of a sample) is short; the message names it.
        """
        pool = self.pools[side]
        prop, label = self.prop[pool], self.label[pool]
        laws = {alpha: self.law(alpha) for alpha in set(worlds)}
        ids = []
        for alpha, own in zip(worlds, rng.spawn(len(worlds)), strict=True):
            places = pool[sample_of_law(prop, label, laws[alpha], self.n_train, method=self.method, rng=own)]
            ids.append(self._defended(side, places, own))
        return TrainingSamples(self.inputs, self.label, tuple(ids))

    def law(self, alpha: float) -> Floats:
        """The (2, K) cell probabilities of a world."""
        return world_law(cell_table(self.prop, self.label), alpha, label_rate=self.label_rate)

    def _defended(self, side: Side, places: Ids, rng: np.random.Generator) -> Ids:
        if self.defense is None or side not in self.defended:
            return places
        return places[self.defense.apply(self.prop[places], self.label[places], rng=rng)]


def split_pools(cell: NDArray[np.int64], adversary_share: float, *, rng: np.random.Generator) -> dict[Side, Ids]:
    """Split records into two disjoint pools, cell by cell: the adversary gets its share of each, rounded at random.

    Parameters
    ----------
    cell : (N,) number of each record's cell.
    """
    adversary = np.zeros(len(cell), dtype=np.bool_)
    for value in np.unique(cell):
        places = rng.permutation(np.flatnonzero(cell == value))
        adversary[places[: int(len(places) * adversary_share + rng.random())]] = True
    return {"adversary": np.flatnonzero(adversary), "victim": np.flatnonzero(~adversary)}


def draw_queries(
    pool: Ids, prop: NDArray[np.bool_], label: NDArray[np.int64], laws: Sequence[Floats], n_queries: int, *, rng: np.random.Generator
) -> tuple[Ids, NDArray[np.intp]]:
    """Draw the adversary's test samples, the same number from every world, no record twice.

    Parameters
    ----------
    prop, label : of the whole table; pool : the places that may be drawn.

    Returns
    -------
    Places of the queries, and the number of each one's world.
    """
    chosen: list[Ids] = []
    world = []
    for number, law in enumerate(laws):
        size = n_queries // len(laws) + (number < n_queries % len(laws))
        places = pool[sample_of_law(prop[pool], label[pool], law, size, rng=rng)]
        chosen.append(places)
        world += [number] * size
        pool = np.setdiff1d(pool, places)
    return np.concatenate(chosen), np.array(world, dtype=np.intp)


def query_labels(label: NDArray[np.int64], world: NDArray[np.intp], n_worlds: int) -> QueryLabels:
    """Labels of queries; "world 1" is the upper half of the list of worlds (of an odd number, without the middle one)."""
    return QueryLabels(label, 2 * world >= n_worlds if n_worlds % 2 == 0 else world > n_worlds // 2)


def bound_defense(defense: Defense | None, laws: Sequence[Floats], n_train: int) -> Defense | None:
    """Give a rebalancing its public cell counts; other defenses are as they are."""
    return defense.for_worlds(laws, n_train) if isinstance(defense, RebalanceDefense) else defense
