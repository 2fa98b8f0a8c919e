"""A holdout's budget in a file: crashes at every system call, resubmitted queries, second live copies, other records, many processes."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from mechanisms.adaptive.holdout_noise import Law
from mechanisms.adaptive.stored_holdout import SharedHoldout, StoredHoldout, open_reusable_holdout
from mechanisms.continual import durable_file
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, StateError
from mechanisms.noise.source import SeededNoise
from tests.mechanisms.adaptive.holdouts import identity, made
from tests.mechanisms.continual.crashes import Open, crash_at_every_call, crashing, plain, random_crashes, run_with_crashes

N = 50
TRAIN, FRESH = np.zeros(N), np.ones(N)
FINE = 0.01  # a gap of 1 then fires but for a chance of 1e-10: Lap(2 sigma) + Lap(4 sigma) would have to pass 0.96
LAWS: tuple[Law, ...] = ("laplace", "gaussian")
every_law = pytest.mark.parametrize("law", LAWS)


def opener(law: Law, seed: int | None = None, **options: object) -> Open:
    """Open the file with a source seeded anew each time, or with the operating system's noise; wide noise, so that draws differ."""

    def opened(path: Path) -> StoredHoldout:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", InsecureNoiseWarning)
            noise = None if seed is None else SeededNoise(seed)
            return open_reusable_holdout(path, TRAIN, FRESH, noise=noise, **{"budget": 4, "sigma": 0.05, "law": law} | options)

    return opened


def questions(law: Law) -> list[object]:
    """Queries with gaps of 0 to 1 as their means, of one range or another."""
    asker = made(TRAIN, FRESH, law=law)
    gaps = (1.0, 0.0, 0.9, 0.1, 0.8)
    return [asker.question(lambda x, gap=gap: gap * x, bounds=(0.0, 1.0 + i)) for i, gap in enumerate(gaps)]


# --- crashes ---


