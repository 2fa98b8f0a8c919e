"""The peer of `PermutationInvariantClassifier`: neurons see the LIST of the neurons below, as public code after Ganju et al. has it.

    layer l     r_j = MLP_l([W_j, b_j, r_1, ..., r_k])      r of all neurons below, one after the other
    layer       the sum of its r_j; a linear map of all layers' sums is the answer

Renaming hidden neurons leaves the function of a model alone and changes this network's answer, for two reasons: the list has another
order, and so has W_j. Everything else is as in the invariant network: MLPs (64, 8), standardized inputs, trainer, members averaged.

References
----------
Ganju, Wang, Yang, Gunter, Borisov, CCS 2018. Suri, Evans, PETS 2022 (code: FormEstDistRisks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from attacks.distribution.attack import Access, WorldAttack
from attacks.distribution.invariant_network import HIDDEN, REPRESENTATION
from attacks.distribution.layer_sets import neuron_layers
from attacks.distribution.member_networks import MemberAffine, MemberMLP, MemberNetwork
from attacks.distribution.views import Floats, ModelViews, joined_views
from attacks.distribution.white_box_training import split_shadows, train_members
from attacks.shadow.one_thread import one_thread
from mechanisms.randomness import as_generator


class FlattenedNetwork(MemberNetwork):
    """K members of the network above; inputs as `flattened_layers` returns them."""

    def __init__(self, inputs: Sequence[Tensor], n_members: int, *, generator: torch.Generator) -> None:
        super().__init__(n_members)
        below = [0, *(REPRESENTATION * layer.shape[1] for layer in inputs)]
        sizes = [layer.shape[2] + listed for layer, listed in zip(inputs, below, strict=False)]
        self.readers = nn.ModuleList(MemberMLP(n_members, (size, HIDDEN, REPRESENTATION), generator=generator) for size in sizes)
        self.answer = MemberAffine(n_members, REPRESENTATION * len(inputs), 1, generator=generator)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (K, B) log-odds of world 1."""
        learned: Tensor | None = None
        found = []
        for reader, own in zip(self.readers, inputs, strict=True):
            if learned is not None:
                listed = learned.flatten(-2).unsqueeze(-2).expand(*own.shape[:-1], -1)
                own = torch.cat([own, listed], dim=-1)
            learned = reader(own)
            found.append(learned.sum(dim=-2))
        answer: Tensor = self.answer(torch.cat(found, dim=-1))
        return answer.squeeze(-1)


class FlattenedTwin(WorldAttack):
    """The order-dependent attack, fitted and asked like `PermutationInvariantClassifier`."""

    access: ClassVar[Access] = "white box"

    def __init__(self, *, n_members: int = 5, epochs: int = 150, random_state: int | None = None) -> None:
        self.n_members = n_members
        self.epochs = epochs
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        generator = torch.Generator().manual_seed(int(as_generator(self.random_state).integers(2**32)))
        with one_thread():
            layers = flattened_layers(joined_views(shadow_0, shadow_1).weights)
            self.scales_ = [(layer.mean(dim=(0, 1)), layer.std(dim=(0, 1), correction=0)) for layer in layers]
            inputs = self._standardized(layers)
            self.network_ = FlattenedNetwork(inputs, self.n_members, generator=generator)
            split = split_shadows(len(shadow_0), len(shadow_1), self.n_members, generator=generator)
            self.held_out_ = train_members(self.network_, inputs, split, epochs=self.epochs, generator=generator)

    def _decide(self, victims: ModelViews) -> Floats:
        with one_thread():
            inputs = self._standardized(flattened_layers(victims.weights))
            return self.network_.log_odds(inputs).mean(dim=0).double().numpy()

    def _standardized(self, layers: Sequence[Tensor]) -> list[Tensor]:
        return [(layer - mean) / spread.clamp(min=1e-8) for layer, (mean, spread) in zip(layers, self.scales_, strict=True)]


def flattened_layers(weights: Mapping[str, np.ndarray]) -> list[Tensor]:
    """Return per layer (M, n, k P + v): each neuron's incoming weights one after the other, then its bias."""
    return [torch.cat([layer.incoming.flatten(2), layer.vectors], dim=2) for layer in neuron_layers(weights)]
