"""Any continual release in a file: no answer without its state on disk, no noise twice, no second live copy.

Order of a step: check the input, compute, write the state (`durable_file`), only then return the answer. So a crash leaves one of two
things: the step is not on disk, then it has not been answered either and is done anew; or it is, then asking for it by its number with the
same input returns the stored answer. The same step with another input is refused: answering it would use one noise for two inputs.

Inputs are compared by a keyed hash, whose key is part of the state. The file is secret: it holds true values and the noise. Restoring an
old copy of the file (a backup) makes a release reuse noise; nothing here can notice that when the lock file is restored with it.

With a secure source a step that was not answered gets fresh noise; with a seeded one it gets the same again. Cost: a step writes the whole
state once, a few ms for three fsync; `update_many` writes once for all its steps.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from types import TracebackType
from typing import Generic, NoReturn, Self, TypeVar

import numpy as np

from mechanisms.continual.continual_release import ContinualRelease, Rows, Steps
from mechanisms.continual.durable_file import DurableFile
from mechanisms.continual.state_arrays import SecretState, pack_array, unpack_array
from mechanisms.errors import StateError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.validation import whole_number

SCHEMA_VERSION = 1
_STATE_NAMES = {"continual counter": "counter"}  # where a kind's state stands in the record; "release" for all others
_KEPT_STEPS = 64
_KEY_BYTES = 32

Input = TypeVar("Input")
Answer = TypeVar("Answer")
Stored = TypeVar("Stored")


class StoredRelease(Generic[Input, Answer]):
    """A continual release whose state lives in a file; made by `open_release`, a context manager.

    Attributes
    ----------
    release : what is stored; its parameters, predicted errors and guarantee. Steps are taken here, never there.
    """

    def __init__(self, file: DurableFile, release: ContinualRelease[Input, Answer]) -> None:
        if release.n_seen_:
            raise StateError(f"only a fresh release is opened, this one is at step {release.n_seen_:,} outside of any file")
        self._file, self.release = file, release
        self._digests: list[str] = []  # of the last steps, the newest one last
        self._rows: Rows = np.zeros((0, 0), dtype=np.int64)
        self._n_stored = 0
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._usable = True
        self._lock = Lock()
        self._open()

    @property
    def n_seen_(self) -> int:
        """Steps that are on disk."""
        return self._n_stored

    @property
    def epoch(self) -> int:
        """How often the file has been opened."""
        return self._file.epoch

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together, those before a crash included."""
        return self.release.guarantee

    def update(self, x: Input, *, step: int | None = None) -> Answer:
        """Take one step, or return the answer to a step that is on disk.

        Parameters
        ----------
        x : the input.
        step : its number from 1; None is the next one. After a crash give it, so that a step that was stored is not taken twice.

        Raises
        ------
        StateError : a stored step with another input, or one whose answer is no longer kept; a step too far ahead; a second live copy.
        BudgetExhaustedError, ValueError, TypeError : as the release's own `update`; nothing changes then, in memory or on disk.
        """
        checked = self.release.checked(x)
        with self._lock:
            return self.release.shown(self._row(checked, step))

    def update_many(self, inputs: Iterable[Input]) -> list[Answer]:
        """Take many steps and write once; they are all on disk before any is returned."""
        steps = [self.release.checked(x) for x in inputs]
        return [self.release.shown(row) for row in self._taken(np.array(steps, dtype=np.int64))]

    def close(self) -> None:
        """Let others open the file; nothing is written."""
        self._usable = False
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._file.path.name}, {self.release.kind}, step {self.n_seen_:,}, epoch {self.epoch})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stored release can't be copied or pickled; open its file")

    def _row(self, step: Steps, number: int | None) -> Rows:
        self._require_usable()
        wanted = self.n_seen_ + 1 if number is None else whole_number(1, step=number)
        if wanted <= self.n_seen_:
            return self._stored(wanted, step)
        if wanted > self.n_seen_ + 1:
            raise StateError(f"step {wanted:,} can't be taken, the next one is {self.n_seen_ + 1:,}")
        return np.asarray(self._take(step[None])[0])

    def _taken(self, steps: Steps) -> Rows:
        with self._lock:
            self._require_usable()
            return self._take(steps) if len(steps) else steps

    def _take(self, steps: Steps) -> Rows:
        self._file.require_sole()
        self.release.require_steps(len(steps))
        self._usable = False  # until everything is on disk
        rows = self.release.advance(steps)
        n_kept = max(_KEPT_STEPS, len(steps))
        first = self.n_seen_ + 1
        self._digests = [*self._digests, *(self._digest(first + i, step) for i, step in enumerate(steps))][-n_kept:]
        self._rows = np.concatenate([self._rows, rows])[-n_kept:] if len(self._rows) else rows[-n_kept:]
        self._write(self.epoch)
        self._n_stored += len(steps)
        self._usable = True
        return rows

    def _require_usable(self) -> None:
        if not self._usable:
            raise StateError("this copy was closed, or its last write failed; open the file again")
        if self.release.n_seen_ != self._n_stored:
            raise StateError("the release was used past its file, so its answers are not all on disk; open the file again")

    def _stored(self, number: int, step: Steps) -> Rows:
        place = number - 1 - (self.n_seen_ - len(self._digests))
        if place < 0:
            raise StateError(f"the release of step {number:,} is no longer kept, only those of the last {len(self._digests):,} steps are")
        if not hmac.compare_digest(self._digests[place], self._digest(number, step)):
            raise StateError(f"step {number:,} was released for another input; a release is never made twice")
        return np.asarray(self._rows[place])

    def _digest(self, number: int, step: Steps) -> str:
        text = number.to_bytes(8, "little") + np.ascontiguousarray(step, dtype="<i8").tobytes()
        return hashlib.blake2b(text, key=self._key, digest_size=16).hexdigest()

    def _open(self) -> None:
        data, epoch = self._file.read(), self._file.epoch
        if data is None and epoch:
            raise StateError(
                f"{self._file.path.name} is missing but was in use; to start anew, and pay the budget again, remove its lock file"
            )
        if data is not None:
            epoch = max(epoch, self._load(data))
            self._file.begin_epoch(epoch + 1)
        self._write(epoch + 1)
        if data is None:  # last: a lock file with an epoch means that there is a state
            self._file.begin_epoch(1)

    def _load(self, data: bytes) -> int:
        name = self._file.path.name
        record = _parsed(data)
        state = record.get(_state_name(self.release.kind))
        if record.get("kind") != self.release.kind or record.get("schema_version") != SCHEMA_VERSION or not isinstance(state, Mapping):
            raise StateError(f"{name} holds no state of a {self.release.kind}")
        self.release.load_state_dict(state)
        try:
            digests, rows = record["digests"], unpack_array(record["releases"])
            self._key = bytes.fromhex(str(record["key"]))
            if not isinstance(digests, list) or rows.ndim != 2 or len(rows) != len(digests):
                raise ValueError
            self._digests = [str(digest) for digest in digests]
            self._rows = rows.astype(np.int64) if rows.dtype.kind == "i" else rows.astype(np.float64)
            self._n_stored = self.release.n_seen_
            return whole_number(1, epoch=record["epoch"])
        except (KeyError, TypeError, ValueError):
            raise StateError(f"{name} is damaged") from None

    def _write(self, epoch: int) -> None:
        record = SecretState(
            kind=self.release.kind,
            schema_version=SCHEMA_VERSION,
            secret="holds true values and the noise: keep it as secret as the data",
            epoch=epoch,
            key=self._key.hex(),
            digests=list(self._digests),
            releases=pack_array(self._rows),
        )
        record[_state_name(self.release.kind)] = self.release.state_dict()
        self._file.write(json.dumps(record, allow_nan=False).encode())


