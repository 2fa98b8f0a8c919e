"""A continual counter that survives crashes: no release without its state on disk, no noise twice, no second live copy.

Order of a step: check the input, compute, write the state (`durable_file`), only then return the release. So a crash leaves one of two
things: the step is not on disk, then it has not been released either and is done anew; or it is, then asking for it by its number with the
same input returns the stored release. The same step with another input is refused: answering it would use one noise for two inputs.

Inputs are compared by a keyed hash, whose key is part of the state. The file is secret: it holds the true sum and the noise. Restoring an
old copy of the file (a backup) makes a counter reuse noise; nothing here can notice that when the lock file is restored with it.

With a secure source a step that was not released gets fresh noise; with a seeded one it gets the same again. Cost: a step writes the whole
state once, a few ms for three fsync; `release_many` writes once for all its steps.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from threading import Lock
from types import TracebackType
from typing import NoReturn, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.continual.counter import ContinualCounter, Release, Releases
from mechanisms.continual.counter_options import CounterOptions
from mechanisms.continual.durable_file import DurableFile
from mechanisms.continual.state_arrays import SecretState, pack_array, unpack_array
from mechanisms.errors import StateError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource
from mechanisms.validation import whole_number

SCHEMA_VERSION = 1
_KIND = "continual counter"
_KEPT_STEPS = 64
_KEY_BYTES = 32


class StoredCounter:
    """A `ContinualCounter` whose state lives in a file; made by `open_counter`, a context manager.

    Attributes
    ----------
    counter : the counter in memory; its parameters, predicted errors and guarantee.
    epoch : how often the file has been opened.
    """

    def __init__(self, file: DurableFile, counter: ContinualCounter) -> None:
        self._file, self.counter = file, counter
        self._digests: list[str] = []  # of the last steps, the newest one last
        self._multiples = np.zeros((0, counter.design_.domain.dim), dtype=np.int64)
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._usable = True
        self._lock = Lock()
        self._open()

    @property
    def n_seen_(self) -> int:
        """Steps that are on disk."""
        return self.counter.n_seen_

    @property
    def epoch(self) -> int:
        """How often the file has been opened."""
        return self._file.epoch

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all releases together, those before a crash included."""
        return self.counter.guarantee

    def update(self, x: ArrayLike, *, step: int | None = None) -> Release:
        """Take one step, or return the release of a step that is on disk.

        Parameters
        ----------
        x : the input.
        step : its number from 1; None is the next one. After a crash give it, so that a step that was stored is not taken twice.

        Raises
        ------
        StateError : a stored step with another input, or one whose release is no longer kept; a step too far ahead; a second live copy.
        BudgetExhaustedError, ValueError, TypeError : as `ContinualCounter.update`; nothing changes then, in memory or on disk.
        """
        with self._lock:
            return self._shown(self._answer(self.counter.design_.domain.step(x), step))[0]

    def release_many(self, X: ArrayLike) -> Releases:
        """Take many steps and write once; they are all on disk before any is returned."""
        with self._lock:
            self._require_usable()
            units = self.counter.design_.domain.steps(X)
            releases = self.counter.in_values(self._take(units) if len(units) else units)
            return releases[:, 0] if self.counter.design_.domain.dim == 1 else releases

    def variance(self, t: ArrayLike) -> float | NDArray[np.float64]:
        """Return the variance of releases, see `ContinualCounter.variance`."""
        return self.counter.variance(t)

    def error_bound(self, beta: float, simultaneous: bool = True, *, n_steps: int | None = None) -> float:
        """Return what errors stay below, see `ContinualCounter.error_bound`."""
        return self.counter.error_bound(beta, simultaneous, n_steps=n_steps)

    def close(self) -> None:
        """Let others open the file; nothing is written."""
        self._usable = False
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"StoredCounter({self._file.path.name}, step {self.n_seen_:,}, epoch {self.epoch})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stored counter can't be copied or pickled; open its file")

    def _answer(self, units: NDArray[np.int64], step: int | None) -> NDArray[np.int64]:
        self._require_usable()
        wanted = self.n_seen_ + 1 if step is None else whole_number(1, step=step)
        if wanted <= self.n_seen_:
            return self._stored(wanted, units)[None]
        if wanted > self.n_seen_ + 1:
            raise StateError(f"step {wanted:,} can't be taken, the next one is {self.n_seen_ + 1:,}")
        return self._take(units)

    def _take(self, units: NDArray[np.int64]) -> NDArray[np.int64]:
        self._file.require_sole()
        first = self.n_seen_ + 1
        self.counter.require_steps(len(units))
        self._usable = False  # until everything is on disk
        multiples = self.counter.advance(units)
        n_kept = max(_KEPT_STEPS, len(units))
        self._digests = [*self._digests, *(self._digest(first + i, row) for i, row in enumerate(units))][-n_kept:]
        self._multiples = np.concatenate([self._multiples, multiples])[-n_kept:]
        self._write(self.epoch)
        self._usable = True
        return multiples

    def _require_usable(self) -> None:
        if not self._usable:
            raise StateError("this copy was closed, or its last write failed; open the file again")

    def _stored(self, step: int, units: NDArray[np.int64]) -> NDArray[np.int64]:
        place = step - 1 - (self.n_seen_ - len(self._digests))
        if place < 0:
            raise StateError(f"the release of step {step:,} is no longer kept, only those of the last {len(self._digests):,} steps are")
        if not hmac.compare_digest(self._digests[place], self._digest(step, units[0])):
            raise StateError(f"step {step:,} was released for another input; a release is never made twice")
        return np.asarray(self._multiples[place])

    def _digest(self, step: int, row: NDArray[np.int64]) -> str:
        text = step.to_bytes(8, "little") + np.ascontiguousarray(row, dtype="<i8").tobytes()
        return hashlib.blake2b(text, key=self._key, digest_size=16).hexdigest()

    def _shown(self, multiples: NDArray[np.int64]) -> list[Release]:
        values = self.counter.in_values(multiples)
        return list(values[:, 0].tolist() if self.counter.design_.domain.dim == 1 else values)

    def _open(self) -> None:
        data, epoch = self._file.read(), self._file.epoch
        if data is None and epoch:
            raise StateError(
                f"{self._file.path.name} is missing but was in use; to start anew, and pay the budget again, remove its lock file"
            )
        if data is not None:
            epoch = max(epoch, self._load(_parsed(data, self._file.path.name)))
            self._file.begin_epoch(epoch + 1)
        self._write(epoch + 1)
        if data is None:  # last: a lock file with an epoch means that there is a state
            self._file.begin_epoch(1)

    def _load(self, record: Mapping[str, object]) -> int:
        state = record.get("counter")
        if record.get("kind") != _KIND or record.get("schema_version") != SCHEMA_VERSION or not isinstance(state, Mapping):
            raise StateError(f"{self._file.path.name} holds no state of a counter")
        self.counter.load_state_dict(state)
        try:
            digests = record["digests"]
            self._key = bytes.fromhex(str(record["key"]))
            self._multiples = unpack_array(record["releases"]).astype(np.int64)
            if not isinstance(digests, list) or self._multiples.shape != (len(digests), self.counter.design_.domain.dim):
                raise ValueError
            self._digests = [str(digest) for digest in digests]
            return whole_number(1, epoch=record["epoch"])
        except (KeyError, TypeError, ValueError):
            raise StateError(f"{self._file.path.name} is damaged") from None

    def _write(self, epoch: int) -> None:
        record = SecretState(
            kind=_KIND,
            schema_version=SCHEMA_VERSION,
            secret="holds the true sum and the noise: keep it as secret as the data",
            epoch=epoch,
            key=self._key.hex(),
            digests=list(self._digests),
            releases=pack_array(self._multiples),
            counter=self.counter.state_dict(),
        )
        self._file.write(json.dumps(record, allow_nan=False).encode())


