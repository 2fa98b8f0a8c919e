"""The rules of `synth.encode` as expressions of ibis, for a warehouse to run where the rows live.

Each column gives two expressions. Its *code* is what the schema makes of a value. Its *problem* says what is wrong with a row, 0 for
nothing; the largest over all rows is found by one aggregate query, and becomes the sentence that `synth.encode` has for it. No value
leaves.

A bin is found by comparing with its edges, as a tree of log2(bins) comparisons, so that a value on an edge lands where it does in memory.
Edges go as text, cast to float64, since SQL may read 0.1 as a decimal. Days, hours and so on are taken from the calendar and the clock;
where a backend keeps times in a zone (Spark's TIMESTAMP), they are those of its session. ibis can't ask Spark for microseconds, so a column
of unit "us" is refused there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from synth.schema import Categorical, Column, Continuous, Datetime, Ordinal, Schema

if TYPE_CHECKING:
    import ibis.expr.types as ir  # type: ignore[import-untyped, unused-ignore]

_MISSING, _INFINITE, _FRACTION, _UNLISTED = 4, 3, 2, 1  # in the order in which `encode` looks for them, first the largest
_SENTENCES = {
    _MISSING: "has missing values; declare it nullable=True, or fill them in",
    _INFINITE: "holds infinite numbers; replace them, or make them missing and declare it nullable=True",
    _FRACTION: "holds fractions; round them, or declare the column Continuous",
    _UNLISTED: ("holds a value that is not among its categories; list it, declare `other`, or buy the categories with `synth.domain`"),
}
_EXACT = 2.0**53  # beyond, every float is whole


def problems(table: ir.Table, schema: Schema) -> ir.Table:
    """Return one row: the number of rows, then each column's worst problem, for `problem_message`.

    Raises
    ------
    ValueError : a column of another type than declared.
    """
    worst = {_name(place): _problem(_value(table, column), column).max() for place, column in enumerate(schema)}
    return table.aggregate(n_rows=table.count(), **worst)


def codes(table: ir.Table, schema: Schema, used: Sequence[int]) -> ir.Table:
    """Return the codes of some columns, named c0, c1, ... by their places in the schema."""
    return table.select(**{_name(place): _code(_value(table, schema.columns[place]), schema.columns[place]) for place in used})


def problem_message(problem: int, column: Column) -> str:
    """Say what is wrong with a column, as `synth.encode` does."""
    return f"column {column.name!r} {_SENTENCES[problem]}"


def _name(place: int) -> str:
    return f"c{place}"


def _value(table: ir.Table, column: Column) -> ir.Value:
    """Return a column's values, numbers as int64 or float64; refuse a type that isn't the declared one."""
    value = table[column.name]
    kind = value.type()
    is_number, is_time = kind.is_numeric() and not kind.is_boolean(), kind.is_date() or kind.is_timestamp()
    label = column.labels[0] if isinstance(column, Categorical) else None
    if kind.is_null():  # such a column has no values whose type could be wrong
        return value.cast({str: "string", bool: "boolean"}.get(type(label), "int64"))
    is_fit = {str: kind.is_string(), bool: kind.is_boolean()}.get(type(label), is_time if isinstance(column, Datetime) else is_number)
    if not is_fit:
        content = {str: " of text", int: " of whole numbers", bool: " of booleans"}.get(type(label), "")
        remedy = "convert the column, or declare categories of its type" if content else "convert the column; text is not parsed"
        raise ValueError(f"column {column.name!r} is declared {column.kind}{content}, and holds {kind}; {remedy}")
    if kind.is_timestamp() and kind.timezone is not None:
        raise ValueError(f"column {column.name!r} has a time zone; convert it to times without one, all of the same zone")
    if kind.is_timestamp() and kind.scale is not None and kind.scale < 6:
        return value.cast(
            "timestamp(6)"
        )  # DuckDB reads the hour of a coarse time by way of nanoseconds, which reach from 1677 to 2262 only
    if not is_number:
        return value
    return value.cast("int64" if kind.is_signed_integer() else "float64")


def _is_missing(value: ir.Value) -> ir.Value:
    return value.isnull() | value.isnan() if value.type().is_floating() else value.isnull()


def _problem(value: ir.Value, column: Column) -> ir.IntegerValue:
    import ibis

    checks: list[tuple[ir.Value, int]] = [(_is_missing(value), 0 if column.nullable else _MISSING)]
    if isinstance(column, Categorical):
        if column.other is None:
            checks.append((value.notin(column.labels), _UNLISTED))
    elif isinstance(column, Datetime):
        checks.append((_units_since_1970(value, column.unit).isnull(), _INFINITE))  # DuckDB's "infinity" has no year
    elif value.type().is_floating():
        largest = _number(sys.float_info.max)
        checks.append(((value > largest) | (value < -largest), _INFINITE))  # not isinf, which ibis 12 makes a constant for Spark
        if isinstance(column, Ordinal):
            near = _clipped(value, -_EXACT, _EXACT)
            checks.append((near != near.floor(), _FRACTION))
    return ibis.cases(*((condition, ibis.literal(problem, "int64")) for condition, problem in checks), else_=ibis.literal(0, "int64"))


def _code(value: ir.Value, column: Column) -> ir.IntegerValue:
    import ibis

    if isinstance(column, Categorical):
        other = None if column.other is None else column.labels.index(column.other)
        cell = value.cases(*((label, place) for place, label in enumerate(column.labels)), else_=other)
    elif isinstance(column, Continuous):
        cell = _bin(value.cast("float64"), column.all_edges[1:-1], 0, column.bins - 1)
    else:
        lower, upper = column.count_bounds if isinstance(column, Datetime) else (column.lower, column.upper)
        count = _units_since_1970(value, column.unit) if isinstance(column, Datetime) else value
        whole = (_clipped(count, lower, upper) - lower).cast("int64")
        cell = whole if column.step == 1 else whole // column.step
    code = cell.cast("int64") + int(column.nullable)
    return ibis.ifelse(_is_missing(value), 0, code) if column.nullable else code


def _clipped(value: ir.Value, lower: float, upper: float) -> ir.Value:
    """Return values within bounds; a comparison keeps the larger type, where SQL's least and greatest may not."""
    import ibis

    return ibis.cases((value <= lower, lower), (value >= upper, upper), else_=value)


