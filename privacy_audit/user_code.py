"""Functions of the user, named as module:function in a TOML file, found beside that file, here and in workers on other machines."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NamedFunction:
    """A function that is found again by its name wherever it is called; only the name travels to a worker.

    Parameters
    ----------
    reference : module:function.
    folder : where the module is looked for first.
    """

    reference: str
    folder: str

    def __call__(self, *arguments: object) -> object:
        """Call the function."""
        return self.__wrapped__(*arguments)

    @property
    def __wrapped__(self) -> Callable[..., object]:
        """The function itself, where `inspect` finds its source."""
        return load_function(self.reference, beside=Path(self.folder))


def load_function(reference: str, *, beside: Path | None = None) -> Callable[..., object]:
    """Import `module:function`, looking in the folder `beside` first.

    Raises
    ------
    ValueError : the reference is not module:function, or the module or the function can't be found.
    """
    module_name, separator, function_name = reference.partition(":")
    if not (separator and module_name and function_name):
        raise ValueError(f"a function is named as module:function, got '{reference}'")
    folder = str((beside or Path.cwd()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ValueError(f"module '{error.name}' of '{reference}' was not found; it is looked for beside the audit file") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise ValueError(f"module '{module_name}' has no function '{function_name}'")
    found: Callable[..., object] = function
    return found
