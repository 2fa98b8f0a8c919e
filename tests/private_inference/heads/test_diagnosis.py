"""Reports in words: healthy, overloaded, collapsed and diverged models, and limits."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.heads.diagnosis import HealthLimits, diagnose
from private_inference.heads.entropy import causal_max_entropy, head_entropy

T = 128
MOST = causal_max_entropy(T)


def census(shares: tuple[int, int, int, int], n_layer: int = 10) -> np.ndarray:
    """100 heads with given percentages in the quarters, the lowest in the deepest layers."""
    middles = np.repeat(np.array([0.875, 0.625, 0.375, 0.125]) * MOST, shares[::-1])
    return middles.reshape(n_layer, -1)


def test_healthy_model_has_no_warning() -> None:
    report = diagnose(census((5, 45, 45, 5)), T=T)
    assert report.healthy
    assert (report.warnings, report.near_uniform, report.near_zero, report.near_zero_deep) == ((), 0, 0, 0)
    assert report.bands is not None
    assert report.bands.shares == (0.05, 0.45, 0.45, 0.05)


@pytest.mark.parametrize(("top", "warned"), [(23, False), (40, False), (45, True), (58, True)])
def test_overload_of_the_top_quarter(top: int, warned: bool) -> None:
    warnings = diagnose(census((0, 0, 100 - top, top)), T=T).warnings
    assert len(warnings) == warned
    if warned:
        assert warnings[0].startswith(f"entropic overload: {top}% of heads are in the top quarter (limit 40%), in layers 0, 1, 2")
        assert "EntropyPenalty" in warnings[0]


def test_overload_of_uniform_heads() -> None:
    heads = census((0, 0, 100, 0))
    heads[:2] = MOST
    assert diagnose(heads, T=T).healthy  # 20 % is the limit, not above it
    heads[2, 0] = MOST
    (warning,) = diagnose(heads, T=T).warnings
    assert "21% of heads are near uniform" in warning
    assert "in layers 0, 1, 2;" in warning


def test_collapse_counts_in_the_deeper_half_only() -> None:
    heads = census((0, 50, 50, 0))
    heads[:5] = 0.05
    assert diagnose(heads, T=T).healthy
    assert diagnose(heads, T=T).near_zero == 0.5
    report = diagnose(heads[::-1], T=T)
    assert report.near_zero_deep == 1
    assert report.warnings[0].startswith("entropy collapse: 100% of heads in the deeper half of layers are below 0.1 nat")
    assert "in layers 5, 6, 7, 8, 9; lower the learning rate" in report.warnings[0]


@pytest.mark.parametrize("n_layer", [1, 3])
def test_deeper_half_of_an_odd_number_of_layers_holds_the_middle(n_layer: int) -> None:
    heads = np.full((n_layer, 2), 0.5 * MOST)
    heads[n_layer // 2] = 0.0
    assert diagnose(heads, T=T).near_zero_deep == pytest.approx(2 / (2 * (n_layer - n_layer // 2)))


def test_divergence() -> None:
    heads = census((5, 45, 45, 5))
    assert diagnose(heads, T=T, loss=2.5).healthy
    assert diagnose(heads, T=T, loss=math.nan).warnings[0].startswith("diverged: the loss is not finite")
    heads[3, 1] = math.nan
    report = diagnose(heads, T=T)
    assert (report.bands, report.near_uniform, report.near_zero, report.layers) == (None, None, None, ())
    assert report.warnings[0].startswith("diverged: 1 of 100 heads have entropies that are not finite, in layer 3;")
    assert "not finite" in report._repr_html_()


def test_limits() -> None:
    heads = census((5, 45, 45, 5))
    assert not diagnose(heads, T=T, limits=HealthLimits(top_band=0.04)).healthy
    with pytest.raises(ValueError, match="near_zero must be in"):
        HealthLimits(near_zero=10)


def test_layers_and_records() -> None:
    heads = np.array([[0.05, 1.0], [2.0, MOST]])
    report = diagnose(torch.from_numpy(heads), T=T)
    first, last = report.layers
    assert (first.layer, first.mean, first.smallest, first.largest, first.near_zero) == (0, 0.525, 0.05, 1.0, 0.5)
    assert (last.near_uniform, last.largest) == (0.5, MOST)
    record = json.loads(json.dumps(report.to_dict()))
    assert record["schema_version"] == 1
    assert record["warnings"] == list(report.warnings)
    assert len(record["layers"]) == 2
    html = report._repr_html_()
    assert "<td>2.000</td>" in html
    assert "25%" in html


@pytest.mark.parametrize(("temperature", "init_std", "word"), [(1.0, 0.05, "entropic overload"), (2e-4, 0.5, "entropy collapse")])
def test_untrained_models(temperature: float, init_std: float, word: str) -> None:
    """Norm-free logits are tiny at first, so heads begin uniform; large weights over a temperature near 0 make them one-hot."""
    config = PIGPTConfig(4, 2, 16, 32, 50, variant="sm_t_scfuffn", temperature_init=temperature, init_std=init_std)
    entropy = PIGPT(config, rng=0)(torch.arange(64).reshape(2, 32) % 50, return_entropy=True)[1]
    report = diagnose(head_entropy(entropy), T=32)
    assert word in report.warnings[0]
    assert (report.near_uniform, report.near_zero) == ((1, 0) if word == "entropic overload" else (0, 1))


@pytest.mark.parametrize(("heads", "words"), [([1.0, 2.0], "must have shape"), ([[1.0, 5.0]], "must be in"), (np.zeros((0, 2)), "shape")])
def test_bad_input_is_refused(heads: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        diagnose(heads, T=T)
