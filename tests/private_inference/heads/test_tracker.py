"""The tracker: what it keeps, where it reads, what it says, how it is written, drawn, and whose data it marks."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib import pyplot
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn

import private_inference
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.heads.entropy import causal_max_entropy
from private_inference.heads.guided_loss import GuidedLoss
from private_inference.heads.penalty import EntropyPenalty
from private_inference.heads.tracker import AS_THE_WEIGHTS, NOT_PRIVATE, EntropyTracker

B, L, H, T = 2, 3, 2, 16


@pytest.fixture(autouse=True)
def _no_window() -> Iterator[None]:
    mpl.use("Agg")
    yield
    pyplot.close("all")


def shares_of_possible(share: float | Tensor) -> Tensor:
    return share * torch.arange(1, T + 1).double().log().expand(B, L, H, T)


def model(**parts: object) -> PIGPT:
    return PIGPT(PIGPTConfig(L, H, 8, T, 20, **{"variant": "sm_t_scfuffn", **parts}), rng=0)


def filled(n: int = 4, **settings: object) -> EntropyTracker:
    tracker = EntropyTracker(**settings)
    for k in range(n):
        tracker.update(50 * k, shares_of_possible(0.3 + 0.1 * k), loss=3.0 - k / 10)
    return tracker


def test_head_entropies(rng: np.random.Generator) -> None:
    rows = torch.from_numpy(rng.uniform(0, 1, (B, L, H, T)))
    tracker = EntropyTracker()
    snapshot = tracker.update(7, rows.requires_grad_())
    np.testing.assert_allclose(snapshot.entropy, rows.detach().mean(dim=(0, 3)), rtol=1e-12)
    wanted = (rows.detach()[..., 1:] / torch.arange(2, T + 1).double().log()).mean(dim=(0, 3))
    np.testing.assert_allclose(snapshot.normalized, wanted, rtol=1e-12)
    assert (snapshot.step, snapshot.T, snapshot.loss) == (7, T, None)
    assert snapshot.finite.all()
    assert (snapshot.theta, snapshot.temperature, snapshot.alpha, snapshot.beta) == (None,) * 4


def test_learned_numbers() -> None:
    net, penalty = model(temperature_init=0.3), EntropyPenalty(L, H, theta_init=0.4)
    with torch.no_grad():
        for k, block in enumerate(net.blocks):
            block.feedforward_gain.gain.fill_(1 / (k + 1))
            block.skip_gain.gain.fill_(10.0 + k)
    snapshot = EntropyTracker().update(0, shares_of_possible(0.5), model=net, penalty=penalty)
    np.testing.assert_allclose(snapshot.theta, np.full((L, H), 0.4), rtol=1e-6)
    np.testing.assert_allclose(snapshot.temperature, np.full((L, H), 0.3), rtol=1e-5)
    np.testing.assert_allclose(snapshot.alpha, [1, 2, 3], rtol=1e-6)
    np.testing.assert_allclose(snapshot.beta, [10, 11, 12], rtol=1e-6)


def test_temperature_of_positions_is_its_mean_and_absent_parts_are_none() -> None:
    net = model(variant="sm_ln_gelu", temperature="position", temperature_init=0.3)
    snapshot = EntropyTracker().update(0, shares_of_possible(0.5), model=net)
    assert snapshot.temperature is not None
    assert snapshot.temperature.shape == (L, H)
    assert (snapshot.alpha, snapshot.beta, snapshot.theta) == (None,) * 3


@pytest.mark.parametrize("wrap", [lambda net: net, nn.Sequential, GradSampleModule])
def test_wrapped_modules_are_found(wrap: type[nn.Module]) -> None:
    net = wrap(GuidedLoss(model(), EntropyPenalty(L, H)))
    snapshot = EntropyTracker().update(0, shares_of_possible(0.5), model=net, penalty=net)
    assert snapshot.theta is not None
    assert snapshot.beta is not None


def test_a_module_without_the_part_is_refused() -> None:
    for wrong in ({"model": EntropyPenalty(L, H)}, {"penalty": model()}):
        with pytest.raises(TypeError, match="is or holds"):
            EntropyTracker().update(0, shares_of_possible(0.5), **wrong)


def test_entropies_of_a_model() -> None:
    net = model()
    tracker = EntropyTracker(data="held_out")
    tracker.update(0, net(torch.arange(2 * T).reshape(2, T) % 20, return_entropy=True)[1], model=net)
    assert tracker.bands().n_heads == L * H
    assert tracker.diagnose().bands == tracker.bands()


def test_bands_and_diagnosis_are_of_the_last_update() -> None:
    tracker = filled()
    assert tracker.bands().shares == (0, 0, 1, 0)
    assert tracker.bands(reference="observed").shares == (0, 0, 0, 1)
    assert tracker.diagnose().healthy
    tracker.update(1000, shares_of_possible(1.0))
    assert "entropic overload" in tracker.diagnose().warnings[0]
    np.testing.assert_array_equal(tracker.steps, [0, 50, 100, 150, 1000])
    assert tracker.head_entropy.shape == (5, L, H)


def test_a_run_that_broke_keeps_its_last_entropies() -> None:
    tracker = filled()
    broken = shares_of_possible(0.5).clone()
    broken[0, 1, 0, 3] = math.nan
    snapshot = tracker.update(200, broken)
    assert snapshot.finite.tolist() == [[True, True], [False, True], [True, True]]
    tracker.update(250, shares_of_possible(0.5), loss=math.nan)
    assert tracker.diverged_at == 200
    report = tracker.diagnose()
    assert report.bands is not None
    assert report.warnings[0].startswith("diverged: step 200 is not finite, entropies are those of step 250")
    assert EntropyTracker.from_dict(tracker.to_dict()).diverged_at == 200


def test_bands_of_a_broken_update_raise_and_a_run_broken_from_its_start_is_reported() -> None:
    tracker = EntropyTracker()
    tracker.update(0, torch.full((B, L, H, T), math.nan))
    with pytest.raises(ValueError, match="6 of 6 heads are not"):
        tracker.bands()
    assert tracker.diagnose().bands is None
    assert "6 of 6 heads" in tracker.diagnose().warnings[0]


def test_a_break_without_entropies_is_marked_by_hand() -> None:
    tracker = filled()
    tracker.mark_diverged(160)
    tracker.mark_diverged(170)
    assert "step 160" in tracker.diagnose().warnings[0]


def test_whose_data_is_said_everywhere() -> None:
    """Unless told, entropies are taken to come from training records, which no guarantee covers."""
    assert EntropyTracker().data == "training"
    cases = ((filled(), NOT_PRIVATE, "training data, not private"), (filled(data="held_out"), AS_THE_WEIGHTS, "held-out data"))
    for tracker, note, words in cases:
        assert tracker.to_dict()["note"] == note
        assert words in tracker.plot().get_title()
        assert EntropyTracker.from_dict(tracker.to_dict()).data == tracker.data
    with pytest.raises(ValueError, match="data must be one of 'held_out', 'training'"):
        EntropyTracker(data="test")  # type: ignore[arg-type]


def test_record_there_and_back() -> None:
    net, penalty = model(), EntropyPenalty(L, H)
    with torch.no_grad():
        net.blocks[0].feedforward_gain.gain.zero_()  # alpha is infinite
    tracker = EntropyTracker(data="held_out")
    tracker.update(0, shares_of_possible(0.5), model=net, penalty=penalty, loss=2.0)
    tracker.update(1, torch.full((B, L, H, T), math.nan), loss=math.inf)
    tracker.update(2, shares_of_possible(0.7)[..., :8], loss=math.nan)
    record = json.loads(json.dumps(tracker.to_dict(), allow_nan=False))
    again = EntropyTracker.from_dict(record)
    assert again.to_dict() == tracker.to_dict()
    assert all(a.equals(b) for a, b in zip(again.snapshots, tracker.snapshots, strict=True))
    assert not again.snapshots[0].equals(again.snapshots[2])
    assert again.snapshots[0].alpha is not None
    assert again.snapshots[0].alpha[0] == math.inf
    assert record["snapshots"][1]["finite"] == [[False, False]] * L
    assert record["snapshots"][1]["entropy"][0][0] == "nan"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"schema_version": 2}, ValueError, "schema_version must be 1, got 2"),
        ({"snapshots": None}, TypeError, "list of records"),
        ({"data": "public"}, ValueError, "data must be one of"),
        ({"snapshots": [{"step": 0, "T": 16, "entropy": [1.0], "normalized": [1.0]}]}, ValueError, "must have shape"),
    ],
)
def test_bad_records_are_refused(change: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        EntropyTracker.from_dict({**filled().to_dict(), **change})


def test_snapshots_are_frozen_and_stay_so_in_copies() -> None:
    snapshot = filled().snapshots[0]
    for item in (snapshot, copy.deepcopy(snapshot)):
        with pytest.raises(ValueError, match="read-only"):
            item.entropy[0, 0] = 1
    assert copy.deepcopy(snapshot).equals(snapshot)


def test_bad_updates_are_refused() -> None:
    tracker = filled()
    for step in (149, 150):
        with pytest.raises(ValueError, match="larger than that of the last update, 150"):
            tracker.update(step, shares_of_possible(0.5))
    with pytest.raises(ValueError, match="layers and heads as before"):
        tracker.update(200, shares_of_possible(0.5)[:, :2])
    for shape in ((L, H, T), (0, L, H, T), (B, L, H, 1)):
        with pytest.raises(ValueError, match="entropy must have shape"):
            tracker.update(200, torch.zeros(shape))
    assert len(tracker.snapshots) == 4
    for call in (EntropyTracker().bands, EntropyTracker().diagnose, EntropyTracker().plot, lambda: EntropyTracker().head_entropy):
        with pytest.raises(ValueError, match="no entropies yet"):
            call()


def test_picture() -> None:
    tracker = filled()
    tracker.update(400, torch.full((B, L, H, T), math.nan))
    _, given = pyplot.subplots()
    ax = tracker.plot(given)
    assert ax is given
    (mesh,) = ax.collections
    shown = mesh.get_array().reshape(L * H, 5)
    np.testing.assert_allclose(shown[:, :4], tracker.head_entropy[:4].reshape(4, -1).T)
    assert shown.mask[:, 4].all()
    assert mesh.get_clim() == (0, causal_max_entropy(T))
    np.testing.assert_array_equal(mesh.get_coordinates()[0, :, 0], [-25, 25, 75, 125, 275, 525])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["layer 0", "layer 1", "layer 2"]
    ax.figure.canvas.draw()
    filled(1).plot().figure.canvas.draw()


def test_matplotlib_is_imported_only_to_draw() -> None:
    """No file of the package imports it at its top (imports in functions and for types are indented)."""
    files = list(Path(private_inference.__file__).parent.glob("*.py"))
    assert len(files) > 5
    assert not [file.name for file in files if re.search(r"^(from|import) matplotlib", file.read_text(encoding="utf-8"), re.MULTILINE)]
