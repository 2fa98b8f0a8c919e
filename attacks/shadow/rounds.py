"""The rounds of a run: submit tasks, collect what is done, try failed groups again, and keep the books.

A dead executor raises when it is given work, or fails what it has; either way a group ends in the books with the type of the exception.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from attacks.shadow.executors import Executor, Pending
from attacks.shadow.store import MemoryStore, ShadowStore
from attacks.shadow.time_left import in_words, seconds_left
from attacks.shadow.worker import Outcome, ShadowTask, train_group

POLL_SECONDS = 0.2
Progress = Callable[[int, int, str], None]

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Ledger:
    """What became of each group so far."""

    n_groups: int
    n_reused: int
    progress: Progress | None
    seconds: dict[int, float] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)
    lost: set[int] = field(default_factory=set)
    place: str = ""
    started: float = field(default_factory=time.perf_counter)

    def book(self, outcome: Outcome, n_workers: int | None) -> None:
        """Note a group that is settled."""
        if outcome.status == "trained":
            self.seconds[outcome.group] = outcome.seconds
        elif outcome.status == "reused":
            self.n_reused += 1
        else:
            self.failed[outcome.group] = outcome.error
            if not outcome.place:  # no worker raised it: the executor lost the group
                self.lost.add(outcome.group)
            self.place = self.place or outcome.place
        self.tell(n_workers)

    def tell(self, n_workers: int | None) -> None:
        """Tell the progress how far the run is and how long the rest takes."""
        if self.progress is not None:
            done = self.n_reused + len(self.seconds) + len(self.failed)
            elapsed = time.perf_counter() - self.started
            left = seconds_left(list(self.seconds.values()), self.n_groups - done, elapsed=elapsed, n_workers=n_workers)
            self.progress(done, self.n_groups, "shadow models" if done == self.n_groups else f"shadow models, {in_words(left)}")


@dataclass(slots=True)
class Rounds:
    """Submits tasks, collects futures as they are done, and tries failed groups again."""

    store: ShadowStore | MemoryStore
    executor: Executor
    retries: int
    ledger: Ledger
    pending: dict[Pending[Outcome], ShadowTask] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)

    def run(self, tasks: Sequence[ShadowTask]) -> None:
        """Settle every task: trained, found in the store, or given up."""
        self.ledger.tell(self.executor.n_workers)
        try:
            for task in tasks:
                self._submit(task)
                self._collect()
            while self.pending:
                _wait(list(self.pending))
                self._collect()
        finally:
            for future in self.pending:  # only after an interrupt
                future.cancel()

    def _submit(self, task: ShadowTask) -> None:
        on_disk = self.store if isinstance(self.store, ShadowStore) else None
        self.tries[task.group] = self.tries.get(task.group, 0) + 1
        try:
            self.pending[self.executor.submit(train_group, task.group, task.work, on_disk)] = task
        except Exception as error:  # a dead executor: whatever is tried, it takes no more work
            logger.warning("group %d was not taken by the executor: %s", task.group, type(error).__name__)
            self._book(Outcome(group=task.group, status="failed", error=type(error).__name__))

    def _collect(self) -> None:
        for future in [future for future in self.pending if future.done()]:
            task = self.pending.pop(future)
            outcome = _outcome(task.group, future)
            if outcome.record is not None:
                self.store.write(task.group, outcome.record)
            if outcome.status == "failed":
                tried = self.tries[task.group]
                logger.warning("group %d failed, try %d of %d: %s %s", task.group, tried, self.retries + 1, outcome.error, outcome.place)
                if tried <= self.retries:
                    self._submit(task)
                    continue
            self._book(outcome)

    def _book(self, outcome: Outcome) -> None:
        self.ledger.book(outcome, self.executor.n_workers)


def _wait(futures: Sequence[Pending[Outcome]]) -> None:
    """Wait until a future is done, or a moment where its kind can't tell."""
    standard = [future for future in futures if isinstance(future, Future)]
    if len(standard) == len(futures):
        wait(standard, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
    else:
        time.sleep(POLL_SECONDS)


def _outcome(group: int, future: Pending[Outcome]) -> Outcome:
    """Return what the worker said, or that the executor lost it."""
    try:
        error = future.exception()
        if error is None:
            return future.result()
    except Exception as raised:  # a cancelled future raises here
        error = raised
    return Outcome(group=group, status="failed", error=type(error).__name__)
