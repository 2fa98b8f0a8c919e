"""Fingerprints: SHA-256 of what an experiment is made of, so that a stored score is never reused for another experiment.

The hash of an array covers dtype, shape and bytes in order: the same rows in another order are other data. Every kind of value has a
tag of its own and every part a fixed length, so no two different values are read as the same bytes. Cost: one pass over the bytes.
A fingerprint of few possible values (a flag, one label) can be guessed by trying them all; the files that hold it are private.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
from collections.abc import Callable, Mapping
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "opacus", "privacy-audit")


def fingerprint(value: object) -> str:
    """Return the SHA-256 of a value as 64 hexadecimal digits.

    Parameters
    ----------
    value : None, bool, number, str, bytes, an array (numpy, or anything with `__array__`, as a torch tensor on the CPU), or a list,
        tuple or mapping of these. The order of a list counts, that of a mapping's keys does not; 1 and 1.0 are the same number.

    Raises
    ------
    TypeError : a value of another type, or an array of objects.

    Examples
    --------
    >>> data = np.arange(6.0)
    >>> fingerprint(data) == fingerprint(data.copy()), fingerprint(data) == fingerprint(data[::-1])
    (True, False)
    """
    return _hash(value).hex()


def source_fingerprint(function: Callable[..., object]) -> str:
    """Return the SHA-256 of the source text of a function or class; of a `functools.partial` also what it binds.

    Raises
    ------
    TypeError : the source can't be read, as for a builtin or a function typed at the prompt.

    Notes
    -----
    Only the text is covered: not the functions it calls, nor global names, nor what an enclosing function bound. Values that matter
    belong into the experiment by name, or into a `functools.partial`.
    """
    if isinstance(function, functools.partial):
        return fingerprint([source_fingerprint(function.func), list(function.args), dict(function.keywords)])
    try:
        return fingerprint(inspect.getsource(function))
    except (OSError, TypeError):
        name = getattr(function, "__qualname__", type(function).__name__)
        raise TypeError(f"the source of {name!r} can't be read; define it as a function or class in a file") from None


def library_versions(*more: str) -> dict[str, str]:
    """Return the versions of Python, of the libraries that decide a training's bits, and of `more` libraries, by name."""
    versions = {"python": platform.python_version(), "machine": platform.machine()}
    for name in (*_LIBRARIES, *more):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _hash(value: object) -> bytes:
    if value is None or isinstance(value, bool | np.bool_):
        return _tagged("constant", str(value).encode())
    if isinstance(value, int | float | np.integer | np.floating):
        return _tagged("number", _number(value).encode())
    if isinstance(value, str):
        return _tagged("str", value.encode())
    if isinstance(value, bytes | bytearray | memoryview):
        return _tagged("bytes", value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("a mapping must have keys of type str to be fingerprinted")
        return _tagged("mapping", *(_hash(key) + _hash(value[key]) for key in sorted(value)))
    if isinstance(value, list | tuple):
        return _tagged("list", *(_hash(item) for item in value))
    if hasattr(value, "__array__"):
        return _hash_array(np.asarray(value))
    raise TypeError(f"{type(value).__name__} can't be fingerprinted; give numbers, text, bytes, arrays, or lists and mappings of these")


def _number(value: int | float | np.integer | np.floating) -> str:
    if isinstance(value, int | np.integer):
        return str(int(value))
    number = float(value)
    return str(int(number)) if number.is_integer() else number.hex()


def _hash_array(array: NDArray[np.generic]) -> bytes:
    if array.dtype.hasobject:
        raise TypeError(f"an array of objects can't be fingerprinted, got dtype {array.dtype}; give numbers or text of fixed length")
    form = f"{np.lib.format.dtype_to_descr(array.dtype)!r} {array.shape}".encode()
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.nbytes else b""
    return _tagged("array", hashlib.sha256(form).digest(), content)


def _tagged(tag: str, *parts: bytes | bytearray | memoryview) -> bytes:
    digest = hashlib.sha256(tag.encode() + b"\0")
    for part in parts:
        digest.update(part)
    return digest.digest()
