"""One thread while a group is trained, so that its bits don't depend on where it is trained.

The order in which a sum is taken decides its last bits, and numerical libraries cut their sums by the number of threads. A process
that trains in the foreground of an idle machine and a worker that shares it must agree bit for bit, so every group is trained with
one thread; the parallelism comes from many groups at once. Machines with other instruction sets (AVX2, AVX-512) may still differ in the
last bits: name the machine in the experiment where that matters.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from threadpoolctl import threadpool_limits

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read once, when a library is loaded
_inside = ExitStack()  # how to give the process its threads back
_n_inside = 0
_lock = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold BLAS, OpenMP and torch to one thread; the last block that ends gives the process its threads back.

    Notes
    -----
    A library that is first loaded inside the block finds one thread in the environment and keeps it.
    """
    global _n_inside
    with _lock:
        _n_inside += 1
        if _n_inside == 1:
            _inside.enter_context(threadpool_limits(limits=1))
            _limit_environment(_inside)
            _limit_torch(_inside)
    try:
        _torch_threads(1)  # OpenMP keeps a number for each thread that calls it
        yield
    finally:
        with _lock:
            _n_inside -= 1
            if _n_inside == 0:
                _inside.close()


def _limit_environment(stack: ExitStack) -> None:
    for name in _VARIABLES:
        stack.callback(_restore(name, os.environ.get(name)))
        os.environ[name] = "1"


def _restore(name: str, value: str | None) -> Callable[[], None]:
    def restore() -> None:
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

    return restore


def _limit_torch(stack: ExitStack) -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        stack.callback(_torch_threads, torch.get_num_threads())


def _torch_threads(number: int) -> None:
    """Set torch's number of threads where torch is loaded; importing it takes seconds and a group may not need it."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != number:
        torch.set_num_threads(number)
