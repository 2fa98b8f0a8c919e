"""Where the engine's interpreter is. The engine needs numpy 1 and an old jax, so it lives in an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

from mechanisms.errors import MissingLibraryError

VARIABLE = "PRIVACY_AUDIT_PI_ENGINE"
PLACE = Path(".pi-venv", "bin", "python")


def engine_python() -> Path:
    """Return the engine's interpreter: what PRIVACY_AUDIT_PI_ENGINE names, else `.pi-venv/bin/python` of the current directory.

    Raises
    ------
    MissingLibraryError : there is no such file.
    """
    named = os.environ.get(VARIABLE)
    python = Path(named) if named else Path.cwd() / PLACE
    if not python.is_file():
        where = f"{VARIABLE} names no file" if named else f"there is no {PLACE}"
        raise MissingLibraryError(f"{where}: run `make pi-engine`, or let {VARIABLE} name a Python that has spu==0.9.5")
    return python
