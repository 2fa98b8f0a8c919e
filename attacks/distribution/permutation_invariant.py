"""White box: a permutation-invariant network reads the victims' weights (Ganju et al., CCS 2018, with sets instead of lists).

A few members, each with another fifth of the shadows held out, learn from the weights of shadow models; the decision value is the mean
of their log-odds of world 1. Cost: about 10 ms per shadow and member for networks of 1,000 weights (150 epochs, one thread).

References
----------
Ganju, Wang, Yang, Gunter, Borisov, Property Inference Attacks on Fully Connected Neural Networks using Permutation Invariant
Representations, CCS 2018. Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from attacks.distribution.attack import Access, WorldAttack
from attacks.distribution.invariant_network import InvariantNetwork, LayerScale, read_layers
from attacks.distribution.layer_sets import neuron_layers
from attacks.distribution.views import Floats, ModelViews, joined_views
from attacks.distribution.white_box_training import HeldOutScores, split_shadows, train_members
from attacks.shadow.one_thread import one_thread
from mechanisms.randomness import as_generator
from mechanisms.validation import whole_number


class PermutationInvariantClassifier(WorldAttack):
    """Tell the world of a model from its weights; the order of hidden neurons plays no part.

    Parameters
    ----------
    n_members : networks whose answers are averaged, each with another fifth of the shadows held out.
    epochs : passes over the shadows; every member keeps its best one.
    random_state : int or None; first weights, held-out shadows and batches.

    Attributes
    ----------
    network_ : the fitted members.
    scales_ : mean and scale of every layer over shadows.
    held_out_ : best epochs, with losses and accuracies on held-out shadows.

    Notes
    -----
    Reads chains of linear layers and convolutions, with any 1-D parameters per neuron. A decision depends on the victim alone.

    Examples
    --------
    >>> from attacks.distribution.views import QueryLabels
    >>> rng, queries = np.random.default_rng(0), QueryLabels([0, 1], [0, 1])
    >>> def views(n, mean):
    ...     weights = {"0.weight": rng.normal(mean, 1, (n, 6, 3)), "2.weight": rng.normal(size=(n, 1, 6))}
    ...     return ModelViews(np.zeros((n, 2)), queries, weights)
    >>> attack = PermutationInvariantClassifier(n_members=2, epochs=20, random_state=0).fit(views(40, 0), views(40, 0.5))
    >>> attack.score(views(50, 0), views(50, 0.5)) > 0.8
    True
    """

    access: ClassVar[Access] = "white box"
    network_: InvariantNetwork
    scales_: tuple[LayerScale, ...]
    held_out_: HeldOutScores

    def __init__(self, *, n_members: int = 5, epochs: int = 150, random_state: int | None = None) -> None:
        self.n_members = n_members
        self.epochs = epochs
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        n_members, epochs = whole_number(1, n_members=self.n_members), whole_number(1, epochs=self.epochs)
        generator = torch.Generator().manual_seed(int(as_generator(self.random_state).integers(2**32)))
        with one_thread():
            shadows = joined_views(shadow_0, shadow_1)
            self._shapes = _shapes(shadows)
            layers = neuron_layers(shadows.weights)
            self.scales_ = tuple(LayerScale.of(layer, place) for place, layer in enumerate(layers))
            inputs = read_layers(layers, self.scales_)
            self.network_ = InvariantNetwork(inputs, n_members, generator=generator)
            split = split_shadows(len(shadow_0), len(shadow_1), n_members, generator=generator)
            self.held_out_ = train_members(self.network_, inputs, split, epochs=epochs, generator=generator)

    def _decide(self, victims: ModelViews) -> Floats:
        if _shapes(victims) != self._shapes:
            raise ValueError(f"victims must have the layers of the shadows {self._shapes}, got {_shapes(victims)}")
        with one_thread():
            inputs = read_layers(neuron_layers(victims.weights), self.scales_)
            return np.asarray(self.network_.log_odds(inputs).mean(dim=0).numpy(), dtype=np.float64)

    def _check_access(self, views: ModelViews) -> None:
        if not views.weights:
            raise ValueError(f"{type(self).__name__} is a white-box attack: it needs views with weights")


def _shapes(views: ModelViews) -> dict[str, tuple[int, ...]]:
    return {name: tuple(stack.shape[1:]) for name, stack in views.weights.items()}
