"""The store: what is written comes back bit for bit, what is damaged is set aside, what is another experiment is refused."""

from __future__ import annotations

import copy
import json
import os
import pickle
import stat
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.shadow.fingerprints import fingerprint, library_versions, source_fingerprint
from attacks.shadow.group import ShadowGroup
from attacks.shadow.group_file import DamagedFile, seal, unseal
from attacks.shadow.manifest import digest_of
from attacks.shadow.run import ShadowTask, run_shadow
from attacks.shadow.store import STALE_SECONDS, ShadowStore
from mechanisms.errors import PrivacyAuditError, StoreMismatch
from tests.attacks.shadow.cheap_training import same, tasks, train

EXPERIMENT = {"data": "a", "seed": 1, "training": {"learning_rate": 0.1, "steps": 100}}


@pytest.fixture
def store(tmp_path: Path) -> ShadowStore:
    return ShadowStore(tmp_path / "store", experiment=EXPERIMENT)


# --- groups ---


@given(st.integers(1, 4), st.integers(1, 20), st.integers(1, 3), st.booleans(), st.integers(0, 2**32))
def test_group_file_gives_back_the_same_bits(n_models: int, n_records: int, n_queries: int, more: bool, seed: int):
    rng = np.random.default_rng(seed)
    group = ShadowGroup(
        model_id=rng.permutation(1000)[:n_models],
        member=rng.random((n_models, n_records)) < 0.5,
        signals=rng.standard_normal((n_models, n_records, n_queries)),
        seed=rng.integers(0, 2**64, n_models, dtype=np.uint64) if more else None,
        weights={"0.weight": rng.standard_normal((n_models, 3, 2)), "steps": np.arange(n_models)} if more else None,
    )
    record, number, experiment = unseal(seal(group, group=7, experiment="x"))
    assert record.equals(group)
    assert (number, experiment) == (7, "x")


def test_any_flipped_bit_and_any_cut_is_seen(rng: np.random.Generator):
    data = seal(train(3), group=3, experiment="x")
    for place in rng.choice(8 * len(data), size=400, replace=False):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << (place % 8)
        with pytest.raises(DamagedFile):
            unseal(bytes(flipped))
    for length in (0, 1, 63, 64, 100, *rng.integers(0, len(data), 50)):
        with pytest.raises(DamagedFile):
            unseal(data[:length])


def test_group_file_is_an_ordinary_npz_without_pickle(store: ShadowStore):
    store.write(0, train(0))
    with np.load(store.path / "group-00000.npz", allow_pickle=False) as arrays:
        assert arrays["signals"].dtype == np.float32
        assert np.packbits(train(0).member).tolist() == arrays["member"].tolist()


def test_group_is_read_only_also_after_copying():
    group = train(1)
    for other in (group, copy.deepcopy(group), pickle.loads(pickle.dumps(group))):
        assert other.equals(group)
        assert not any(array.flags.writeable for array in (other.model_id, other.member, other.signals, other.seed))
    assert repr(group) == "ShadowGroup(n_models=2, n_records=300, n_queries=2, n_weights=0)"
    assert not group.equals(train(2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_id": [1, 1]}, "model_id must name each model once, got 1 repeated"),
        ({"model_id": [-1, 1]}, "model_id must hold"),
        ({"model_id": []}, "model_id must hold"),
        ({"member": np.ones((3, 4))}, r"member must have shape \(models, records\) with 2 models, got \(3, 4\)"),
        ({"member": np.full((2, 4), 2)}, "member must hold only true/false or 0/1"),
        ({"signals": np.ones((2, 5, 1))}, r"signals must have shape .* begins with \(2, 4\), got \(2, 5, 1\)"),
        ({"signals": np.full((2, 4, 1), np.nan)}, "8 of 8 are not: a training diverged"),
        ({"signals": np.full((2, 4), 1e300)}, "8 of 8 are not"),
        ({"signals": np.full((2, 4), "a")}, "signals must hold numbers"),
        ({"seed": [1]}, "seed must hold 2 whole numbers"),
        ({"weights": {"w": np.ones(3)}}, "weights 'w' must hold numbers, 2 models first"),
        ({"weights": {"w": np.array([object(), None])}}, "weights 'w'"),
    ],
)
def test_bad_group_is_named(change: dict[str, object], message: str):
    good = {"model_id": [0, 1], "member": np.ones((2, 4)), "signals": np.zeros((2, 4))}
    assert ShadowGroup(**good).signals.shape == (2, 4, 1)
    with pytest.raises(ValueError, match=message):
        ShadowGroup(**good | change)


