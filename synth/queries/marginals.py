"""Marginals: how many rows have each combination of codes, for every k of the columns.

Cost: as `synth.queries.partitions`.

References
----------
Barak, Chaudhuri, Dwork, Kale, McSherry, Talwar, Privacy, Accuracy, and Consistency Too, PODS 2007.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

from mechanisms.validation import whole_number
from synth.queries.family import QueryFamily, chosen_columns
from synth.queries.partitions import PartitionFamily
from synth.schema import Schema

MAX_CELLS = 10_000_000


@dataclass(frozen=True, slots=True)
class Marginals:
    """All k-way marginals of some columns.

    Parameters
    ----------
    k : columns of a marginal, >= 1.
    columns : names of the columns to combine; None for all.
    max_cells : the largest number of cells that a marginal may have.

    Raises
    ------
    ValueError : k < 1; on binding, fewer than k columns, an unknown one, or a marginal with more than max_cells cells.

    Examples
    --------
    >>> from synth.schema import Categorical
    >>> family = Marginals(k=2).bind(Schema(tuple(Categorical(name, (0, 1, 2)) for name in "abc")))
    >>> family.groups, family.sizes
    (((0, 1), (0, 2), (1, 2)), (9, 9, 9))
    """

    k: int = 2
    columns: tuple[str, ...] | None = None
    max_cells: int = MAX_CELLS

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole_number(1, k=self.k))
        object.__setattr__(self, "max_cells", whole_number(1, max_cells=self.max_cells))
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    def bind(self, schema: Schema) -> PartitionFamily:
        """Return the marginals of a schema, in the order of their columns."""
        places = chosen_columns(schema, self.columns)
        require_enough(self.k, len(places))
        groups = tuple(combinations(places, self.k))
        family = PartitionFamily(schema, groups, levels=(0,) * len(groups))
        require_small(family, self.max_cells)
        return family


def marginal_groups(family: QueryFamily) -> tuple[tuple[int, ...], ...] | None:
    """Return the groups of columns of a family of marginals, None for any other family."""
    return family.groups if isinstance(family, PartitionFamily) and not any(family.levels) else None


def require_enough(k: int, n_columns: int) -> None:
    """Raise ValueError where k columns can't be chosen."""
    if n_columns < k:
        raise ValueError(f"k must be at most the number of columns, {n_columns}, got {k}; take a smaller k")


def require_small(family: PartitionFamily, max_cells: int) -> None:
    """Raise ValueError, naming the columns, where a block has too many cells."""
    for group, shape in zip(family.groups, family.shapes, strict=True):
        if math.prod(shape) > max_cells:
            names = ", ".join(repr(family.schema.names[column]) for column in group)
            raise ValueError(
                f"the marginal of {names} has {math.prod(shape):,} cells, more than max_cells = {max_cells:,}; take wider bins"
            )
