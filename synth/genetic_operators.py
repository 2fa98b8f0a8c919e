"""The four operators of Private-GSD: each proposes candidates that differ from the table in one row (swap: two).

    mutate      a random row takes a uniformly random code in the column in turn; column c has floor(1 + ln s_c) turns in a shuffled round
    continuous  a random row takes a number from one of 33 intervals between 32 quantiles of the table's numeric column in turn and its ends
    swap        two random rows exchange their values of the column in turn, which keeps one-way marginals
    crossover   a random row copies 1 or 2 random categorical columns from another random row

Numbers are uniform inside their code or interval, and codes follow positions. An operator is left out where it can do nothing: continuous
without positions, swap with one row, crossover without categorical columns.

References
----------
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023, section 4, and the authors' code.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synth.cells import is_numeric
from synth.encoded import Codes, Positions
from synth.positions import draw_inside, settle
from synth.schema import Categorical, Schema

_QUANTILES = 32


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """m candidates that change r rows each.

    Parameters
    ----------
    rows : (m, r), places of the rows.
    codes : (m, r, d), what they become.
    positions : (m, r, d), or None.
    """

    rows: NDArray[np.int64]
    codes: Codes
    positions: Positions | None


Operator = Callable[[Codes, Positions | None, int], Proposal]


class Operators:
    """The operators for one table's schema, with the rounds of their columns.

    Parameters
    ----------
    schema : of the table.
    n_rows : of the table.
    with_positions : whether it has positions.
    rng : of all draws.

    Raises
    ------
    ValueError : a table of which nothing can change.
    """

    def __init__(self, schema: Schema, n_rows: int, with_positions: bool, rng: np.random.Generator) -> None:
        self._schema, self._sizes, self._rng = schema, schema.sizes, rng
        varying = [c for c, size in enumerate(self._sizes) if size > 1 or (with_positions and is_numeric(schema.columns[c]))]
        if not varying:
            raise ValueError("schema: every column has one code only; there is nothing to fit")
        numeric = [c for c in varying if is_numeric(schema.columns[c])]
        self._categorical = np.array([c for c in varying if c not in numeric], dtype=np.int64)
        self._mutated = self._turns([c for c in varying for _ in range(math.floor(1 + math.log(self._sizes[c])))])
        self._drawn = self._turns(numeric)
        self._swapped = self._turns(varying)
        self.available: dict[str, Operator] = {"mutate": self.mutate}
        if with_positions and numeric:
            self.available["continuous"] = self.continuous
        if n_rows > 1:
            self.available["swap"] = self.swap
        if n_rows > 1 and len(self._categorical):
            self.available["crossover"] = self.crossover

    def mutate(self, codes: Codes, positions: Positions | None, m: int) -> Proposal:
        """Propose uniformly random codes."""
        proposal = self._copies(codes, positions, self._rng.integers(len(codes), size=(m, 1)))
        turns = _next(self._mutated, m)
        proposal.codes[np.arange(m), 0, turns] = self._rng.integers(np.array(self._sizes)[turns])
        if proposal.positions is not None:
            for c in np.unique(turns):
                mine = np.flatnonzero(turns == c)
                proposal.positions[mine, 0, c] = draw_inside(self._schema.columns[c], proposal.codes[mine, 0, c], self._rng)
        return proposal

    def continuous(self, codes: Codes, positions: Positions | None, m: int) -> Proposal:
        """Propose numbers between quantiles of the table's own."""
        proposal = self._copies(codes, positions, self._rng.integers(len(codes), size=(m, 1)))
        if proposal.positions is None or positions is None:
            raise ValueError("positions must be given")
        turns, uniform = _next(self._drawn, m), self._rng.random((m, 2))
        for c in np.unique(turns):
            mine, column = np.flatnonzero(turns == c), self._schema.columns[c]
            if isinstance(column, Categorical):
                continue
            present = positions[codes[:, c] > 0, c] if column.nullable else positions[:, c]
            inner = np.quantile(present, np.arange(1, _QUANTILES + 1) / (_QUANTILES + 1)) if len(present) else np.empty(0)
            ends = np.concatenate([[0.0], inner, [1.0]])
            interval = (uniform[mine, 0] * (len(ends) - 1)).astype(np.int64)
            wished = ends[interval] + uniform[mine, 1] * (ends[interval + 1] - ends[interval])
            proposal.codes[mine, 0, c], proposal.positions[mine, 0, c] = settle(column, wished)
        return proposal

    def swap(self, codes: Codes, positions: Positions | None, m: int) -> Proposal:
        """Propose exchanges of one value between two rows."""
        rows = _two_rows(len(codes), m, self._rng)
        proposal = self._copies(codes, positions, rows)
        turns, place = _next(self._swapped, m)[:, None], (np.arange(m)[:, None], np.arange(2)[None])
        proposal.codes[(*place, turns)] = codes[rows[:, ::-1], turns]
        if proposal.positions is not None and positions is not None:
            proposal.positions[(*place, turns)] = positions[rows[:, ::-1], turns]
        return proposal

    def crossover(self, codes: Codes, positions: Positions | None, m: int) -> Proposal:
        """Propose copies of one or two categorical values from another row."""
        rows = _two_rows(len(codes), m, self._rng)
        proposal = self._copies(codes, positions, rows[:, :1])
        k = len(self._categorical)
        first = self._rng.integers(k, size=m)
        second = first if k == 1 else (first + self._rng.integers(1, k, size=m)) % k
        for chosen in (first, np.where(self._rng.random(m) < 0.5, first, second)):
            copied = self._categorical[chosen]
            proposal.codes[np.arange(m), 0, copied] = codes[rows[:, 1], copied]
        return proposal

    def _copies(self, codes: Codes, positions: Positions | None, rows: NDArray[np.int64]) -> Proposal:
        return Proposal(rows, codes[rows], None if positions is None else positions[rows])

    def _turns(self, columns: Sequence[int]) -> Iterator[int]:
        """Yield columns round after round, each round shuffled."""
        while True:
            yield from (int(c) for c in self._rng.permutation(columns))


def _next(turns: Iterator[int], m: int) -> NDArray[np.int64]:
    """Return whose turn it is m times."""
    return np.fromiter(turns, dtype=np.int64, count=m)


def _two_rows(n_rows: int, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return m pairs of distinct rows."""
    first = rng.integers(n_rows, size=m)
    return np.column_stack([first, (first + rng.integers(1, n_rows, size=m)) % n_rows])
