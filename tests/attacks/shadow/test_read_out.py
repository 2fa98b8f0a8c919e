"""The signals of a model: logits of torch modules, probabilities of classifiers, a class never seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from attacks.shadow.read_out import model_signals


class Fixed(nn.Module):
    """Returns given logits, and remembers whether it was asked in evaluation mode."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits, self.asked_in_training = torch.from_numpy(logits), False

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        self.asked_in_training |= self.training
        return self.logits[inputs[:, 0].long()]


def test_torch_logits(rng):
    logits = rng.normal(size=(5000, 3)).astype(np.float32)
    targets = rng.integers(0, 3, 5000)
    model = Fixed(logits)
    p = np.exp(logits.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    own = p[np.arange(5000), targets]
    found = model_signals(model, np.arange(5000.0)[:, None], targets)
    np.testing.assert_allclose(found, np.log(own / (1 - own)), rtol=1e-9, atol=1e-9)
    assert model.training
    assert not model.asked_in_training


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_one_logit_means_class_one(shape):
    logits = np.array([0.5, -1.0, 2.0, 0.0]).reshape(shape)
    found = model_signals(Fixed(logits), np.arange(4.0)[:, None], np.array([1, 1, 0, 0]))
    np.testing.assert_allclose(found, [0.5, -1.0, -2.0, 0.0])


def test_a_classifier_that_never_saw_a_class(rng, caplog):
    inputs, targets = rng.normal(size=(60, 2)), np.repeat([0, 2, 5], 20)
    model = LogisticRegression().fit(inputs[:40], targets[:40])
    with caplog.at_level("INFO"):
        found = model_signals(model, inputs, targets)
    p = model.predict_proba(inputs)
    seen = p[np.arange(40), (targets[:40] == 2).astype(int)]
    np.testing.assert_allclose(found[:40], np.log(seen) - np.log1p(-seen), rtol=1e-9)
    np.testing.assert_allclose(found[40:], np.log(1e-12), atol=1e-6)
    assert "clipped" in caplog.text


def test_other_models_are_refused():
    with pytest.raises(TypeError, match="predict_proba"):
        model_signals(object(), np.zeros((1, 1)), np.zeros(1, dtype=int))


def test_sequences_are_read_by_their_mean_loss(rng):
    logits = rng.normal(size=(700, 5, 3)).astype(np.float32)  # more than are read at once
    tokens = rng.integers(0, 3, (700, 5))
    model = Fixed(logits)
    found = model_signals(model, np.repeat(np.arange(700)[:, None], 5, axis=1), tokens)
    p = np.exp(logits.astype(float))
    p /= p.sum(axis=2, keepdims=True)
    mean = np.exp(np.log(np.take_along_axis(p, tokens[:, :, None], axis=2)[:, :, 0]).mean(axis=1))
    np.testing.assert_allclose(found, np.log(mean / (1 - mean)), rtol=1e-6, atol=1e-6)
    assert not model.asked_in_training


def test_a_model_that_gives_one_answer_a_sequence_is_refused(rng):
    inputs, tokens = np.zeros((4, 5)), rng.integers(0, 3, (4, 5))
    with pytest.raises(ValueError, match=r"logits must have shape \(..., 4, 5, C\)"):
        model_signals(Fixed(np.zeros((4, 3))), inputs, tokens)
    with pytest.raises(TypeError, match="torch module must predict"):
        model_signals(LogisticRegression().fit(np.arange(4.0)[:, None], [0, 1, 0, 1]), inputs, tokens)
