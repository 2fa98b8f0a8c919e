"""A draft of a schema, made by looking at the data: a person must check it, and sign.

A schema must be public. This draft is not: its categories, its bounds and which columns may be empty come from the rows, and no epsilon
counts what that gives away. It saves typing, no more. So it is no `Schema`: it becomes one when a person who compared every line with
public knowledge (a code book, a questionnaire, the calendar) puts a name under it. Bounds are rounded outward, categories of few rows go
to "other", and columns that look like free text, names or identifiers are left out; none of that is a guarantee.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mechanisms.json_ready import JsonValue
from mechanisms.validation import whole_number
from synth.arrow_columns import arrow_columns, column_names
from synth.column_checks import LARGEST_WHOLE, time_count
from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema
from synth.schema_file import schema_to_dict

if TYPE_CHECKING:
    import pyarrow as pa

    from synth.arrow_columns import Table

CAUTION = (
    "A draft, made by looking at the data: what it says about the rows costs privacy that no epsilon counts.",
    "Compare every line with public knowledge, change what comes from the rows only, then put your name into signed_by.",
)
_MOST_CODES = 100
_DAY_STEPS: tuple[int, ...] = (1, 7, 30, 91, 365, 3652)
_SECOND_STEPS: tuple[int, ...] = (1, 60, 3600, 21600, 86400, 604800, 2592000, 31536000)


@dataclass(frozen=True, slots=True)
class SchemaDraft:
    """A schema that nobody has signed.

    Parameters
    ----------
    columns : as they would be declared.
    left_out : name of each column that the draft doesn't have, and why.
    """

    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def sign(self, name: str) -> Schema:
        """Return the schema, for which `name` vouches that it holds public knowledge only.

        Raises
        ------
        ValueError : no name, or no column.
        """
        if not isinstance(name, str) or not name.strip():
            raise ValueError("a draft is signed by a name that is not empty")
        return Schema(self.columns)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the draft as TOML and JSON hold it, with an empty `signed_by`."""
        columns = schema_to_dict(Schema(self.columns))["columns"] if self.columns else []
        return {"schema_version": 1, "signed_by": "", "columns": columns}

    def to_toml(self) -> str:
        """Return the text of a schema file that `read_schema` refuses until it is signed."""
        import tomli_w

        notes = [*CAUTION, *(f"Left out: column {name!r}, {reason}." for name, reason in self.left_out)]
        return "".join(f"# {note}\n" for note in notes) + "\n" + tomli_w.dumps(self.to_dict())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write `to_toml()` to a file."""
        Path(path).write_text(self.to_toml(), encoding="utf-8")

    def __repr__(self) -> str:
        return f"SchemaDraft({len(self.columns)} columns, not signed; it was made by looking at the data)"


def infer_schema(table: Table, *, max_categories: int = _MOST_CODES, min_rows: int = 10) -> SchemaDraft:
    """Draft a schema by looking at the data.

    Parameters
    ----------
    table : as `encode`.
    max_categories : text with more different values is left out.
    min_rows : categories of fewer rows go to "other".

    Raises
    ------
    ValueError, TypeError : no table, no row, or columns that can't be read.

    Guarantee
    ---------
    None. The draft depends on the rows, exactly; keep it where the table is until it holds public knowledge only.

    Examples
    --------
    >>> draft = infer_schema({"age": [17, 35, 90], "member": [True, False, True]})
    >>> draft
    SchemaDraft(2 columns, not signed; it was made by looking at the data)
    >>> draft.sign("A. Steward").columns[0]
    Ordinal(name='age', lower=0, upper=90, step=1, nullable=False)
    """
    whole_number(1, max_categories=max_categories)
    whole_number(1, min_rows=min_rows)
    columns: list[Column] = []
    left_out: list[tuple[str, str]] = []
    for name in column_names(table):
        drafted = _drafted(table, name, max_categories, min_rows) if isinstance(name, str) and name else "its name is no text"
        if isinstance(drafted, str):
            left_out.append((str(name), drafted))
        else:
            columns.append(drafted)
    return SchemaDraft(tuple(columns), tuple(left_out))


def _drafted(table: Table, name: str, max_categories: int, min_rows: int) -> Column | str:
    """Return a column, or why there is none."""
    from pyarrow import compute, types

    values = arrow_columns(table, [name])[name]
    if not len(values):
        raise ValueError("the table has no rows")
    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    present = values.filter(compute.invert(compute.is_null(values, nan_is_null=types.is_floating(values.type))))
    nullable = len(present) < len(values)
    kind = values.type
    if not len(present):
        return "it holds no value"
    if types.is_boolean(kind):
        return Categorical(name, (False, True), nullable=nullable)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _text(present, name, nullable, max_categories, min_rows)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return _number(np.asarray(present.cast("float64", safe=False)), name, nullable)
    if types.is_date(kind) or (types.is_timestamp(kind) and kind.tz is None):
        return _time(present, name, nullable)
    return f"its type {kind} has no place in a schema"


def _text(present: pa.ChunkedArray, name: str, nullable: bool, max_categories: int, min_rows: int) -> Column | str:
    seen = present.value_counts()
    few = seen.to_pylist() if len(seen) <= max_categories else []
    frequent = tuple(sorted(entry["values"] for entry in few if entry["counts"] >= min_rows))
    if not frequent:
        return "it looks like free text, names or identifiers"
    return Categorical(name, frequent, other="other" if len(frequent) < len(seen) else None, nullable=nullable)


def _number(numbers: np.ndarray, name: str, nullable: bool) -> Column | str:
    low, high = float(numbers.min()), float(numbers.max())
    if not math.isfinite(high - low):
        return "it holds infinite numbers"
    lower, upper = _outward(low, high)
    if (numbers != np.floor(numbers)).any():
        try:
            return Continuous(name, lower, upper, nullable=nullable)
        except ValueError:
            return "its numbers lie too close together"
    first, last = math.floor(lower), math.ceil(upper)
    if max(abs(first), abs(last)) > LARGEST_WHOLE:
        return "its whole numbers look like identifiers"
    return Ordinal(name, first, last, step=_round_step(last - first), nullable=nullable)


def _outward(low: float, high: float) -> tuple[float, float]:
    """Round bounds outward to one digit of their distance; a small positive lower bound becomes 0."""
    width = high - low or max(abs(low), 1.0)
    place, exact = Decimal(1).scaleb(math.floor(math.log10(width))), Context(prec=700)
    lower = float(Decimal(low).quantize(place, ROUND_FLOOR, exact))
    upper = float(Decimal(high).quantize(place, ROUND_CEILING, exact))
    if 0 <= low <= width:
        lower = 0.0
    return (lower, upper) if lower < upper else (lower, lower + float(place))


def _round_step(span: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50, ... that leaves at most 100 codes."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if span // (digit * power) < _MOST_CODES:
                return digit * power
        power *= 10


def _time(present: pa.ChunkedArray, name: str, nullable: bool) -> Column | str:
    """Take whole years; days, or seconds where a time of day occurs."""
    import pyarrow as pa
    from pyarrow import types

    seconds = np.asarray(present.cast(pa.timestamp("s"), safe=False).cast(pa.int64()))
    first, last = np.array([seconds.min(), seconds.max()], dtype="datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
    if first < 0 or last > 9999:
        return "its times lie outside the years 0 to 9999"
    by_day = types.is_date(present.type) or not (seconds % 86_400).any()
    unit, steps = ("D", _DAY_STEPS) if by_day else ("s", _SECOND_STEPS)
    lower, upper = f"{first:04}-01-01", f"{last:04}-12-31" + ("" if by_day else "T23:59:59")
    span = time_count(name, upper, unit) - time_count(name, lower, unit)
    step = next((step for step in steps if span // step < _MOST_CODES), steps[-1])
    return Datetime(name, lower, upper, unit=unit, step=step, nullable=nullable)
