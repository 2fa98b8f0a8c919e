"""Model and penalty in one module: per-sample gradients under Opacus against a loop, and twins that break them."""

from __future__ import annotations

import copy

import pytest
import torch
from opacus import PrivacyEngine
from opacus.grad_sample import GradSampleModule
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT, next_token_loss
from private_inference.heads.entropy import head_entropy
from private_inference.heads.guided_loss import GuidedLoss
from private_inference.heads.penalty import EntropyPenalty

N, T, V = 5, 8, 16
IDS = torch.randint(V, (N, T), generator=torch.Generator().manual_seed(0))
TARGETS = torch.randint(V, (N, T), generator=torch.Generator().manual_seed(1))
CASES = {
    "temperature of heads": {"variant": "sm_t_scfuffn"},
    "temperature of positions": {"variant": "sm_t_scfuffn", "temperature": "position"},
    "untied": {"variant": "sm_scfuffn", "tied": False},
    "layer norm": {"variant": "sm_ln_gelu"},
}


def guided(**parts: object) -> GuidedLoss:
    """A small model whose heads are far from their thresholds, so that the penalty weighs."""
    model = PIGPT(PIGPTConfig(2, 2, 8, T, V, init_std=0.3, **parts), rng=0)
    return GuidedLoss(model, EntropyPenalty(2, 2, gamma=0.05, weight=1.0, theta_init=[[0.2, 0.4], [0.6, 0.3]]))


def gradients_by_loop(net: nn.Module) -> dict[str, Tensor]:
    """Each sequence alone through a plain copy."""
    net, rows = copy.deepcopy(net), []
    for b in range(N):
        net.zero_grad()
        net(IDS[b : b + 1], TARGETS[b : b + 1]).sum().backward()
        rows.append({name: parameter.grad for name, parameter in net.named_parameters()})
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def sample_gradients(net: GradSampleModule) -> dict[str, Tensor]:
    net(IDS, TARGETS).mean().backward()
    return {name.removeprefix("_module."): parameter.grad_sample for name, parameter in net.named_parameters()}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("case", CASES)
def test_gradients_of_samples_are_exact(case: str) -> None:
    net = guided(**CASES[case])
    wanted = gradients_by_loop(net)
    assert (wanted["penalty.threshold.raw"].abs().sum(dim=(1, 2)) > 1e-4).all()
    assert_same(sample_gradients(GradSampleModule(copy.deepcopy(net))), wanted)
    private, _, _ = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(IDS, TARGETS), batch_size=N),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
    )
    assert_same(sample_gradients(private), wanted)


def test_private_steps_move_theta() -> None:
    net = guided(variant="sm_t_scfuffn")
    before = net.penalty.theta.detach().clone()
    net, optimizer, loader = PrivacyEngine().make_private(
        module=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        data_loader=DataLoader(TensorDataset(IDS, TARGETS), batch_size=N),
        noise_multiplier=0.1,
        max_grad_norm=1.0,
        poisson_sampling=False,
    )
    for ids, targets in loader:
        optimizer.zero_grad()
        net(ids, targets).mean().backward()
        optimizer.step()
    assert net.penalty.theta.isfinite().all()
    assert not torch.equal(net.penalty.theta, before)


class ThetaBesideItsLeaf(GuidedLoss):
    """A broken twin: theta is read directly, not through its leaf, so Opacus never sees it used."""

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        logits, entropy = self.model(ids, return_entropy=True)
        delta = entropy - self.penalty.theta[:, :, None]
        return next_token_loss(logits, targets) + delta.square().mean(dim=(1, 2, 3))


class HeadsOfTheBatch(GuidedLoss):
    """A broken twin: entropies are averaged over the batch before they are punished."""

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        logits, entropy = self.model(ids, return_entropy=True)
        return next_token_loss(logits, targets) + head_entropy(entropy).square().mean()


def test_theta_beside_its_leaf_has_no_gradients_of_samples() -> None:
    twin = ThetaBesideItsLeaf(guided(variant="sm_scfuffn").model, EntropyPenalty(2, 2))
    assert gradients_by_loop(twin)["penalty.threshold.raw"].any()
    assert sample_gradients(GradSampleModule(twin))["penalty.threshold.raw"] is None


def others_change(net: GuidedLoss) -> float:
    """How far the gradients of the first four sequences move when the fifth one leaves the batch; the sum over samples is the loss."""
    found = []
    for n in (N, N - 1):
        wrapped = GradSampleModule(copy.deepcopy(net), loss_reduction="sum")
        wrapped(IDS[:n], TARGETS[:n]).sum().backward()
        found.append([parameter.grad_sample[: N - 1] for parameter in wrapped.parameters() if parameter.grad_sample is not None])
    return max((a - b).abs().max().item() for a, b in zip(*found, strict=True))


def test_a_sequence_does_not_touch_the_gradients_of_others() -> None:
    """The premise of the sensitivity C; a mean over the batch breaks it."""
    net = guided(variant="sm_t_scfuffn")
    assert others_change(net) < 1e-5
    assert others_change(HeadsOfTheBatch(net.model, net.penalty)) > 1e-3


def test_evaluation_is_the_cross_entropy_alone() -> None:
    net = guided(variant="sm_ln_gelu")
    plain = next_token_loss(net.model(IDS), TARGETS)
    torch.testing.assert_close(net.eval()(IDS, TARGETS), plain)
    assert (net.train()(IDS, TARGETS) > plain + 1e-3).all()


def test_parts_must_fit() -> None:
    model = guided(variant="sm").model
    with pytest.raises(ValueError, match=r"\(layers, heads\) \(2, 2\), got \(3, 2\)"):
        GuidedLoss(model, EntropyPenalty(3, 2))
    with pytest.raises(ValueError, match="use mode='position'"):
        GuidedLoss(model, EntropyPenalty(2, 2, mode="head"))
