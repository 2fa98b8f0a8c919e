"""Under Opacus, the gradient of each sample is that of the sample alone, and a step is the sum of clipped gradients: for every variant.

The loss holds an entropy term of each sample's own rows. A term that averages rows over the batch first is the negative control.
"""

import pytest
import torch
from opacus import GradSampleModule, PrivacyEngine
from torch.utils.data import DataLoader, TensorDataset

from private_inference.config import VARIANTS, PIGPTConfig
from private_inference.gpt import PIGPT, next_token_loss

FUNCTORCH_WARNS = pytest.mark.filterwarnings("ignore:In CPU autocast")  # opacus takes whole-number ids for mixed precision
N, T, V = 5, 9, 13
CASES = [(variant, temperature, tied) for variant in sorted(VARIANTS) for temperature in ("auto", "position") for tied in (True, False)]


def model_of(variant="sm_t_scfuffn", temperature="auto", tied=True, **changes):
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 8, "block_size": T, "vocab_size": V, "init_std": 0.3, "temperature_init": 0.5}
    return PIGPT(PIGPTConfig(**(shape | changes), variant=variant, temperature=temperature, tied=tied), rng=0).double()


def sequences(n=N):
    return torch.randint(0, V, (n, T), generator=torch.Generator().manual_seed(1))


def losses(model, ids):
    """Each sample's cross-entropy and a penalty on the entropies of its own rows."""
    logits, entropies = model(ids[:, :-1], return_entropy=True)
    return next_token_loss(logits, ids[:, 1:]) + (entropies - 0.7).square().mean(dim=(1, 2, 3))


def batch_losses(model, ids):
    """The same with head entropies averaged over the batch: a sample's gradient depends on the others."""
    logits, entropies = model(ids[:, :-1], return_entropy=True)
    return next_token_loss(logits, ids[:, 1:]) + (entropies.mean(dim=(0, 3)) - 0.7).square().mean()


def one_by_one(model, ids, of=losses):
    """Return the gradients of each sample alone, one list over parameters a sample."""
    return [torch.autograd.grad(of(model, sample).sum(), list(model.parameters())) for sample in ids.split(1)]


def worst_difference(model, ids, alone):
    differences = []
    for parameter, gradients in zip(model.parameters(), zip(*alone, strict=True), strict=True):
        differences.append((parameter.grad_sample - torch.stack(gradients)).abs().max().item())
    return max(differences)


def differentiated(model, ids, of=losses, **settings):
    alone = one_by_one(model, ids, of)
    wrapped = GradSampleModule(model, **settings)
    of(wrapped, ids).mean().backward()
    return worst_difference(model, ids, alone)


@pytest.mark.parametrize(("variant", "temperature", "tied"), CASES)
def test_per_sample_gradients_are_those_of_single_samples(variant, temperature, tied):
    assert differentiated(model_of(variant, temperature, tied), sequences()) < 1e-12


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_single_precision_keeps_five_digits(variant):
    assert differentiated(model_of(variant, "position").float(), sequences()) < 1e-5


@pytest.mark.parametrize("score", ["softmax_rr", "quad2", "relu_over_n", "sigmoid"])
def test_other_scores_too(score):
    assert differentiated(model_of(score=score), sequences()) < 1e-12


@FUNCTORCH_WARNS
@pytest.mark.parametrize("variant", ["sm_ln_gelu", "sm_wn", "sm_sn", "sm_t_scfuffn"])
def test_functorch_changes_nothing(variant):
    assert differentiated(model_of(variant, "position"), sequences(), force_functorch=True) < 1e-12


def test_chunks_change_nothing():
    model = model_of()
    for block in model.blocks:
        block.attention.most_logits = 100
    assert differentiated(model, sequences()) < 1e-12


def test_a_penalty_that_averages_over_the_batch_is_caught():
    assert differentiated(model_of(), sequences(), batch_losses) > 1e-3


class TwoInputs(torch.nn.Module):
    """What the leaves avoid: a scalar in a leaf of two inputs."""

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.ones(1))

    def forward(self, y, added):
        return y + self.gain * added


def test_a_leaf_of_two_inputs_is_why_gains_have_one():
    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.mix = torch.nn.Linear(3, 3), TwoInputs()

        def forward(self, x):
            return self.mix(x, self.inner(x))

    with pytest.raises(TypeError, match="added"):
        GradSampleModule(Twin())(torch.ones(2, 3)).sum().backward()


def private(model, ids, *, clip, noise_multiplier=0.0, batch_size=N, **settings):
    return PrivacyEngine().make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=1.0),
        data_loader=DataLoader(TensorDataset(ids), batch_size=batch_size),
        noise_multiplier=noise_multiplier,
        max_grad_norm=clip,
        **settings,
    )


def clipped_sum(alone, clip):
    factors = [min(1.0, clip / (torch.cat([gradient.flatten() for gradient in sample]).norm().item() + 1e-6)) for sample in alone]
    assert min(factors) < 1  # clipping has something to do
    return [sum(factor * gradient for factor, gradient in zip(factors, gradients, strict=True)) for gradients in zip(*alone, strict=True)]


