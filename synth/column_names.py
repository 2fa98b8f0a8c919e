"""Whether a table has the columns of a schema, by their names alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from synth.schema import Schema


def check_names(names: Sequence[str], schema: Schema, *, ignore_extra: bool) -> None:
    """Refuse a table whose columns aren't those of the schema; order doesn't matter.

    Parameters
    ----------
    names : of the table's columns.
    schema : public.
    ignore_extra : allow columns that the schema doesn't have.

    Raises
    ------
    ValueError : a name that occurs twice, or columns that are extra or missing.
    """
    check_distinct(names)
    extra = [name for name in names if name not in schema.names]
    if extra and not ignore_extra:
        raise ValueError(f"the schema lacks {_listed(extra)} of the table; declare, drop, or take ignore_extra=True")
    absent = [name for name in schema.names if name not in names]
    if absent:
        raise ValueError(f"the table lacks {_listed(absent)}")


def check_distinct(names: Sequence[str]) -> None:
    """Refuse a name that occurs twice."""
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ValueError(f"the table has two columns named {twice[0]!r}")


def _listed(names: list[str]) -> str:
    return f"column{'s' * (len(names) > 1)} {', '.join(map(repr, names))}"
