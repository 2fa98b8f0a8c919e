"""The penalty: an oracle in loops, the published preset, gradients, theta, modes, and broken twins that must be caught."""

from __future__ import annotations

import itertools
import json
import math

import numpy as np
import pytest
import torch
from opacus.grad_sample import GradSampleModule
from torch import Tensor

from private_inference.heads.penalty import EntropyPenalty, Threshold

B, L, H, T = 3, 4, 2, 8
SETTINGS = [
    {"mode": mode, "shape": shape, "reference": reference, "reduction": reduction}
    for mode, shape, reference, reduction in itertools.product(("position", "head"), ("hinge", "jump"), ("causal", "logT"), ("mean", "sum"))
    if (mode, reduction) != ("head", "sum")
]
BY_NAME = {" ".join(settings.values()): settings for settings in SETTINGS}


def entropies(rng: np.random.Generator, batch: int = B, length: int = T) -> Tensor:
    shares = torch.from_numpy(rng.uniform(0, 1, (batch, L, H, length)))
    return shares * torch.arange(1, length + 1).double().log()


def shares(rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.uniform(0.1, 0.9, (L, H)))


def made(**settings: object) -> EntropyPenalty:
    return EntropyPenalty(L, H, **settings).double()


def by_loop(e: np.ndarray, theta: np.ndarray, settings: dict[str, str], gamma: float, weight: float) -> float:
    """The definition, one number at a time."""

    def shaped(value: float, share: float, bound: float) -> float:
        distance = abs(value - share * bound)
        if settings["shape"] == "hinge":
            return max(0.0, distance - gamma * bound) ** 2
        return distance**2 if distance > gamma * bound else 0.0

    batch, n_layer, n_head, length = e.shape
    causal = settings["reference"] == "causal"
    if settings["mode"] == "head":
        bound = math.lgamma(length + 1) / length if causal else math.log(length)
        terms = [shaped(e[:, layer, h].mean(), theta[layer, h], bound) for layer in range(n_layer) for h in range(n_head)]
        return weight * sum(terms) / len(terms)
    rows = [
        shaped(e[b, layer, h, i - 1], theta[layer, h], math.log(i if causal else length))
        for b in range(batch)
        for layer in range(n_layer)
        for h in range(n_head)
        for i in range(2 if causal else 1, length + 1)
    ]
    return weight * sum(rows) / (len(rows) if settings["reduction"] == "mean" else n_layer * n_head)


@pytest.mark.parametrize("name", BY_NAME)
def test_values(name: str, rng: np.random.Generator) -> None:
    e, theta, settings = entropies(rng), shares(rng), BY_NAME[name]
    penalty = made(**settings, gamma=0.1, weight=0.7, theta_init=theta)
    wanted = by_loop(e.numpy(), theta.numpy(), settings, 0.1, 0.7)
    assert penalty(e).item() == pytest.approx(wanted, rel=1e-6)  # theta passes through float32
    assert wanted > 0


def test_defaults() -> None:
    penalty = EntropyPenalty(L, H)
    settings = {"gamma": 0.2, "weight": 0.1, "reference": "causal", "mode": "position", "shape": "hinge", "reduction": "mean"}
    assert json.loads(json.dumps(penalty.settings.to_dict())) == settings
    torch.testing.assert_close(penalty.theta, torch.full((L, H), 0.5))
    assert [name for name, _ in penalty.named_parameters()] == ["threshold.raw"]


def test_preset_is_the_released_code(rng: np.random.Generator) -> None:
    penalty = EntropyPenalty.reference(L, H).double()
    e = entropies(rng)
    delta = e - 0.5 * math.log(T)
    wanted = 1e-5 * torch.where(delta.abs() > 0.2 * math.log(T), delta.square(), 0.0).sum() / (L * H)
    assert penalty(e).item() == pytest.approx(wanted.item(), rel=1e-9)
    as_mean = made(reference="logT", shape="jump", weight=1e-5 * B * T)
    assert penalty(e).item() == pytest.approx(as_mean(e).item(), rel=1e-9)


def test_sum_grows_with_the_batch_and_mean_does_not(rng: np.random.Generator) -> None:
    e = entropies(rng)
    twice = torch.cat([e, e])
    for reduction, factor in (("sum", 2), ("mean", 1)):
        penalty = made(reduction=reduction)
        assert penalty(twice).item() == pytest.approx(factor * penalty(e).item(), rel=1e-9)


