"""The model against its plain twin in numpy, for every variant; its weights, sizes and refusals."""

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from private_inference.attention import NonFiniteAttentionError
from private_inference.config import VARIANTS, PIGPTConfig
from private_inference.gpt import PIGPT, next_token_loss
from tests.private_inference.plain_gpt import plain_forward

L, H, D, T, V = 2, 3, 12, 9, 11
TEMPERATURES = ("none", "head", "position")


def config(variant="sm_t_scfuffn", **changes):
    shape = {"n_layer": L, "n_head": H, "n_embd": D, "block_size": T, "vocab_size": V, "init_std": 0.3, "temperature_init": 0.5}
    return PIGPTConfig(**(shape | {"variant": variant} | changes))


def model_of(variant="sm_t_scfuffn", **changes):
    """A model in float64 whose gains, norms and temperatures have left their starts."""
    model, generator = PIGPT(config(variant, **changes), rng=0).double(), torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1 or name.endswith((".raw", ".length")):
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model


def tokens(batch=3, length=T, seed=0):
    return torch.randint(0, V, (batch, length), generator=torch.Generator().manual_seed(seed))


def assert_same_as_plain(model, ids):
    plain_logits, plain_entropies = plain_forward(model, ids.numpy())
    logits = model(ids)
    np.testing.assert_allclose(logits.detach().numpy(), plain_logits, rtol=1e-10, atol=1e-11)
    if model.config.score != "linear":
        watched, entropies = model(ids, return_entropy=True)
        torch.testing.assert_close(watched, logits, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(entropies.detach().numpy(), plain_entropies, rtol=0, atol=1e-11)


@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_every_variant_is_its_plain_twin(variant, temperature):
    assert_same_as_plain(model_of(variant, temperature=temperature), tokens())


@pytest.mark.parametrize("score", ["softmax_rr", "quad2", "relu_over_n", "sigmoid", "linear"])
def test_every_score_is_its_plain_twin(score):
    assert_same_as_plain(model_of(score=score), tokens(length=5))


def test_the_plain_twin_notices_a_wrong_model():
    model = model_of("sm_ln_gelu")
    plain, _ = plain_forward(model, tokens().numpy())
    model.blocks[1].feedforward.activation = torch.nn.GELU()  # the erf form: off by less than 0.001 an element
    assert np.abs(model(tokens()).detach().numpy() - plain).max() > 1e-6


@settings(max_examples=30)
@given(st.sampled_from(sorted(VARIANTS)), st.integers(0, T - 1), st.integers(1, V - 1), st.booleans())
def test_a_later_token_changes_no_earlier_logit(variant, position, shift, watched):
    model, ids = model_of(variant), tokens()
    changed = ids.clone()
    changed[:, position] = (ids[:, position] + shift) % V
    before, after = (model(each, return_entropy=True)[0] if watched else model(each) for each in (ids, changed))
    torch.testing.assert_close(before[:, :position], after[:, :position], rtol=1e-13, atol=1e-13)  # kernels may sum in another order
    assert not torch.allclose(before[:, position], after[:, position])


def test_samples_do_not_touch_each_other():
    model = model_of("sm_ln_gelu", temperature="position")
    for alone, together in zip(map(model, tokens().split(1)), model(tokens()).split(1), strict=True):
        torch.testing.assert_close(alone, together)


def n_parameters(variant, temperature, tied):
    parts = VARIANTS[variant]
    ffn = {"wide": 8 * D * D, "fused": D * D, "none": 0}[parts.feedforward] + 5 * D * (parts.weight_norm == "weight")
    per_layer = 4 * D * D + ffn + 4 * D * parts.layer_norm + 2 * parts.scaled + {"none": 0, "head": H, "position": H * T}[temperature]
    return (V + T) * D + L * per_layer + 2 * D * parts.layer_norm + (0 if tied else V * D)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_number_of_parameters_is_known_in_closed_form(variant):
    for temperature in TEMPERATURES:
        for tied in (True, False):
            model = PIGPT(config(variant, temperature=temperature, tied=tied), rng=0)
            assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters(variant, temperature, tied)
            assert not list(model.buffers())


def test_one_seed_makes_one_model_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    first, again, other = (PIGPT(config("sm_wn"), rng=seed).state_dict() for seed in (5, np.random.default_rng(5), 6))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])


