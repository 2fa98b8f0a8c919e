"""Crash-safe counters: the same releases whatever system call a crash hits, no noise twice, no second live copy."""

from __future__ import annotations

import json
import multiprocessing
import os
import stat
import warnings
from pathlib import Path

import numpy as np
import pytest

from mechanisms.continual import durable_file
from mechanisms.continual.state import StoredCounter, open_counter
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, StateError
from mechanisms.noise.source import NoiseSource, SeededNoise
from tests.mechanisms.continual.crashes import Open, crash_at_every_call, random_crashes

HORIZON = 12
STEPS = [1, 0, 1, 1, 0, 1]


def opened(path: Path, noise: NoiseSource | None = None, **options: object) -> StoredCounter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return open_counter(path, HORIZON, rho=0.5, noise=noise, **options)  # type: ignore[arg-type]


def seeded(mechanism: str) -> Open:
    return lambda path: opened(path, SeededNoise(11), mechanism=mechanism)


def test_crash_at_every_system_call_leaves_the_releases_as_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert crash_at_every_call(tmp_path, seeded("tree"), STEPS[:3], monkeypatch) > 40


def test_many_crashes_in_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, seeded("smooth"), STEPS, monkeypatch, rng, 100)


@pytest.mark.slow
@pytest.mark.parametrize("mechanism", ["tree", "k_ary", "scaled_square_root", "square_root"])
def test_a_thousand_random_crashes(mechanism: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, seeded(mechanism), STEPS, monkeypatch, rng, 1000)


def test_negative_control_a_counter_that_returns_before_writing_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A twin that skips the write releases steps that a crash forgets; with secure noise the second release then differs."""
    path = tmp_path / "state.json"
    counter = opened(path)
    with monkeypatch.context() as patched:
        patched.setattr(durable_file.DurableFile, "write", lambda *_: None)
        first = [counter.update(1, step=t) for t in range(1, 11)]
    counter.close()
    with opened(path) as again:
        assert again.n_seen_ == 0
        assert [again.update(1, step=t) for t in range(1, 11)] != first  # equal with probability below 1e-4


def test_stored_step_is_returned_and_never_made_anew(tmp_path: Path):
    path = tmp_path / "state.json"
    with opened(path) as counter:
        first = [counter.update(x, step=t + 1) for t, x in enumerate(STEPS)]
    with opened(path) as counter:
        before = path.read_bytes()
        assert [counter.update(x, step=t + 1) for t, x in enumerate(STEPS)] == first
        with pytest.raises(StateError, match="step 2 was released for another input"):
            counter.update(1, step=2)
        with pytest.raises(StateError, match="the next one is 7"):
            counter.update(1, step=8)
        assert path.read_bytes() == before
        assert counter.update(1) == counter.update(1, step=7)


def test_old_steps_are_no_longer_kept(tmp_path: Path):
    with opened(tmp_path / "state.json", mechanism="auto") as counter:
        assert counter.release_many([1, 0, 1]).shape == (3,)
    with open_counter(tmp_path / "long.json", 500, rho=0.5) as counter:
        releases = counter.release_many(np.ones(200, int))
        assert counter.update(1, step=1) == releases[0]  # all of a batch
        for _ in range(2):
            counter.update(1)
        with pytest.raises(StateError, match="only those of the last 64"):
            counter.update(1, step=130)
        assert counter.update(1, step=200) == releases[-1]


def test_second_live_copy_fails(tmp_path: Path):
    path = tmp_path / "state.json"
    with opened(path) as first:
        with pytest.raises(StateError, match="another live copy"):
            opened(path)
        first.update(1)
    assert first.epoch == 1
    with opened(path) as second:
        assert second.epoch == 2
        with pytest.raises(StateError, match="closed, or its last write failed"):
            first.update(1)


def test_second_live_copy_fails_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state.json"
    monkeypatch.setattr(durable_file.fcntl, "flock", lambda *_: None)
    first = opened(path)
    second = opened(path)
    before = path.read_bytes()
    with pytest.raises(StateError, match="another live copy since"):
        first.update(1)
    assert path.read_bytes() == before
    second.update(1)
    (tmp_path / "state.json.lock").unlink()
    with pytest.raises(StateError, match="another live copy since"):
        second.update(1)
    first.close()
    second.close()


def use_in_child(counter: StoredCounter, queue: multiprocessing.Queue[str]) -> None:
    try:
        counter.update(1)
    except StateError as error:
        queue.put(str(error))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_child_is_refused(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with opened(tmp_path / "state.json") as counter:
        child = context.Process(target=use_in_child, args=(counter, queue))
        child.start()
        assert "forked child" in queue.get(timeout=60)
        child.join()
        assert counter.n_seen_ == 0


def test_failed_write_stops_this_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "state.json"
    counter = opened(path)
    counter.update(1)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            counter.update(1)
    for step in (None, 1, 2):
        with pytest.raises(StateError, match="its last write failed"):
            counter.update(1, step=step)
    counter.close()
    with opened(path) as again:
        assert again.n_seen_ == 1


def test_files_are_for_their_owner_only(tmp_path: Path):
    old = os.umask(0)
    try:
        with opened(tmp_path / "state.json") as counter:
            counter.update(1)
            assert "state.json" in repr(counter)
    finally:
        os.umask(old)
    assert {file.name for file in tmp_path.iterdir()} == {"state.json", "state.json.lock"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_bad_input_and_an_exhausted_budget_write_nothing(tmp_path: Path):
    path = tmp_path / "state.json"
    with opened(path) as counter:
        counter.release_many(np.ones(HORIZON - 1, int))
        before = path.read_bytes()
        with pytest.raises(ValueError, match="whole numbers"):
            counter.update(0.5)
        with pytest.raises(BudgetExhaustedError):
            counter.release_many([1, 1])
        assert path.read_bytes() == before
        counter.update(1)
        with pytest.raises(BudgetExhaustedError):
            counter.update(1)


def test_other_and_damaged_files_are_refused(tmp_path: Path):
    path = tmp_path / "state.json"
    opened(path).close()
    with pytest.raises(StateError, match="other parameters"):
        opened(path, bound=2.0)
    good = json.loads(path.read_bytes())
    for text in (
        "",
        "[]",
        "{}",
        json.dumps({**good, "counter": {}}),
        json.dumps({**good, "releases": 1}),
        json.dumps({**good, "key": "?"}),
        json.dumps({**good, "epoch": 0}),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(StateError):
            opened(path)
    path.unlink()
    with pytest.raises(StateError, match="is missing but was in use"):
        opened(path)


def test_wide_counter_survives(tmp_path: Path):
    path = tmp_path / "state.json"
    with open_counter(path, 9, rho=0.5, dim=3, whole=False) as counter:
        release = counter.update([0.5, 0.25, -1.0])
    with open_counter(path, 9, rho=0.5, dim=3, whole=False) as counter:
        np.testing.assert_array_equal(counter.update([0.5, 0.25, -1.0], step=1), release)
        assert counter.release_many(np.zeros((2, 3))).shape == (2, 3)
        assert counter.variance(3) == counter.counter.variance(3)
        assert counter.error_bound(0.05) > 0
        assert counter.guarantee.privacy_unit == "step"