def off_the_margin(rng: np.random.Generator, theta: Tensor, gamma: float, settings: dict[str, str]) -> Tensor:
    """Entropies theta R + k gamma R with |k| below 0.9 or above 1.1, so that no difference quotient steps over the jump."""
    k = torch.from_numpy(rng.uniform(1.1, 2.5, (B, L, H, T)) * rng.choice([-1, 0.3, 1], (B, L, H, T)))
    if settings["mode"] == "head":
        k = k[:1, :, :, :1]
    reference = torch.arange(1, T + 1).double().log() if settings["reference"] == "causal" else math.log(T)
    return ((theta[None, :, :, None] + k * gamma) * reference).expand(B, L, H, T).clone()


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_by_finite_differences(name: str, rng: np.random.Generator) -> None:
    """In float64 to 1e-6, of entropies and of theta."""
    settings, theta = BY_NAME[name], torch.from_numpy(rng.uniform(0.3, 0.7, (L, H)))
    penalty = made(**settings, gamma=0.1, weight=1.0, theta_init=theta)
    e = off_the_margin(rng, theta, 0.1, settings).requires_grad_()
    grads = torch.autograd.grad(penalty(e), [e, penalty.threshold.raw])
    for tensor, grad in zip((e, penalty.threshold.raw), grads, strict=True):
        numeric = torch.zeros_like(grad)
        for index in np.ndindex(*tensor.shape):
            numeric[index] = _slope(penalty, e, tensor, index)
        torch.testing.assert_close(grad, numeric, atol=1e-6, rtol=1e-5)
        assert grad.any()


def _slope(penalty: EntropyPenalty, e: Tensor, tensor: Tensor, index: tuple[int, ...], step: float = 1e-5) -> float:
    values = []
    with torch.no_grad():
        start = tensor[index].item()
        for sign in (1, -1):
            tensor[index] = start + sign * step
            values.append(penalty(e).item())
        tensor[index] = start
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize(("shape", "jump"), [("hinge", 0.0), ("jump", 0.04)])
def test_only_the_jump_jumps_at_the_margin(shape: str, jump: float) -> None:
    penalty = made(shape=shape, reference="logT", weight=1.0)
    margin = 0.7 * math.log(T)  # (theta + gamma) R
    sides = [penalty(torch.full((1, L, H, T), margin + side, dtype=torch.float64)).item() for side in (-1e-7, 1e-7)]
    assert sides[0] == 0
    assert sides[1] == pytest.approx(jump * math.log(T) ** 2, abs=1e-6)


def test_free_zone(rng: np.random.Generator) -> None:
    """Nothing is paid within gamma R of theta R."""
    reference = torch.arange(1, T + 1).double().log()
    for share in (0.31, 0.5, 0.69):
        assert made()((share * reference).expand(B, L, H, T)).item() == 0
    for share in (0.29, 0.71):
        assert made()((share * reference).expand(B, L, H, T)).item() > 0


def test_largest_logarithm_punishes_early_positions_for_what_they_cannot_be() -> None:
    """A head uniform at 60 % of what each row allows is free with the causal reference; with ln T its first rows pay, whatever they do."""
    e = (0.6 * torch.arange(1, T + 1).double().log()).expand(1, L, H, T).clone().requires_grad_()
    assert made()(e).item() == 0
    (grad,) = torch.autograd.grad(made(reference="logT")(e), e)
    assert (grad[..., 0] != 0).all()
    assert (grad[..., -1] == 0).all()
    (grad,) = torch.autograd.grad(made(gamma=0.0)(e), e)
    assert (grad[..., 0] == 0).all()


class FirstLayerForAll(Threshold):
    """The broken twin, as in a released trainer: every layer is compared with the thresholds of the first one."""

    @property
    def value(self) -> Tensor:
        return super().value[:1].expand(self.raw.shape)


def layers_that_move(penalty: EntropyPenalty, layer: int) -> list[int]:
    """Which rows of theta have a gradient when only one layer's heads leave the free zone."""
    reference = torch.arange(1, T + 1).double().log()
    e = penalty.theta.detach()[None, :, :, None] * reference
    e = e.expand(B, L, H, T).clone()
    e[:, layer] = 0.99 * reference
    (grad,) = torch.autograd.grad(penalty(e), penalty.threshold.raw)
    return torch.nonzero(grad.abs().sum(dim=1)).flatten().tolist()


def test_each_layer_has_its_own_thresholds(rng: np.random.Generator) -> None:
    penalty = made(theta_init=0.5)
    assert [layers_that_move(penalty, layer) for layer in range(L)] == [[0], [1], [2], [3]]
    penalty.threshold = FirstLayerForAll(torch.full((L, H), 0.5), "causal").double()
    assert [layers_that_move(penalty, layer) for layer in range(L)] == [[0]] * L