def open_counter(
    path: str | os.PathLike[str], horizon: int | None, *, noise: NoiseSource | None = None, **options: Unpack[CounterOptions]
) -> StoredCounter:
    """Open a crash-safe counter: a new one where there is no file, else the stored one.

    Parameters
    ----------
    path : the state file, made with mode 0600 in a folder that exists.
    horizon, noise, options : as `ContinualCounter`; they must be those that the file was made with.

    Raises
    ------
    StateError : open in another live copy; of other parameters, damaged, or missing though its lock file says that it was used.
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    That of `ContinualCounter` for all releases of all processes that open the file one after the other.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_counter(f"{folder}/visits.json", 365, rho=0.5) as counter:
    ...         first = counter.update(1)
    ...     with open_counter(f"{folder}/visits.json", 365, rho=0.5) as counter:
    ...         counter.update(1, step=1) == first, counter.n_seen_
    (True, 1)
    """
    counter = ContinualCounter(horizon, noise=noise, **options)
    file = DurableFile(path)
    try:
        return StoredCounter(file, counter)
    except BaseException:
        file.close()
        raise


def _parsed(data: bytes, name: str) -> Mapping[str, object]:
    try:
        record = json.loads(data)
    except ValueError:
        record = None
    if not isinstance(record, Mapping):
        raise StateError(f"{name} holds no state of a counter")
    return record
