"""The store of shadow models: a folder that survives a crash at any moment and never mixes two experiments.

- `manifest.json` holds one SHA-256 per part of the experiment (data, labels, design, hyperparameters, seeds, ...), no value. Opening
  the folder with another experiment is refused; nothing is reused silently, nothing is deleted.
- `group-00017.npz` is written whole or not at all: temporary name in the same folder, fsync of the file, rename, fsync of the folder
  (Pillai et al., All File Systems Are Not Created Equal, OSDI 2014). It carries a checksum and the digest of its experiment.
- A file whose checksum differs is renamed `*.corrupt`, and its group counts as not trained.
- There is no lock: a group's result depends only on the experiment, so two writers of one group write the same bytes.

Files are readable by their owner only: signals and membership bits are about the records. Cost: two fsync per group.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from attacks.shadow.group import ShadowGroup
from attacks.shadow.group_file import DamagedFile, seal, unseal
from attacks.shadow.manifest import differences, digest_of, fingerprints_of, manifest_bytes, parts_of
from mechanisms.errors import StoreMismatch
from mechanisms.json_ready import JsonValue
from mechanisms.validation import whole_number

STALE_SECONDS = 3600.0  # a temporary file this old belongs to a writer that was killed: writing one takes seconds
_MANIFEST = "manifest.json"
_PREFIX, _PARTIAL, _CORRUPT = "group-", ".part", ".corrupt"

logger = logging.getLogger(__name__)


class MemoryStore:
    """A store for one run: the same methods as `ShadowStore`, nothing on disk, gone with the process."""

    def __init__(self) -> None:
        self._groups: dict[int, ShadowGroup] = {}

    def groups(self) -> tuple[int, ...]:
        """Return the numbers of the groups that are stored."""
        return tuple(sorted(self._groups))

    def read(self, group: int) -> ShadowGroup | None:
        """Return a group, or None where it isn't stored."""
        return self._groups.get(group)

    def write(self, group: int, record: ShadowGroup) -> None:
        """Keep a group."""
        self._groups[whole_number(0, group=group)] = record