def _bin(value: ir.Value, edges: Sequence[float], first: int, last: int) -> ir.IntegerValue:
    """Return how many edges are at most the value, known to be between first and last."""
    import ibis

    if first == last:
        return ibis.literal(first, "int64")
    middle = (first + last) // 2
    return ibis.ifelse(value < _number(edges[middle]), _bin(value, edges, first, middle), _bin(value, edges, middle + 1, last))


def _number(value: float) -> ir.FloatingScalar:
    import ibis

    return ibis.literal(repr(value)).cast("float64")


def _units_since_1970(value: ir.Value, unit: str) -> ir.IntegerValue:
    """Return whole counts, as numpy makes them: rounded down, weeks from Thursday to Thursday."""
    import ibis

    if value.type().is_integer():  # a column that has missing values only
        return value
    if unit in ("Y", "M"):
        years = value.year().cast("int64") - 1970
        return years if unit == "Y" else years * 12 + value.month() - 1
    date = value.date() if value.type().is_timestamp() else value
    count = date.delta(ibis.date("1970-01-01"), unit="day").cast("int64")
    if unit == "W":
        return count // 7
    clock = [("h", 24, "hour"), ("m", 60, "minute"), ("s", 60, "second")]
    for name, per_unit, part in clock if unit != "D" else []:
        count = count * per_unit + (getattr(value, part)() if value.type().is_timestamp() else 0)
        if name == unit:
            return count
    if unit in ("ms", "us"):
        per_second, part = (1_000, "millisecond") if unit == "ms" else (1_000_000, "microsecond")
        return count * per_second + (getattr(value, part)().cast("int64") if value.type().is_timestamp() else 0)
    return count