def has_spread(parameter, std):
    """False alarm 2e-9: the standard deviation of n normal numbers is within 6 / sqrt(2 n) of its value."""
    return parameter.std().item() == pytest.approx(std, rel=6 / math.sqrt(2 * parameter.numel()))


def test_initial_weights_have_the_spread_that_the_config_names(rng):
    model = PIGPT(config("sm_ln", n_embd=96, n_head=4, vocab_size=300, block_size=40, init_std=0.02, tied=False), rng=rng)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert has_spread(parameter, 0.02), name
        else:
            assert torch.equal(parameter, torch.full_like(parameter, float(name.endswith("weight"))))
    assert not has_spread(model.token_embedding.weight, 0.018)


def test_normalized_weights_start_as_drawn_or_with_norm_one():
    for block in PIGPT(config("sm_wn"), rng=0).blocks:
        for layer in (block.feedforward.inner, block.feedforward.outer):
            torch.testing.assert_close(layer.weight, layer.direction)
    for block in PIGPT(config("sm_sn"), rng=0).blocks:
        for layer in (block.feedforward.inner, block.feedforward.outer):
            assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, rel=1e-5)


def test_weight_norm_starts_as_the_model_without_it():
    plain, normed = PIGPT(config("sm"), rng=0), PIGPT(config("sm_wn"), rng=0)
    renamed = {name.replace("inner.weight", "inner.direction"): value for name, value in plain.state_dict().items()}
    normed.load_state_dict({name.replace("outer.weight", "outer.direction"): value for name, value in renamed.items()}, strict=False)
    for block in normed.blocks:
        block.feedforward.inner.start_as_drawn()
        block.feedforward.outer.start_as_drawn()
    torch.testing.assert_close(normed(tokens()), plain(tokens()))


def test_a_tied_matrix_stays_tied_through_copies_and_casts():
    model = PIGPT(config(), rng=0)
    for twin in (copy.deepcopy(model), copy.deepcopy(model).double(), PIGPT(config(tied=True), rng=1)):
        assert twin.unembedding.weight is twin.token_embedding.weight
    assert PIGPT(config(tied=False), rng=0).unembedding.weight is not model.token_embedding.weight


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_a_stored_state_brings_the_model_back(variant):
    model, file = model_of(variant), io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = PIGPT(PIGPTConfig.from_dict(model.config.to_dict()), rng=99).double()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(tokens()), model(tokens()))


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        (torch.zeros(2, 3), TypeError, "torch.int64 or torch.int32, got torch.float32"),
        (torch.zeros(2, 3, dtype=torch.uint8), TypeError, "got torch.uint8"),
        ([[0, 1]], TypeError, "got list"),
        (torch.zeros(3, dtype=torch.long), ValueError, r"shape \(batch, 1..9\), got \(3,\)"),
        (torch.zeros(2, 10, dtype=torch.long), ValueError, r"got \(2, 10\)"),
        (torch.zeros(2, 0, dtype=torch.long), ValueError, r"got \(2, 0\)"),
        (torch.full((2, 3), V), ValueError, r"ids must be in 0..10, some are not"),
        (torch.full((2, 3), -1), ValueError, r"ids must be in 0..10"),
    ],
)
def test_ids_that_are_no_tokens_are_refused(ids, error, message):
    for watched in (False, True):
        with pytest.raises(error, match=message):
            PIGPT(config(), rng=0)(ids, return_entropy=watched)


def test_short_ids_and_no_samples_pass():
    model = PIGPT(config(), rng=0)
    torch.testing.assert_close(model(tokens().int()), model(tokens()))
    logits, entropies = model(tokens(batch=0), return_entropy=True)
    assert logits.shape == (0, T, V)
    assert entropies.shape == (0, L, H, T)


