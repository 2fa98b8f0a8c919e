"""The common trainer: members don't touch each other, the best epoch is kept, held-out shadows are held out."""

import numpy as np
import pytest
import torch

from attacks.distribution.member_networks import MemberMLP, MemberNetwork
from attacks.distribution.white_box_training import split_shadows, train_members


class _Reader(MemberNetwork):
    def __init__(self, n_members, generator):
        super().__init__(n_members)
        self.mlp = MemberMLP(n_members, (3, 8, 1), generator=generator)

    def forward(self, *inputs):
        return self.mlp(inputs[0]).squeeze(-1)


def generator(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def shadows(rng):
    x = torch.from_numpy(rng.normal(size=(120, 3)).astype(np.float32))
    x[50:, 0] += 3
    return x


def test_a_fifth_of_each_world_is_held_out_in_turn():
    split = split_shadows(50, 70, 5, generator=generator(0))
    taught, held = split.taught, split.held
    assert held.shape == (5, 10 + 14)
    for member in range(5):
        assert sorted([*taught[member].tolist(), *held[member].tolist()]) == list(range(120))
        assert int((held[member] < 50).sum()) == 10
    assert len(set(held.flatten().tolist())) == 120  # five members: every shadow once


def test_members_are_trained_as_if_alone(shadows):
    both, zeroed = _Reader(2, generator(1)), _Reader(2, generator(1))
    with torch.no_grad():
        for parameter in zeroed.parameters():
            parameter[1] = 0
    split = split_shadows(50, 70, 2, generator=generator(3))
    for network in (both, zeroed):
        train_members(network, (shadows,), split, epochs=3, generator=generator(2))
    for one, other in zip(both.parameters(), zeroed.parameters(), strict=True):
        assert torch.allclose(one[0], other[0], atol=1e-6)


def test_the_best_epoch_is_what_is_left(shadows):
    network = _Reader(4, generator(1))
    split = split_shadows(50, 70, 4, generator=generator(3))
    scores = train_members(network, (shadows,), split, epochs=40, generator=generator(2))
    world = (torch.arange(120) >= 50).float()
    weight = torch.where(world > 0, 120 / 140, 120 / 100)
    log_odds = network.log_odds((shadows,))
    for member, places in enumerate(split.held):
        losses = torch.nn.functional.binary_cross_entropy_with_logits(log_odds[member, places], world[places], weight[places])
        assert losses.item() == pytest.approx(scores.loss[member], abs=1e-5)
    assert scores.accuracy.mean() > 0.75  # about 0.93; sd 0.03


def test_labels_that_mean_nothing_are_not_learned(rng):
    noise = torch.from_numpy(rng.normal(size=(600, 3)).astype(np.float32))
    network = _Reader(1, generator(1))
    scores = train_members(network, (noise[:400],), split_shadows(200, 200, 1, generator=generator(3)), epochs=10, generator=generator(2))
    assert scores.loss[0] > 0.6
    guesses = (network.log_odds((noise[400:],))[0] > 0).float()
    assert abs(float(guesses[:100].mean() - guesses[100:].mean())) < 0.36  # 5 standard deviations: false alarm 1e-6
