"""Tables of TOML files, validated, and what is wrong with a file in one sentence that names the key, never a value."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

Location = tuple[int | str, ...]


class TomlTable(BaseModel):
    """A table of a file: unknown keys are errors, types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def read_toml(file: Path) -> dict[str, object]:
    """Return the content of a file.

    Raises
    ------
    ValueError : not TOML.
    OSError : the file can't be read.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{file.name} is not valid TOML: {error}") from error


def sentence(error: ValidationError, allowed: Callable[[Location], list[str]], *, kinds: Collection[str] = ()) -> str:
    """Return what is wrong with the first key at fault, a misspelled key rather than the one it misses.

    Parameters
    ----------
    error : of pydantic.
    allowed : place of an unknown key -> the keys that its table has.
    kinds : values of the key `kind` where it chooses the table.
    """
    found = error.errors(include_url=False, include_input=False)
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    key = ".".join(str(part) for i, part in enumerate(first["loc"]) if not (i == 1 and part in kinds))
    if first["type"] == "extra_forbidden":
        return f"unknown key '{key}'; allowed in this table: {', '.join(allowed(first['loc']))}"
    if first["type"] == "missing":
        return f"key '{key}' is missing"
    if first["type"].startswith("union_tag"):
        return f"key '{key}.kind': must be {', '.join(map(repr, kinds))}"
    return f"key '{key}': {first['msg'][0].lower()}{first['msg'][1:]}"