def test_a_table_of_temperatures_shorter_than_the_context_is_refused():
    model = PIGPT(config(temperature="position"), rng=0)
    model.blocks[1].attention.temperature = type(model.blocks[1].attention.temperature)(H, 4, 0.5)
    with pytest.raises(ValueError, match="context of 9 is longer than the temperature table of 4"):
        model(tokens())


def broken(parameter_of, layer=1, bad=math.nan):
    model = PIGPT(config("sm_ln_gelu"), rng=0)
    with torch.no_grad():
        parameter_of(model.blocks[layer]).view(-1)[0] = bad
    return model


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    ("parameter_of", "layer", "seen_in"),
    [
        (lambda block: block.attention.query.weight, 1, 1),
        (lambda block: block.attention.key.weight, 0, 0),
        (lambda block: block.attention.value.weight, 0, 1),  # its own rows are sound, those of the next layer are not
        (lambda block: block.attention.value.weight, 1, 1),  # the last layer: seen in its output
        (lambda block: block.feedforward.outer.weight, 0, 1),
        (lambda block: block.feedforward.outer.weight, 1, 1),
        (lambda block: block.attention_norm.bias, 1, 1),
    ],
)
def test_a_broken_weight_is_named_by_its_layer_and_never_dropped(parameter_of, layer, seen_in, bad):
    with pytest.raises(NonFiniteAttentionError, match=rf"layer {seen_in}\b") as caught:
        broken(parameter_of, layer, bad)(tokens(), return_entropy=True)
    assert caught.value.layer == seen_in
    assert not broken(parameter_of, layer, bad)(tokens()).isfinite().all()  # unwatched: the loss shows it


def test_the_linear_score_refuses_entropies():
    with pytest.raises(ValueError, match="score 'linear'"):
        PIGPT(config(score="linear"), rng=0)(tokens(), return_entropy=True)


def test_the_loss_is_each_sequence_s_own_mean():
    logits, targets = torch.randn(3, T, V, generator=torch.Generator().manual_seed(0), dtype=torch.float64), tokens(seed=1)
    by_hand = [-np.mean([logits[b, i].log_softmax(0)[targets[b, i]].item() for i in range(T)]) for b in range(3)]
    torch.testing.assert_close(next_token_loss(logits, targets), torch.tensor(by_hand, dtype=torch.float64))
    torch.testing.assert_close(next_token_loss(torch.zeros(2, T, V), tokens(2)), torch.full((2,), math.log(V)))
    assert next_token_loss(logits[:0], targets[:0]).shape == (0,)


@pytest.mark.parametrize("bad", [-100, -1, V])
def test_targets_that_are_no_tokens_are_refused(bad):
    targets = tokens()
    targets[0, 0] = bad  # torch would leave -100 out and divide by all positions nevertheless
    with pytest.raises(ValueError, match=r"targets must be in 0..10, some are not"):
        next_token_loss(torch.zeros(3, T, V), targets)
    with pytest.raises(ValueError, match=r"targets must have shape \(3, 9\), got \(3, 8\)"):
        next_token_loss(torch.zeros(3, T, V), tokens(length=8))


@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_sn", "sm_t_scfuffn"])
def test_gradients_of_the_whole_model_are_those_of_finite_differences(variant):
    model, generator = model_of(variant, tied=True), torch.Generator().manual_seed(3)

    def loss():
        logits, entropies = model(tokens()[:, :-1], return_entropy=True)
        return (next_token_loss(logits, tokens()[:, 1:]) + entropies.square().mean(dim=(1, 2, 3))).sum()

    parameters = list(model.parameters())
    direction = [torch.randn(parameter.shape, generator=generator, dtype=torch.float64) for parameter in parameters]
    slope = sum((g * d).sum() for g, d in zip(torch.autograd.grad(loss(), parameters), direction, strict=True)).item()
    ends = []
    with torch.no_grad():
        for step in (1e-5, -2e-5):
            for parameter, d in zip(parameters, direction, strict=True):
                parameter.add_(step * d)
            ends.append(loss().item())
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6)
