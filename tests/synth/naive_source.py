"""Counting rows the plain way, and tiny tables with all their neighbors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement, product

import numpy as np

from mechanisms.noise.source import NoiseSource, SeededNoise
from synth.schema import Categorical, Schema

Row = tuple[int, ...]
Table = tuple[Row, ...]


def plain_schema(sizes: Sequence[int]) -> Schema:
    return Schema(tuple(Categorical(f"c{i}", tuple(range(size))) for i, size in enumerate(sizes)))


class NaiveSource:
    """A table as a list of rows; cells are counted one row at a time."""

    def __init__(self, rows: Sequence[Row] | np.ndarray, schema: Schema) -> None:
        self.rows = [tuple(int(code) for code in row) for row in rows]
        self.schema = schema
        self.n_counted = 0

    @property
    def n_rows(self) -> int:
        return len(self.rows)

    def marginals(self, groups: Sequence[tuple[int, ...]]) -> list[np.ndarray]:
        self.n_counted += 1
        counts = [np.zeros(tuple(self.schema.sizes[column] for column in group), dtype=np.int64) for group in groups]
        for count, group in zip(counts, groups, strict=True):
            for row in self.rows:
                count[tuple(row[column] for column in group)] += 1
        return counts


class NoNoise(NoiseSource):
    """For tests of everything but the noise."""

    secure = True

    def words(self, n: int) -> np.ndarray:
        raise AssertionError("nothing should be drawn")

    def discrete_gaussian(self, sigma: float, shape: int | tuple[int, ...] = ()) -> np.ndarray:
        return np.zeros(shape, dtype=np.int64)

    def discrete_gaussian_each(self, sigmas: np.ndarray) -> np.ndarray:
        return np.zeros(len(sigmas), dtype=np.int64)


class HalvedNoise(SeededNoise):
    """A broken source: half the noise that was asked for."""

    def discrete_gaussian(self, sigma: float, shape: int | tuple[int, ...] = ()) -> np.ndarray:
        return super().discrete_gaussian(sigma / 2, shape)

    def discrete_gaussian_each(self, sigmas: np.ndarray) -> np.ndarray:
        return super().discrete_gaussian_each(np.asarray(sigmas) / 2)


class QuarteredNoise(HalvedNoise):
    """A quarter of the noise that was asked for."""

    def discrete_gaussian(self, sigma: float, shape: int | tuple[int, ...] = ()) -> np.ndarray:
        return super().discrete_gaussian(sigma / 2, shape)

    def discrete_gaussian_each(self, sigmas: np.ndarray) -> np.ndarray:
        return super().discrete_gaussian_each(np.asarray(sigmas) / 2)


def tables(sizes: Sequence[int], n_rows: int) -> Iterator[Table]:
    """All tables of n rows of a tiny domain, up to the order of rows."""
    yield from combinations_with_replacement(product(*(range(size) for size in sizes)), n_rows)


def added(table: Table, sizes: Sequence[int]) -> Iterator[Table]:
    yield from ((*table, row) for row in product(*(range(size) for size in sizes)))


def replaced(table: Table, sizes: Sequence[int]) -> Iterator[Table]:
    for i in range(len(table)):
        yield from ((*table[:i], row, *table[i + 1 :]) for row in product(*(range(size) for size in sizes)))
