"""Audit of a language model by shadow models: sequences are the records, and a model that ignores them leaves no bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.shadow_models import audit_by_shadow_models
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.sequence_signals import sequence_losses
from private_inference.training.tokenized_corpus import TokenizedCorpus
from private_inference.training.train import train_model

V, T = 8, 6
SEQUENCES = np.random.default_rng(3).integers(V, size=(60, T + 1))  # nothing to learn: a model can only memorize
PUBLIC = np.random.default_rng(4).integers(V, size=(20, T + 1))
CONFIG = PIGPTConfig(n_layer=1, n_head=2, n_embd=16, block_size=T, vocab_size=V, variant="sm_t_scfuffn", init_std=0.2)
RECIPE = TrainingRecipe(steps=80, batch_size=16, learning_rate=2e-2, weight_decay=0.0, eval_every=80, track_every=80)


def pairs(sequences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return sequences[:, :-1], sequences[:, 1:]


def trained(part, rng):
    inputs, targets = part
    sequences = np.column_stack([inputs, targets[:, -1]])
    corpus = TokenizedCorpus("members", sequences.ravel(), PUBLIC.ravel(), V)
    return train_model(CONFIG, corpus, RECIPE, rng=rng).model


def untrained(part, rng):
    return PIGPT(CONFIG, rng=rng)


@pytest.fixture(scope="module")
def report():
    claim = PrivacyGuarantee(0.1, 1e-5, Neighboring.ADD_REMOVE)
    return audit_by_shadow_models(trained, pairs(SEQUENCES), population=pairs(PUBLIC), delta=1e-5, n_models=12, claim=claim, rng=2)


def test_a_memorizing_language_model_contradicts_a_small_claim(report):
    assert report.verdict == "violation"
    assert report.scores.auc > 0.8
    assert set(report.membership.scores) >= {"bayes_t", "rmia", "lira_fixed", "difficulty_calibrated", "loss"}


def test_the_loss_attack_scores_by_the_losses_of_sequences(report):
    loss = report.membership.scores["loss"]
    member = loss.member[loss.model_id == 0]
    seed = int(np.random.default_rng(2).spawn(3)[1].integers(2**63))
    model = trained(pairs(SEQUENCES[member]), np.random.default_rng([seed, 0]))
    np.testing.assert_allclose(loss.score[loss.model_id == 0], -sequence_losses(model, SEQUENCES), rtol=1e-4)


def test_a_model_that_ignores_its_sequences_leaves_no_bound():  # one audit: false alarm at most 0.001
    data = TensorDataset(*map(torch.from_numpy, pairs(SEQUENCES)))
    report = audit_by_shadow_models(untrained, data, delta=1e-5, n_models=8, attack="loss", level=0.999, rng=3)
    assert report.bound.epsilon == 0
    assert abs(report.scores.auc - 0.5) < 5 * math.sqrt(1 / (12 * 50))
