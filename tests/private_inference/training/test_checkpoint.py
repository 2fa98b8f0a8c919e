"""Checkpoints: a run that was interrupted anywhere ends with the bits of one that wasn't."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.errors import StateError, StoreMismatch
from private_inference.training.checkpoint import Checkpoint
from private_inference.training.train import train_model
from tests.private_inference.runs import RECIPE, config, corpus, penalty


class PowerCutError(Exception):
    pass


def cut_at(step):
    def progress(done, total, label):
        if done == step:
            raise PowerCutError

    return progress


def run(path, *, cut=None, rng=0, recipe=RECIPE, guide=None, **options):
    progress = None if cut is None else cut_at(cut)
    return train_model(config(), corpus(), recipe, penalty=guide or penalty(), checkpoint=path, rng=rng, progress=progress, **options)


def bits(result):
    states = (*result.model.state_dict().items(), *result.penalty.state_dict().items())
    return [(name, value.numpy().tobytes()) for name, value in states]


@pytest.mark.parametrize("cut", [1, 4, 6, 9, 10])
def test_a_resumed_run_is_the_uninterrupted_one(tmp_path, cut):
    whole = run(None)
    with pytest.raises(PowerCutError):
        run(tmp_path / "run.npz", cut=cut)
    resumed = run(tmp_path / "run.npz")
    assert bits(resumed) == bits(whole)
    assert resumed.to_dict() == whole.to_dict()
    assert resumed.tracker.to_dict() == whole.tracker.to_dict()


def test_a_lost_moment_would_be_seen(tmp_path, monkeypatch):
    """Negative control: without the optimizer's state a resumed run ends elsewhere."""
    with pytest.raises(PowerCutError):
        run(tmp_path / "run.npz", cut=6)
    monkeypatch.setattr("private_inference.training.run.load_optimizer", lambda *_: None)
    assert bits(run(tmp_path / "run.npz")) != bits(run(None))


def test_steps_before_the_checkpoint_are_not_taken_again(tmp_path):
    with pytest.raises(PowerCutError):
        run(tmp_path / "run.npz", cut=6)
    done = []
    train_model(
        config(), corpus(), RECIPE, penalty=penalty(), checkpoint=tmp_path / "run.npz", rng=0, progress=lambda n, *_: done.append(n)
    )
    assert done == [5, 6, 7, 8, 9, 10]
    assert run(tmp_path / "run.npz", cut=10).n_steps == 10  # finished: no step is left


def test_without_a_seed_the_stored_one_goes_on(tmp_path):
    with pytest.raises(PowerCutError):
        run(tmp_path / "run.npz", cut=4, rng=None)
    resumed = run(tmp_path / "run.npz", rng=None)
    assert run(tmp_path / "run.npz", rng=None).seed == resumed.seed
    assert run(None, rng=None).seed != resumed.seed


def test_another_run_is_refused_by_name(tmp_path):
    run(tmp_path / "run.npz")
    with pytest.raises(StoreMismatch, match="what differs: recipe; give another file"):
        run(tmp_path / "run.npz", recipe=replace(RECIPE, clip=2.0))
    with pytest.raises(StoreMismatch, match="what differs: seed"):
        run(tmp_path / "run.npz", rng=1)
    with pytest.raises(StoreMismatch, match="what differs: penalty;"):
        run(tmp_path / "run.npz", guide=penalty(gamma=0.1))
    with pytest.raises(StoreMismatch, match="what differs: thresholds;"):
        run(tmp_path / "run.npz", guide=penalty(theta_init=0.4))
    with pytest.raises(StoreMismatch, match="what differs: conditioning"):
        run(tmp_path / "run.npz", conditioning=0.1)
    assert run(tmp_path / "run.npz", rng=1, resume=False).seed == run(None, rng=1).seed


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    run(path)
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"", data[:200] + bytes([data[200] ^ 1]) + data[201:], b"\x80\x04K\x01."):
        path.write_bytes(broken)
        with pytest.raises(StateError, match=r"run\.npz is damaged, or no checkpoint"):
            run(path)


def test_the_file_is_one_without_pickle_for_its_owner_only(tmp_path):
    run(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype.kind in "fiU" for name in stored.files)
    assert stat.S_IMODE(os.stat(tmp_path / "run.npz").st_mode) == 0o600
    assert not list(tmp_path.glob("*.tmp"))


def test_two_live_runs_do_not_share_a_file(tmp_path):
    holder = Checkpoint(tmp_path / "run.npz")
    with pytest.raises(StateError, match="open in another live copy"):
        run(tmp_path / "run.npz")
    holder.close()
    assert run(tmp_path / "run.npz").n_steps == 10


def test_a_diverged_run_stays_diverged(tmp_path):
    recipe = replace(RECIPE, learning_rate=1e30, warmup=0.0)
    first = run(tmp_path / "run.npz", recipe=recipe)
    again = run(tmp_path / "run.npz", recipe=recipe)
    assert first.status == again.status == "diverged"
    assert first.to_dict() == again.to_dict()
