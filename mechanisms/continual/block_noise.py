"""Base noise of a counter, drawn in blocks: one call of the source serves many steps, in the same order step by step as in a batch.

What is left of a block is never stored. A secure source throws it away when a counter is restored: later steps get fresh draws. A seeded
source is rewound to the block's start and draws it again, so the sequence goes on as if it hadn't been interrupted.

A block has 256 rows, for many coordinates fewer. Cost: about 0.2 us a draw for one coordinate, 0.06 us from 32 on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import numpy as np

from mechanisms.continual.factorization import Noise
from mechanisms.json_ready import JsonValue
from mechanisms.noise.source import NoiseSource, SeededNoise
from mechanisms.validation import whole_number

Law = Literal["gaussian", "discrete_gaussian", "discrete_laplace"]
_BLOCK, _MOST_ROWS = 8192, 256  # draws


class BlockNoise:
    """Draw(n) of a factorization's stream: the next n rows, shape (n, dim).

    Parameters
    ----------
    source : where the noise comes from.
    law : distribution of every coordinate.
    scale : its scale: sigma, or b.
    dim : coordinates.
    """

    __slots__ = ("_block", "_dim", "_law", "_n_rows", "_place", "_scale", "_source", "_used")

    def __init__(self, source: NoiseSource, law: Law, scale: float, dim: int) -> None:
        self._source, self._law, self._scale, self._dim = source, law, scale, dim
        self._n_rows = min(_MOST_ROWS, max(1, _BLOCK // dim))
        self._used = self._n_rows
        self._block: Noise = np.zeros((self._n_rows, dim))
        self._place: dict[str, JsonValue] | None = None

    def __call__(self, n: int) -> Noise:
        """Return the next n rows; no row is returned twice."""
        last = self._used + n
        if last <= self._n_rows and n:
            rows = self._block[self._used : last]
            self._used = last
            return rows
        pieces, missing = [], n
        while missing:
            if self._used == self._n_rows:
                self._refill()
            taken = min(missing, self._n_rows - self._used)
            pieces.append(self._block[self._used : self._used + taken])
            self._used += taken
            missing -= taken
        return cast("Noise", np.concatenate(pieces)) if pieces else self._block[:0]

    def place(self) -> dict[str, JsonValue] | None:
        """Return where a seeded source stands, None for a secure one."""
        if not isinstance(self._source, SeededNoise):
            return None
        if self._used == self._n_rows:
            return {"source": self._source.state(), "used": 0}
        return {"source": self._place, "used": self._used}

    def return_to(self, place: Mapping[str, object] | None) -> None:
        """Go on from a place; None (a secure source) means fresh draws.

        Raises
        ------
        ValueError : the place of a seeded source for another kind of source, or the other way round.
        """
        self._used = self._n_rows
        if (place is None) == isinstance(self._source, SeededNoise):
            raise ValueError("state was written with another kind of noise source (seeded or secure); open it with the same kind")
        if place is None or not isinstance(self._source, SeededNoise):
            return
        source, used = place.get("source"), whole_number(0, used=place.get("used"))
        if not isinstance(source, Mapping) or used > self._n_rows:
            raise ValueError("state is damaged: it has no place of the noise")
        self._source.restore(source)
        if used:
            self._refill()
            self._used = used

    def _refill(self) -> None:
        place = self._source.state() if isinstance(self._source, SeededNoise) else None
        shape = (self._n_rows, self._dim)
        if self._law == "gaussian":
            block: Noise = self._source.normal(self._scale, shape)
        elif self._law == "discrete_gaussian":
            block = self._source.discrete_gaussian(self._scale, shape)
        else:
            block = self._source.discrete_laplace(self._scale, shape)
        self._block, self._place, self._used = block, place, 0
