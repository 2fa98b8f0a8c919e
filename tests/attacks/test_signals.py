"""Signals against the softmax written out in high precision, shapes, extreme logits, clipping, torch tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf

from attacks.signals import (
    hinge_signal,
    logit_from_probabilities,
    logit_of_loss,
    logit_signal,
    loss_signal,
    probability_of_logit,
    probability_signal,
    sequence_signal,
    squared_error_signal,
)

LOGITS = arrays(np.float64, (5, 3), elements=st.floats(-40, 40))


def exact_p(row: np.ndarray, label: int) -> mpf:
    with mp.workdps(80):
        weights = [mp.exp(mpf(float(u))) for u in row]
        return weights[label] / sum(weights)


@given(LOGITS, st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_signals_equal_the_softmax_in_80_digits(logits: np.ndarray, labels: list[int]):
    phi, loss, p = (signal(logits, labels) for signal in (logit_signal, loss_signal, probability_signal))
    for i, (row, label) in enumerate(zip(logits, labels, strict=True)):
        with mp.workdps(80):
            truth = exact_p(row, label)
            assert float(mp.log(truth / (1 - truth))) == pytest.approx(phi[i], rel=1e-12, abs=1e-12)
            assert float(-mp.log(truth)) == pytest.approx(loss[i], rel=1e-10, abs=1e-300)
            assert float(truth) == pytest.approx(p[i], rel=1e-10, abs=1e-300)
    hinge = [row[label] - max(u for c, u in enumerate(row) if c != label) for row, label in zip(logits, labels, strict=True)]
    assert hinge_signal(logits, labels).tolist() == hinge


def test_probability_one_does_not_overflow():
    logits = np.array([[1000.0, 0.0, 0.0], [800.0, 0.0, 0.0], [0.0, 900.0, 0.0]])
    phi = logit_signal(logits, [0, 0, 0])
    assert phi == pytest.approx([1000 - np.log(2), 800 - np.log(2), -900])
    assert phi.dtype == np.float64
    assert loss_signal(logits, [0, 0, 0])[2] == pytest.approx(900)
    assert probability_of_logit(phi).tolist() == [1, 1, 0]


@given(LOGITS, st.floats(-100, 100), st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_adding_a_constant_to_all_logits_changes_nothing(logits: np.ndarray, shift: float, labels: list[int]):
    assert logit_signal(logits + shift, labels) == pytest.approx(logit_signal(logits, labels), abs=1e-10)


def test_two_classes_one_logit_and_one_column_agree(rng: np.random.Generator):
    v, y = rng.normal(size=(4, 7)), np.arange(7) % 2
    two = np.stack([np.zeros_like(v), v], axis=-1)
    assert logit_signal(v, y) == pytest.approx(np.where(y == 1, v, -v))
    for signal in (logit_signal, loss_signal, hinge_signal, probability_signal):
        assert signal(two, y).tolist() == signal(v, y).tolist() == signal(v[..., None], y).tolist()


def test_models_stand_on_the_leading_axes(rng: np.random.Generator):
    logits, labels = rng.normal(size=(2, 3, 6, 4)), rng.integers(0, 4, 6)
    whole = logit_signal(logits, labels)
    assert whole.shape == (2, 3, 6)
    assert whole[1, 2].tolist() == logit_signal(logits[1, 2], labels).tolist()


def test_torch_tensors_are_taken(rng: np.random.Generator):
    logits, labels = rng.normal(size=(6, 4)).astype(np.float32), rng.integers(0, 4, 6)
    tensor = torch.tensor(logits, requires_grad=True)
    assert logit_signal(tensor, torch.tensor(labels)).tolist() == logit_signal(logits, labels).tolist()


def test_regression_signal():
    assert squared_error_signal([[1.0, 2.0], [0.0, 0.0]], [1.0, 0.0], 2.0).tolist() == [[0, -0.5], [-0.125, 0]]
    with pytest.raises(ValueError, match="scale must be positive"):
        squared_error_signal([1.0], [1.0], 0)
    with pytest.raises(ValueError, match=r"prediction must have shape \(..., 2\)"):
        squared_error_signal([1.0], [1.0, 2.0], 1)


@given(LOGITS, st.lists(st.integers(0, 2), min_size=5, max_size=5))
def test_logit_from_probabilities_where_nothing_is_clipped(logits: np.ndarray, labels: list[int]):
    logits = logits / 4
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    signal = logit_from_probabilities(p, labels)
    assert signal.clipped_share == 0
    assert signal.value == pytest.approx(logit_signal(logits, labels), abs=1e-6)


def test_clipped_share_is_said():
    signal = logit_from_probabilities([1.0, 0.5, 0.0, 1e-13], [1, 1, 1, 0])
    assert signal.clipped_share == 0.75
    assert signal.value == pytest.approx([np.log(1e12), 0, -np.log(1e12), np.log(1e12)])
    assert "value" not in repr(signal)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        (np.zeros((3, 4)), [0, 1], r"logits must have shape \(..., 2, C\)"),
        (np.zeros((3, 4)), [0, 1, 4], r"labels must be in 0\.\.3"),
        (np.zeros((3, 4)), [0, 1, -1], r"labels must be in 0\.\.3"),
        (np.zeros(3), [0, 1, 2], r"labels must be in 0\.\.1"),
        (np.zeros((3, 4)), [0.5, 1, 2], "labels must be whole numbers"),
        (np.zeros((4, 4)), [0, 1, 0, 1], r"may be 4 classes or one output per record of 4 models"),
        (np.full((3, 4), np.nan), [0, 1, 2], "signals must be finite, got 3 of 3"),
        (np.array([[np.inf, 0, 0], [0, 0, 0]]), [0, 1], "signals must be finite, got 2 of 2|must be finite, got 1 of 2|got 2"),
    ],
)
def test_bad_logits_are_refused(logits: np.ndarray, labels: list[int], message: str):
    with pytest.raises(ValueError, match=message):
        logit_signal(logits, labels)


def test_bad_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"in \[0, 1\], got 1 of 4"):
        logit_from_probabilities([[0.5, 0.5], [2.0, 0.0]], [0, 1])
    with pytest.raises(ValueError, match="sum to 1"):
        logit_from_probabilities([[0.5, 0.4], [1.0, 0.0]], [0, 1])


@given(st.floats(1e-300, 1e300))
def test_a_loss_and_its_logit_say_the_same(loss: float):
    phi = logit_of_loss([loss])
    with mp.workdps(340):
        exact = -mp.log(mp.expm1(mpf(loss))) if loss < 1e3 else -mpf(loss)
    assert phi[0] == pytest.approx(float(exact), rel=1e-13, abs=1e-13)


def test_logit_of_loss_turns_loss_signal_around(rng: np.random.Generator):
    logits, labels = 5 * rng.normal(size=(2, 50, 4)), rng.integers(0, 4, 50)
    np.testing.assert_allclose(logit_of_loss(loss_signal(logits, labels)), logit_signal(logits, labels), rtol=1e-9, atol=1e-9)
    assert logit_of_loss(torch.tensor([1.0])).shape == (1,)


@pytest.mark.parametrize("loss", [0.0, -1.0, np.nan, np.inf])
def test_losses_that_are_none_are_refused(loss: float):
    with pytest.raises(ValueError, match="positive and finite, got 1 of 2"):
        logit_of_loss([1.0, loss])


def test_a_sequence_is_the_geometric_mean_of_its_tokens(rng: np.random.Generator):
    logits, tokens = 3 * rng.normal(size=(2, 6, 5, 7)), rng.integers(0, 7, (6, 5))
    found = sequence_signal(logits, tokens)
    assert found.shape == (2, 6)
    for k in range(2):
        for i in range(6):
            p = np.exp(-loss_signal(logits[k, i], tokens[i]).mean())
            assert found[k, i] == pytest.approx(np.log(p / (1 - p)), rel=1e-10, abs=1e-10)
    assert sequence_signal(torch.from_numpy(logits[0]), torch.from_numpy(tokens)).tolist() == found[0].tolist()
    one_place = sequence_signal(logits[:, :, :1], tokens[:, :1])
    np.testing.assert_allclose(one_place, logit_signal(logits[:, :, 0], tokens[:, 0]), rtol=1e-9, atol=1e-9)


def test_sure_tokens_keep_their_order():
    logits = np.zeros((2, 1, 3))
    logits[:, 0, 0] = [100.0, 200.0]
    assert sequence_signal(logits, [[0], [0]]) == pytest.approx([100 - np.log(2), 200 - np.log(2)])


@pytest.mark.parametrize(
    ("logits", "tokens", "message"),
    [
        (np.zeros((3, 4, 5)), np.zeros(3, dtype=int), "tokens must be whole numbers of shape"),
        (np.zeros((3, 4, 5)), np.zeros((3, 4)), "tokens must be whole numbers"),
        (np.zeros((3, 5)), np.zeros((3, 4), dtype=int), r"logits must have shape \(..., 3, 4, C\)"),
        (np.zeros((3, 4, 1)), np.zeros((3, 4), dtype=int), r"logits must have shape"),
        (np.zeros((3, 4, 5)), np.full((3, 4), 5), r"tokens must be in 0\.\.4"),
        (np.full((3, 4, 5), np.nan), np.zeros((3, 4), dtype=int), "got 3 of 3"),
    ],
)
def test_bad_sequences_are_refused(logits: np.ndarray, tokens: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        sequence_signal(logits, tokens)
