"""Dask as an executor: a cluster of this machine, or the scheduler at an address.

Dask itself gives the group of a worker that died to another worker; one that kills three workers fails with `KilledWorker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from typing import Generic, ParamSpec, TypeVar

from distributed import Client, Future, LocalCluster

SECONDS_TO_CONNECT = 30
SECONDS_TO_FETCH = 60  # of a few bytes; a result that was lost with its worker is computed again
T = TypeVar("T")
P = ParamSpec("P")


class DaskFuture(Generic[T]):
    """A Dask future that is settled as well when its client has lost the scheduler for good."""

    def __init__(self, future: Future) -> None:
        self._future = future

    def done(self) -> bool:
        """Whether it is settled."""
        return bool(self._future.done()) or self._future.client.status in ("closing", "closed")

    def exception(self) -> BaseException | None:
        """Return the exception, or None where there is a result."""
        if not self._future.done():
            return BrokenExecutor("the Dask client is closed")
        error: BaseException | None = self._future.exception(timeout=SECONDS_TO_FETCH)
        return error

    def result(self) -> T:
        """Return the result."""
        result: T = self._future.result(timeout=SECONDS_TO_FETCH)
        return result

    def cancel(self) -> object:
        """Take the work back."""
        return self._future.cancel()


class DaskExecutor:
    """A Dask client as an executor.

    Parameters
    ----------
    client : the caller's client; it isn't closed here.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self.n_workers: int | None = sum(client.nthreads().values()) or None

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> DaskFuture[T]:
        """Send a call to the scheduler.

        Raises
        ------
        BrokenExecutor : the scheduler is gone.
        """
        if self._client.status != "running":
            raise BrokenExecutor(f"the Dask client is {self._client.status}")
        # pure=True would hand back the failed future of the first try
        return DaskFuture(self._client.submit(function, *args, **kwargs, pure=False, retries=0))


@contextmanager
def opened(address: str | None, workers: int) -> Iterator[DaskExecutor]:
    """Open a client: of the scheduler at the address, or of a new cluster of this machine, one thread a worker."""
    if address is not None:
        with Client(address, timeout=SECONDS_TO_CONNECT) as client:
            yield DaskExecutor(client)
        return
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield DaskExecutor(client)