def test_theta_drifts_towards_its_own_head(rng: np.random.Generator) -> None:
    """With entropies held still, gradient steps bring theta within gamma of each head's own share."""
    share = torch.from_numpy(rng.uniform(0.05, 0.95, (L, H)))
    e = share[None, :, :, None] * torch.arange(1, T + 1).double().log().expand(B, L, H, T)
    penalty = made(weight=1.0, gamma=0.05)
    optimizer = torch.optim.Adam(penalty.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        penalty(e).backward()
        optimizer.step()
    assert (penalty.theta - share).abs().max().item() == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("settings", [{}, {"reference": "logT", "shape": "jump", "reduction": "sum"}])
def test_terms_of_samples(settings: dict[str, str], rng: np.random.Generator) -> None:
    penalty, e = made(**settings, gamma=0.05), entropies(rng)
    terms = penalty.per_sample(e)
    assert terms.shape == (B,)
    total = terms.sum() if settings.get("reduction") == "sum" else terms.mean()
    assert penalty(e).item() == pytest.approx(total.item(), rel=1e-12)
    for b in range(B):
        assert terms[b].item() == pytest.approx(penalty(e[b : b + 1]).item(), rel=1e-12)
    assert penalty.per_sample(e[:0]).shape == (0,)
    assert penalty(e[:0]).item() == 0


def test_head_mode_has_no_terms_of_samples(rng: np.random.Generator) -> None:
    """It is not the mean of its samples', so it is refused where a sample's own term is needed."""
    penalty, e = made(mode="head", gamma=0.01), entropies(rng)
    alone = torch.stack([penalty(e[b : b + 1]) for b in range(B)]).mean()
    assert penalty(e).item() != pytest.approx(alone.item(), rel=1e-3)
    with pytest.raises(ValueError, match="mode='position'"):
        penalty.per_sample(e)
    wrapped = GradSampleModule(penalty)
    with pytest.raises(ValueError, match="per-sample bound; use mode='position'"):
        wrapped(e)


@pytest.mark.parametrize("mode", ["position", "head"])
def test_evaluation_contains_no_penalty(mode: str, rng: np.random.Generator) -> None:
    penalty = made(mode=mode, gamma=0.0)
    e = entropies(rng)
    assert penalty(e).item() > 0
    assert penalty.eval()(e).item() == 0
    if mode == "position":
        assert penalty.per_sample(e).tolist() == [0.0] * B


def test_nan_raises_even_where_it_would_not_count(rng: np.random.Generator) -> None:
    for position, mode in itertools.product((0, T - 1), ("position", "head")):
        e = entropies(rng)
        e[1, 2, 0, position] = math.nan
        for penalty in (made(mode=mode), made(mode=mode).eval()):
            with pytest.raises(ValueError, match="must not contain NaN"):
                penalty(e)
        assert torch.nansum(e.square()).isfinite()  # the twin that hides it


def test_half_precision_and_long_contexts() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        e = torch.arange(1, 601).double().log().to(dtype).expand(1, L, H, 600)
        value = EntropyPenalty(L, H, weight=1.0).to(dtype)(e)
        wanted = 0.3**2 * np.mean(np.log(np.arange(2, 601)) ** 2)
        assert value.item() == pytest.approx(wanted, rel=0.05)


def test_settings_travel_with_the_state(rng: np.random.Generator) -> None:
    first, second = made(theta_init=shares(rng)), made()
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second.theta, first.theta)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"gamma": -0.1}, "gamma must be non-negative"),
        ({"gamma": math.nan}, "gamma must be a number"),
        ({"weight": -1e-5}, "weight must be non-negative"),
        ({"weight": math.inf}, "weight must be non-negative and finite"),
        ({"reference": "observed"}, "reference must be one of 'causal', 'logT'"),
        ({"mode": "row"}, "mode must be one of"),
        ({"shape": "square"}, "shape must be one of"),
        ({"reduction": "none"}, "reduction must be one of"),
        ({"mode": "head", "reduction": "sum"}, "use reduction='mean'"),
        ({"theta_init": 1.0}, r"theta_init must be in \(0, 1\)"),
        ({"theta_init": 0.0}, r"theta_init must be in \(0, 1\)"),
        ({"theta_init": math.nan}, r"theta_init must be in \(0, 1\)"),
        ({"theta_init": [0.5, 0.5]}, r"shape \(4, 2\), got \(2,\)"),
        ({"theta_init": torch.full((H, L), 0.5)}, r"shape \(4, 2\), got \(2, 4\)"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EntropyPenalty(L, H, **settings)


@pytest.mark.parametrize("shape", [(L, H, T), (B, H, L, T), (B, L, H, 1), (B, L - 1, H, T)])
def test_bad_entropies_are_refused(shape: tuple[int, ...]) -> None:
    for mode in ("position", "head"):
        with pytest.raises(ValueError, match="entropy must have shape"):
            EntropyPenalty(L, H, mode=mode)(torch.ones(shape))