@FUNCTORCH_WARNS
@pytest.mark.parametrize(
    ("variant", "tied", "mode"),
    [*((variant, tied, "hooks") for variant in sorted(VARIANTS) for tied in (True, False)), ("sm_t_scfuffn", True, "functorch")],
)
def test_a_private_step_is_the_sum_of_clipped_gradients(variant, tied, mode):
    """Tied embeddings too: their two gradients are summed before the norm, as the shared parameter asks."""
    model, ids, clip = model_of(variant, tied=tied), sequences(), 0.5
    expected, before = clipped_sum(one_by_one(model, ids), clip), [parameter.detach().clone() for parameter in model.parameters()]
    wrapped, optimizer, _ = private(model, ids, clip=clip, poisson_sampling=False, grad_sample_mode=mode)
    assert len(optimizer.params) == len(before)  # a shared parameter is there once
    losses(wrapped, ids).mean().backward()
    optimizer.step()
    for parameter, start, total in zip(model.parameters(), before, expected, strict=True):
        torch.testing.assert_close((start - parameter) * N, total, rtol=1e-10, atol=1e-12)


def test_clipping_the_two_halves_of_a_tied_matrix_apart_would_be_seen():
    """The negative control: norms that count embedding and unembedding as two parameters give another step."""
    model, ids = model_of(tied=True), sequences()
    twin = model_of(tied=False)
    twin.load_state_dict(model.state_dict())
    together, apart = clipped_sum(one_by_one(model, ids), 0.5), clipped_sum(one_by_one(twin, ids), 0.5)
    assert (together[0] - apart[0] - apart[-1]).abs().max() > 1e-3


def test_ghost_clipping_refuses_tied_matrices_and_clips_untied_ones():
    """Its two backward passes by hand: norms from the first, weighted losses in the second."""
    ids, clip = sequences(), 0.5
    with pytest.raises(NotImplementedError, match="Parameter tying is not supported"):
        losses(private(model_of(tied=True), ids, clip=clip, grad_sample_mode="ghost")[0], ids)
    model = model_of(tied=False)
    expected = clipped_sum(one_by_one(model, ids), clip)
    wrapped, optimizer, _, _ = private(model, ids, clip=clip, grad_sample_mode="ghost", poisson_sampling=False)
    each = losses(wrapped, ids)
    each.mean().backward(retain_graph=True)
    factors = wrapped.get_clipping_coef()
    optimizer.zero_grad()
    wrapped.disable_hooks()
    (factors * each).sum().backward()
    for parameter, total in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, total, rtol=1e-10, atol=1e-12)


def test_looking_at_entropies_between_steps_needs_no_grad():
    """With gradients on, Opacus waits for a backward pass that never comes: it says so, rather than step wrongly."""
    for look, steps in ((torch.no_grad, True), (torch.enable_grad, False)):
        model, ids = model_of(), sequences()
        expected, before = clipped_sum(one_by_one(model, ids), 0.5), [parameter.detach().clone() for parameter in model.parameters()]
        wrapped, optimizer, _ = private(model, ids, clip=0.5, poisson_sampling=False)
        with look():
            wrapped(ids[:3], return_entropy=True)
        losses(wrapped, ids).mean().backward()
        if not steps:
            with pytest.raises(ValueError, match="Per sample gradient is not initialized"):
                optimizer.step()
            continue
        optimizer.step()
        for parameter, start, total in zip(model.parameters(), before, expected, strict=True):
            torch.testing.assert_close((start - parameter) * N, total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("variant", sorted(VARIANTS))
def test_the_empty_batches_of_poisson_sampling_are_steps_of_pure_noise(variant):
    """Every variant, or an epoch with a small sample rate ends in an exception."""
    model = model_of(variant, "position")
    before = [parameter.detach().clone() for parameter in model.parameters()]
    wrapped, optimizer, _ = private(model, sequences(), clip=1.0, noise_multiplier=1.0)
    losses(wrapped, sequences()[:0]).sum().backward()
    optimizer.step()
    for parameter, start in zip(model.parameters(), before, strict=True):
        assert parameter.isfinite().all()
        assert not torch.equal(parameter, start)


def test_a_private_epoch_with_poisson_sampling_runs():
    """Expected batch 2 of 40 samples: some batches are empty, some larger."""
    model, ids = model_of("sm_sn", "position"), sequences(40)
    wrapped, optimizer, loader = private(model, ids, clip=1.0, noise_multiplier=0.5, batch_size=2)
    sizes = []
    for (batch,) in loader:
        optimizer.zero_grad()
        losses(wrapped, batch).sum().div(2).backward() if len(batch) == 0 else losses(wrapped, batch).mean().backward()
        optimizer.step()
        sizes.append(len(batch))
    assert len(set(sizes)) > 1
    assert all(parameter.isfinite().all() for parameter in model.parameters())
