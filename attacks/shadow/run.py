"""Train shadow models in groups, anywhere, and gather one matrix of signals; what is finished is never trained again.

    tasks -> executor -> workers, which write into the store -> ShadowRun

Symbols: K models in all, N records, Q queries of each record. The matrix doesn't depend on the executor, on the number of workers, or
on how often the run was killed: a group's bits depend only on its own work, trained with one thread, and rows are sorted by model.
Cost: one training per group that the store lacks; 4 K N Q bytes for the matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attacks.shadow.executors import as_executor
from attacks.shadow.group import ShadowGroup
from attacks.shadow.rounds import Ledger, Progress, Rounds
from attacks.shadow.store import MemoryStore, ShadowStore
from attacks.shadow.worker import ShadowTask as ShadowTask
from mechanisms.errors import ShadowRunFailed, StoreMismatch
from mechanisms.validation import whole_number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShadowRun:
    """Signals and membership of all shadow models that exist, and what became of each group.

    Parameters
    ----------
    model_id : (K,) in increasing order.
    member : (K, N) bool: which records trained each model.
    signals : (K, N, Q) float32.
    failed : (group, type of the exception) of each group that is missing, in order.
    lost : those of the failed groups that the executor lost: no worker said what went wrong.
    n_trained, n_reused : groups trained now, groups taken from the store.
    seconds : (group, seconds of training) of each group trained now, in order.
    """

    model_id: NDArray[np.int64]
    member: NDArray[np.bool_]
    signals: NDArray[np.float32]
    failed: tuple[tuple[int, str], ...]
    lost: tuple[int, ...]
    n_trained: int
    n_reused: int
    seconds: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        for array in (self.model_id, self.member, self.signals):
            array.flags.writeable = False

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, ({name: getattr(self, name) for name in self.__slots__},)

    def __repr__(self) -> str:
        return (
            f"ShadowRun(n_models={len(self.model_id)}, n_records={self.member.shape[1]}, n_trained={self.n_trained}, "
            f"n_reused={self.n_reused}, n_failed={len(self.failed)})"
        )


def run_shadow(
    tasks: Iterable[ShadowTask],
    store: ShadowStore | MemoryStore | None = None,
    executor: object | None = None,
    *,
    retries: int = 2,
    progress: Progress | None = None,
) -> ShadowRun:
    """Train every group that the store lacks, and return the signals of all groups that exist.

    Parameters
    ----------
    tasks : the groups, each number once.
    store : where the groups are kept; None keeps them in memory, for this run only.
    executor : anything with `submit(function, *arguments)` that returns a future: of `concurrent.futures`, `open_executor`, a Dask
        client, a submitit executor, loky, ...; None trains in this process, one group after the other.
    retries : how often a failed group is tried again.
    progress : called as (groups done, groups in all, label) with the time left in the label.

    Returns
    -------
    The signals with one row per model. A group that failed, or that a dead executor lost, is listed in `.failed`; everything that was
    finished is kept, so that the same call goes on from there.

    Raises
    ------
    ShadowRunFailed : not one group exists.
    StoreMismatch : the store holds groups of other models than the tasks name.
    ValueError : no task, a group number twice, a model in two groups, or groups that don't agree on records and queries.

    Guarantee
    ---------
    None: signals of records, and membership, are returned and stored in the clear, for the auditor only. Logs and errors name groups,
    exception types and lines of code, no value.

    Notes
    -----
    Every group is trained with one thread (`one_thread.py`). With a store on disk, workers write there themselves and send back only
    how it went, so they must see its folder. Executors that start Python processes import the caller's main module: a script keeps its
    call under `if __name__ == "__main__":`.

    Examples
    --------
    >>> from functools import partial
    >>> def train(model):
    ...     member = half_split_design(4, 3, rng=0)[[model]]
    ...     return ShadowGroup(model_id=[model], member=member, signals=member * 1.5)
    >>> from attacks.shadow.designs import half_split_design
    >>> run = run_shadow([ShadowTask(model, partial(train, model)) for model in range(4)])
    >>> run, run.signals.shape
    (ShadowRun(n_models=4, n_records=3, n_trained=4, n_reused=0, n_failed=0), (4, 3, 1))
    """
    listed = _listed(tasks)
    retries = whole_number(0, retries=retries)
    home = MemoryStore() if store is None else store
    stored = _stored(listed, home)
    ledger = Ledger(n_groups=len(listed), n_reused=len(stored), progress=progress)
    missing = [task for task in listed if task.group not in stored]
    Rounds(home, as_executor(executor), retries, ledger).run(missing)
    found = _stored(missing, home)  # also what a worker stored before its executor lost it
    failed = {task.group: ledger.failed.get(task.group, "FileNotFoundError") for task in missing if task.group not in found}
    if not stored and not found:
        raise ShadowRunFailed(_complaint(failed, ledger.place))
    return _gather(stored | found, ledger, failed)


def _rebuild(values: dict[str, object]) -> ShadowRun:
    return ShadowRun(**values)  # type: ignore[arg-type]


def _listed(tasks: Iterable[ShadowTask]) -> list[ShadowTask]:
    listed = list(tasks)
    if not listed:
        raise ValueError("tasks must hold at least one group")
    n_repeated = len(listed) - len({task.group for task in listed})
    if n_repeated:
        raise ValueError(f"tasks must name each group once, got {n_repeated} repeated")
    return listed


def _stored(tasks: Iterable[ShadowTask], store: ShadowStore | MemoryStore) -> dict[int, ShadowGroup]:
    """Return the groups that the store has."""
    found: dict[int, ShadowGroup] = {}
    for task in tasks:
        record = store.read(task.group)
        if record is None:
            continue
        if task.model_id is not None and record.model_id.tolist() != list(task.model_id):
            raise StoreMismatch(f"stored group {task.group} holds other models than its task; name the size of a group in the experiment")
        found[task.group] = record
    return found


def _complaint(failed: Mapping[int, str], place: str) -> str:
    kinds = list(failed.values())
    counted = ", ".join(f"{kinds.count(kind)} x {kind}" for kind in sorted(set(kinds)))
    where = f" (first at {place})" if place else ""
    return f"none of {len(failed)} groups of shadow models could be trained: {counted}{where}; call the work of one task to see why"


def _gather(stored: Mapping[int, ShadowGroup], ledger: Ledger, failed: Mapping[int, str]) -> ShadowRun:
    groups = [stored[group] for group in sorted(stored)]
    shapes = {group.signals.shape[1:] for group in groups}
    if len(shapes) > 1:
        raise ValueError(f"groups must agree on (records, queries), got {sorted(shapes)}")
    model_id = np.concatenate([group.model_id for group in groups])
    n_repeated = len(model_id) - len(np.unique(model_id))
    if n_repeated:
        raise ValueError(f"each model must be in one group, got {n_repeated} repeated; name the size of a group in the experiment")
    order = np.argsort(model_id)
    return ShadowRun(
        model_id=model_id[order],
        member=np.concatenate([group.member for group in groups])[order],
        signals=np.concatenate([group.signals for group in groups])[order],
        failed=tuple(sorted(failed.items())),
        lost=tuple(sorted(ledger.lost & failed.keys())),
        n_trained=len(stored) - ledger.n_reused,
        n_reused=ledger.n_reused,
        seconds=tuple(sorted(ledger.seconds.items())),
    )