# --- fingerprints ---


def test_fingerprint_sees_order_type_and_shape(rng: np.random.Generator):
    data = rng.standard_normal((6, 4))
    others = [data[::-1], data[:, ::-1], data.astype(np.float32), data.reshape(4, 6), data.T, data + 1e-15, data[:5], data.tobytes()]
    assert len({fingerprint(value) for value in [data, *others]}) == 1 + len(others)
    assert fingerprint(data) == fingerprint(data.copy(order="F")) == fingerprint(np.repeat(data, 2, axis=1)[:, ::2])


def test_fingerprint_of_plain_values():
    values = [None, True, False, 0, 1, 0.1, "1", b"1", np.array(1)]
    values += [[], {}, [1, 2], [2, 1], [[1], 2], {"a": 1}, {"a": 2}, {"b": 1}, ["a", 1]]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint(1) == fingerprint(1.0) == fingerprint(np.int64(1)) == fingerprint(np.float32(1))
    assert fingerprint((1, 2)) == fingerprint([1, 2])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False), st.lists, max_leaves=8))
def test_fingerprint_survives_json(value: object):
    assert fingerprint(json.loads(json.dumps(value))) == fingerprint(value)


def test_fingerprint_of_torch_weights():
    import torch

    weights = torch.nn.Linear(3, 2).state_dict()
    assert fingerprint(weights) == fingerprint({name: tensor.clone() for name, tensor in weights.items()})
    assert fingerprint(weights) != fingerprint({name: tensor + 1e-6 for name, tensor in weights.items()})


@pytest.mark.parametrize("value", [object(), np.array([object()]), {1: 2}, {"a": {3}}])
def test_fingerprint_refuses_what_has_no_bytes(value: object):
    with pytest.raises(TypeError, match="fingerprinted"):
        fingerprint(value)


def test_source_fingerprint_sees_the_source_and_what_a_partial_binds():
    assert source_fingerprint(train) == source_fingerprint(train)
    assert source_fingerprint(train) != source_fingerprint(tasks)
    assert source_fingerprint(partial(train, seed=1)) != source_fingerprint(partial(train, seed=2))
    with pytest.raises(TypeError, match="'len' can't be read"):
        source_fingerprint(len)


def test_library_versions_name_what_is_there_and_what_is_not():
    versions = library_versions("no-such-library")
    assert versions["numpy"] == np.__version__
    assert versions["no-such-library"] == "not installed"


# --- another experiment ---


def changed(**changes: object) -> dict[str, object]:
    rng = np.random.default_rng(0)
    data, labels = rng.standard_normal((20, 3)), rng.integers(0, 2, 20)
    experiment: dict[str, object] = {
        "data": fingerprint(data),
        "labels": fingerprint(labels),
        "seed": 1,
        "training": {"learning_rate": 0.1, "steps": 100},
        "initial_weights": fingerprint(np.zeros(4)),
    }
    if "order" in changes:
        experiment |= {"data": fingerprint(data[::-1]), "labels": fingerprint(labels[::-1])}
    return experiment | {name: value for name, value in changes.items() if name != "order"}


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({"seed": 2}, "seed"),
        ({"training": {"learning_rate": 0.2, "steps": 100}}, "training.learning_rate"),
        ({"order": True}, "data, labels"),
        ({"labels": fingerprint(np.ones(20))}, "labels"),
        ({"initial_weights": fingerprint(np.full(4, 1e-9))}, "initial_weights"),
        ({"training": {"learning_rate": 0.1, "steps": 100, "momentum": 0.9}}, r"training.momentum \(not in the store\)"),
        ({"training": {"learning_rate": 0.1}}, r"training.steps \(in the store only\)"),
    ],
)
def test_another_experiment_is_refused_and_named(change: dict[str, object], parts: str, tmp_path: Path):
    run_shadow(tasks(2), ShadowStore(tmp_path, experiment=changed()))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(StoreMismatch, match=f"what differs: {parts};") as caught:
        ShadowStore(tmp_path, experiment=changed(**change))
    assert isinstance(caught.value, PrivacyAuditError)
    assert "0.2" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert run_shadow(tasks(2), ShadowStore(tmp_path, experiment=changed())).n_reused == 2