@every_law
def test_crash_at_every_system_call_leaves_the_answers_as_they_were(law: Law, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert crash_at_every_call(tmp_path, opener(law, 11), questions(law)[:2], monkeypatch) > 30


@every_law
def test_random_crashes_in_a_row(law: Law, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, opener(law, 11), questions(law), monkeypatch, rng, 40)


@pytest.mark.slow
@every_law
def test_a_thousand_random_crashes(law: Law, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, opener(law, 11), questions(law), monkeypatch, rng, 1000)


def survived(folder: Path, law: Law, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> bool:
    """Run under crashes with secure noise; whether the file then gives each query the answer that had been returned before."""
    points = iter(lambda: (int(rng.integers(1, 60)), bool(rng.integers(2))), None)
    inputs = questions(law)
    open_file = opener(law, budget=len(inputs))
    returned = run_with_crashes(folder / "state.json", open_file, inputs, monkeypatch, points)
    with crashing(monkeypatch, -1, after=False), open_file(folder / "state.json") as stored:
        spent = sum(answer.fired for answer in returned)
        same = [plain(stored.update(x, step=t)) for t, x in enumerate(inputs, start=1)] == returned
        return same and stored.remaining_ == len(inputs) - spent and stored.ledger.spent == pytest.approx(stored.epsilon_)


@every_law
def test_what_was_returned_before_a_crash_is_what_the_file_holds(
    law: Law, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    """Secure noise: an answer that was drawn anew would differ from the one that was returned, and a firing would be counted twice."""
    for run in range(5):
        (tmp_path / str(run)).mkdir()
        assert survived(tmp_path / str(run), law, monkeypatch, rng)


def test_negative_control_a_file_that_keeps_every_second_state_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    real, count = durable_file.DurableFile.write, [0]

    def forgetful(self: durable_file.DurableFile, data: bytes) -> None:
        count[0] += 1
        if count[0] % 2:
            real(self, data)

    outcomes = []
    monkeypatch.setattr(durable_file.DurableFile, "write", forgetful)
    for run in range(5):
        (tmp_path / str(run)).mkdir()
        try:
            outcomes.append(survived(tmp_path / str(run), "laplace", monkeypatch, rng))
        except (StateError, BudgetExhaustedError):  # the file is behind the answers that were returned
            outcomes.append(False)
    assert not all(outcomes)


# --- queries that are on disk ---


@every_law
def test_a_stored_answer_is_returned_and_never_made_anew(law: Law, tmp_path: Path):
    path = tmp_path / "state.json"
    with opener(law, sigma=FINE)(path) as stored:
        first = stored.answer(identity)
        assert (first.fired, stored.remaining_) == (True, 3)
    with opener(law, sigma=FINE)(path) as stored:
        before = path.read_bytes()
        assert stored.answer(identity, step=1) == first
        with pytest.raises(StateError, match="step 1 was released for another input"):
            stored.answer(lambda x: x / 2, step=1)
        with pytest.raises(StateError, match="another input"):
            stored.answer(identity, bounds=(0, 2), step=1)
        assert path.read_bytes() == before
        assert (stored.remaining_, stored.n_seen_) == (3, 1)


@every_law
def test_the_budget_lasts_over_openings_and_is_refused_at_its_end(law: Law, tmp_path: Path):
    path = tmp_path / "state.json"
    for opening in range(4):
        with opener(law, sigma=FINE)(path) as stored:
            assert stored.remaining_ == 4 - opening
            assert stored.answer(identity).fired
    with opener(law, sigma=FINE)(path) as stored:
        before = path.read_bytes()
        assert stored.epsilon_ == stored.guarantee.epsilon
        for query in (identity, lambda x: 0 * x):
            with pytest.raises(BudgetExhaustedError, match="0 of 4 firings"):
                stored.answer(query)
        assert path.read_bytes() == before
        assert stored.answer(identity, step=2).fired  # what was released stays released


def test_seeded_noise_goes_on_where_it_stood(tmp_path: Path):
    inputs = questions("laplace")
    with opener("laplace", 5)(tmp_path / "single.json") as stored:
        single = [stored.update(x) for x in inputs]
    for x, expected in zip(inputs, single, strict=True):
        with opener("laplace", 5)(tmp_path / "many.json") as stored:
            assert stored.update(x) == expected


# --- one live copy, the right records ---


def test_second_live_copy_fails(tmp_path: Path):
    path = tmp_path / "state.json"
    with opener("laplace")(path) as first:
        with pytest.raises(StateError, match="another live copy"):
            opener("laplace")(path)
        with pytest.raises(StateError, match="another live copy"):
            SharedHoldout(path, TRAIN, FRESH, budget=4, sigma=0.05).answer(identity)
        first.answer(identity)
        for spread in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="copied"):
                spread(first)
    with opener("laplace")(path) as second:
        assert (first.epoch, second.epoch, second.n_seen_) == (1, 2, 1)
        with pytest.raises(StateError, match="closed, or its last write failed"):
            first.answer(identity)
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


OTHERS: dict[str, Callable[[Path], StoredHoldout]] = {
    "budget": opener("laplace", budget=5),
    "sigma": opener("laplace", sigma=0.06),
    "threshold": opener("laplace", threshold=0.05),
    "law": opener("gaussian"),
    "noise": opener("laplace", 3),
    "train": lambda path: open_reusable_holdout(path, FRESH, FRESH, budget=4, sigma=0.05),
    "holdout": lambda path: open_reusable_holdout(path, TRAIN, np.r_[FRESH[:-1], 0.0], budget=4, sigma=0.05),
}


@pytest.mark.parametrize("changed", OTHERS)
def test_other_parameters_or_records_are_refused(changed: str, tmp_path: Path):
    path = tmp_path / "state.json"
    with opener("laplace")(path) as stored:
        first = stored.answer(identity)
    with pytest.raises(StateError, match=r"other parameters|can't be loaded"):
        OTHERS[changed](path)
    with opener("laplace")(path) as stored:
        assert stored.answer(identity, step=1) == first


@pytest.mark.parametrize(
    "change", [{"fired_at": None}, {"fired_at": [2]}, {"fired_at": [1, 1]}, {"n_seen": -1}, {"held": "x"}, {"noise": {}}]
)
def test_damaged_states_are_refused(change: dict[str, object], tmp_path: Path):
    path = tmp_path / "state.json"
    with opener("laplace")(path) as stored:
        stored.answer(identity)
    good = json.loads(path.read_bytes())
    path.write_text(json.dumps({**good, "release": {**good["release"], **change}}), encoding="utf-8")
    with pytest.raises(StateError):
        opener("laplace")(path)


def test_a_missing_file_is_not_a_new_budget(tmp_path: Path):
    path = tmp_path / "state.json"
    opener("laplace")(path).close()
    path.unlink()
    with pytest.raises(StateError, match="missing but was in use"):
        opener("laplace")(path)


# --- many processes ---


def shared(path: Path, budget: int) -> SharedHoldout:
    return SharedHoldout(path, TRAIN, FRESH, budget=budget, sigma=FINE)


def test_shared_holdout_is_sent_by_pickle_and_spends_one_budget(tmp_path: Path):
    first = shared(tmp_path / "state.json", 2)
    second = pickle.loads(pickle.dumps(copy.deepcopy(first)))
    assert first.answer(identity).fired
    assert second.answer(identity).fired
    assert (first.remaining_, second.epsilon_, second.ledger.spent) == (0, 8.0, pytest.approx(8.0))
    assert first.guarantee.epsilon == 8.0
    with pytest.raises(BudgetExhaustedError):
        first.answer(identity)
    assert repr(first) == "SharedHoldout(state.json, 50 records)"


def test_threads_take_turns(tmp_path: Path):
    holdout, fired = shared(tmp_path / "state.json", 12), []

    def ask() -> None:
        try:
            while True:
                fired.append(holdout.answer(identity).fired)
        except BudgetExhaustedError:
            return

    threads = [Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(fired) == 12


def ask_until_refused(holdout: SharedHoldout) -> int:
    """Return the firings that this process got."""
    got = 0
    try:
        while True:
            got += holdout.answer(identity).fired
    except BudgetExhaustedError:
        return got


@pytest.mark.slow
def test_processes_take_turns(tmp_path: Path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        got = pool.map(ask_until_refused, [shared(tmp_path / "state.json", 40)] * 3)
    assert sum(got) == 40
