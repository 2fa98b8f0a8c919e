"""Binary-tree marginals: numeric columns in 2, 4, 8, ... equal bins, each level crossed with the other columns of its group.

A range of positions is a union of at most two cells a level, so that its noise grows with the logarithm of the resolution, not with the
number of cells. Each level of each group is a partition; L levels of m groups have L2 sensitivity sqrt(L m) for add/remove.

References
----------
Hay, Rastogi, Miklau, Suciu, Boosting the Accuracy of Differentially Private Histograms Through Consistency, VLDB 2010.
Liu, Tang, Vietri, Wu, Generating Private Synthetic Data with Genetic Algorithms, ICML 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from mechanisms.validation import whole_number
from synth.queries.family import chosen_columns
from synth.queries.marginals import MAX_CELLS, require_enough, require_small
from synth.queries.partitions import PartitionFamily
from synth.schema import Schema

_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class BinaryTreeMarginals:
    """All k-way marginals with at least one numeric column, at each level of a binary tree.

    Groups without a numeric column have no tree: `Marginals` is their workload.

    Parameters
    ----------
    k : columns of a group, >= 1.
    depth : number of levels; the finest has 2^depth bins of positions.
    columns : names of the columns to combine; None for all.
    max_cells : the largest number of cells that one level of a group may have.

    Raises
    ------
    ValueError : k < 1, depth outside 1 .. 30; on binding, fewer than k columns, no numeric one, or too many cells.

    Examples
    --------
    >>> from synth.encoded import EncodedTable
    >>> from synth.schema import Continuous
    >>> family = BinaryTreeMarginals(k=1, depth=2).bind(Schema((Continuous("x", 0.0, 1.0),)))
    >>> family.answers(EncodedTable([[0], [31]], positions=[[0.3], [1.0]])).tolist()
    [1.0, 1.0, 0.0, 1.0, 0.0, 1.0]
    """

    k: int = 2
    depth: int = 3
    columns: tuple[str, ...] | None = None
    max_cells: int = MAX_CELLS

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", whole_number(1, k=self.k))
        object.__setattr__(self, "depth", whole_number(1, depth=self.depth))
        object.__setattr__(self, "max_cells", whole_number(1, max_cells=self.max_cells))
        if self.depth > _DEEPEST:
            raise ValueError(f"depth must be at most {_DEEPEST}, got {self.depth}")
        if self.columns is not None:
            object.__setattr__(self, "columns", tuple(self.columns))

    def bind(self, schema: Schema) -> PartitionFamily:
        """Return the levels 1 .. depth of each group, groups in the order of their columns."""
        places = chosen_columns(schema, self.columns)
        require_enough(self.k, len(places))
        numeric = set(chosen_columns(schema, None, numeric=True))
        groups = [group for group in combinations(places, self.k) if numeric.intersection(group)]
        if not groups:
            raise ValueError("columns must hold a numeric one; Marginals is the workload of categorical columns")
        levels = range(1, self.depth + 1)
        family = PartitionFamily(schema, tuple(group for group in groups for _ in levels), tuple(level for _ in groups for level in levels))
        require_small(family, self.max_cells)
        return family
