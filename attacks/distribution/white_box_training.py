"""Teach an ensemble of networks to tell the worlds of shadow models apart; each member keeps its best epoch on shadows it never saw.

Adam with step 3e-3 and weight decay 1e-3, batches of 32 models, logistic loss. Member k holds out another fifth of the shadows of either
world: its best epoch is the one with the least loss there. Worlds with unequal numbers of shadows weigh the same. Victims take no part.

All coins come from one torch.Generator: torch's global state is neither read nor changed. Everything runs with one thread, so that the
result doesn't depend on how many the process has.

Symbols: K members, M shadows, B batch. Cost: epochs M (forward + backward of one model) per member.

References
----------
Kingma, Ba, Adam: A Method for Stochastic Optimization, ICLR 2015. Ganju et al., CCS 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from attacks.distribution.member_networks import MemberNetwork

STEP_SIZE = 3e-3
WEIGHT_DECAY = 1e-3
BATCH = 32
HELD_OUT = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class HeldOutScores:
    """How the members did at their best epochs, on the shadows they didn't learn from.

    Parameters
    ----------
    epoch : (K,) best epochs, from 0.
    loss : (K,) logistic losses; 0.693 is what a coin gets.
    accuracy : (K,) balanced accuracies.
    """

    epoch: NDArray[np.int64]
    loss: NDArray[np.float64]
    accuracy: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Which shadows each member learns from, and which are held out: places (K, .) among the M shadows, those of world 0 first.

    Parameters
    ----------
    n_world_0 : how many of the M shadows are of world 0.
    """

    taught: Tensor
    held: Tensor
    n_world_0: int


@dataclass(frozen=True, slots=True, eq=False)
class _Lesson:
    """What the members learn from: inputs (M, ...), world (M,), weight (M,) of a model in the loss."""

    inputs: tuple[Tensor, ...]
    world: Tensor
    weight: Tensor

    def losses(self, network: MemberNetwork, places: Tensor) -> tuple[Tensor, Tensor]:
        """Return each member's loss (K,) on its own models (K, B), and its log-odds (K, B)."""
        log_odds = network(*(x[places] for x in self.inputs))
        world, weight = self.world[places], self.weight[places]
        losses = binary_cross_entropy_with_logits(log_odds, world, weight, reduction="none")
        return losses.mean(dim=1), log_odds


def split_shadows(n_world_0: int, n_world_1: int, n_members: int, *, generator: torch.Generator) -> Split:
    """Hold out a fifth of either world for each member, in turn: with five members every shadow is held out about once.

    Examples
    --------
    >>> split = split_shadows(10, 20, 5, generator=torch.Generator().manual_seed(0))
    >>> split.taught.shape, split.held.shape
    (torch.Size([5, 24]), torch.Size([5, 6]))
    """
    taught, held = [], []
    for first, size in ((0, n_world_0), (n_world_0, n_world_1)):
        shuffled = first + torch.randperm(size, generator=generator)
        n_held = max(1, round(HELD_OUT * size))
        turned = torch.stack([shuffled.roll(-member * n_held) for member in range(n_members)])
        held.append(turned[:, :n_held])
        taught.append(turned[:, n_held:])
    return Split(torch.cat(taught, dim=1), torch.cat(held, dim=1), n_world_0)


def train_members(
    network: MemberNetwork, inputs: Sequence[Tensor], split: Split, *, epochs: int, generator: torch.Generator
) -> HeldOutScores:
    """Train all members and leave them in the states of their best epochs.

    Parameters
    ----------
    network : K members; changed in place.
    inputs : tensors (M, ...), shadows of world 0 first.
    split : what each member learns from.
    epochs : passes over the shadows that are not held out, >= 1.
    generator : deals the batches.
    """
    n, n_world_0 = len(inputs[0]), split.n_world_0
    world = (torch.arange(n) >= n_world_0).float()
    weight = torch.where(world > 0, n / (2 * (n - n_world_0)), n / (2 * n_world_0))
    lesson = _Lesson(tuple(inputs), world, weight)
    best = _BestEpochs(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=STEP_SIZE, weight_decay=WEIGHT_DECAY)
    for epoch in range(epochs):
        order = split.taught.gather(1, torch.rand(split.taught.shape, generator=generator).argsort(dim=1))
        for start in range(0, order.shape[1], BATCH):
            optimizer.zero_grad()
            lesson.losses(network, order[:, start : start + BATCH])[0].sum().backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        best.look(epoch, lesson, split.held)
    return best.taken()


class _BestEpochs:
    """Each member's state of least held-out loss so far."""

    def __init__(self, network: MemberNetwork) -> None:
        self._network = network
        self._states = [parameter.detach().clone() for parameter in network.parameters()]
        self._loss = torch.full((network.n_members,), torch.inf)
        self._accuracy = torch.zeros(network.n_members)
        self._epoch = torch.zeros(network.n_members, dtype=torch.int64)

    @torch.no_grad()
    def look(self, epoch: int, lesson: _Lesson, held: Tensor) -> None:
        """Keep the members that are better than ever."""
        loss, log_odds = lesson.losses(self._network, held)
        better = loss < self._loss
        world = lesson.world[held] > 0
        right = (log_odds > 0) == world
        accuracy = ((right & world).sum(dim=1) / world.sum(dim=1) + (right & ~world).sum(dim=1) / (~world).sum(dim=1)) / 2
        self._loss = torch.where(better, loss, self._loss)
        self._accuracy = torch.where(better, accuracy, self._accuracy)
        self._epoch[better] = epoch
        for state, parameter in zip(self._states, self._network.parameters(), strict=True):
            state[better] = parameter[better]

    @torch.no_grad()
    def taken(self) -> HeldOutScores:
        """Put the best states into the network."""
        for state, parameter in zip(self._states, self._network.parameters(), strict=True):
            parameter.copy_(state)
        scores = (self._loss.double().numpy(), self._accuracy.double().numpy())
        return HeldOutScores(self._epoch.numpy(), *scores)
