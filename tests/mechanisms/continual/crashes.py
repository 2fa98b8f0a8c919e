"""Crashes at system calls: a process that is gone at any of them, and comes back to its file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mechanisms.continual.stored_release import StoredRelease

CALLS = ["open", "write", "fsync", "fchmod", "replace", "close", "pwrite", "pread", "stat", "fstat", "urandom"]
Open = Callable[[Path], StoredRelease]


class Crash(BaseException):
    """The process is gone: no handler of ours may catch it."""


@contextmanager
def crashing(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Iterator[list[int]]:
    """Let the at-th system call of the file crash, before it takes effect or right after; yields the number of calls."""
    count = [0]

    def wrap(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            count[0] += 1
            if count[0] != at:
                return real(*args, **kwargs)
            if after:
                real(*args, **kwargs)
            raise Crash

        return call

    with monkeypatch.context() as patched:
        for name in CALLS:
            patched.setattr(os, name, wrap(getattr(os, name) if name != "fsync" else skipped))
        yield count


def run_with_crashes(
    path: Path, open_file: Open, inputs: Sequence[object], monkeypatch: pytest.MonkeyPatch, crash_points: Iterator[tuple[int, bool]]
) -> list[object]:
    """Release all steps; after every crash open the file anew and go on by step numbers. Returns what was returned to the caller."""
    released: list[object] = []
    while len(released) < len(inputs):
        at, after = next(crash_points)
        stored = None
        handles = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
        try:
            with crashing(monkeypatch, at, after=after):
                stored = open_file(path)
                while len(released) < len(inputs):
                    released.append(plain(stored.update(inputs[len(released)], step=len(released) + 1)))
        except Crash:
            pass
        if stored is not None:
            stored.close()
        for handle in set(os.listdir("/proc/self/fd")) - handles if handles else ():  # what the kernel does when a process ends
            with_closed(int(handle))
    return released


def crash_at_every_call(folder: Path, open_file: Open, inputs: Sequence[object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Crash once at each call of a run, before and after it takes effect; the run must be as undisturbed. Returns the number of calls."""
    expected = undisturbed(folder / "undisturbed", open_file, inputs)
    with crashing(monkeypatch, -1, after=False) as count:
        undisturbed(folder / "count", open_file, inputs)
    for at in range(1, count[0] + 1):
        for after in (False, True):
            points = iter([(at, after), *[(-1, False)] * 3])
            assert run_with_crashes(folder / f"{at}-{after}", open_file, inputs, monkeypatch, points) == expected, (at, after)
    return count[0]


def random_crashes(
    folder: Path, open_file: Open, inputs: Sequence[object], monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, n_crashes: int
) -> None:
    """Crash at random calls, many times in a row, and compare every run with the undisturbed one."""
    expected = undisturbed(folder / "undisturbed", open_file, inputs)
    seen, run = 0, 0

    def points() -> Iterator[tuple[int, bool]]:
        nonlocal seen
        while True:
            seen += 1
            yield int(rng.integers(1, 60)), bool(rng.integers(2))

    while seen < n_crashes:
        run += 1
        assert run_with_crashes(folder / f"run-{run}", open_file, inputs, monkeypatch, points()) == expected


def undisturbed(path: Path, open_file: Open, inputs: Sequence[object]) -> list[object]:
    with open_file(path) as stored:
        return [plain(stored.update(x)) for x in inputs]


def plain(answer: object) -> object:
    """Return an answer as numbers and lists, which can be compared."""
    return np.asarray(answer).tolist()


def skipped(handle: int) -> None:
    """An fsync that takes no time: a process that ends loses nothing it has written, only a loss of power would."""


def with_closed(handle: int) -> None:
    try:
        os.close(handle)
    except OSError:
        return
