"""Ray as an executor: on this machine, or a cluster through Ray's client.

A local Ray runs without dashboard and without usage reports. It opens ports on the address of this machine, so, as Ray itself says,
it belongs into a network that is trusted. A Ray that this process is connected to already is used and left running.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from importlib.util import find_spec
from typing import ParamSpec, TypeVar

from mechanisms.errors import MissingLibraryError

OBJECT_STORE_BYTES = 128 * 2**20  # only outcomes travel through it
_SILENT = {"RAY_USAGE_STATS_ENABLED": "0"}
T = TypeVar("T")
P = ParamSpec("P")


class RayExecutor:
    """The Ray that this process is connected to, as an executor; a lost call isn't retried by Ray but by `run_shadow`."""

    def __init__(self) -> None:
        import ray

        self._remote = ray.remote(num_cpus=1, max_retries=0)(_call)
        self.n_workers: int | None = int(ray.cluster_resources().get("CPU", 0)) or None

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Send a call to the cluster."""
        future: Future[T] = self._remote.remote(function, args, kwargs).future()
        return future


@contextmanager
def opened(address: str | None, workers: int) -> Iterator[RayExecutor]:
    """Connect to the cluster at the address, or start Ray on this machine; what was started here is shut down at the end.

    Raises
    ------
    MissingLibraryError : an address needs the gRPC library, which plain Ray doesn't bring.
    """
    if address is not None and find_spec("grpc") is None:
        raise MissingLibraryError('a ray:// address needs Ray\'s client; install it with: pip install "ray[client]"')
    with _environment(_SILENT):
        import ray

        if ray.is_initialized():
            yield RayExecutor()
            return
        _connect(address, workers)
        try:
            yield RayExecutor()
        finally:
            ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    import ray
    from ray.job_config import JobConfig

    job = JobConfig(_py_driver_sys_path=[path for path in sys.path if os.path.isdir(path)])  # workers find what this process finds
    if address is None:
        ray.init(
            num_cpus=workers,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=OBJECT_STORE_BYTES,
            job_config=job,
        )
        return
    ray.init(address, log_to_driver=False, configure_logging=False)


def _call(function: Callable[..., T], args: tuple[object, ...], kwargs: dict[str, object]) -> T:
    return function(*args, **kwargs)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
