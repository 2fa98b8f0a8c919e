"""SLURM as an executor, through submitit: one job per group, or the same jobs as processes of this machine.

submitit keeps the pickled call of each job in its folder, bound data included, and its answer: the folder is as sensitive as the data.
One thread waits for each job, so that no more than `n_workers` are in the queue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import submitit

MAX_JOBS = 256
MINUTES = 12 * 60  # of a job; submitit's own default of 5 minutes would end most trainings
POLL_SECONDS = {"local": 0.1, "slurm": 2.0}
T = TypeVar("T")
P = ParamSpec("P")


class SubmititExecutor:
    """A submitit executor that returns ordinary futures.

    Parameters
    ----------
    executor : makes the jobs.
    n_workers : jobs at once.
    poll_seconds : how often each job is looked at.
    """

    def __init__(self, executor: submitit.Executor, n_workers: int, poll_seconds: float) -> None:
        self._executor = executor
        self.n_workers: int | None = n_workers
        self._poll_seconds = poll_seconds
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="shadow-job")
        self._closed = threading.Event()
        self._lock = threading.Lock()  # submitit is not made for threads

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a job."""
        return self._threads.submit(self._call, function, args, kwargs)

    def close(self) -> None:
        """Cancel what is still queued or running."""
        self._closed.set()
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _call(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        with self._lock:
            job = self._executor.submit(function, *args, **kwargs)
        while True:
            with self._lock:
                done = job.done()
            if done:
                result: T = job.result()
                return result
            if self._closed.wait(self._poll_seconds):
                job.cancel(check=False)
                raise CancelledError


@contextmanager
def opened(folder: str, cluster: str, workers: int | None) -> Iterator[SubmititExecutor]:
    """Open an executor whose job files go to the folder.

    Raises
    ------
    ValueError : there is no SLURM on this machine.
    """
    path = Path(folder)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        jobs = submitit.AutoExecutor(folder=path, cluster=cluster)
    except RuntimeError:
        raise ValueError("executor 'submitit:FOLDER' needs SLURM's srun on this machine; 'submitit-local:FOLDER' does without") from None
    jobs.update_parameters(timeout_min=MINUTES, cpus_per_task=1, name="shadow-models")
    executor = SubmititExecutor(jobs, workers or MAX_JOBS, POLL_SECONDS[cluster])
    try:
        yield executor
    finally:
        executor.close()
