"""Runs: killed at any moment and resumed they give the same bits; what fails is listed, what is finished is kept and not trained again."""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks import ShadowStore, run_shadow
from attacks.shadow.group import ShadowGroup
from attacks.shadow.one_thread import one_thread
from attacks.shadow.run import ShadowRun, ShadowTask
from attacks.shadow.time_left import in_words, seconds_left
from mechanisms.errors import ShadowRunFailed
from tests.attacks.shadow.cheap_training import (
    EXPERIMENT,
    N_GROUPS,
    always_die,
    fail_first,
    logged,
    same,
    tasks,
    train,
)

ROOT = Path(__file__).resolve().parents[3]
SECONDS_OF_A_RUN = N_GROUPS * 0.012


@pytest.fixture(scope="module")
def whole() -> ShadowRun:
    """The uninterrupted run, in memory."""
    return run_shadow(tasks())


def program(store: Path, log: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.attacks.shadow.cheap_training", str(store), str(log), *options]
    return subprocess.Popen(command, cwd=ROOT)


def stored_now(store: Path) -> set[int]:
    return {int(path.stem.removeprefix("group-")) for path in store.glob("group-*.npz")}


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists() and process.poll() is None:
        time.sleep(0.002)


def kill_and_resume(folder: Path, whole: ShadowRun, n_kills: int, rng: np.random.Generator) -> None:
    """Kill the program at work, at random moments, each time on what the run before left; a finished store is checked and begun anew."""
    store, log = folder / "store", folder / "log"
    n_met = 0
    while n_met < n_kills:
        before, n_logged = stored_now(store), len(logged(log))
        log.with_suffix(".ready").unlink(missing_ok=True)
        process = program(store, log)
        wait_for(log.with_suffix(".ready"), process)
        time.sleep(rng.uniform(0, SECONDS_OF_A_RUN * (1 - len(before) / N_GROUPS)))
        process.kill()
        n_met += process.wait() == -signal.SIGKILL
        assert before <= stored_now(store)
        assert not before & set(logged(log)[n_logged:])  # finished models are not trained again
        if len(stored_now(store)) == N_GROUPS:
            check_finished(store, log, whole)
            for path in [*store.iterdir(), log]:
                path.unlink()
    check_finished(store, log, whole)


def check_finished(store: Path, log: Path, whole: ShadowRun) -> None:
    finished, n_logged = stored_now(store), len(logged(log))
    run = run_shadow(tasks(log=log), ShadowStore(store, experiment=EXPERIMENT))
    assert same(run, whole)
    assert run.n_reused == len(finished)
    assert sorted(logged(log)[n_logged:]) == sorted(set(range(N_GROUPS)) - finished)
    assert not list(store.glob("*.corrupt"))


def test_killed_runs_resume_to_the_same_bits(tmp_path: Path, whole: ShadowRun, rng: np.random.Generator):
    kill_and_resume(tmp_path, whole, 8, rng)


@pytest.mark.slow
def test_fifty_killed_runs_resume_to_the_same_bits(tmp_path: Path, whole: ShadowRun, rng: np.random.Generator):
    kill_and_resume(tmp_path, whole, 50, rng)


@pytest.mark.parametrize("name", ["fsync", "replace", "open"])
def test_killed_inside_a_write(name: str, tmp_path: Path, whole: ShadowRun):
    store, log = tmp_path / "store", tmp_path / "log"
    assert program(store, log, "--die-at", name).wait() == -signal.SIGKILL
    assert 0 < len(stored_now(store)) < N_GROUPS
    check_finished(store, log, whole)


def test_two_programs_share_one_store(tmp_path: Path, whole: ShadowRun):
    store, log = tmp_path / "store", tmp_path / "log"
    both = [program(store, log), program(store, log)]
    assert [process.wait() for process in both] == [0, 0]
    assert set(logged(log)) == set(range(N_GROUPS))
    again = run_shadow(tasks(), ShadowStore(store, experiment=EXPERIMENT))
    assert same(again, whole)
    assert again.n_reused == N_GROUPS
    assert sorted(path.suffix for path in store.iterdir()) == [".json", *[".npz"] * N_GROUPS]


# --- the matrix ---


def test_rows_are_sorted_by_model_whatever_the_order_of_the_tasks(whole: ShadowRun):
    assert same(run_shadow(reversed(tasks())), whole)
    assert whole.model_id.tolist() == list(range(2 * N_GROUPS))
    assert (whole.signals.shape, whole.signals.dtype) == ((2 * N_GROUPS, 300, 2), np.float32)
    assert whole.member[4:6].tobytes() == train(2).member.tobytes()
    assert whole.failed == ()
    assert [group for group, _ in whole.seconds] == list(range(N_GROUPS))


def test_run_is_read_only_also_after_copying(whole: ShadowRun):
    other = pickle.loads(pickle.dumps(whole))
    assert same(other, whole)
    assert not any(array.flags.writeable for array in (other.model_id, other.member, other.signals))
    assert repr(whole) == "ShadowRun(n_models=48, n_records=300, n_trained=24, n_reused=0, n_failed=0)"


def one(model: int, n_records: int = 3) -> ShadowGroup:
    return ShadowGroup(model_id=[model], member=np.ones((1, n_records)), signals=np.ones((1, n_records)))


def test_bad_tasks_are_named():
    with pytest.raises(ValueError, match="at least one group"):
        run_shadow([])
    with pytest.raises(ValueError, match="each group once, got 1 repeated"):
        run_shadow([ShadowTask(0, train), ShadowTask(0, train)])
    with pytest.raises(ValueError, match="each model must be in one group, got 1 repeated"):
        run_shadow([ShadowTask(0, partial(one, 0)), ShadowTask(1, partial(one, 0))])
    with pytest.raises(ValueError, match=r"agree on \(records, queries\), got \[\(3, 1\), \(4, 1\)\]"):
        run_shadow([ShadowTask(0, partial(one, 0)), ShadowTask(1, partial(one, 1, 4))])
    with pytest.raises(ValueError, match="group must be a whole number"):
        ShadowTask(-1, train)
    with pytest.raises(TypeError, match="work must be callable, got int"):
        ShadowTask(0, 1)
    with pytest.raises(TypeError, match=r"executor must have a method submit\(function, \*arguments\), got str"):
        run_shadow(tasks(1), executor="processes")
    with pytest.raises(ValueError, match="retries"):
        run_shadow(tasks(1), retries=-1)


# --- failures ---


def test_failing_groups_are_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        run = run_shadow(tasks(3, fail_first, marks=tmp_path, times=2))
    assert same(run, run_shadow(tasks(3)))
    assert run.failed == ()
    assert "group 1 failed, try 2 of 3: OverflowError cheap_training.py:" in caplog.text
    assert "12345" not in caplog.text  # an exception's message may quote a record


def test_what_fails_three_times_is_listed(tmp_path: Path):
    work = [*tasks(2), ShadowTask(2, partial(fail_first, 2, tmp_path, 3)), ShadowTask(3, lambda: 7)]
    run = run_shadow(work, ShadowStore(tmp_path / "store", experiment=EXPERIMENT))
    assert run.failed == ((2, "OverflowError"), (3, "TypeError"))
    assert run.model_id.tolist() == [0, 1, 2, 3]
    again = run_shadow(work[:3], ShadowStore(tmp_path / "store", experiment=EXPERIMENT))
    assert (again.failed, again.n_trained, again.n_reused) == ((), 1, 2)


def test_retries_may_be_forbidden(tmp_path: Path):
    assert run_shadow([*tasks(1), ShadowTask(1, partial(fail_first, 1, tmp_path, 1))], retries=0).failed == ((1, "OverflowError"),)


def test_nothing_at_all_is_an_error(tmp_path: Path):
    with pytest.raises(ShadowRunFailed, match=r"none of 4 groups .*: 4 x OverflowError \(first at cheap_training.py:\d+\)") as caught:
        run_shadow(tasks(4, fail_first, marks=tmp_path, times=9))
    assert "12345" not in str(caught.value)


def test_diverged_training_is_a_failure():
    bad = ShadowTask(1, lambda: ShadowGroup(model_id=[9], member=np.ones((1, 300)), signals=np.full((1, 300, 2), np.nan)))
    assert run_shadow([*tasks(1), bad]).failed == ((1, "ValueError"),)


def test_interrupt_stops_the_run_and_keeps_what_is_finished(tmp_path: Path):
    def interrupt() -> ShadowGroup:
        raise KeyboardInterrupt

    store = ShadowStore(tmp_path, experiment=EXPERIMENT)
    with pytest.raises(KeyboardInterrupt):
        run_shadow([*tasks(2), ShadowTask(2, interrupt), *tasks(4)[3:]], store)
    assert store.groups() == (0, 1)


def test_dead_process_pool_lists_the_rest_and_keeps_what_is_finished(tmp_path: Path):
    store = ShadowStore(tmp_path, experiment=EXPERIMENT)
    run_shadow(tasks(3), store)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        run = run_shadow(tasks(6, always_die, victim=4), store, pool)
    assert {"BrokenProcessPool"} == {kind for _, kind in run.failed}
    assert {4, 5} == {group for group, _ in run.failed}
    assert run.model_id.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert store.groups() == (0, 1, 2, 3)
    resumed = run_shadow(tasks(6), store)
    assert same(resumed, run_shadow(tasks(6)))
    assert resumed.n_reused == 4


def test_executor_that_takes_nothing_more(tmp_path: Path):
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    store = ShadowStore(tmp_path, experiment=EXPERIMENT)
    with pytest.raises(ShadowRunFailed, match="none of 2 groups .*: 2 x RuntimeError"):
        run_shadow(tasks(2), store, pool)
    run_shadow(tasks(1), store)
    assert run_shadow(tasks(2), store, pool).failed == ((1, "RuntimeError"),)


def test_group_that_was_stored_before_its_executor_lost_it_counts(tmp_path: Path):
    class Lossy:
        n_workers = None

        def submit(self, function, *arguments):
            function(*arguments)
            future: Future[object] = Future()
            future.set_exception(ConnectionError())
            return future

    run = run_shadow(tasks(3), ShadowStore(tmp_path, experiment=EXPERIMENT), Lossy())
    assert (run.failed, run.n_trained) == ((), 3)


def test_cancelled_futures_are_failures():
    class Cancelling:
        def submit(self, function, *arguments):
            future: Future[object] = Future()
            future.cancel()
            return future

    with pytest.raises(ShadowRunFailed, match="2 x CancelledError"):
        run_shadow(tasks(2), executor=Cancelling())


# --- threads and progress ---


def test_training_has_one_thread_and_the_process_gets_its_own_back():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with one_thread(), one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 3
        seen: list[int] = []
        run_shadow([ShadowTask(0, lambda: seen.append(torch.get_num_threads()) or train(0))])
        assert seen == [1]
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_progress_counts_and_says_nothing_before_it_measured(tmp_path: Path):
    store = ShadowStore(tmp_path, experiment=EXPERIMENT)
    run_shadow(tasks(2), store)
    calls: list[tuple[int, int, str]] = []
    run_shadow(tasks(6), store, progress=lambda done, total, label: calls.append((done, total, label)))
    assert [(done, total) for done, total, _ in calls] == [(2, 6), (3, 6), (4, 6), (5, 6), (6, 6)]
    assert [label for _, _, label in calls[:2]] == ["shadow models, time left unknown"] * 2
    assert calls[2][2] == "shadow models, about 5 s left"
    assert calls[-1][2] == "shadow models"


@given(st.floats(0.1, 1e4), st.integers(2, 50), st.integers(0, 50), st.integers(1, 8))
def test_time_left_is_rounds_times_seconds(seconds: float, n_done: int, n_left: int, n_workers: int):
    known = seconds_left([seconds] * n_done, n_left, elapsed=1.0, n_workers=n_workers)
    assert known == pytest.approx(seconds * -(-n_left // n_workers))
    elapsed = seconds * n_done / n_workers
    seen = seconds_left([seconds] * n_done, n_left, elapsed=elapsed, n_workers=None)
    assert seen == pytest.approx(seconds * n_left / n_workers)
    assert seconds_left([seconds], n_left, elapsed=elapsed, n_workers=n_workers) is None


def test_time_in_words():
    assert [in_words(s) for s in (0.0, 44.0, 100.0, 5000.0, 6000.0)] == [
        "about 5 s left",
        "about 45 s left",
        "about 2 min left",
        "about 83 min left",
        "about 1.7 h left",
    ]