class ShadowStore:
    """A folder of trained shadow models, for one experiment.

    Parameters
    ----------
    path : the folder; made (readable by its owner only) where it doesn't exist.
    experiment : everything the scores depend on, by name: fingerprints of data in order, labels, design, initial weights, model source;
        hyperparameters; seeds; library versions (see `fingerprints.py`). A mapping in it counts name by name. What isn't named here
        can't be told apart.

    Raises
    ------
    ValueError : an empty experiment.
    StoreMismatch : the folder belongs to another experiment; the message names the parts that differ.

    Guarantee
    ---------
    Nothing here protects the records: a store is as sensitive as the training data, and its files have mode 0600. The manifest holds
    hashes only.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ShadowStore(folder, experiment={"seed": 1, "training": {"learning_rate": 0.1, "steps": 100}})
    ...     ShadowStore(folder, experiment={"seed": 1, "training": {"learning_rate": 0.2, "steps": 100}})
    Traceback (most recent call last):
    ...
    mechanisms.errors.StoreMismatch: the store holds another experiment; what differs: training.learning_rate; give another folder, or ...
    """

    def __init__(self, path: str | os.PathLike[str], *, experiment: Mapping[str, JsonValue]) -> None:
        self.path = Path(path).absolute()
        self._parts = fingerprints_of(experiment)
        self._digest = digest_of(self._parts)
        if not self.path.is_dir():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        self._agree_on_manifest()
        self._clear_stale()

    @classmethod
    def memory(cls) -> MemoryStore:
        """Return a store without a folder, for a run that needn't survive a crash."""
        return MemoryStore()

    def __repr__(self) -> str:
        return f"ShadowStore(n_parts={len(self._parts)}, n_groups={len(self.groups())})"

    def groups(self) -> tuple[int, ...]:
        """Return the numbers of the groups that have a file, whole or not; `read` tells."""
        names = (path.stem.removeprefix(_PREFIX) for path in self.path.glob(f"{_PREFIX}*.npz"))
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def read(self, group: int) -> ShadowGroup | None:
        """Return a group, or None where it isn't stored; a damaged file is set aside as `*.corrupt` and counts as not stored.

        Raises
        ------
        StoreMismatch : the file is whole, but of another experiment or of another group.
        """
        path = self._group_path(group)
        try:
            record, stored_group, experiment = unseal(path.read_bytes())
        except FileNotFoundError:
            return None
        except DamagedFile:
            self._set_aside(path)
            return None
        if experiment != self._digest:
            raise StoreMismatch(f"{path.name} belongs to another experiment than its manifest; move it away or give another folder")
        if stored_group != group:
            raise StoreMismatch(f"{path.name} holds group {stored_group}: it was renamed; give it its own name back")
        return record

    def write(self, group: int, record: ShadowGroup) -> None:
        """Store a group; once this returns, it survives a crash."""
        path = self._group_path(group)
        self._put(path, seal(record, group=group, experiment=self._digest))

    def check_reachable(self) -> None:
        """Raise where this process doesn't see the folder of this experiment, as a worker on another machine may not.

        Raises
        ------
        FileNotFoundError : no such store here.
        StoreMismatch : another experiment lies here under the same path.
        """
        stored = self._read_manifest()
        if stored is None:
            raise FileNotFoundError(f"no store at {self.path} on this machine; workers need a folder that every machine shares")
        self._compare(stored)

    def _group_path(self, group: int) -> Path:
        return self.path / f"{_PREFIX}{whole_number(0, group=group):05d}.npz"

    def _agree_on_manifest(self) -> None:
        """Write the manifest if there is none; otherwise it must be ours. The first of two writers wins."""
        stored = self._read_manifest()
        if stored is None:
            path = self.path / _MANIFEST
            if path.exists():
                self._set_aside(path)
            self._put(path, manifest_bytes(self._parts), replace=False)
            stored = self._read_manifest()
        self._compare(stored or {})

    def _read_manifest(self) -> dict[str, str] | None:
        """Return the parts of the manifest; None where it is missing or damaged (its groups know their experiment themselves)."""
        try:
            return parts_of((self.path / _MANIFEST).read_bytes())
        except (FileNotFoundError, ValueError):
            return None

    def _compare(self, stored: Mapping[str, str]) -> None:
        differing = differences(stored, self._parts)
        if differing:
            raise StoreMismatch(
                f"the store holds another experiment; what differs: {', '.join(differing)}; "
                "give another folder, or the settings that this one was made with"
            )

    def _put(self, path: Path, data: bytes, *, replace: bool = True) -> None:
        """Make a file appear whole or not at all; without `replace` a file that is there stays."""
        partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}{_PARTIAL}")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                os.replace(partial, path)
            else:
                _link(partial, path)
            _sync_folder(self.path)
        finally:
            partial.unlink(missing_ok=True)

    def _set_aside(self, path: Path) -> None:
        """Rename a damaged file; if another writer replaced it by a good one in this very moment, put that back."""
        aside = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_CORRUPT}")
        try:
            os.replace(path, aside)
        except FileNotFoundError:  # another reader was faster
            return
        if _is_whole(aside):
            os.replace(aside, path)
            return
        logger.warning("%s is damaged; set aside as %s", path.name, aside.name)

    def _clear_stale(self) -> None:
        """Remove what killed writers left: hidden names of our own pattern, and only old ones, so a writer at work isn't touched."""
        for partial in self.path.glob(f".*{_PARTIAL}"):
            if not partial.name.startswith((f".{_PREFIX}", f".{_MANIFEST}")):
                continue
            try:
                if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                    partial.unlink()
            except FileNotFoundError:  # its writer, or another reader, was faster
                continue


def _link(partial: Path, path: Path) -> None:
    """Give the file its name unless the name is taken."""
    try:
        os.link(partial, path)
    except FileExistsError:
        return
    except OSError:  # no hard links here: of two first writers the later wins, and each group still knows its experiment
        os.replace(partial, path)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder can't be opened; the rename is as durable as the file system makes it
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_whole(path: Path) -> bool:
    try:
        data = path.read_bytes()
        if path.name.startswith(_PREFIX):
            unseal(data)
        else:
            parts_of(data)
    except (FileNotFoundError, ValueError):
        return False
    return True