def test_group_of_another_experiment_or_number_is_refused(store: ShadowStore, tmp_path: Path):
    other = ShadowStore(tmp_path / "other", experiment=EXPERIMENT | {"seed": 2})
    other.write(0, train(0))
    os.replace(other.path / "group-00000.npz", store.path / "group-00000.npz")
    with pytest.raises(StoreMismatch, match=r"group-00000.npz belongs to another experiment"):
        store.read(0)
    store.write(0, train(0))
    os.replace(store.path / "group-00000.npz", store.path / "group-00001.npz")
    with pytest.raises(StoreMismatch, match="holds group 0"):
        store.read(1)


def test_group_of_other_models_is_refused(store: ShadowStore):
    run_shadow(tasks(2), store)
    with pytest.raises(StoreMismatch, match="stored group 1 holds other models"):
        run_shadow([ShadowTask(0, partial(train, 0)), ShadowTask(1, partial(train, 1), model_id=(2, 4))], store)


def test_manifest_holds_hashes_only(store: ShadowStore):
    manifest = json.loads((store.path / "manifest.json").read_text())
    assert manifest["schema_version"] == 1
    assert sorted(manifest["parts"]) == ["data", "seed", "training.learning_rate", "training.steps"]
    assert all(len(value) == 64 for value in manifest["parts"].values())


@pytest.mark.parametrize("experiment", [{}, {"a.b": 1, "a": {"b": 1}}])
def test_bad_experiment(experiment: dict[str, object], tmp_path: Path):
    with pytest.raises(ValueError, match="experiment"):
        ShadowStore(tmp_path, experiment=experiment)


def test_newer_schema_is_refused(store: ShadowStore):
    manifest = json.loads((store.path / "manifest.json").read_text())
    (store.path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 2}))
    with pytest.raises(StoreMismatch, match="newer than 1"):
        ShadowStore(store.path, experiment=EXPERIMENT)


