"""Attacks that see more or less than the signal: quantiles of features, labels only, gradients."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn
from torch.nn.functional import cross_entropy

from attacks import LabelOnlyAttack, MembershipScores, QuantileAttack
from attacks.membership.gradient import gradient_alignment, gradient_norm
from mechanisms.errors import InsufficientEvidenceError

# --- quantile ---


def heteroscedastic(n: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.uniform(-2, 2, size=(n, 2))
    return x, 3 * x[:, 0] + np.exp(x[:, 1] / 2) * rng.normal(size=n)


def test_quantile_scores_are_standard_on_non_members_and_find_members(rng: np.random.Generator):
    """2,000 public and 1,000 audited records; share of non-members below 0 and 1: 0.5 and 0.84, sd 0.016, plus the error of the fit."""
    attack = QuantileAttack(random_state=0).fit(*heteroscedastic(2000, rng=rng))
    x, phi = heteroscedastic(1000, rng=rng)
    score = attack.score(phi, x)
    assert np.mean(score <= 0) == pytest.approx(0.5, abs=0.12)
    assert np.mean(score <= 1) == pytest.approx(0.84, abs=0.12)
    assert attack.coverage_ == pytest.approx([0.5, 0.84], abs=0.08)
    member = np.arange(1000) % 2 == 0
    moved = phi + 2 * np.exp(x[:, 1] / 2) * member
    assert MembershipScores(attack.score(moved, x), member).auc > MembershipScores(moved, member).auc + 0.1


def test_quantile_attack_repeats_and_clones(rng: np.random.Generator):
    x, phi = heteroscedastic(200, rng=rng)
    attack = QuantileAttack(max_iter=5, random_state=3)
    one, two = (clone(attack).fit(x, phi).score(phi, x) for _ in range(2))
    assert one.tolist() == two.tolist()
    assert len(clone(attack).fit(x, phi).models_) == 5


def test_quantile_bad_input_is_refused(rng: np.random.Generator):
    x, phi = heteroscedastic(60, rng=rng)
    with pytest.raises(InsufficientEvidenceError, match="at least 50 public non-members, got 49"):
        QuantileAttack().fit(x[:49], phi[:49])
    with pytest.raises(ValueError, match=r"features must have shape \(60, d\)"):
        QuantileAttack().fit(x[:59], phi)
    with pytest.raises(ValueError, match="signals must be finite, got 1"):
        QuantileAttack().fit(x, np.where(np.arange(60) == 1, np.nan, phi))
    with pytest.raises(NotFittedError):
        QuantileAttack().score(phi, x)
    with pytest.raises(ValueError, match=r"features must have shape \(60, 2\) as in fit, got \(60, 1\)"):
        QuantileAttack(max_iter=2).fit(x, phi).score(phi, x[:, :1])


# --- label only ---


def sign_of_first(x: np.ndarray) -> np.ndarray:
    return (x[:, 0] > 0).astype(int)


def test_label_only_score_grows_with_the_distance_to_the_boundary():
    x = np.column_stack([[-1.0, 0.05, 0.3, 5.0], np.zeros(4)])
    score = LabelOnlyAttack(sign_of_first, n_draws=200, random_state=0).score(x, np.ones(4))
    assert np.all(np.diff(score) > 0)
    assert score[3] == 1
    assert score[0] < 0.1


def test_label_only_score_is_the_closed_form():
    """Share correct = mean over radii of Phi(x / r): 5 x 4,000 draws, sd below 0.0036; 6 sd."""
    from scipy.special import ndtr

    attack = LabelOnlyAttack(sign_of_first, n_draws=4000)
    expected = np.mean([ndtr(0.3 / r) for r in attack.radii])
    assert attack.score([[0.3]], [1])[0] == pytest.approx(expected, abs=0.022)


def test_label_only_repeats_clones_and_checks():
    attack = LabelOnlyAttack(sign_of_first, random_state=1)
    x = np.linspace(-1, 1, 20)[:, None]
    assert clone(attack).fit().score(x, np.ones(20)).tolist() == attack.score(x, np.ones(20)).tolist()
    with pytest.raises(ValueError, match=r"got \(20, 1\) and \(19,\)"):
        attack.score(x, np.ones(19))
    with pytest.raises(ValueError, match="predict must return classes of shape"):
        LabelOnlyAttack(lambda x: x, n_draws=1).score(x, np.ones(20))
    with pytest.raises(ValueError, match="radius must be positive"):
        LabelOnlyAttack(sign_of_first, radii=(0.0,)).score(x, np.ones(20))
    with pytest.raises(ValueError, match="at least one radius"):
        LabelOnlyAttack(sign_of_first, radii=()).score(x, np.ones(20))


# --- gradients ---


def small_net(seed: int = 0) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return net, torch.randn(7, 4, generator=generator, dtype=torch.float64), torch.randint(0, 3, (7,), generator=generator)


def gradients_by_loop(net: nn.Module, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    net.eval()
    found = []
    for i in range(len(x)):
        parts = torch.autograd.grad(cross_entropy(net(x[i : i + 1]), y[i : i + 1]), list(net.parameters()))
        found.append(torch.cat([part.flatten() for part in parts]))
    net.train()
    return found


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_gradient_norm_equals_the_loop(chunk: int):
    net, x, y = small_net()
    expected = [-float(torch.log(g.norm())) for g in gradients_by_loop(net, x, y)]
    assert gradient_norm(net, cross_entropy, x, y, chunk=chunk) == pytest.approx(expected)
    assert net.training  # the mode is given back


def test_gradient_alignment_equals_the_loop():
    net, x, y = small_net()
    states = [{name: value.clone() for name, value in small_net(seed)[0].state_dict().items()} for seed in range(3)]
    expected = np.zeros(7)
    for before, after in pairwise(states):
        net.load_state_dict(before)
        move = torch.cat([(before[name] - after[name]).flatten() for name, _ in net.named_parameters()])
        expected += [float(g @ move) / max(float(g.norm()), 1.5) for g in gradients_by_loop(net, x, y)]
    assert gradient_alignment(net, states, cross_entropy, x, y, max_grad_norm=1.5, chunk=2) == pytest.approx(expected)


def test_alignment_finds_the_records_that_moved_the_weights():
    """Ten steps of plain descent on four of 40 random records: all four stand on top."""
    net, _, _ = small_net()
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(40, 4, generator=generator, dtype=torch.float64), torch.randint(0, 3, (40,), generator=generator)
    net.eval()
    states = [{name: value.clone() for name, value in net.state_dict().items()}]
    for _ in range(10):
        step = torch.autograd.grad(cross_entropy(net(x[:4]), y[:4]), list(net.parameters()))
        with torch.no_grad():
            for parameter, part in zip(net.parameters(), step, strict=True):
                parameter -= 0.1 * part
        states.append({name: value.clone() for name, value in net.state_dict().items()})
    score = gradient_alignment(net, states, cross_entropy, x, y, max_grad_norm=1.0)
    assert MembershipScores(score, np.arange(40) < 4).auc > 0.75


def test_gradient_bad_input_is_refused():
    net, x, y = small_net()
    state = dict(net.state_dict())
    with pytest.raises(ValueError, match="at least 2 states, got 1"):
        gradient_alignment(net, [state], cross_entropy, x, y, max_grad_norm=1)
    with pytest.raises(ValueError, match=r"missing or of another shape: 0\.weight"):
        gradient_alignment(net, [state, {**state, "0.weight": torch.zeros(2)}], cross_entropy, x, y, max_grad_norm=1)
    with pytest.raises(ValueError, match="max_grad_norm must be positive"):
        gradient_alignment(net, [state, state], cross_entropy, x, y, max_grad_norm=0)
    with pytest.raises(ValueError, match="one length > 0, got 7 and 6"):
        gradient_norm(net, cross_entropy, x, y[:6])
    with pytest.raises(ValueError, match="gradients must be finite, got 1 of 7"):
        gradient_norm(net, cross_entropy, torch.cat([x[:6], torch.full((1, 4), torch.nan)]), y)
