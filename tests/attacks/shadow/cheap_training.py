"""A cheap, deterministic "training" that any worker can do, and a program of it that may be killed.

    python -m tests.attacks.shadow.cheap_training STORE LOG [--die-at NAME]

Each training adds one line to LOG, so that a test can count them; LOG.ready appears when the store is open. `--die-at` kills the process
by SIGKILL inside a system call of a write.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from attacks.shadow.group import ShadowGroup
from attacks.shadow.run import ShadowRun, ShadowTask, run_shadow
from attacks.shadow.store import ShadowStore

N_RECORDS, N_QUERIES, N_MODELS = 300, 2, 2  # models of each group
N_GROUPS = 24
EXPERIMENT = {"seed": 5, "training": {"learning_rate": 0.1}}


def train(group: int, log: Path | None = None, seconds: float = 0.0, seed: int = 5) -> ShadowGroup:
    """Two models whose signals depend on the group and the seed only."""
    rng = np.random.default_rng([seed, group])
    member = rng.integers(0, 2, size=(N_MODELS, N_RECORDS), dtype=bool)
    data = rng.standard_normal((N_RECORDS, 40))
    signals = (data @ rng.standard_normal((40, N_MODELS * N_QUERIES))).reshape(N_RECORDS, N_MODELS, N_QUERIES).swapaxes(0, 1)
    time.sleep(seconds)
    if log is not None:
        note(log, group)
    return ShadowGroup(model_id=[2 * group, 2 * group + 1], member=member, signals=signals + member[..., None], seed=[seed, seed])


def train_torch(group: int) -> ShadowGroup:
    """A torch training whose sums are long enough that their last bits depend on the number of threads."""
    import torch

    generator = torch.Generator().manual_seed(group)
    data = torch.randn(N_RECORDS, 20_000, generator=generator)
    weights = torch.zeros(20_000, N_MODELS)
    for _ in range(5):
        weights += data.T @ torch.tanh(data.sum() / 1000 - data @ weights) / len(data)  # a whole sum is cut by threads, a row's is not
    member = np.ones((N_MODELS, N_RECORDS), dtype=bool)
    return ShadowGroup(model_id=[2 * group, 2 * group + 1], member=member, signals=(data @ weights).T.numpy())


def train_or_die(group: int, marks: Path, victim: int, log: Path | None = None) -> ShadowGroup:
    """As `train`, but the first worker that has the victim kills itself in the middle of it."""
    if group == victim and first_time(marks / f"died-{group}"):
        os.kill(os.getpid(), signal.SIGKILL)
    return train(group, log, seconds=0.05)


def always_die(group: int, victim: int) -> ShadowGroup:
    """As `train`, but the victim kills every worker that has it."""
    if group == victim:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return train(group)


def fail_first(group: int, marks: Path, times: int) -> ShadowGroup:
    """As `train`, but the first tries fail."""
    if any(first_time(marks / f"failed-{group}-{k}") for k in range(times)):
        raise OverflowError("secret value 12345")
    return train(group)


def first_time(mark: Path) -> bool:
    """Whether nobody, in any process, asked for this mark before."""
    try:
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def note(log: Path, group: int) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{group}\n".encode())  # one short write: lines of two processes never mix
    os.close(handle)


def logged(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def tasks(n_groups: int = N_GROUPS, work: Callable[..., ShadowGroup] = train, **options: object) -> list[ShadowTask]:
    return [ShadowTask(group, partial(work, group, **options)) for group in range(n_groups)]


def same(a: ShadowRun, b: ShadowRun) -> bool:
    """Whether two runs hold the same bits."""
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("model_id", "member", "signals")]
    return all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for x, y in pairs)


def main(store: str, log: str, *options: str) -> None:
    if options:
        die_at(options[1])
    opened = ShadowStore(store, experiment=EXPERIMENT)
    Path(log).with_suffix(".ready").touch()
    run_shadow(tasks(log=Path(log), seconds=0.008), opened)


def die_at(name: str) -> None:
    """Let the 12th call of an `os` function kill the process before it does its work."""
    real, calls = getattr(os, name), iter(range(1, 1000))

    def fatal(*args: object, **kwargs: object) -> object:
        if next(calls) == 12:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(os, name, fatal)


if __name__ == "__main__":
    main(*sys.argv[1:])
