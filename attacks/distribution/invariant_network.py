"""A network that reads the weights of other networks and can't tell the order of their hidden neurons.

Symbols: W_jk the weight of neuron j from neuron k below, b_j the neuron's own numbers, r_j in R^8 what is learned about a neuron.

    layer 1     r_j = MLP_1([W_j, b_j])                                                                    MLP: 64 hidden units, 8 out
    layer l     r_j = MLP_l([sum_k relu(W_jk), sum_k relu(-W_jk), b_j, sum_k W_jk r_k, sum_k |W_jk| r_k])
    hidden      a layer's representation is the sum of its r_j; here divided by their number, a constant
    output      its neurons are classes, not exchangeable: the r_j one after the other (for a single output the same as their sum)
    answer      a linear map of all representations

Every sum over k goes over a set of pairs, so a joint permutation of hidden neurons changes no term of it. Feeding the flattened list of the
r_k below instead is order-dependent. What doesn't depend on learned weights is computed once per model (`read_layers`).

Cost per model: sum over layers of 16 n k P + 2 n (64 (18 P + v) + 512) operations.

References
----------
Ganju, Wang, Yang, Gunter, Borisov, CCS 2018. Zaheer et al., Deep Sets, NeurIPS 2017. Navon et al., Equivariant Architectures for
Learning in Deep Weight Spaces, ICML 2023.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attacks.distribution.layer_sets import NeuronLayer
from attacks.distribution.member_networks import MemberAffine, MemberMLP, MemberNetwork

HIDDEN = 64
REPRESENTATION = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class LayerScale:
    """Mean and scale of one layer, pooled over its neurons and the shadow models, so that the order of neurons plays no part.

    Parameters
    ----------
    mean, scale : (d,) of the neurons' own features.
    link : root mean square of W_jk, times the square root of the neurons below.
    """

    mean: Tensor
    scale: Tensor
    link: float

    @classmethod
    def of(cls, layer: NeuronLayer, place: int) -> LayerScale:
        """Measure the layer's features over shadows."""
        features = _own_features(layer, place).flatten(0, 1)
        spread = features.std(dim=0, correction=0)
        root_mean_square = float(layer.incoming.square().mean().sqrt())
        link = root_mean_square * math.sqrt(layer.incoming.shape[2]) or 1.0
        return cls(features.mean(dim=0), torch.where(spread > 0, spread, torch.ones_like(spread)), link)


def read_layers(layers: Sequence[NeuronLayer], scales: Sequence[LayerScale]) -> tuple[Tensor, ...]:
    """Return the inputs of an `InvariantNetwork`: own features of layer 1, then own features and links of every later layer.

    Returns
    -------
    own (M, n, d), and links (M, n, 2 P, k): W and |W| in units of the layer's scale.
    """
    found: list[Tensor] = []
    for place, (layer, scale) in enumerate(zip(layers, scales, strict=True)):
        found.append((_own_features(layer, place) - scale.mean) / scale.scale)
        if place:
            weight = layer.incoming.transpose(2, 3) / scale.link
            found.append(torch.cat([weight, weight.abs()], dim=2))
    return tuple(found)


class InvariantNetwork(MemberNetwork):
    """K members of the network above.

    Parameters
    ----------
    inputs : what `read_layers` returns, for its shapes.
    n_members : K.
    generator : of the first weights.
    """

    def __init__(self, inputs: Sequence[Tensor], n_members: int, *, generator: torch.Generator) -> None:
        super().__init__(n_members)
        own, links = _apart(inputs)
        sizes = [x.shape[2] + (0 if link is None else REPRESENTATION * link.shape[2]) for x, link in zip(own, links, strict=True)]
        self.readers = nn.ModuleList(MemberMLP(n_members, (size, HIDDEN, REPRESENTATION), generator=generator) for size in sizes)
        n_representations = len(own) - 1 + own[-1].shape[1]
        self.answer = MemberAffine(n_members, n_representations * REPRESENTATION, 1, generator=generator)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (K, B) log-odds of world 1."""
        learned = torch.empty(0)
        found: list[Tensor] = []
        for reader, own, links in zip(self.readers, *_apart(inputs), strict=True):
            features = own if links is None else torch.cat([own, _messages(links, learned)], dim=-1)
            learned = reader(features)
            found.append(learned.mean(dim=-2))
        found[-1] = learned.flatten(-2)
        answer: Tensor = self.answer(torch.cat(found, dim=-1))
        return answer.squeeze(-1)


def _own_features(layer: NeuronLayer, place: int) -> Tensor:
    """Return (M, n, d) features that look at no neuron below."""
    if place == 0:
        return torch.cat([layer.incoming.flatten(2), layer.vectors], dim=2)
    return torch.cat([layer.incoming.relu().sum(dim=2), (-layer.incoming).relu().sum(dim=2), layer.vectors], dim=2)


def _apart(inputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor | None]]:
    return [inputs[0], *inputs[1::2]], [None, *inputs[2::2]]


def _messages(links: Tensor, learned: Tensor) -> Tensor:
    """Sum what is learned about the neurons below, by weight: links (K, B, n, 2 P, k) and r (K, B, k, 8) to (K, B, n, 16 P)."""
    below = learned.flatten(0, 1)
    rows = links.reshape(len(below), -1, links.shape[-1])
    return (rows @ below).view(*links.shape[:3], -1)
