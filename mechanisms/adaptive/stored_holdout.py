"""A reusable holdout whose budget lives in a file: it survives crashes, and processes may take turns at it.

`StoredHoldout` keeps the file open and obeys the rules of `mechanisms.continual.stored_release`: an answer is on disk before it is
returned; a query that is on disk, asked again by its number, gets the same answer, and with other means it is refused; a second live copy
is refused.

`SharedHoldout` opens the file for one query at a time. Processes wait for their turn at a lock of their own, `PATH.turn`, which the kernel
drops when its holder ends. It holds no noise and no count, so it may be copied, pickled and sent to workers.

The file is as secret as the holdout: it has true means' hashes and the noise of the threshold. It knows its records by a hash.

Cost: three fsync a query, a few ms; `SharedHoldout` twice that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict, Unpack

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.adaptive.holdout_noise import Law
from mechanisms.adaptive.holdout_question import HoldoutAnswer, HoldoutQuestion
from mechanisms.adaptive.holdout_records import Bounds, GivenRecords, HoldoutQuery, HoldoutRecords
from mechanisms.adaptive.holdout_scores import Estimator, PerRecordScore, score_query
from mechanisms.adaptive.reusable_holdout import ReusableHoldout
from mechanisms.continual.durable_file import DurableFile
from mechanisms.continual.stored_release import StoredRelease, opened
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.noise.source import NoiseSource

_OWNER_ONLY = 0o600


class StoredHoldout(StoredRelease[HoldoutQuestion, HoldoutAnswer]):
    """A `ReusableHoldout` whose budget lives in a file; made by `open_reusable_holdout`, a context manager.

    Attributes
    ----------
    reusable : the holdout in memory; its parameters and predicted errors. It is asked here, never there.
    """

    def __init__(self, file: DurableFile, reusable: ReusableHoldout) -> None:
        self.reusable = reusable
        super().__init__(file, reusable)

    @property
    def train(self) -> HoldoutRecords:
        """The train records."""
        return self.reusable.train

    @property
    def holdout(self) -> HoldoutRecords:
        """The holdout records."""
        return self.reusable.holdout

    @property
    def remaining_(self) -> int:
        """Firings that are left."""
        return self.reusable.remaining_

    @property
    def epsilon_(self) -> float:
        """Nats spent so far, by all processes."""
        return self.reusable.epsilon_

    @property
    def ledger(self) -> EpsilonLedger:
        """What was spent, by query."""
        return self.reusable.ledger

    def answer(self, query: HoldoutQuery, *, bounds: Bounds = (0.0, 1.0), clip: bool = False, step: int | None = None) -> HoldoutAnswer:
        """Answer one query, see `ReusableHoldout.answer`; `step` is its number from 1, so that after a crash it is not asked twice.

        Raises
        ------
        StateError : a stored step with other means, or whose answer is no longer kept; a step too far ahead; a second live copy.
        BudgetExhaustedError, ValueError, TypeError : as `ReusableHoldout.answer`; nothing changes then, in memory or on disk.
        """
        return self.update(self.reusable.question(query, bounds=bounds, clip=clip), step=step)

    def score(
        self,
        estimator: Estimator,
        scoring: str | PerRecordScore = "accuracy",
        *,
        bounds: Bounds = (0.0, 1.0),
        clip: bool = False,
        step: int | None = None,
    ) -> HoldoutAnswer:
        """Answer with the score of a fitted estimator, see `ReusableHoldout.score`."""
        return self.answer(score_query(estimator, scoring), bounds=bounds, clip=clip, step=step)


class HoldoutOptions(TypedDict, total=False):
    """Parameters of `ReusableHoldout` but its records and noise."""

    threshold: float
    sigma: float
    budget: int | None
    epsilon: float | None
    law: Law
    privacy_unit: str


def open_reusable_holdout(
    path: str | os.PathLike[str],
    train: GivenRecords | HoldoutRecords,
    holdout: GivenRecords | HoldoutRecords,
    *,
    noise: NoiseSource | None = None,
    **options: Unpack[HoldoutOptions],
) -> StoredHoldout:
    """Open a holdout with its budget in a file: a new one where there is no file, else the stored one.

    Parameters
    ----------
    path : the state file, made with mode 0600 in a folder that exists.
    train, holdout, noise, options : as `ReusableHoldout`; they must be those that the file was made with.

    Raises
    ------
    StateError : open in another live copy; of other parameters or records, damaged, or missing though its lock file says that it was used.
    ValueError, TypeError : a parameter out of its range.

    Guarantee
    ---------
    That of `ReusableHoldout` for all answers of all processes that open the file.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> train, fresh = np.zeros(5000), np.ones(5000)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with open_reusable_holdout(f"{folder}/holdout.state", train, fresh, budget=25) as holdout:
    ...         first = holdout.answer(lambda records: records)
    ...     with open_reusable_holdout(f"{folder}/holdout.state", train, fresh, budget=25) as holdout:
    ...         holdout.answer(lambda records: records, step=1) == first, holdout.remaining_
    (True, 24)
    """
    reusable = ReusableHoldout(train, holdout, noise=noise, **options)
    return opened(path, lambda file: StoredHoldout(file, reusable))


class SharedHoldout:
    """A holdout that processes ask in turn; each call opens the file, asks, and closes it. Noise comes from the operating system.

    Parameters
    ----------
    path : the state file, in a folder that exists.
    train, holdout, options : as `ReusableHoldout`; they must be those that the file was made with.

    Raises
    ------
    ValueError, TypeError : a parameter out of its range.

    Notes
    -----
    Other processes wait while a query is computed. A `StoredHoldout` that is open on the same file is a second live copy: StateError.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     shared = SharedHoldout(f"{folder}/holdout.state", np.zeros(5000), np.ones(5000), budget=25)
    ...     fired = shared.answer(lambda records: records).fired
    ...     fired, shared.remaining_
    (True, 24)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        train: GivenRecords | HoldoutRecords,
        holdout: GivenRecords | HoldoutRecords,
        **options: Unpack[HoldoutOptions],
    ) -> None:
        checked = ReusableHoldout(train, holdout, **options)
        self.path, self.train, self.holdout, self._options = Path(path).absolute(), checked.train, checked.holdout, options

    @property
    def remaining_(self) -> int:
        """Firings that are left, after all processes' queries so far."""
        with self._turn() as stored:
            return stored.remaining_

    @property
    def epsilon_(self) -> float:
        """Nats spent so far, by all processes."""
        with self._turn() as stored:
            return stored.epsilon_

    @property
    def ledger(self) -> EpsilonLedger:
        """What was spent, by query."""
        with self._turn() as stored:
            return stored.ledger

    @property
    def guarantee(self) -> PrivacyGuarantee:
        """What holds for all answers to all processes together."""
        with self._turn() as stored:
            return stored.guarantee

    def answer(self, query: HoldoutQuery, *, bounds: Bounds = (0.0, 1.0), clip: bool = False) -> HoldoutAnswer:
        """Answer one query, see `ReusableHoldout.answer`."""
        with self._turn() as stored:
            return stored.answer(query, bounds=bounds, clip=clip)

    def score(
        self, estimator: Estimator, scoring: str | PerRecordScore = "accuracy", *, bounds: Bounds = (0.0, 1.0), clip: bool = False
    ) -> HoldoutAnswer:
        """Answer with the score of a fitted estimator, see `ReusableHoldout.score`."""
        return self.answer(score_query(estimator, scoring), bounds=bounds, clip=clip)

    def __repr__(self) -> str:
        return f"SharedHoldout({self.path.name}, {self.holdout.n:,} records)"

    @contextmanager
    def _turn(self) -> Iterator[StoredHoldout]:
        handle = os.open(self.path.with_name(self.path.name + ".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with open_reusable_holdout(self.path, self.train, self.holdout, **self._options) as stored:
                yield stored
        finally:
            os.close(handle)
