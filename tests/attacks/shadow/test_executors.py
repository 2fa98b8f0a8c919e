"""Real executors on two cores: the same bits as in process, also when a worker is killed in the middle of its training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attacks.shadow.executors import as_executor, n_processors, open_executor
from attacks.shadow.group import ShadowGroup
from attacks.shadow.processes import ProcessExecutor
from attacks.shadow.run import ShadowRun, ShadowTask, run_shadow
from attacks.shadow.store import ShadowStore
from mechanisms.errors import MissingLibraryError
from tests.attacks.shadow.cheap_training import EXPERIMENT, always_die, logged, same, tasks, train, train_or_die, train_torch

N = 6
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def whole() -> ShadowRun:
    """The run in process, in memory."""
    return run_shadow(tasks(N))


def killed_run(tmp_path: Path, spec: str) -> ShadowRun:
    """A run in which the worker that first has group 2 kills itself."""
    store = ShadowStore(tmp_path / "store", experiment=EXPERIMENT)
    with open_executor(spec, workers=2) as executor:
        run = run_shadow(tasks(N, train_or_die, marks=tmp_path, victim=2, log=tmp_path / "log"), store, executor)
    assert (tmp_path / "died-2").exists()
    assert store.groups() == tuple(range(N))
    return run


# --- words ---


BAD_WORDS = "threads in_process:2 processes:0 processes:x dask://host dask:host:1 ray://:1 submitit: submitit Ray"


@pytest.mark.parametrize("spec", ["", *BAD_WORDS.split()])
def test_unknown_word_lists_what_is_allowed(spec: str):
    allowed = r"in_process, processes, processes:N, dask, dask://HOST:PORT, ray, ray://HOST:PORT, submitit:FOLDER"
    with pytest.raises(ValueError, match=f"executor must be {allowed}.*got '{spec}'"), open_executor(spec):
        pass


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="executor must be text, got int"), open_executor(2):
        pass
    with pytest.raises(ValueError, match="workers must be a whole number >= 1"), open_executor("processes", workers=0):
        pass


@pytest.mark.parametrize(("spec", "extra"), [("dask", "dask"), ("ray", "ray"), ("submitit:x", "slurm"), ("submitit-local:x", "slurm")])
def test_missing_library_says_how_to_install_it(spec: str, extra: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attacks.shadow.executors.find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=rf'pip install "privacy-audit\[{extra}\]"'), open_executor(spec):
        pass


def test_address_of_ray_without_its_client_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("attacks.shadow.ray_executor.find_spec", lambda name: None)
    with pytest.raises(MissingLibraryError, match=r'pip install "ray\[client\]"'), open_executor("ray://127.0.0.1:10001"):
        pass


def test_slurm_without_slurm_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match="needs SLURM's srun on this machine"), open_executor(f"submitit:{tmp_path}"):
        pass


def test_opening_words_loads_no_engine():
    code = "import sys, attacks.shadow.executors\nsys.exit(bool({'distributed', 'ray', 'submitit', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_workers_default_to_the_processors():
    with open_executor("processes") as executor:
        assert executor.n_workers == n_processors()
    with open_executor("processes:3", workers=2) as executor:
        assert executor.n_workers == 3


# --- in process, threads ---


def test_in_process_and_threads_give_the_same_bits(tmp_path: Path, whole: ShadowRun):
    with open_executor("in_process") as executor:
        assert same(run_shadow(tasks(N), executor=executor), whole)
    with ThreadPoolExecutor(2) as pool:
        assert same(run_shadow(tasks(N), executor=pool), whole)
        assert same(run_shadow(tasks(N), ShadowStore(tmp_path, experiment=EXPERIMENT), pool), whole)
        assert as_executor(pool).n_workers is None


# --- processes ---


def test_processes_survive_a_killed_worker(tmp_path: Path, whole: ShadowRun):
    run = killed_run(tmp_path, "processes:2")
    assert same(run, whole)
    assert (run.failed, run.n_trained) == ((), N)
    assert sorted(logged(tmp_path / "log")) == list(range(N))  # nobody else was trained again


@pytest.mark.slow
def test_torch_training_has_the_same_bits_whatever_the_threads():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        here = run_shadow(tasks(2, train_torch))
        free = train_torch(0).signals
    finally:
        torch.set_num_threads(before)
    with open_executor("processes:2") as executor:
        assert same(run_shadow(tasks(2, train_torch), executor=executor), here)
    assert free.tobytes() != here.signals[:2].tobytes()  # two threads would not have given them


def test_group_that_kills_every_worker_is_listed_alone(tmp_path: Path):
    with open_executor("processes:2") as executor:
        run = run_shadow(tasks(4, always_die, victim=1), ShadowStore(tmp_path, experiment=EXPERIMENT), executor)
    assert run.failed == ((1, "BrokenProcessPool"),)
    assert run.model_id.tolist() == [0, 1, 4, 5, 6, 7]


def test_processes_need_no_folder_and_pass_errors_on(whole: ShadowRun):
    with open_executor("processes:1") as executor:
        run = run_shadow([*tasks(2), ShadowTask(2, lambda: train(2))], executor=executor)
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 1, 0).result()
    assert run.failed[0][0] == 2  # a lambda can't be pickled
    assert run.signals.tobytes() == whole.signals[:4].tobytes()


def test_closed_processes_are_gone_and_take_nothing_more():
    with ProcessExecutor(1) as executor:
        pid = executor.submit(os.getpid).result()
        long = executor.submit(time.sleep, 60)
    assert long.done()
    assert not is_alive(pid)
    with pytest.raises(RuntimeError):
        executor.submit(os.getpid)


def test_workers_end_with_a_killed_parent(tmp_path: Path):
    code = (
        "import os, time, sys\nfrom attacks.shadow.executors import open_executor\n"
        "if __name__ == '__main__':\n    with open_executor('processes:1') as e:\n"
        "        open(sys.argv[1] + '.part', 'w').write(str(e.submit(os.getpid).result()))\n"
        "        os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
        "        e.submit(time.sleep, 60).result()\n"
    )
    (tmp_path / "parent.py").write_text(code)
    path = os.pathsep.join(sys.path)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", tmp_path / "pid"], env=os.environ | {"PYTHONPATH": path})
    while not (tmp_path / "pid").exists():
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    worker = int((tmp_path / "pid").read_text())
    for _ in range(1000):
        if not is_alive(worker):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent by 10 s")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


# --- engines ---


def test_dask_survives_a_killed_worker(tmp_path: Path, whole: ShadowRun):
    run = killed_run(tmp_path, "dask")
    assert same(run, whole)
    assert run.failed == ()


def kill_then_train(group: int, victim: int, pid: int | None) -> ShadowGroup:
    """As `train`, but the victim first kills a process that everybody needs; None is the parent of its worker."""
    if group == victim:
        os.kill(os.getppid() if pid is None else pid, signal.SIGKILL)
        time.sleep(2)
    return train(group)


def check_lost(run: ShadowRun, store: ShadowStore, whole: ShadowRun) -> None:
    """Something was finished and kept, the rest is listed, and a later run completes it."""
    n_finished = len(store.groups())
    assert 0 < n_finished < N
    assert len(run.failed) == N - n_finished
    resumed = run_shadow(tasks(N), store)
    assert same(resumed, whole)
    assert resumed.n_reused == n_finished


def test_dask_scheduler_that_dies_loses_nothing_finished(tmp_path: Path, whole: ShadowRun):
    file, store = tmp_path / "scheduler.json", ShadowStore(tmp_path / "store", experiment=EXPERIMENT)
    common = ["--no-dashboard", "--scheduler-file", file]
    serve = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", *common]
    work = [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-nanny", *common]
    with subprocess.Popen(serve, cwd=ROOT) as scheduler, subprocess.Popen(work, cwd=ROOT) as worker:
        try:
            while not file.exists():
                time.sleep(0.05)
            address = json.loads(file.read_text())["address"]
            with open_executor(address.replace("tcp:", "dask:")) as executor:
                first = run_shadow(tasks(2), store, executor)
                run = run_shadow(tasks(N, kill_then_train, victim=3, pid=scheduler.pid), store, executor)
        finally:
            scheduler.kill()
            worker.kill()
    assert (first.failed, first.n_trained) == ((), 2)
    assert {kind for _, kind in run.failed} == {"BrokenExecutor"}
    check_lost(run, store, whole)


@pytest.mark.slow
def test_ray_that_dies_loses_nothing_finished(tmp_path: Path, whole: ShadowRun):
    store = ShadowStore(tmp_path / "store", experiment=EXPERIMENT)
    run_shadow(tasks(2), store)
    with open_executor("ray", workers=1) as executor:
        run = run_shadow(tasks(N, kill_then_train, victim=3, pid=None), store, executor)
    check_lost(run, store, whole)


def test_ray_survives_a_killed_worker(tmp_path: Path, whole: ShadowRun):
    run = killed_run(tmp_path, "ray")
    assert same(run, whole)
    assert run.failed == ()


def test_submitit_survives_a_killed_job(tmp_path: Path, whole: ShadowRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)  # it waits 15 s for the answer of a job that died
    run = killed_run(tmp_path, f"submitit-local:{tmp_path / 'jobs'}")
    assert same(run, whole)
    assert run.failed == ()
