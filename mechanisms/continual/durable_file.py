"""A small file that is replaced whole or not at all, readable by its owner only, with a lock that keeps a second writer out.

Write order: temporary file in the same folder, fsync of the file, rename, fsync of the folder. A crash at any point leaves the former file
or the new one, never a mixture, and once `write` returns the new one survives a loss of power.

The lock is an flock on a file beside it, which the kernel drops when its process ends. The lock file holds an epoch, raised at every
opening: a writer whose epoch has passed, whose lock file is gone or who is a forked child is refused even where locks don't work (network
folders).

References
----------
Pillai et al., All File Systems Are Not Created Equal, OSDI 2014 (what a rename needs in order to be durable).
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from mechanisms.errors import StateError

_OWNER_ONLY = 0o600
_EPOCH_BYTES = 20


class DurableFile:
    """One locked file.

    Parameters
    ----------
    path : the file; beside it `path.lock` and, for a moment, `path.tmp` are made.

    Raises
    ------
    StateError : another live copy holds the lock.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._lock_path = self.path.with_name(self.path.name + ".lock")
        self._handle: int | None = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        self._process = os.getpid()
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.epoch = self._epoch_on_disk()
        except BlockingIOError:
            self.close()
            raise StateError(f"{self.path.name} is open in another live copy; close that one first") from None
        except BaseException:
            self.close()
            raise

    def read(self) -> bytes | None:
        """Return the content, None where there is no file."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with open(handle, "rb") as file:
            return file.read()

    def write(self, data: bytes) -> None:
        """Replace the content; it is durable when this returns."""
        self.require_sole()
        partial = self.path.with_name(self.path.name + ".tmp")
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            os.fchmod(handle, _OWNER_ONLY)
            _write_all(handle, data)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(partial, self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def begin_epoch(self, epoch: int) -> None:
        """Write the epoch into the lock file; earlier writers are refused from now on."""
        handle = self._live_handle()
        os.pwrite(handle, f"{epoch:0{_EPOCH_BYTES}d}".encode(), 0)
        os.fsync(handle)
        self.epoch = epoch

    def require_sole(self) -> None:
        """Check that no one else may write.

        Raises
        ------
        StateError : closed, a forked child, the lock file gone or another epoch in it.
        """
        handle = self._live_handle()
        if os.getpid() != self._process:
            raise StateError(f"{self.path.name} was opened by another process; a forked child must not go on with it")
        try:
            same = os.path.samestat(os.stat(self._lock_path), os.fstat(handle))
        except FileNotFoundError:
            same = False
        if not same or self._epoch_on_disk() != self.epoch:
            raise StateError(f"{self.path.name} has been opened by another live copy since; this one must not go on")

    def close(self) -> None:
        """Drop the lock; closing twice does nothing."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)

    def _epoch_on_disk(self) -> int:
        text = os.pread(self._live_handle(), _EPOCH_BYTES, 0)
        return int(text) if text.isdigit() else 0

    def _live_handle(self) -> int:
        if self._handle is None:
            raise StateError(f"{self.path.name} has been closed; open it again")
        return self._handle


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
