"""The gradient of DP-SGD: coins, clipping, sensitivity, noise; each with a broken twin that must be caught."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus import GradSampleModule
from scipy import stats
from torch import nn

from mechanisms.noise.source import SecureNoise, SeededNoise
from private_inference.attention import NonFiniteAttentionError
from private_inference.gpt import PIGPT
from private_inference.heads.guided_loss import GuidedLoss
from private_inference.training.private_gradient import PrivateGradient, poisson_sample
from tests.private_inference.runs import T, V, config, penalty

CLIP, SILENT = 0.5, 1e-9


class Square(nn.Module):
    """Loss of a row x: sum of (W x)^2, whose gradient grows with the row."""

    def __init__(self, n_outputs=4):
        super().__init__()
        self.linear = nn.Linear(3, n_outputs, bias=False)

    def forward(self, rows):
        return self.linear(rows).square().sum(dim=1)


def gradient(net=None, losses=lambda net, rows: net(rows), *, z=SILENT, source=None, chunk=3, kind=PrivateGradient, expected=1.0):
    wrapped = GradSampleModule(Square() if net is None else copy.deepcopy(net), loss_reduction="sum")
    return kind(
        wrapped,
        losses,
        max_grad_norm=CLIP,
        noise_multiplier=z,
        expected_batch_size=expected,
        source=source or SecureNoise(),
        chunk=chunk,
    )


def flat(private, rows):
    private.set(rows)
    return torch.cat([parameter.grad.flatten() for parameter in private._parameters])


def rows_of(rng, n=7):
    return torch.from_numpy(rng.normal(size=(n, 3)) * 10.0 ** rng.uniform(-3, 2, size=(n, 1))).float()


def test_it_is_the_sum_of_clipped_gradients(rng):
    net, rows = Square(), rows_of(rng)
    wanted = torch.zeros(4, 3)
    for row in rows:
        (one,) = torch.autograd.grad(net(row[None]).sum(), net.linear.weight)
        wanted += one * min(1.0, CLIP / float(one.norm()))
    for chunk in (1, 3, 100):
        torch.testing.assert_close(flat(gradient(net, chunk=chunk, expected=4.0), rows), wanted.flatten() / 4, rtol=1e-4, atol=1e-6)


def breaking(net, rows):
    """Losses with a row that breaks the pass (first entry 1), and rows whose gradient is NaN (2) or infinite (3)."""
    if bool((rows[:, 0] == 1).any()):
        raise NonFiniteAttentionError("broken", layer=0)
    factor = torch.where(rows[:, 0] == 2, torch.nan, torch.where(rows[:, 0] == 3, torch.inf, 1.0))
    return net(rows) * factor


@pytest.mark.parametrize("special", [0.0, 1.0, 2.0, 3.0])
def test_a_row_changes_the_sum_by_the_clipping_norm_at_most(rng, special):
    rows = rows_of(rng)
    rows[2, 0] = special
    private = gradient(losses=breaking)
    with_it, without = flat(private, rows), flat(private, torch.cat([rows[:2], rows[3:]]))
    assert with_it.isfinite().all()
    assert float((with_it - without).norm()) <= CLIP * (1 + 1e-4)


class Dropping(PrivateGradient):
    """A broken twin: a row that breaks the pass takes its whole chunk along."""

    def _of_rows(self, rows):
        try:
            yield self._gradients(rows)
        except NonFiniteAttentionError:
            return


def test_a_row_that_takes_others_along_would_be_seen(rng):
    rows = rows_of(rng, 12) * 100  # all clipped
    rows[2, 0] = 1.0
    private = gradient(losses=breaking, kind=Dropping, chunk=100)
    difference = flat(private, rows) - flat(private, torch.cat([rows[:2], rows[3:]]))
    assert float(difference.norm()) > 1.5 * CLIP


def test_a_sequence_changes_the_gradient_of_a_guided_model_by_the_clipping_norm_at_most(rng):
    net = GuidedLoss(PIGPT(config(init_std=0.5), rng=rng), penalty(weight=100.0))
    rows = torch.from_numpy(rng.integers(V, size=(6, T + 1)))
    private = gradient(net, lambda net, rows: net(rows[:, :-1], rows[:, 1:]), chunk=6)
    whole = flat(private, rows)
    for i in range(6):
        rest = flat(private, torch.cat([rows[:i], rows[i + 1 :]]))
        assert float((whole - rest).norm()) == pytest.approx(CLIP, rel=1e-3)


def test_a_loss_that_mixes_sequences_would_be_seen(rng):
    """Negative control: a factor that hangs on the whole batch, as a mean over heads of a batch does."""
    rows = torch.rand(8, 3, generator=torch.Generator().manual_seed(int(rng.integers(2**31)))) + 1
    rows[0] = -100.0
    private = gradient(losses=lambda net, rows: net(rows) * rows.sum().sign(), chunk=8)
    assert float((flat(private, rows) - flat(private, rows[1:])).norm()) > 2 * CLIP


def noise_p_value(scale):
    """KS test of 12,000 noisy zero gradients against the law that is claimed."""
    private = gradient(Square(400), lambda net, rows: 0 * net(rows), z=2.0 * scale, expected=4.0)
    draws = np.concatenate([flat(private, torch.ones(2, 3)).numpy() for _ in range(10)])
    return stats.kstest(draws, stats.norm(scale=2.0 * CLIP / 4).cdf).pvalue


def test_the_noise_has_its_law():
    """False alarm 1e-6; noise of 0.8 times the claimed scale has p below 1e-20."""
    assert noise_p_value(1.0) > 1e-6
    assert noise_p_value(0.8) < 1e-6


def test_an_empty_sample_is_noise_alone():
    private = gradient(z=1.0, source=SeededNoise(1))
    assert torch.allclose(flat(private, torch.zeros(0, 3)), flat(gradient(z=1.0, source=SeededNoise(1)), torch.zeros(2, 3)))


def test_coins_are_independent_with_their_rate():
    """Exact binomial test, false alarm 1e-6; a rate of 0.08 in place of 0.1 is seen."""
    source = SecureNoise()
    n_heads = sum(len(poisson_sample(500, 0.1, source)) for _ in range(200))
    assert stats.binomtest(n_heads, 100_000, 0.1).pvalue > 1e-6
    assert stats.binomtest(n_heads, 100_000, 0.08).pvalue < 1e-6
    sizes = [len(poisson_sample(500, 0.1, source)) for _ in range(300)]
    assert 15 < np.var(sizes) < 100  # 45 if coins are independent, 0 for samples of fixed size


@given(n=st.integers(1, 50), q=st.floats(1e-9, 1.0))
def test_samples_are_increasing_numbers(n, q):
    chosen = poisson_sample(n, q, SecureNoise())
    assert np.all(np.diff(chosen) > 0)
    assert len(chosen) == n or q < 1
    assert not len(chosen) or 0 <= chosen[0] <= chosen[-1] < n


def test_a_parameter_outside_a_leaf_is_refused():
    class Outside(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 4, bias=False)

        def forward(self, rows):
            return nn.functional.linear(rows, self.linear.weight).square().sum(dim=1)

    with pytest.raises(RuntimeError, match="no gradient of each sequence; put it into a leaf module"):
        flat(gradient(Outside()), torch.ones(2, 3))
