"""Lazy public names of a package (PEP 562): importing the package loads nothing; asking for a name loads its file.

A file is named after its idea, and so may be the function in it. Importing such a file would hide the function: the import system binds
the file to its name in the package. A package with lazy names keeps the public name, whoever imports what first; the file itself is still
found by `from package.file import ...`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType


class _PackageOfNames(ModuleType):
    """A package whose public names can't be hidden by its files."""

    def __setattr__(self, name: str, value: object) -> None:
        hides = isinstance(value, ModuleType) and name in self.__dir__()
        if not hides:
            super().__setattr__(name, value)


def lazy_names(package: str, home: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose public names live in the modules that `home` says.

    Parameters
    ----------
    package : the package's `__name__`.
    home : public name -> module that defines it.
    """

    def get(name: str) -> object:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(home[name]), name)
        setattr(sys.modules[package], name, value)
        return value

    sys.modules[package].__class__ = _PackageOfNames
    return get, lambda: sorted(home)
