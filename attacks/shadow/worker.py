"""A task, and what a worker does with it: train the group with one thread, store it, and say how it went.

An `Outcome` is all that travels back: no signal, no message of an exception (it may quote a record), only the exception's type and the
line that raised it.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from attacks.shadow.group import ShadowGroup
from attacks.shadow.one_thread import one_thread
from attacks.shadow.store import ShadowStore
from mechanisms.validation import whole_number

Work = Callable[[], ShadowGroup]


@dataclass(frozen=True, slots=True, eq=False)
class ShadowTask:
    """One group of shadow models to train.

    Parameters
    ----------
    group : its number, which names its file.
    work : trains the group: a function at the top of a module, or a `functools.partial` of one, as it may be pickled to reach a worker. It
        takes nothing and depends on nothing but the experiment that the store names. Large data is better loaded inside than bound.
    model_id : the models it trains; a stored group with other models is refused. None doesn't check.
    """

    group: int
    work: Work
    model_id: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        whole_number(0, group=self.group)
        if not callable(self.work):
            raise TypeError(f"work must be callable, got {type(self.work).__name__}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one try at a group went.

    Parameters
    ----------
    group : its number.
    status : "trained"; "reused" where another run had stored it meanwhile; "failed".
    seconds : time of the training.
    error : type of the exception of a failed try.
    place : file and line that raised it.
    record : the group itself, only where the store is in the caller's memory.
    """

    group: int
    status: Literal["trained", "reused", "failed"]
    seconds: float = 0.0
    error: str = ""
    place: str = ""
    record: ShadowGroup | None = None


def train_group(group: int, work: Work, store: ShadowStore | None) -> Outcome:
    """Train a group and store it; without a store the record travels back in the outcome."""
    started = time.perf_counter()
    try:
        if store is not None:
            store.check_reachable()  # before hours of training, not after
            if store.read(group) is not None:
                return Outcome(group=group, status="reused")
        with one_thread():
            record = work()
        if not isinstance(record, ShadowGroup):
            raise TypeError(f"work must return a ShadowGroup, got {type(record).__name__}")
        if store is not None:
            store.write(group, record)
    except Exception as error:
        return Outcome(group=group, status="failed", error=type(error).__name__, place=_place(error))
    seconds = time.perf_counter() - started
    return Outcome(group=group, status="trained", seconds=seconds, record=record if store is None else None)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
