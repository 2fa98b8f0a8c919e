"""Views of trained models: lock-step and a user's own code, black and white box, copies of records, refusals."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from torch import nn

from attacks.distribution.samples import TrainingSamples
from attacks.distribution.train import Queries, Sight, answers_of, default_trainer, train_views
from attacks.distribution.views import QueryLabels
from tests.attacks.distribution.synthetic import linear_trainer, table

BOTH = Sight(weights=True, activations=True)


@pytest.fixture
def samples(rng):
    X, y, _ = table(400, rng)
    return TrainingSamples(X, y.astype(np.int64), tuple(rng.choice(400, size, replace=False) for size in (50, 80, 50)))


@pytest.fixture
def queries(rng):
    X, y, _ = table(20, rng)
    return Queries(X, QueryLabels(y, np.arange(20) >= 10), 2)


def fit_logistic(inputs, labels, rng):
    return LogisticRegression().fit(inputs, labels)


def fit_module(inputs, labels, rng):
    generator = torch.Generator().manual_seed(int(rng.integers(2**32)))
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1, 1, generator=generator)
    return model


def test_a_view_is_what_the_module_says(samples, queries):
    views = train_views(default_trainer(samples.inputs, 2, 50), samples, queries, seed=1, sight=BOTH)
    assert views.logits.shape == (3, 20, 2)
    assert list(views.weights) == [f"{layer}.{kind}" for layer in (0, 2, 4, 6) for kind in ("weight", "bias")]
    assert [layer.shape for layer in views.activations] == [(3, 20, 32), (3, 20, 16), (3, 20, 8)]
    x = queries.inputs.astype(np.float32)
    hidden = np.maximum(x @ views.weights["0.weight"][1].T + views.weights["0.bias"][1], 0)
    assert np.allclose(hidden, views.activations[0][1], atol=1e-5)
    out = views.activations[2][2] @ views.weights["6.weight"][2].T + views.weights["6.bias"][2]
    assert np.allclose(out, views.logits[2], atol=1e-5)


def test_models_do_not_depend_on_their_neighbors(samples, queries):
    together = train_views(linear_trainer(), samples, queries, seed=5, first_model=7)
    one = replace(samples, ids=samples.ids[1:2])
    alone = train_views(linear_trainer(models_at_once=1), one, queries, seed=5, first_model=8)
    assert np.allclose(together.logits[1], alone.logits[0], atol=1e-5)
    other = train_views(linear_trainer(), one, queries, seed=6, first_model=8)
    assert not np.allclose(alone.logits, other.logits, atol=1e-3)
    by_code = train_views(fit_module, samples, queries, seed=5, first_model=7)
    assert np.array_equal(by_code.logits[1], train_views(fit_module, one, queries, seed=5, first_model=8).logits[0])


def test_samples_of_one_size_or_many_train_to_their_own_data(samples, queries):
    """Full-batch gradient descent in lock-step on samples of different sizes is that of each sample alone, duplicates counted."""
    doubled = replace(samples, ids=(np.repeat(samples.ids[0], 2), samples.ids[0], samples.ids[1]))
    trainer = linear_trainer(optimizer="sgd", lr=0.5, batches="poisson", epochs=None, batch_size=None, steps=5, sample_rate=1.0)
    views = train_views(trainer, doubled, queries, seed=1, sight=Sight(weights=True))
    start = train_views(replace(trainer, lr=1e-30), doubled, queries, seed=1, sight=Sight(weights=True))
    for k in range(3):
        x, y = doubled.of(k)
        W, b = start.weights["weight"][k].astype(np.float64), start.weights["bias"][k].astype(np.float64)
        for _ in range(5):
            u = x @ W.T + b
            error = np.exp(u) / np.exp(u).sum(axis=1, keepdims=True) - np.eye(2)[y]
            W, b = W - 0.5 * error.T @ x / len(y), b - 0.5 * error.mean(axis=0)
        assert np.allclose(views.weights["weight"][k], W, atol=1e-4)


def test_one_logit_and_probabilities_become_two_columns(queries, rng):
    single, double = nn.Linear(3, 1), nn.Linear(3, 2)
    assert np.array_equal(answers_of(single, queries)[:, 0], np.zeros(20))
    assert answers_of(double, queries).shape == (20, 2)
    X, y, _ = table(200, rng)
    logistic = LogisticRegression().fit(X, y)
    answer = answers_of(logistic, queries)
    assert np.allclose(answer[:, 1] - answer[:, 0], logistic.decision_function(queries.inputs))


def test_a_class_never_seen_has_the_smallest_probability(queries, rng):
    X, _, _ = table(60, rng)
    answer = answers_of(GaussianNB().fit(X, np.arange(60) % 2 * 2), replace(queries, n_classes=3))
    assert np.allclose(answer[:, 1], np.log(1e-12))


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "cross_entropy"])
def test_losses(samples, queries, loss):
    n_outputs = 1 if loss == "binary_cross_entropy" else 2
    trainer = replace(linear_trainer(), make_model=partial(nn.Linear, 3, n_outputs), loss=loss, epochs=20)
    views = train_views(trainer, samples, queries, seed=1)
    assert views.correct.mean() > 0.5


def test_white_box_views_of_own_code(samples, queries):
    views = train_views(fit_module, samples, queries, seed=1, sight=BOTH)
    x = queries.inputs.astype(np.float32)
    assert np.allclose(views.activations[0][2], np.maximum(x @ views.weights["0.weight"][2].T + views.weights["0.bias"][2], 0), atol=1e-5)
    assert np.allclose(views.logits, train_views(fit_module, samples, queries, seed=1).logits, atol=1e-5)


def test_what_can_not_be_seen_is_refused(samples, queries):
    with pytest.raises(ValueError, match="needs the weights of torch modules, the training code returned LogisticRegression"):
        train_views(fit_logistic, samples, queries, seed=1, sight=Sight(weights=True))
    with pytest.raises(ValueError, match="one architecture"):
        train_views(lambda x, y, rng: nn.Sequential(nn.Linear(3, len(y)), nn.Linear(len(y), 2)), samples, queries, seed=1, sight=BOTH)
    with pytest.raises(TypeError, match="torch module or have predict_proba"):
        train_views(lambda x, y, rng: 3, samples, queries, seed=1)
    with pytest.raises(ValueError, match="must give 3 outputs per record"):
        train_views(linear_trainer(2), samples, replace(queries, n_classes=3), seed=1)
    with pytest.raises(ValueError, match="at least one record"):
        replace(samples, ids=(np.zeros(0, dtype=np.intp),))


def test_progress_counts_models(samples, queries):
    seen = []
    many = replace(samples, ids=samples.ids * 50)
    train_views(linear_trainer(epochs=1), many, queries, seed=1, progress=lambda *at: seen.append(at))
    assert seen[-1] == (150, 150, "models")
    assert [done for done, *_ in seen] == sorted({done for done, *_ in seen})
