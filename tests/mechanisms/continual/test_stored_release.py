"""Every kind of continual release as a file: crashes, resubmitted steps, second live copies, files of other parameters."""

from __future__ import annotations

import copy
import json
import pickle
import stat
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mechanisms.continual import durable_file
from mechanisms.continual.continual_release import ContinualRelease
from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.distinct_count import DistinctCounter
from mechanisms.continual.histogram import HistogramCounter
from mechanisms.continual.max_sum import MaxSum
from mechanisms.continual.sliding_window import SlidingWindowCounter
from mechanisms.continual.state import open_counter
from mechanisms.continual.stored_release import StoredRelease, open_release
from mechanisms.continual.sum_select import SumSelect
from mechanisms.errors import BudgetExhaustedError, InsecureNoiseWarning, StateError
from mechanisms.noise.source import NoiseSource, SeededNoise
from tests.mechanisms.continual.crashes import Open, crash_at_every_call, crashing, plain, random_crashes, run_with_crashes

HORIZON = 8
VECTORS = [[1, 0, 1], [1, 1, 0], [0, 0, 0], [1, 1, 1], [1, 0, 0], [1, 0, 1]]
Make = Callable[..., ContinualRelease]

KINDS: dict[str, tuple[Make, list[object]]] = {
    "recompute": (lambda **o: MaxSum(HORIZON, 3, method="recompute", monotone=False, **o), VECTORS),
    "largest per coordinate": (lambda **o: MaxSum(HORIZON, 3, method="per_coordinate", **o), VECTORS),
    "change driven": (lambda **o: MaxSum(HORIZON, 3, method="change_driven", largest=4, **o), VECTORS),
    "trivial": (lambda **o: MaxSum(HORIZON, 3, method="trivial", **o), VECTORS),
    "selection": (lambda **o: SumSelect(HORIZON, 3, method="recompute", **o), VECTORS),
    "selection per coordinate": (lambda **o: SumSelect(HORIZON, 3, method="per_coordinate", **o), VECTORS),
    "histogram": (lambda **o: HistogramCounter(HORIZON, 3, **o), [2, None, 0, 2, 1, 2]),
    "window": (lambda **o: SlidingWindowCounter(HORIZON, 2, whole=False, **o), [1.0, 0.25, -0.5, 1.0, 0.0, 1.0]),
    "distinct": (lambda **o: DistinctCounter(HORIZON, **o), ["a", b"a", None, 7, "a", "b"]),
    "counter": (lambda **o: ContinualCounter(HORIZON, dim=3, **o), VECTORS),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def made(kind: str, noise: NoiseSource | None = None, **options: object) -> ContinualRelease:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return KINDS[kind][0](noise=noise, **{"rho": 0.05} | options)


def opener(kind: str, seed: int | None = None) -> Open:
    """Open the file with a source seeded anew each time, or with the operating system's noise."""
    return lambda path: open_release(path, made(kind, None if seed is None else SeededNoise(seed)))


# --- crashes ---


@every_kind
def test_crash_at_every_system_call_leaves_the_answers_as_they_were(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert crash_at_every_call(tmp_path, opener(kind, 11), KINDS[kind][1][:1], monkeypatch) > 20


@every_kind
def test_random_crashes_in_a_row(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, opener(kind, 11), KINDS[kind][1], monkeypatch, rng, 30)


@pytest.mark.slow
@every_kind
def test_crash_at_every_system_call_of_three_steps(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert crash_at_every_call(tmp_path, opener(kind, 11), KINDS[kind][1][:3], monkeypatch) > 40


@pytest.mark.slow
@every_kind
def test_a_thousand_random_crashes(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator):
    random_crashes(tmp_path, opener(kind, 11), KINDS[kind][1], monkeypatch, rng, 1000)


def survived(folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> bool:
    """Run under crashes with secure noise; whether the file then gives each step the answer that had been returned before."""
    points = iter(lambda: (int(rng.integers(1, 60)), bool(rng.integers(2))), None)
    inputs = KINDS[kind][1]
    returned = run_with_crashes(folder / "state.json", opener(kind), inputs, monkeypatch, points)
    with crashing(monkeypatch, -1, after=False), opener(kind)(folder / "state.json") as stored:
        return stored.n_seen_ == len(inputs) and [plain(stored.update(x, step=t)) for t, x in enumerate(inputs, start=1)] == returned


@every_kind
def test_what_was_returned_before_a_crash_is_what_the_file_holds(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    """Secure noise: an answer that was drawn anew would differ from the one that was returned."""
    for run in range(5):
        (tmp_path / str(run)).mkdir()
        assert survived(tmp_path / str(run), kind, monkeypatch, rng)


@pytest.mark.parametrize("kind", ["histogram", "window", "counter"])
def test_negative_control_a_file_that_keeps_every_second_state_is_caught(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
):
    """Its answers are drawn anew after a crash: wide noise makes that equal in all of 5 runs with probability below 1e-6."""
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
            outcomes.append(survived(tmp_path / str(run), kind, monkeypatch, rng))
        except StateError:  # the file is behind the steps that were returned
            outcomes.append(False)
    assert not all(outcomes)


# --- steps that are on disk ---


@every_kind
def test_stored_step_is_returned_and_never_made_anew(kind: str, tmp_path: Path):
    path, inputs = tmp_path / "state.json", [*KINDS[kind][1], *KINDS[kind][1]][:HORIZON]
    other = next(x for x in inputs if x != inputs[0])
    with opener(kind)(path) as stored:
        first = [plain(stored.update(x)) for x in inputs]
    with opener(kind)(path) as stored:
        before = path.read_bytes()
        assert [plain(stored.update(x, step=t)) for t, x in enumerate(inputs, start=1)] == first
        with pytest.raises(StateError, match="step 1 was released for another input"):
            stored.update(other, step=1)
        with pytest.raises(StateError, match="the next one is 9"):
            stored.update(other, step=10)
        with pytest.raises(BudgetExhaustedError):
            stored.update(other)
        assert path.read_bytes() == before
        assert stored.n_seen_ == HORIZON


@every_kind
def test_many_steps_are_those_one_by_one(kind: str, tmp_path: Path):
    inputs = KINDS[kind][1]
    with opener(kind, 5)(tmp_path / "single.json") as stored:
        single = [plain(stored.update(x)) for x in inputs]
    with opener(kind, 5)(tmp_path / "many.json") as stored:
        assert stored.update_many([]) == []
        assert [plain(answer) for answer in stored.update_many(inputs)] == single
        with pytest.raises(BudgetExhaustedError):
            stored.update_many(inputs)
    with opener(kind, 5)(tmp_path / "many.json") as stored:
        assert plain(stored.update(inputs[2], step=3)) == single[2]


@every_kind
def test_bad_input_writes_nothing_and_tells_no_value(kind: str, tmp_path: Path):
    path = tmp_path / "state.json"
    with opener(kind)(path) as stored:
        before = path.read_bytes()
        with pytest.raises((ValueError, TypeError)) as raised:
            stored.update({31337})
        assert "31337" not in str(raised.value)
        assert path.read_bytes() == before
        assert stored.n_seen_ == 0


# --- one live copy ---


@every_kind
def test_second_live_copy_fails(kind: str, tmp_path: Path):
    path, x = tmp_path / "state.json", KINDS[kind][1][0]
    with opener(kind)(path) as first:
        with pytest.raises(StateError, match="another live copy"):
            opener(kind)(path)
        first.update(x)
    with opener(kind)(path) as second:
        assert (first.epoch, second.epoch, second.n_seen_) == (1, 2, 1)
        with pytest.raises(StateError, match="closed, or its last write failed"):
            first.update(x)


@every_kind
def test_second_live_copy_fails_without_locks(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, x = tmp_path / "state.json", KINDS[kind][1][0]
    monkeypatch.setattr(durable_file.fcntl, "flock", lambda *_: None)
    first, second = opener(kind)(path), opener(kind)(path)
    before = path.read_bytes()
    with pytest.raises(StateError, match="another live copy since"):
        first.update(x)
    assert path.read_bytes() == before
    second.update(x)
    first.close()
    second.close()


def test_a_release_belongs_to_its_file(tmp_path: Path):
    release = made("recompute")
    with open_release(tmp_path / "state.json", release) as stored:
        stored.update(VECTORS[0])
        release.update(VECTORS[1])
        with pytest.raises(StateError, match="used past its file"):
            stored.update(VECTORS[1])
    with pytest.raises(StateError, match="only a fresh release is opened, this one is at step 2"):
        open_release(tmp_path / "other.json", release)
    with opener("recompute")(tmp_path / "state.json") as stored:
        assert stored.n_seen_ == 1


def test_owner_only_no_copies_and_the_guarantee(tmp_path: Path):
    with opener("histogram")(tmp_path / "state.json") as stored:
        stored.update(1)
        assert repr(stored) == "StoredRelease(state.json, histogram, step 1, epoch 1)"
        for copied in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="can't be copied"):
                copied(stored)
        assert stored.guarantee == made("histogram").guarantee
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


# --- files of other parameters ---

OTHERS = {
    "horizon": lambda: MaxSum(HORIZON + 1, 3, rho=0.05, method="recompute", monotone=False),
    "dim": lambda: MaxSum(HORIZON, 4, rho=0.05, method="recompute", monotone=False),
    "rho": lambda: MaxSum(HORIZON, 3, rho=0.06, method="recompute", monotone=False),
    "method": lambda: MaxSum(HORIZON, 3, rho=0.05, method="trivial", monotone=False),
    "post-processing": lambda: MaxSum(HORIZON, 3, rho=0.05, method="recompute"),
    "noise": lambda: made("recompute", SeededNoise(1)),
    "kind": lambda: made("selection"),
    "counter": lambda: made("counter"),
}


@pytest.mark.parametrize("changed", OTHERS)
def test_a_file_of_other_parameters_is_refused_and_kept(changed: str, tmp_path: Path):
    path = tmp_path / "state.json"
    with opener("recompute")(path) as stored:
        answer = stored.update(VECTORS[0])
    with pytest.raises(StateError, match=r"other parameters|holds no state of|can't be loaded"):
        open_release(path, OTHERS[changed]())
    with opener("recompute")(path) as stored:
        assert stored.update(VECTORS[0], step=1) == answer


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        ("window", lambda: SlidingWindowCounter(HORIZON, 3, rho=0.05, whole=False)),
        ("window", lambda: SlidingWindowCounter(HORIZON, 2, rho=0.06, whole=False)),
        ("histogram", lambda: HistogramCounter(HORIZON, 4, rho=0.05)),
        ("histogram", lambda: HistogramCounter(HORIZON + 1, 3, rho=0.05)),
        ("distinct", lambda: DistinctCounter(HORIZON + 1, rho=0.05)),
        ("distinct", lambda: HistogramCounter(HORIZON, 1, rho=0.05)),
    ],
)
def test_statistics_of_counters_refuse_other_parameters(kind: str, other: Callable[[], ContinualRelease], tmp_path: Path):
    path = tmp_path / "state.json"
    opener(kind)(path).close()
    with pytest.raises(StateError, match=r"parameters|holds no state of"):
        open_release(path, other())


@every_kind
def test_damaged_files_are_refused(kind: str, tmp_path: Path):
    path = tmp_path / "state.json"
    with opener(kind)(path) as stored:
        stored.update(KINDS[kind][1][0])
    good = json.loads(path.read_bytes())
    name = "counter" if kind == "counter" else "release"
    for change in (
        {name: {}},
        {name: {**good[name], "counter": {}, "method": 1, "total": 1}},
        {"releases": 1},
        {"digests": []},
        {"key": "?"},
    ):
        path.write_text(json.dumps({**good, **change}), encoding="utf-8")
        with pytest.raises(StateError):
            opener(kind)(path)


def test_a_counter_has_one_kind_of_file(tmp_path: Path):
    path = tmp_path / "state.json"
    with open_counter(path, HORIZON, rho=0.05, dim=3) as counter:
        release = counter.update(VECTORS[0])
    with open_release(path, made("counter")) as stored:
        np.testing.assert_array_equal(stored.update(VECTORS[0], step=1), release)
        second = stored.update(VECTORS[1])
    with open_counter(path, HORIZON, rho=0.05, dim=3) as counter:
        np.testing.assert_array_equal(counter.update(VECTORS[1], step=2), second)


def test_old_steps_are_no_longer_kept(tmp_path: Path):
    with open_release(tmp_path / "state.json", SumSelect(200, 2, rho=0.05)) as stored:
        assert isinstance(stored, StoredRelease)
        for _ in range(70):
            answer = stored.update([1, 0])
        with pytest.raises(StateError, match="only those of the last 64"):
            stored.update([1, 0], step=6)
        assert stored.update([1, 0], step=70) == answer
