"""Where exact counts come from: a table in memory, a file, a warehouse. Only counts leave the place where the rows live.

Counts are exact and hence secret; they go straight to the noise step in the same process (`synth.measure`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from synth.schema import Schema


@runtime_checkable
class CountSource(Protocol):
    """A sensitive table that can be counted."""

    @property
    def schema(self) -> Schema:
        """Return the public schema."""
        ...

    @property
    def n_rows(self) -> int:
        """Return the exact number of rows: secret under add/remove neighbors."""
        ...

    def marginals(self, groups: Sequence[tuple[int, ...]]) -> list[NDArray[np.int64]]:
        """Return the exact counts of each group of columns, shape (size of each column); cells that no row hits are there, as 0.

        A group's columns increase; an empty group is the number of rows, shape ().
        """
        ...
