"""Codes that hardly stand out of their noise become one: fewer cells to measure, less noise to fit; afterwards they are told apart again.

    noisy one-ways -> maps -> counts of merged codes -> noisy answers -> fit -> codes of the merged domain -> codes of the schema

Of each column the codes whose noisy count is below 3 sigma are merged. A fitted table gets codes of its merged ones back in proportion to
what their noisy counts say, or uniformly. Maps come from noisy counts, so they cost nothing beyond those: post-processing. Merging exact
counts changes no sensitivity: a row still lies in one cell of each group.

Cost: O(cells) a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import non_negative, one_dimensional, one_of, same_length
from synth.count_source import CountSource
from synth.encoded import Codes
from synth.schema import Categorical, Schema
from synth.start import stratified_counts

LEAST = 3.0  # in sigmas
SPREADS = ("mass", "uniform")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ColumnMap:
    """What becomes of the codes of one column.

    Parameters
    ----------
    merged : (s,) the code that each code becomes; kept codes stay in order, merged ones share the last.
    weights : (s,) in proportion to which a merged code is told apart again; they sum to 1 over codes that become the same.
    """

    merged: NDArray[np.int32]
    weights: Floats

    def __init__(self, merged: ArrayLike, weights: ArrayLike) -> None:
        for name, value, kind in (("merged", merged, np.int32), ("weights", weights, np.float64)):
            kept = np.array(value, dtype=kind)
            kept.flags.writeable = False
            object.__setattr__(self, name, kept)

    @property
    def size(self) -> int:
        """Return the number of codes after merging."""
        return int(self.merged.max()) + 1

    def add_up(self, counts: NDArray[np.int64], axis: int) -> NDArray[np.int64]:
        """Return counts with the cells of merged codes added up along an axis."""
        order = np.argsort(self.merged, kind="stable")
        firsts = np.searchsorted(self.merged[order], np.arange(self.size))
        return np.asarray(np.add.reduceat(counts.take(order, axis=axis), firsts, axis=axis), dtype=np.int64)

    def expand(self, codes: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
        """Return a code of the schema for each merged one; every code as often as its weight says, give or take one."""
        result = np.empty(len(codes), dtype=np.int32)
        for code in range(self.size):
            rows, members = np.flatnonzero(codes == code), np.flatnonzero(self.merged == code)
            counts = stratified_counts(self.weights[members] * len(rows), rng)
            result[rows] = rng.permutation(np.repeat(members, counts))
        return result

    def equals(self, other: ColumnMap) -> bool:
        """Whether maps and weights agree."""
        return np.array_equal(self.merged, other.merged) and np.array_equal(self.weights, other.weights)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"merged": self.merged, "weights": self.weights})

    def __reduce__(self) -> tuple[type[ColumnMap], tuple[NDArray[np.int32], Floats]]:
        return type(self), (self.merged, self.weights)


@dataclass(frozen=True, slots=True, eq=False)
class Compression:
    """Maps of all columns, in order."""

    columns: tuple[ColumnMap, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the number of codes of each column after merging."""
        return tuple(column.size for column in self.columns)

    def source(self, source: CountSource) -> MergedCounts:
        """Return a source of the counts of merged codes.

        Raises
        ------
        ValueError : the source's columns have other sizes.
        """
        return MergedCounts(source, self)

    def merge(self, codes: Codes) -> Codes:
        """Return codes of the merged domain, (n, d)."""
        return np.stack([column.merged[codes[:, i]] for i, column in enumerate(self.columns)], axis=1).astype(np.int32)

    def expand(self, codes: Codes, rng: RngLike = None) -> Codes:
        """Return codes of the schema, (n, d), for codes of the merged domain; `merge` gives the latter back.

        Parameters
        ----------
        codes : (n, d), each below its size.
        rng : of which row gets which code.
        """
        streams = as_generator(rng).spawn(len(self.columns))
        expanded = [column.expand(codes[:, i], own) for i, (column, own) in enumerate(zip(self.columns, streams, strict=True))]
        return np.ascontiguousarray(np.stack(expanded, axis=1), dtype=np.int32)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, "columns": self.columns})


class MergedCounts:
    """Exact counts of merged codes: secret, as those they are sums of.

    Parameters
    ----------
    source : counts of all codes.
    compression : maps.
    """

    def __init__(self, source: CountSource, compression: Compression) -> None:
        if source.schema.sizes != tuple(len(column.merged) for column in compression.columns):
            raise ValueError("the compression is of columns with other sizes than the source's schema; make it from this source's one-ways")
        self._source, self._compression = source, compression
        pairs = zip(source.schema.names, compression.sizes, strict=True)
        self._schema = Schema(tuple(Categorical(name, tuple(range(size))) for name, size in pairs))

    @property
    def schema(self) -> Schema:
        """Return the merged domain; its categories are the merged codes."""
        return self._schema

    @property
    def n_rows(self) -> int:
        """Return the exact number of rows: secret under add/remove neighbors."""
        return self._source.n_rows

    def marginals(self, groups: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
        """Return the exact counts of merged codes of each group."""
        results = []
        for group, counts in zip(groups, self._source.marginals(groups), strict=True):
            for axis, column in enumerate(group):
                counts = self._compression.columns[column].add_up(counts, axis)
            results.append(counts)
        return results


def compress(one_ways: Sequence[ArrayLike], sigmas: ArrayLike, *, least: float = LEAST, spread: str = "mass") -> Compression:
    """Return maps that merge rare codes.

    Parameters
    ----------
    one_ways : noisy counts of each column's codes, (s_i,); paid for already.
    sigmas : (d,) standard deviation of the noise of each column's counts.
    least : codes with less than so many sigmas are merged; 0 merges only counts below 0.
    spread : how merged codes are told apart again: in proportion to their noisy "mass" (negative counts are 0), or "uniform".

    Raises
    ------
    ValueError : arguments that don't fit together, or values out of range.

    Guarantee
    ---------
    Post-processing of the one-ways.

    Examples
    --------
    >>> maps = compress([[900, 2, 400, -1, 6]], [5.0])
    >>> maps.columns[0].merged.tolist(), maps.columns[0].weights.tolist()
    ([0, 2, 1, 2, 2], [1.0, 0.25, 1.0, 0.0, 0.75])
    """
    noise = np.asarray(one_dimensional(sigmas=sigmas), dtype=np.float64)
    same_length(one_ways=[len(np.asarray(one)) for one in one_ways], sigmas=noise)
    non_negative(least=least)
    one_of(SPREADS, spread=spread)
    columns = []
    for one, sigma in zip(one_ways, noise, strict=True):
        counts = np.asarray(one_dimensional(one_way=one), dtype=np.float64)
        columns.append(_column_map(counts, non_negative(sigma=float(sigma)) * least, spread))
    return Compression(tuple(columns))


def _column_map(counts: Floats, threshold: float, spread: str) -> ColumnMap:
    rare = counts < threshold
    merged = np.where(rare, (~rare).sum(), np.cumsum(~rare) - 1)
    mass = np.maximum(counts, 0.0) if spread == "mass" else np.ones(len(counts))
    if rare.any() and mass[rare].sum() == 0:
        mass = np.ones(len(counts))
    weights = np.ones(len(counts))
    weights[rare] = mass[rare] / mass[rare].sum()
    return ColumnMap(merged, weights)