# --- damage ---


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text"])
def test_damaged_group_is_set_aside_and_trained_again(damage: str, store: ShadowStore):
    whole = run_shadow(tasks(4), store)
    path = store.path / "group-00002.npz"
    data = path.read_bytes()
    flipped = data[:500] + bytes([data[500] ^ 4]) + data[501:]
    bad = {"cut": data[: len(data) // 2], "flip": flipped, "empty": b"", "text": b"no archive"}[damage]
    path.write_bytes(bad)
    again = run_shadow(tasks(4), ShadowStore(store.path, experiment=EXPERIMENT))
    assert same(again, whole)
    assert (again.n_trained, again.n_reused) == (1, 3)
    (aside,) = store.path.glob("*.corrupt")
    assert aside.name.startswith("group-00002.npz.")
    assert aside.read_bytes() == bad


def test_damaged_manifest_is_set_aside_and_its_groups_are_kept(store: ShadowStore):
    run_shadow(tasks(2), store)
    (store.path / "manifest.json").write_text('{"schema_version": 1')
    with pytest.raises(StoreMismatch, match="group-00000.npz belongs to another experiment"):
        run_shadow(tasks(2), ShadowStore(store.path, experiment=EXPERIMENT | {"seed": 2}))
    (store.path / "manifest.json").write_text("[]")
    assert run_shadow(tasks(2), ShadowStore(store.path, experiment=EXPERIMENT)).n_reused == 2
    assert len(list(store.path.glob("manifest.json.*.corrupt"))) == 2


def test_good_file_that_arrives_while_a_bad_one_is_set_aside_is_put_back(store: ShadowStore, monkeypatch: pytest.MonkeyPatch):
    path, real = store.path / "group-00000.npz", os.replace
    path.write_bytes(b"damaged")

    def replace_after_a_writer(source: Path, target: Path) -> None:
        if str(target).endswith(".corrupt"):
            monkeypatch.setattr(os, "replace", real)
            store.write(0, train(0))  # another writer, between our reading and our renaming
        real(source, target)

    monkeypatch.setattr(os, "replace", replace_after_a_writer)
    assert store.read(0) is None
    record = store.read(0)
    assert record is not None
    assert record.equals(train(0))
    assert not list(store.path.glob("*.corrupt"))


# --- files ---


def test_files_are_private_and_nothing_else_is_left(store: ShadowStore):
    store.write(3, train(3))
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o700
    assert sorted(path.name for path in store.path.iterdir()) == ["group-00003.npz", "manifest.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.path.iterdir()} == {0o600}
    assert store.groups() == (3,)
    assert repr(store) == "ShadowStore(n_parts=4, n_groups=1)"


def test_write_that_fails_leaves_the_old_file(store: ShadowStore, monkeypatch: pytest.MonkeyPatch):
    store.write(0, train(0))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            store.write(0, train(1))
    record = store.read(0)
    assert record is not None
    assert record.equals(train(0))
    assert not list(store.path.glob(".*.part"))


def test_only_old_leftovers_of_our_own_are_removed(store: ShadowStore):
    old = time.time() - STALE_SECONDS - 60
    names = {".group-00001.npz.aa.part": old, ".group-00002.npz.bb.part": None, ".notes.part": old, "group-00003.part": old}
    for name, mtime in names.items():
        (store.path / name).write_bytes(b"x")
        if mtime is not None:
            os.utime(store.path / name, (mtime, mtime))
    ShadowStore(store.path, experiment=EXPERIMENT)
    left = {path.name for path in store.path.iterdir()}
    assert left == set(names) - {".group-00001.npz.aa.part"} | {"manifest.json"}


def test_store_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def no_links(source: Path, target: Path) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    run_shadow(tasks(2), ShadowStore(tmp_path, experiment=EXPERIMENT))
    assert run_shadow(tasks(2), ShadowStore(tmp_path, experiment=EXPERIMENT)).n_reused == 2


def test_first_of_two_makers_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.link

    def link_after_another(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "link", real)
        ShadowStore(tmp_path, experiment=EXPERIMENT)
        real(source, target)

    monkeypatch.setattr(os, "link", link_after_another)
    with pytest.raises(StoreMismatch, match="what differs: seed;"):
        ShadowStore(tmp_path, experiment=EXPERIMENT | {"seed": 2})
    assert ShadowStore(tmp_path, experiment=EXPERIMENT).groups() == ()


def test_worker_that_does_not_see_the_folder_says_so(store: ShadowStore):
    away = pickle.loads(pickle.dumps(store))
    away.check_reachable()
    store.path.rename(store.path.with_name("moved"))
    with pytest.raises(FileNotFoundError, match="workers need a folder that every machine shares"):
        away.check_reachable()


def test_digest_covers_names_and_values():
    assert len({digest_of(parts) for parts in ({"a": "1"}, {"a": "2"}, {"b": "1"}, {"a": "1", "b": "1"})}) == 4


def test_memory_store_has_the_same_interface():
    memory = ShadowStore.memory()
    run = run_shadow(tasks(3), memory)
    assert memory.groups() == (0, 1, 2)
    again = run_shadow(tasks(4), memory)
    assert (again.n_trained, again.n_reused) == (1, 3)
    assert again.signals[:6].tobytes() == run.signals.tobytes()
