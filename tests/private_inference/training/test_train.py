"""Training: what is learned, what is reported, what a diverged run leaves, which path runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from private_inference.attention import CausalAttention
from private_inference.config import VARIANTS
from private_inference.gpt import PIGPT
from private_inference.training.evaluation import held_out_loss
from private_inference.training.optimizer_groups import adamw, parameter_groups, set_rate
from private_inference.training.recipe import TrainingRecipe
from private_inference.training.sequence_order import SequenceOrder
from private_inference.training.train import train_model
from tests.private_inference.runs import RECIPE, T, V, config, corpus, penalty


def weights(model):
    return {name: value.detach().numpy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_t_scfuffn"])
def test_a_pattern_is_learned(variant):
    """90 % of all steps are +1: the best perplexity is exp(0.325) = 1.38, guessing at random has 12."""
    recipe = TrainingRecipe(steps=120, batch_size=8, learning_rate=2e-2, eval_every=60, n_evaluation=50)
    result = train_model(config(variant), corpus(4000), recipe, rng=0)
    assert result.status == "finished"
    assert result.n_steps == 120
    assert 1.3 < result.evaluation.perplexity < 2.0
    assert result.evaluation.bits_per_byte == pytest.approx(result.evaluation.loss / math.log(2) / 2)
    assert [row.step for row in result.history] == [60, 120]
    assert result.history[0].train_loss > result.history[1].train_loss
    assert result.history[1].held_out_loss == result.evaluation.loss


def test_one_seed_is_one_run():
    first, same, other = (train_model(config(), corpus(), RECIPE, penalty=penalty(), rng=seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(weights(first.model).values(), weights(same.model).values(), strict=True))
    assert first.to_dict() == same.to_dict()
    assert first.tracker.to_dict() == same.tracker.to_dict()
    assert not np.array_equal(weights(first.model)["token_embedding.weight"], weights(other.model)["token_embedding.weight"])


def test_the_penalty_moves_heads_and_thresholds_and_is_in_no_reported_loss():
    given_penalty = penalty(weight=50.0, theta_init=0.3)
    free = train_model(config(), corpus(), RECIPE, rng=0)
    guided = train_model(config(), corpus(), RECIPE, penalty=given_penalty, rng=0)
    wanted = 0.3 * math.log(T)
    distances = [np.abs(run.tracker.head_entropy[-1] - wanted).mean() for run in (free, guided)]
    assert distances[1] < distances[0]
    rows = corpus().held_out_sequences(T, RECIPE.n_evaluation)
    assert guided.evaluation.loss == pytest.approx(held_out_loss(guided.model, rows))
    assert guided.history[-1].train_loss < 2 * math.log(V)  # with 50 times its penalty it would be far above
    assert not torch.equal(guided.penalty.theta, given_penalty.theta)
    assert torch.allclose(given_penalty.theta, torch.tensor(0.3))  # the caller's own is left alone


def test_without_a_penalty_the_fused_kernel_runs(monkeypatch):
    calls = []
    watched = CausalAttention.with_entropy

    def counted(self, x):
        calls.append(torch.is_grad_enabled())
        return watched(self, x)

    monkeypatch.setattr(CausalAttention, "with_entropy", counted)
    train_model(config(), corpus(), RECIPE, rng=0)
    assert len(calls) == 2 * 3  # two layers, tracked at steps 0, 5 and 10
    assert not any(calls)
    calls.clear()
    train_model(config(), corpus(), RECIPE, penalty=penalty(), rng=0)
    assert sum(calls) == 2 * RECIPE.steps


def test_the_penalty_fades_out():
    recipe = TrainingRecipe(steps=100, penalty_until=0.6)
    assert [recipe.penalty_share_at(step) for step in (0, 59, 60, 80, 99)] == pytest.approx([1, 1, 1, 0.5, 0.025])
    assert TrainingRecipe(steps=100).penalty_share_at(99) == 1
    assert TrainingRecipe(steps=100, penalty_until=0).penalty_share_at(50) == 0.5


def test_a_diverged_run_stops_and_keeps_its_last_entropies():
    recipe = TrainingRecipe(steps=50, batch_size=4, learning_rate=1e30, warmup=0.0, weight_decay=0.0, track_every=1, n_evaluation=8)
    for kind in (None, penalty()):
        result = train_model(config(), corpus(), recipe, penalty=kind, rng=0)
        assert result.status == "diverged"
        assert 1 <= result.n_steps < 50
        assert result.tracker.diverged_at == result.n_steps
        assert np.isfinite(result.tracker.head_entropy).all()
        assert result.tracker.diagnose().warnings[0].startswith("diverged")
        assert result.to_dict()["status"] == "diverged"


def test_conditioning_keeps_the_linear_maps_near_orthogonal():
    from private_inference.folding.conditioning import condition_number, layer_maps

    recipe = TrainingRecipe(steps=60, batch_size=4, learning_rate=1e-2, n_evaluation=8)
    numbers = []
    for weight in (0.0, 1.0):
        model = train_model(config("sm_scfuffn"), corpus(), recipe, conditioning=weight, rng=0).model
        numbers.append(max(condition_number(one.detach()) for one in layer_maps(model)))
    assert numbers[1] < numbers[0]


@pytest.mark.parametrize("variant", sorted(VARIANTS))
@pytest.mark.parametrize("tied", [True, False])
def test_every_parameter_is_in_one_group_and_only_matrices_decay(variant, tied):
    model, guide = PIGPT(config(variant, temperature="position", tied=tied), rng=0), penalty()
    recipe = TrainingRecipe(temperature_rate=3.0, threshold_rate=0.5)
    groups = parameter_groups(model, guide, recipe)
    ids = [id(one) for group in groups for one in group["params"]]
    assert sorted(ids) == sorted(id(one) for one in (*model.parameters(), *guide.parameters()))
    names = {id(one): name for name, one in (*model.named_parameters(), *guide.named_parameters())}
    decayed = {names[id(one)] for group in groups if group["weight_decay"] for one in group["params"]}
    for name in names.values():
        is_matrix = not any(part in name for part in ("norm", "gain", "temperature", "threshold", "length", "raw"))
        assert (name in decayed) == (is_matrix or name.endswith(("inner.raw", "outer.raw", "feedforward.raw"))), name
    optimizer = adamw(groups, recipe)
    set_rate(optimizer, 0.1)
    assert [group["lr"] for group in optimizer.param_groups][-2:] == pytest.approx([0.3, 0.05])


def test_the_rate_warms_up_and_falls_to_zero():
    for decay, middle in (("linear", 0.5), ("cosine", 0.5), ("none", 1.0)):
        recipe = TrainingRecipe(steps=120, learning_rate=1.0, warmup=1 / 6, decay=decay)
        rates = [recipe.rate_at(step) for step in range(120)]
        assert rates[:20] == pytest.approx(np.arange(1, 21) / 20)
        assert rates[70] == pytest.approx(middle)
        assert decay == "none" or 0 < rates[-1] < 0.02


@given(n=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 5))
def test_an_epoch_has_every_sequence_once(n, size, seed):
    order = SequenceOrder(n, size, seed=seed)
    n_steps = -(-3 * n // size)
    seen = np.concatenate([order.batch(step) for step in range(n_steps)])
    for epoch in range(len(seen) // n):
        assert sorted(seen[epoch * n : (epoch + 1) * n]) == list(range(n))
    fresh = SequenceOrder(n, size, seed=seed)
    assert np.array_equal(fresh.batch(n_steps - 1), seen[(n_steps - 1) * size :])


def test_threads_are_put_back():
    before, seen = torch.get_num_threads(), []
    wanted = 1 if before > 1 else 2
    few = TrainingRecipe(steps=2, batch_size=1, n_evaluation=1)
    train_model(config(), corpus(), few, rng=0, threads=wanted, progress=lambda *_: seen.append(torch.get_num_threads()))
    assert set(seen) == {wanted}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "steps must be a whole number >= 1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"weight_decay": -1.0}, "weight_decay must be non-negative"),
        ({"warmup": 1.0}, r"warmup must be in \[0, 1\)"),
        ({"decay": "step"}, "decay must be one of 'linear', 'cosine', 'none'"),
        ({"penalty_until": 1.5}, r"penalty_until must be in \[0, 1\]"),
    ],
)
def test_recipes_out_of_range(changed, message):
    with pytest.raises(ValueError, match=message):
        TrainingRecipe(**changed)


def test_recipes_come_back_from_their_record():
    assert TrainingRecipe.from_dict(RECIPE.to_dict()) == RECIPE
    with pytest.raises(ValueError, match=r"has no \['lr'\]"):
        TrainingRecipe.from_dict({"lr": 1.0})


def test_what_does_not_fit_the_corpus_is_refused():
    with pytest.raises(ValueError, match="vocab_size of the model must be the corpus's 12, got 13"):
        train_model(config(vocab_size=13), corpus(), RECIPE)
    with pytest.raises(ValueError, match=r"penalty must have the model's layers and heads, \(3, 2\), got \(2, 2\)"):
        train_model(config(n_layer=3), corpus(), RECIPE, penalty=penalty())
