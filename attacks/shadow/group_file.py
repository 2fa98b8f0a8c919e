"""The bytes of a group file: an ordinary .npz without pickle, sealed by a checksum over every byte.

The SHA-256 of all bytes before it stands, as 64 hexadecimal digits, at the end of the zip comment, which is the end of the file. So
`numpy.load(file, allow_pickle=False)` still reads it, a cut or a flipped bit anywhere is seen, and no second file can get lost.
Inside: model_id, shape, member (packed bits), signals (float32), optionally seed and weights/NAME; group and experiment say where
the file belongs. Cost: one pass over the bytes to write, one to read.
"""

from __future__ import annotations

import hashlib
import zipfile
from io import BytesIO
from zlib import error as ZlibError  # noqa: N812

import numpy as np
from numpy.typing import NDArray

from attacks.shadow.group import ShadowGroup

_MARK = b"sha256:"
_DIGITS = 64
_WEIGHTS = "weights/"


class DamagedFile(ValueError):  # noqa: N818
    """The bytes are no whole group file."""


def seal(record: ShadowGroup, *, group: int, experiment: str) -> bytes:
    """Return the bytes of a group file.

    Parameters
    ----------
    record : what the group's training left.
    group, experiment : where it belongs: the number of the group and the digest of the experiment.
    """
    buffer = BytesIO()
    arrays: dict[str, NDArray[np.generic]] = {
        "group": np.array(group),
        "experiment": np.array(experiment),
        "model_id": record.model_id,
        "shape": np.array(record.member.shape),
        "member": np.packbits(record.member),
        "signals": record.signals,
    }
    if record.seed is not None:
        arrays["seed"] = record.seed
    arrays |= {_WEIGHTS + name: array for name, array in record.weights.items()}
    np.savez(buffer, allow_pickle=False, **arrays)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = _MARK + b"0" * _DIGITS
    body = buffer.getvalue()[:-_DIGITS]
    return body + _digest(body)


def unseal(data: bytes) -> tuple[ShadowGroup, int, str]:
    """Return (record, group, experiment) of a group file's bytes.

    Raises
    ------
    DamagedFile : the checksum differs, or the content is no group.
    """
    body, digest = data[:-_DIGITS], data[-_DIGITS:]
    if not body.endswith(_MARK) or digest != _digest(body):
        raise DamagedFile("the checksum differs")
    try:
        with np.load(BytesIO(data), allow_pickle=False) as arrays:
            return _record(arrays), int(arrays["group"]), str(arrays["experiment"])
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, ZlibError) as error:
        raise DamagedFile(f"the content is no group: {type(error).__name__}") from None


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode("ascii")


def _record(arrays: np.lib.npyio.NpzFile) -> ShadowGroup:
    n_models, n_records = (int(n) for n in arrays["shape"])
    member = np.unpackbits(arrays["member"], count=n_models * n_records).reshape(n_models, n_records)
    return ShadowGroup(
        model_id=arrays["model_id"],
        member=member,
        signals=arrays["signals"],
        seed=arrays.get("seed"),
        weights={name.removeprefix(_WEIGHTS): arrays[name] for name in arrays.files if name.startswith(_WEIGHTS)},
    )
