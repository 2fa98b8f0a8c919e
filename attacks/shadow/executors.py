"""Executors: where groups of shadow models are trained, chosen by one word.

    in_process              one group after the other, in this process
    processes, processes:N  N processes of this machine
    dask, dask://HOST:PORT  a Dask cluster of this machine, or one that runs
    ray, ray://HOST:PORT    Ray on this machine, or a cluster that runs (through Ray's client)
    submitit:FOLDER         one SLURM job per group; FOLDER, seen by all nodes, takes its job files
    submitit-local:FOLDER   the same on this machine, without SLURM

Whoever needs more than one word (a partition, a time limit, an address with TLS) makes the executor and passes it: anything with
`submit(function, *arguments)` that returns a future will do. Engines carry the work to the workers in their own way, pickle included;
nothing of that is kept in the store.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import ParamSpec, Protocol, TypeVar

from attacks.shadow.processes import ProcessExecutor
from mechanisms.errors import MissingLibraryError
from mechanisms.validation import whole_number

ALLOWED = (
    "in_process, processes, processes:N, dask, dask://HOST:PORT, ray, ray://HOST:PORT, submitit:FOLDER (SLURM) or submitit-local:FOLDER"
)
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")


class Pending(Protocol[T_co]):
    """What is asked of a future; those of `concurrent.futures` and of submitit comply."""

    def done(self) -> bool:
        """Whether it is settled: finished, failed, cancelled or lost."""

    def exception(self) -> BaseException | None:
        """Return the exception, or None where there is a result."""

    def result(self) -> T_co:
        """Return the result."""

    def cancel(self) -> object:
        """Give the work up if that is still possible."""


class Executor(Protocol):
    """What is asked of an executor."""

    @property
    def n_workers(self) -> int | None:
        """How much is done at once; None where that isn't known."""

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pending[T]:
        """Take work and return at once."""


class InProcessExecutor:
    """Does the work when it is submitted."""

    n_workers: int | None = 1

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Do the work and return a settled future; an interrupt is raised here."""
        future: Future[T] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Foreign:
    """An executor of the caller's, which says nothing of its size."""

    n_workers: int | None = None

    def __init__(self, submit: Callable[..., Pending[object]]) -> None:
        self.submit = submit


def as_executor(executor: object | None) -> Executor:
    """Return what the caller passed as an `Executor`; None is this process.

    Raises
    ------
    TypeError : the object has no method `submit`.
    """
    if executor is None:
        return InProcessExecutor()
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must have a method submit(function, *arguments), got {type(executor).__name__}; see open_executor")
    library = type(executor).__module__.partition(".")[0]
    if library == "distributed":
        from attacks.shadow.dask_executor import DaskExecutor

        return DaskExecutor(executor)
    if hasattr(executor, "n_workers"):
        return executor  # type: ignore[return-value]
    return _Foreign(executor.submit)  # type: ignore[attr-defined, return-value]


@contextmanager
def open_executor(spec: str, *, workers: int | None = None) -> Iterator[Executor]:
    """Open the executor that a word names, and close it with everything it started.

    Parameters
    ----------
    spec : one of the words at the top of this file.
    workers : how many groups at once on this machine, and at most how many SLURM jobs; None is one per processor, and 256 jobs.

    Raises
    ------
    ValueError : another word; the message lists those that are allowed.
    MissingLibraryError : the library behind the word isn't installed.

    Examples
    --------
    >>> with open_executor("in_process") as executor:
    ...     executor.submit(sum, [1, 2]).result()
    3
    >>> with open_executor("threads") as executor:
    ...     pass
    Traceback (most recent call last):
    ...
    ValueError: executor must be in_process, processes, processes:N, dask, ..., got 'threads'
    """
    if workers is not None:
        workers = whole_number(1, workers=workers)
    with _chosen(spec, workers) as executor:
        yield executor


def n_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _chosen(spec: str, workers: int | None) -> AbstractContextManager[Executor]:
    if not isinstance(spec, str):
        raise TypeError(f"executor must be text, got {type(spec).__name__}; allowed are {ALLOWED}")
    name, colon, rest = spec.partition(":")
    local = workers or n_processors()
    if spec == "in_process":
        return _in_process()
    if spec == "processes" or (name == "processes" and rest.isdecimal() and int(rest) > 0):
        return ProcessExecutor(int(rest) if rest else local)
    if spec == "dask" or (name == "dask" and _is_address(rest)):
        return _engine("dask", "distributed")(f"tcp:{rest}" if rest else None, local)
    if spec == "ray" or (name == "ray" and _is_address(rest)):
        return _engine("ray", "ray")(spec if rest else None, local)
    if name in ("submitit", "submitit-local") and colon and rest:
        on_slurm = name == "submitit"
        return _engine("slurm", "submitit")(rest, "slurm" if on_slurm else "local", workers if on_slurm else local)
    raise ValueError(f"executor must be {ALLOWED}, got {spec!r}")


@contextmanager
def _in_process() -> Iterator[Executor]:
    yield InProcessExecutor()


def _is_address(rest: str) -> bool:
    host, _, port = rest.removeprefix("//").rpartition(":")
    return rest.startswith("//") and bool(host) and port.isdecimal()


def _engine(extra: str, library: str) -> Callable[..., AbstractContextManager[Executor]]:
    """Return `opened` of the engine's own file."""
    if find_spec(library) is None:
        raise MissingLibraryError(f'this executor needs the library {library!r}; install it with: pip install "privacy-audit[{extra}]"')
    module = "submitit" if extra == "slurm" else extra
    opened: Callable[..., AbstractContextManager[Executor]] = import_module(f"attacks.shadow.{module}_executor").opened
    return opened
