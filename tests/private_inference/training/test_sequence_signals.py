"""Losses and head entropies of sequences: against loops, under any batching, folded, and whether they show who was trained on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.membership.metrics import auc
from attacks.scores import MembershipScores
from private_inference.config import VARIANTS, PIGPTConfig
from private_inference.folding.fold import fold
from private_inference.gpt import PIGPT
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.sequence_signals import head_entropies, sequence_losses
from private_inference.training.tokenized_corpus import TokenizedCorpus
from private_inference.training.train import train_model
from tests.private_inference.small_models import config_of, random_model

SMALL = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": 6, "vocab_size": 11}


def sequences_of(n: int, rng: np.random.Generator, places: int = 7) -> np.ndarray:
    return rng.integers(SMALL["vocab_size"], size=(n, places))


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_loss_is_the_mean_over_the_tokens(variant: str, rng: np.random.Generator) -> None:
    model, rows = random_model(config_of(variant, **SMALL), rng).eval(), sequences_of(5, rng)
    for row, loss, entropies in zip(rows, sequence_losses(model, rows), head_entropies(model, rows), strict=True):
        with torch.no_grad():
            logits, entropy = model(torch.from_numpy(row[None, :-1]), return_entropy=True)
        p = torch.softmax(logits[0], dim=1)
        assert loss == pytest.approx(np.mean([-math.log(p[place, token]) for place, token in enumerate(row[1:])]), rel=1e-12)
        wanted = [entropy[0, layer, head].mean() for layer in range(2) for head in range(2)]
        np.testing.assert_allclose(entropies, wanted, rtol=1e-12, atol=1e-12)


@given(seed=st.integers(0, 2**32 - 1), batch_size=st.integers(1, 12))
@settings(max_examples=25)
def test_company_changes_nothing(seed: int, batch_size: int) -> None:
    rng = np.random.default_rng(seed)
    model, rows = random_model(config_of("sm_t_scfuffn", **SMALL), rng), sequences_of(9, rng)
    order = rng.permutation(9)
    for read in (sequence_losses, head_entropies):
        whole = read(model, rows)
        np.testing.assert_allclose(read(model, rows, batch_size=batch_size), whole, rtol=1e-12)
        np.testing.assert_allclose(read(model, rows[order], batch_size=batch_size), whole[order], rtol=1e-12)


@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_t_scfuffn"])
def test_a_folded_model_has_the_same_losses(variant: str, rng: np.random.Generator) -> None:
    model, rows = random_model(config_of(variant, **SMALL), rng).eval(), sequences_of(9, rng)
    np.testing.assert_allclose(sequence_losses(fold(model, max_condition=1e9), rows), sequence_losses(model, rows), rtol=1e-9)


def test_a_model_of_zeros_knows_nothing_and_averages(rng: np.random.Generator) -> None:
    model, rows = PIGPT(PIGPTConfig(**SMALL), rng=0), sequences_of(4, rng)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert sequence_losses(model, rows) == pytest.approx(np.full(4, math.log(11)), rel=1e-6)
    assert head_entropies(model, rows) == pytest.approx(np.full((4, 4), math.lgamma(7) / 6), rel=1e-6)


def test_lists_tensors_and_short_sequences_are_taken(rng: np.random.Generator) -> None:
    model, rows = random_model(config_of("sm_relu", **SMALL), rng), sequences_of(3, rng, places=2)
    whole = sequence_losses(model, rows)
    for same in (rows.tolist(), torch.from_numpy(rows), rows.astype(np.uint8)):
        assert sequence_losses(model, same).tolist() == whole.tolist()
    assert whole.dtype == np.float64


def test_a_model_is_left_as_it_was(rng: np.random.Generator) -> None:
    model = PIGPT(PIGPTConfig(**SMALL), rng=0).train()
    model.blocks[0].eval()  # type: ignore[operator]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sequence_losses(model, sequences_of(3, rng))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_memorized_sequences_stand_out_and_unseen_ones_do_not(rng: np.random.Generator) -> None:  # false alarm below 1e-6
    sequences, member = sequences_of(80, rng), np.arange(80) < 40
    recipe = TrainingRecipe(steps=150, batch_size=20, learning_rate=1e-2, weight_decay=0.0, eval_every=150, track_every=150)
    for n_embd, trained_on, is_seen in ((16, sequences[member], True), (16, sequences_of(40, rng), False)):
        config = PIGPTConfig(**{**SMALL, "n_embd": n_embd}, variant="sm_ln_gelu", init_std=0.1)
        corpus = TokenizedCorpus("random tokens", trained_on.ravel(), sequences_of(5, rng).ravel(), SMALL["vocab_size"])
        model = train_model(config, corpus, recipe, rng=rng).model
        found = auc(MembershipScores(-sequence_losses(model, sequences), member))
        assert found > 0.85 if is_seen else abs(found - 0.5) < 5 * math.sqrt(81 / (12 * 40 * 40))


@pytest.mark.parametrize(
    ("sequences", "error", "message"),
    [
        ([[0.5, 1.0]], TypeError, "whole numbers"),
        ([1, 2, 3], ValueError, r"shape \(n, T \+ 1\)"),
        ([[1], [2]], ValueError, r"shape \(n, T \+ 1\)"),
        (np.zeros((0, 3), dtype=int), ValueError, r"shape \(n, T \+ 1\)"),
        ([[0, 11, 1]], ValueError, "ids must be in 0"),
        ([[0, 1, 11]], ValueError, "targets must be in 0"),
        (np.zeros((1, 8), dtype=int), ValueError, r"batch, 1\.\.6"),
    ],
)
def test_bad_sequences_are_refused(sequences: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        sequence_losses(PIGPT(PIGPTConfig(**SMALL), rng=0), sequences)  # type: ignore[arg-type]


def test_unknown_tokens_of_a_folded_model_are_refused() -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        sequence_losses(fold(PIGPT(PIGPTConfig(**SMALL, variant="sm_relu"), rng=0)), [[11, 0, 1]])


def test_diverged_models_and_models_without_entropies_are_refused(rng: np.random.Generator) -> None:
    model = PIGPT(PIGPTConfig(**SMALL, variant="sm_scfuffn"), rng=0)
    with pytest.raises(TypeError, match="PIGPT"):
        head_entropies(fold(model), sequences_of(2, rng))  # type: ignore[arg-type]
    with torch.no_grad():
        model.position_embedding.weight[0] = math.nan
    with pytest.raises(ValueError, match="2 of 2"):
        sequence_losses(model, sequences_of(2, rng))
    with pytest.raises(ValueError, match="batch_size"):
        sequence_losses(model, sequences_of(2, rng), batch_size=0)
