"""A table as whole-number codes, and, where queries ask for more than codes, as positions inside a column's bounds.

Codes are those of `synth.schema`: (n, d), 0 <= code < size of the column. A position is the value of a numeric column scaled from its
bounds to [0, 1]; columns without numbers, and missing values, have position 0. Marginals need codes only; thresholds and halfspaces need
positions as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Codes = NDArray[np.int32]
Positions = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class EncodedTable:
    """n rows of d columns.

    Parameters
    ----------
    codes : (n, d) whole numbers; trusted to lie in the domain.
    positions : (n, d) in [0, 1], or None where nobody asks for them.

    Raises
    ------
    ValueError : shapes that don't agree.
    """

    codes: Codes
    positions: Positions | None = None

    def __init__(self, codes: ArrayLike, positions: ArrayLike | None = None) -> None:
        kept = np.array(codes, dtype=np.int32, order="C", ndmin=2)
        kept.flags.writeable = False
        object.__setattr__(self, "codes", kept)
        if positions is not None:
            positions = np.array(positions, dtype=np.float64, order="C", ndmin=2)
            if positions.shape != kept.shape:
                raise ValueError(f"positions must have the shape of codes, {kept.shape}, got {positions.shape}")
            positions.flags.writeable = False
        object.__setattr__(self, "positions", positions)

    @property
    def n_rows(self) -> int:
        """Return n."""
        return len(self.codes)

    def __reduce__(self) -> tuple[type[EncodedTable], tuple[Codes, Positions | None]]:
        return type(self), (self.codes, self.positions)

    def __repr__(self) -> str:
        return f"EncodedTable({self.codes.shape[0]} rows, {self.codes.shape[1]} columns)"  # never a value
