"""Arrays of a counter's state as JSON: type, shape and bytes in base64; no pickle anywhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from mechanisms.json_ready import JsonValue

_TYPES = ("<f8", "<i8")


class SecretState(dict[str, JsonValue]):
    """A JSON-ready state that holds true sums and noise; its repr shows none of it."""

    def __repr__(self) -> str:
        return f"SecretState(n_seen={self.get('n_seen')}, secret)"

    __str__ = __repr__


def pack_array(array: NDArray[np.generic]) -> dict[str, JsonValue]:
    """Return the JSON-ready form of a float64 or int64 array."""
    typed = np.ascontiguousarray(array, dtype="<i8" if array.dtype.kind == "i" else "<f8")
    return {"type": typed.dtype.str, "shape": list(typed.shape), "data": base64.b64encode(typed.tobytes()).decode("ascii")}


def unpack_array(packed: object) -> NDArray[np.generic]:
    """Rebuild an array.

    Raises
    ------
    ValueError : not what `pack_array` wrote.
    """
    try:
        if not isinstance(packed, Mapping) or packed["type"] not in _TYPES:
            raise ValueError
        data = base64.b64decode(packed["data"], validate=True)
        return np.frombuffer(bytearray(data), dtype=packed["type"]).reshape(packed["shape"]).astype(str(packed["type"])[1:])
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise ValueError("state is damaged: it has no array where one belongs") from None


def unpack_arrays(packed: object) -> dict[str, NDArray[np.generic]]:
    """Rebuild named arrays; errors as `unpack_array`."""
    return dict(_unpacked(packed))


def _unpacked(packed: object) -> Iterator[tuple[str, NDArray[np.generic]]]:
    if not isinstance(packed, Mapping):
        raise ValueError("state is damaged: it has no arrays")
    for name, value in packed.items():
        yield str(name), unpack_array(value)
