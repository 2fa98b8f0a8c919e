"""How far a synthetic table's answers are from the real ones. NOT private: for evaluation by those who may see the real table.

Answers are shares of rows. For a marginal the error is the total variation, half the sum of absolute differences of its cells; for other
families each query's absolute difference. Nothing here may be published without noise of its own; records say so.

    avg_tv, max_tv       over marginals
    avg_cell, max_cell   absolute difference of a cell, or of a query
    rmse                 root mean square over cells or queries
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mechanisms.json_ready import JsonValue, json_record
from synth.count_source import CountSource
from synth.encoded import EncodedTable
from synth.error_views import draw_errors, error_html
from synth.open_counts import count_source, table_in_memory
from synth.queries.family import QueryFamily, Workload
from synth.queries.marginals import Marginals, marginal_groups
from synth.schema import Schema

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from synth.open_counts import Countable

NOT_PRIVATE = "computed from the real table without noise: for evaluation only, not to be published"


@dataclass(frozen=True, slots=True)
class GroupError:
    """The error of one marginal: its columns' names, total variation and largest cell error."""

    columns: tuple[str, ...]
    tv: float
    max_cell: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"columns": self.columns, "tv": self.tv, "max_cell": self.max_cell})


@dataclass(frozen=True, slots=True)
class WorkloadError:
    """Errors of a synthetic table; not private.

    Parameters
    ----------
    avg_tv, max_tv : over marginals; None for a workload without marginals.
    avg_cell, max_cell, rmse : over cells, or queries.
    groups : of each marginal.
    """

    avg_tv: float | None
    max_tv: float | None
    avg_cell: float
    max_cell: float
    rmse: float
    groups: tuple[GroupError, ...] = ()

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        own = {name: getattr(self, name) for name in ("avg_tv", "max_tv", "avg_cell", "max_cell", "rmse", "groups")}
        return json_record({"schema_version": 1, **own, "private": False, "note": NOT_PRIVATE})

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw a heat map of the total variation of every pair of columns; returns the axes.

        Raises
        ------
        ValueError : a workload without marginals of one or two columns.
        """
        return draw_errors(self, ax)

    def _repr_html_(self) -> str:
        return error_html(self, NOT_PRIVATE)


def workload_error(
    real: Countable,
    synthetic: Countable,
    workload: Workload | None = None,
    *,
    schema: Schema | None = None,
) -> WorkloadError:
    """Compare answers of two tables.

    Parameters
    ----------
    real, synthetic : tables in memory, or (for marginals) anything that can be counted.
    workload : what is compared; None: all pairs of columns.
    schema : needed unless both are count sources.

    Raises
    ------
    ValueError, TypeError : a table that doesn't fit the schema, no schema, or sources that can't answer the workload.

    Examples
    --------
    >>> from synth.schema import Categorical
    >>> schema = Schema((Categorical("sex", ("f", "m")), Categorical("vote", ("no", "yes"))))
    >>> real, synthetic = {"sex": ["f", "m"], "vote": ["no", "yes"]}, {"sex": ["f", "m"], "vote": ["yes", "yes"]}
    >>> workload_error(real, synthetic, schema=schema).avg_tv
    0.5
    """
    domain = _schema_of(real, synthetic, schema)
    family = (Marginals(k=2) if workload is None else workload).bind(domain)
    groups = marginal_groups(family)
    if groups is not None:
        return _marginal_errors(count_source(real, domain), count_source(synthetic, domain), groups)
    shares = [_shares(family, table_in_memory(table, domain, positions=family.needs_positions)) for table in (real, synthetic)]
    difference = np.abs(shares[0] - shares[1])
    return WorkloadError(None, None, float(difference.mean()), float(difference.max()), float(np.sqrt(np.mean(difference**2))))


def _marginal_errors(real: CountSource, synthetic: CountSource, groups: Sequence[tuple[int, ...]]) -> WorkloadError:
    names = real.schema.names
    differences = [
        np.abs(true / real.n_rows - made / synthetic.n_rows)
        for true, made in zip(real.marginals(groups), synthetic.marginals(groups), strict=True)
    ]
    errors = tuple(
        GroupError(tuple(names[column] for column in group), float(cells.sum()) / 2, float(cells.max()))
        for group, cells in zip(groups, differences, strict=True)
    )
    tv = np.array([error.tv for error in errors])
    n_cells = sum(cells.size for cells in differences)
    return WorkloadError(
        avg_tv=float(tv.mean()),
        max_tv=float(tv.max()),
        avg_cell=2 * float(tv.sum()) / n_cells,
        max_cell=max(error.max_cell for error in errors),
        rmse=float(np.sqrt(sum(float(np.vdot(cells, cells)) for cells in differences) / n_cells)),
        groups=errors,
    )


def _shares(family: QueryFamily, table: EncodedTable) -> NDArray[np.float64]:
    return np.asarray(family.answers(table) / table.n_rows, dtype=np.float64)


def _schema_of(real: object, synthetic: object, schema: Schema | None) -> Schema:
    known = [getattr(table, "schema", None) for table in (real, synthetic)]
    found = schema if schema is not None else next((item for item in known if isinstance(item, Schema)), None)
    if found is None:
        raise TypeError("schema must be given: it says what the columns may hold")
    return found
