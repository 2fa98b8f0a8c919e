"""Worker processes that die one by one: a killed worker costs its own group one try, and no other group anything.

`concurrent.futures.ProcessPoolExecutor` gives up everything that is queued when one of its processes dies, as one does that the
kernel kills for its memory. Here each worker has a pipe of its own, and a thread of the caller waits for it; a dead worker is
replaced. Processes are spawned, not forked: a fork of a process with threads may hang. A worker ends at once when its parent does,
however that died.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from types import TracebackType
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")
_Request = tuple[Callable[..., object], tuple[object, ...], dict[str, object]]
_Answer = tuple[object, Exception | None]


class ProcessExecutor:
    """An executor of spawned processes, closed by `with`.

    Parameters
    ----------
    n_workers : how many processes; each starts when it is first needed.
    """

    def __init__(self, n_workers: int) -> None:
        self.n_workers: int | None = n_workers
        self._threads = ThreadPoolExecutor(n_workers, thread_name_prefix="shadow-worker")
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._workers = [_Worker() for _ in range(n_workers)]
        for worker in self._workers:
            self._idle.put(worker)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a call; it fails with BrokenProcessPool where its worker dies."""
        return self._threads.submit(self._call, function, args, kwargs)

    def __enter__(self) -> ProcessExecutor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.close()
        self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.end()

    def _call(self, function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
        worker = self._idle.get()
        try:
            answer: T = worker.call((function, args, kwargs))  # type: ignore[assignment]
            return answer
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and its pipe; starts when called, again after a death, never after `close`."""

    def __init__(self) -> None:
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection[_Request, _Answer] | None = None
        self._closed = False
        self._lock = threading.Lock()

    def call(self, request: _Request) -> object:
        """Send a call and wait for its answer, or for the process's death."""
        process, connection = self._started()
        try:
            connection.send(request)
            wait([connection, process.sentinel])
            answer, error = connection.recv()  # what a dying worker had sent is still in the pipe
        except (EOFError, OSError):
            self.end()
            raise BrokenProcessPool("a worker process died") from None
        if error is not None:
            raise error
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing; the store takes care of half-written files."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def end(self) -> None:
        """End the process and wait until it is gone."""
        with self._lock:
            if self._process is not None and self._connection is not None:
                self._process.kill()
                self._process.join()
                self._process.close()
                self._connection.close()
            self._process = self._connection = None

    def _started(self) -> tuple[multiprocessing.process.BaseProcess, Connection[_Request, _Answer]]:
        with self._lock:
            if self._closed:
                raise BrokenProcessPool("the executor is closed")
            if self._process is None or self._connection is None:
                context = multiprocessing.get_context("spawn")
                self._connection, theirs = context.Pipe()
                self._process = context.Process(target=_serve, args=(theirs,))
                self._process.start()
                theirs.close()
            return self._process, self._connection


def _serve(connection: Connection[_Answer, _Request]) -> None:
    """Answer calls until the pipe closes; runs in the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt from the keyboard is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        try:
            function, args, kwargs = connection.recv()
        except EOFError:
            return
        except (AttributeError, ImportError) as error:  # a function that this process can't find
            connection.send((None, error))
            continue
        try:
            answer: _Answer = (function(*args, **kwargs), None)
        except Exception as error:
            answer = (None, error)
        connection.send(answer)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
