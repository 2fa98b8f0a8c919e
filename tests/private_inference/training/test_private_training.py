"""Private training: what is guaranteed, what is refused, what is kept out of the record."""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import replace

import pytest
import torch

from mechanisms.accounting.dp_sgd import dp_sgd_epsilon
from mechanisms.errors import InsecureNoiseWarning, UnsupportedClaimError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SEEDED_ASSUMPTION, SeededNoise
from private_inference.training.private_training import NOT_COVERED, PUBLIC_NUMBER, PUBLIC_RATE, train_private
from private_inference.training.recipe import TrainingRecipe
from tests.private_inference.runs import RECIPE, V, config, corpus, penalty

DELTA = 1e-3


def seeded(seed=0, **options):
    settings = {"delta": DELTA, "noise_multiplier": 1.0, "penalty": penalty(), "rng": 0, "recipe": RECIPE} | options
    recipe = settings.pop("recipe")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return train_private(config(), corpus(), recipe, noise=SeededNoise(seed), **settings)


def test_the_guarantee_is_the_accountants_per_sequence():
    result = train_private(config(), corpus(), RECIPE, delta=DELTA, noise_multiplier=1.0, max_grad_norm=0.3, penalty=penalty(), rng=0)
    n = len(corpus().train_sequences(8))
    wanted = dp_sgd_epsilon(sample_rate=4 / n, noise_multiplier=1.0, steps=10, delta=DELTA)
    assert result.guarantee.epsilon == wanted.epsilon
    assert (result.guarantee.delta, result.guarantee.neighboring) == (DELTA, Neighboring.ZERO_OUT)
    assert PUBLIC_NUMBER in result.guarantee.assumptions
    assert result.guarantee.privacy_unit == "sequence"
    assert set(wanted.assumptions) < set(result.guarantee.assumptions)
    assert SEEDED_ASSUMPTION not in result.guarantee.assumptions
    assert result.training.n_steps == 10
    assert not torch.equal(result.training.penalty.theta, penalty().theta)
    assert result.to_dict()["sample_rate"] == 4 / n


def test_a_public_rate_makes_it_add_remove_and_hangs_on_no_number_of_sequences():
    few = replace(RECIPE, steps=2, batch_size=6)
    found = [train_private(config(), corpus(n), few, delta=DELTA, noise_multiplier=1.0, sample_rate=0.1, rng=0) for n in (600, 50)]
    assert found[0].guarantee == found[1].guarantee  # 53 sequences and 4, fewer than a batch
    assert found[0].guarantee.neighboring is Neighboring.ADD_REMOVE
    assert found[0].guarantee.epsilon == dp_sgd_epsilon(sample_rate=0.1, noise_multiplier=1.0, steps=2, delta=DELTA).epsilon
    assert found[0].sample_rate == 0.1
    assert PUBLIC_RATE in found[0].guarantee.assumptions
    assert PUBLIC_NUMBER not in found[0].guarantee.assumptions
    with pytest.raises(ValueError, match="sample_rate must be in"):
        seeded(sample_rate=1.5)


def test_an_epsilon_buys_its_noise():
    result = train_private(config(), corpus(), replace(RECIPE, steps=3), delta=DELTA, epsilon=2.0, rng=0)
    assert 1.9 < result.guarantee.epsilon <= 2.0
    assert result.noise_multiplier > 0.3


def test_noise_is_fresh_unless_it_is_seeded():
    def weight(result):
        return result.training.model.token_embedding.weight

    few = replace(RECIPE, steps=2)
    first, same, other = (seeded(seed, recipe=few) for seed in (1, 1, 2))
    assert torch.equal(weight(first), weight(same))
    assert not torch.equal(weight(first), weight(other))
    assert SEEDED_ASSUMPTION in first.guarantee.assumptions
    fresh = [train_private(config(), corpus(), few, delta=DELTA, noise_multiplier=1.0, rng=0) for _ in range(2)]
    assert not torch.equal(weight(fresh[0]), weight(fresh[1]))
    with pytest.warns(InsecureNoiseWarning):
        train_private(config(), corpus(), few, delta=DELTA, noise_multiplier=1.0, noise=SeededNoise(0), rng=0)


def test_chunks_change_nothing_but_round_off():
    whole, parts = (seeded(chunk=chunk, recipe=replace(RECIPE, steps=3)) for chunk in (64, 1))
    for a, b in zip(whole.training.model.parameters(), parts.training.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_it_learns_where_the_noise_is_small():
    recipe = TrainingRecipe(steps=40, batch_size=25, learning_rate=3e-2, eval_every=40, track_every=40, n_evaluation=20)
    result = seeded(recipe=recipe, noise_multiplier=0.4)
    assert result.training.evaluation.perplexity < 0.6 * V


def test_nothing_of_training_sequences_is_reported():
    result = seeded()
    assert [row.train_loss for row in result.training.history] == [None] * 3
    assert all(row.held_out_loss is not None and math.isfinite(row.held_out_loss) for row in result.training.history)
    assert result.training.tracker.data == "held_out"
    assert not {"n_train_tokens", "digest"} & set(result.to_dict()["training"]["corpus"])  # a digest would name the corpus
    assert NOT_COVERED not in result.guarantee.assumptions
    watched = seeded(watched="training")
    assert watched.training.tracker.data == "training"
    assert "not to be published" in watched.training.tracker.to_dict()["note"]
    assert NOT_COVERED in watched.guarantee.assumptions


def test_the_model_is_free_of_hooks_afterwards():
    model = seeded().training.model
    assert not any(hasattr(one, name) for one in model.parameters() for name in ("grad_sample", "_forward_counter"))
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())
    again = copy.deepcopy(model)
    ids = torch.zeros(1, 8, dtype=torch.long)
    assert torch.equal(again(ids), model(ids))


def test_what_would_break_the_guarantee_is_refused():
    with pytest.raises(UnsupportedClaimError, match="mode 'head' averages entropies over the batch"):
        seeded(penalty=penalty(mode="head"))
    with pytest.raises(ValueError, match="penalty_until must be 1 in private training, got 0.5"):
        seeded(recipe=replace(RECIPE, penalty_until=0.5))
    with pytest.raises(ValueError, match="batch_size must be at most the 53 training sequences, got 54"):
        seeded(recipe=replace(RECIPE, batch_size=54))
    for options in ({"epsilon": 1.0}, {"noise_multiplier": None}):
        with pytest.raises(ValueError, match="give either epsilon or noise_multiplier"):
            seeded(**options)
    with pytest.raises(ValueError, match="noise_multiplier must be positive"):
        seeded(noise_multiplier=0.0)
    with pytest.raises(ValueError, match="watched must be one of"):
        seeded(watched="all")


def test_a_diverging_run_goes_on_and_says_so():
    """Stopping would tell about training sequences; weights of 1e30 are post-processing of noise."""
    result = seeded(recipe=replace(RECIPE, learning_rate=1e30, warmup=0.0, track_every=100), watched="training")
    assert result.training.n_steps == RECIPE.steps
    assert result.training.status == "diverged"
    assert result.training.evaluation is None