def open_release(path: str | os.PathLike[str], release: ContinualRelease[Input, Answer]) -> StoredRelease[Input, Answer]:
    """Open a crash-safe release: a new one where there is no file, else the stored one.

    Parameters
    ----------
    path : the state file, made with mode 0600 in a folder that exists.
    release : a fresh `MaxSum`, `SumSelect`, `HistogramCounter`, `SlidingWindowCounter`, `DistinctCounter`, `ContinualCounter` (the same
        files as `open_counter`) or another `ContinualRelease`, with the parameters that the file was made with. It becomes the file's:
        ask it for bounds, but take steps through what is returned.

    Raises
    ------
    StateError : open in another live copy; of other parameters, damaged, or missing though its lock file says that it was used; a release
        that has released something already.

    Guarantee
    ---------
    That of the release, for all answers of all processes that open the file one after the other: what a step draws is on disk before its
    answer is returned, and a step that is on disk is never drawn again.

    Examples
    --------
    >>> import tempfile
    >>> from mechanisms.continual.max_sum import MaxSum
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_release(f"{folder}/largest.state", MaxSum(365, 3, rho=0.5)) as largest:
    ...         first = largest.update([1, 0, 1])
    ...     with open_release(f"{folder}/largest.state", MaxSum(365, 3, rho=0.5)) as largest:
    ...         largest.update([1, 0, 1], step=1) == first, largest.n_seen_
    (True, 1)
    """
    return opened(path, lambda file: StoredRelease(file, release))


def opened(path: str | os.PathLike[str], make: Callable[[DurableFile], Stored]) -> Stored:
    """Return what `make` makes of a locked file; the lock is dropped if that fails."""
    file = DurableFile(path)
    try:
        return make(file)
    except BaseException:
        file.close()
        raise


def _parsed(data: bytes) -> Mapping[str, object]:
    try:
        record = json.loads(data)
    except ValueError:
        record = None
    return record if isinstance(record, Mapping) else {}


def _state_name(kind: str) -> str:
    return _STATE_NAMES.get(kind, "release")
