"""The census of heads: edges, references, and the two ends."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from private_inference.heads.bands import entropy_bands
from private_inference.heads.entropy import causal_max_entropy


def by_loop(heads: list[float], bound: float) -> list[float]:
    counts = [0, 0, 0, 0]
    for head in heads:
        counts[3 if head == bound else min(3, math.floor(4 * head / bound))] += 1
    return [count / len(heads) for count in counts]


def test_edges_belong_to_the_quarter_above_and_the_last_one_is_closed() -> None:
    edges = np.array([0.0, 0.25, 0.5, 0.75, 1.0]) * causal_max_entropy(64)
    assert entropy_bands(edges, T=64).shares == (0.2, 0.2, 0.2, 0.4)
    assert entropy_bands(np.nextafter(edges[1:4], 0), T=64).shares == (1 / 3, 1 / 3, 1 / 3, 0.0)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(["causal", "observed", "logT"]), st.integers(2, 600))
def test_shares(values: list[float], reference: str, T: int) -> None:
    heads = [value * causal_max_entropy(T) for value in values]
    bands = entropy_bands(heads, T=T, reference=reference)
    bound = {"causal": causal_max_entropy(T), "observed": max(heads), "logT": math.log(T)}[reference]
    assert bands.bound == bound
    assert sum(bands.shares) == pytest.approx(1)
    if bound > 1e-300:
        assert bands.shares == pytest.approx(by_loop(heads, bound), abs=1.01 / len(heads) * (not _clear(heads, bound)))
    assert entropy_bands(heads[::-1], T=T, reference=reference) == bands


def _clear(heads: list[float], bound: float) -> bool:
    """Whether no head is within round-off of an edge, where the loop's division may fall on the other side."""
    return all(abs(4 * head / bound - edge) > 1e-12 for head in heads for edge in (1, 2, 3))


def test_overloaded_model_shows_only_against_what_is_possible() -> None:
    """Uniform heads, half of the context's: against ln T and against the largest head the picture is another one."""
    uniform = np.full((12, 12), causal_max_entropy(16))
    bands = entropy_bands(uniform, T=16)
    assert (bands.shares[3], bands.near_uniform, bands.near_zero, bands.n_heads) == (1, 1, 0, 144)
    assert entropy_bands(uniform, T=16, reference="logT").shares == (0, 0, 1, 0)  # 0.69 of ln T: looks balanced
    assert entropy_bands(uniform * 0.01, T=16, reference="observed").shares[3] == 1  # collapsed, and looks overloaded
    assert entropy_bands(uniform * 0.01, T=16).shares == (1, 0, 0, 0)
    assert entropy_bands(np.zeros((2, 2)), T=16, reference="observed").shares == (1, 0, 0, 0)


def test_the_two_ends() -> None:
    most = causal_max_entropy(64)
    bands = entropy_bands([0.0999, 0.1, 0.9499 * most, 0.9501 * most], T=64)
    assert (bands.near_zero, bands.near_uniform) == (0.25, 0.25)


def test_tensors_and_records() -> None:
    heads = torch.tensor([[0.05, 1.0], [2.0, 3.2]], requires_grad=True)
    bands = entropy_bands(heads, T=64)
    assert bands == entropy_bands(heads.detach().numpy(), T=64)
    assert json.loads(json.dumps(bands.to_dict()))["shares"] == [0.25] * 4


def test_round_off_of_half_precision_is_cut() -> None:
    assert entropy_bands([causal_max_entropy(64) * 1.0009, -0.0009], T=64).shares == (0.5, 0, 0, 0.5)


@pytest.mark.parametrize(
    ("heads", "settings", "words"),
    [
        ([1.0, math.nan], {"T": 64}, "1 of 2 heads are not"),
        ([1.0, math.inf], {"T": 64}, "must be finite"),
        ([1.0, -0.1], {"T": 64}, "1 of 2 heads are not"),
        ([1.0, 3.5], {"T": 64}, r"must be in \[0, 3.206\] nats"),
        ([], {"T": 64}, "at least one head"),
        ([0.0], {"T": 1}, "T must be a whole number >= 2"),
        ([0.0], {"T": 64, "reference": "largest"}, "reference must be one of"),
    ],
)
def test_bad_input_is_refused(heads: list[float], settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        entropy_bands(heads, **settings)
