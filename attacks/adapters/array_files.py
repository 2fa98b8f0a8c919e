"""Arrays and JSON written by other programs: read without executing anything they hold, refused in one sentence without values."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray


def existing(path: str | os.PathLike[str], *, suffix: str) -> Path:
    """Return the path of a file that is there and ends in `suffix`.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : another ending.
    """
    file = Path(path)
    if file.suffix.lower() != suffix:
        raise ValueError(f"path must end in {suffix}, got {file.name!r}")
    if not file.is_file():
        raise FileNotFoundError(f"no such file: {file}")
    return file


def read_array(file: Path) -> NDArray[np.generic]:
    """Return the array of a .npy file.

    Raises
    ------
    ValueError : no .npy file, or an array of Python objects, which would have to be unpickled.
    """
    try:
        with file.open("rb") as opened:
            array = np.load(opened, allow_pickle=False)
    except (ValueError, EOFError, BadZipFile):
        raise ValueError(f"{file.name} is no .npy file of plain numbers; arrays of objects are never unpickled") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{file.name} is no .npy file but an archive")
    return array


def read_named_arrays(file: Path, names: tuple[str, ...]) -> tuple[NDArray[np.generic], ...]:
    """Return arrays of a .npz file by their names.

    Raises
    ------
    ValueError : no .npz file, a name that is not in it, or an array of Python objects.
    """
    with file.open("rb") as opened:
        try:
            archive = np.load(opened, allow_pickle=False)
        except (ValueError, EOFError, BadZipFile):
            raise ValueError(f"{file.name} is no .npz file") from None
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise ValueError(f"{file.name} is no .npz file but a single array")
        missing = [name for name in names if name not in archive.files]
        if missing:
            raise ValueError(f"{file.name} lacks the array{'s' * (len(missing) > 1)} {', '.join(map(repr, missing))}")
        try:
            return tuple(np.asarray(archive[name]) for name in names)
        except (ValueError, EOFError, BadZipFile, zlib.error):
            raise ValueError(f"{file.name} holds damaged arrays or arrays of objects, which are never unpickled") from None


def read_json_object(file: Path) -> dict[str, object]:
    """Return the object that a JSON file holds.

    Raises
    ------
    ValueError : no JSON, or no object.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise ValueError(f"{file.name} is no JSON file") from None
    if not isinstance(record, dict):
        raise ValueError(f"{file.name} must hold a JSON object, got {type(record).__name__}")
    return record
