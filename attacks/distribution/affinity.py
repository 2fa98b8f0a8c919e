"""White box: which queries look alike to a layer? Cosine similarities of hidden activations, pair by pair of queries.

Symbols: Q queries, u units of a layer, a (Q, u) its outputs; s_ij = <a_i, a_j> / (|a_i| |a_j|), 0 where a layer is silent. A similarity is
a sum over units, so the order of neurons plays no part. Of the Q (Q - 1) / 2 pairs of a layer the fifth with the largest separation
(m_1 - m_0)^2 / (v_0 + v_1) is kept; m_w and v_w are mean and variance over the shadows of world w that the member learns from: held-out
shadows choose no pair, or they would flatter. One MLP (1024, 64, 16) per layer reads
the kept pairs; their outputs and the probabilities that the model gives to the Q queries go through a linear map.

Cost: M Q^2 u operations for the similarities; then Adam on 1 million parameters a member (Q = 50, three layers).

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023 (affinity graph attack).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attacks.distribution.attack import Access, WorldAttack
from attacks.distribution.member_networks import MemberAffine, MemberMLP, MemberNetwork
from attacks.distribution.views import Floats, ModelViews, QueryLabels, joined_views
from attacks.distribution.white_box_training import HeldOutScores, Split, split_shadows, train_members
from attacks.shadow.one_thread import one_thread
from mechanisms.randomness import as_generator
from mechanisms.validation import whole_number

SIZES = (1024, 64, 16)
KEPT_PAIRS = 0.2

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    """Mean and scale of one input's columns over shadows."""

    mean: Floats
    scale: Floats

    @classmethod
    def of(cls, values: Floats) -> _Reading:
        spread = values.std(axis=0)
        return cls(values.mean(axis=0), np.where(spread > 1e-6, spread, 1.0))

    def read(self, values: Floats) -> Tensor:
        return torch.from_numpy(((values - self.mean) / self.scale).astype(np.float32))


class AffinityNetwork(MemberNetwork):
    """K members: one MLP per layer over the pairs that the member keeps, then a linear map of their outputs and the probabilities.

    Parameters
    ----------
    kept : per layer (K, pairs) the places of the pairs that each member keeps.
    n_probabilities : how many probabilities it sees.
    """

    def __init__(self, kept: Sequence[Tensor], n_probabilities: int, *, generator: torch.Generator) -> None:
        n_members = len(kept[0])
        super().__init__(n_members)
        self._kept = tuple(kept)
        self.readers = nn.ModuleList(MemberMLP(n_members, (pairs.shape[1], *SIZES), generator=generator) for pairs in kept)
        self.answer = MemberAffine(n_members, len(kept) * SIZES[-1] + n_probabilities, 1, generator=generator)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return (K, B) log-odds of world 1; inputs are all pairs of each layer, then the probabilities."""
        *layers, probabilities = inputs
        found = []
        for reader, x, kept in zip(self.readers, layers, self._kept, strict=True):
            found.append(reader(x.gather(2, kept[:, None].expand(-1, x.shape[1], -1))))
        answer: Tensor = self.answer(torch.cat([*found, probabilities], dim=-1))
        return answer.squeeze(-1)


class AffinityClassifier(WorldAttack):
    """Tell the world of a model from the similarities of queries inside it.

    Parameters
    ----------
    n_queries : Q; of more queries in the views an even subset of both worlds is taken, fixed in `fit`.
    n_members : networks whose answers are averaged, each with another fifth of the shadows held out.
    epochs : passes over the shadows; every member keeps its best one, with hundreds of shadows among the first ten.
    random_state : int or None; first weights, held-out shadows and batches.

    Attributes
    ----------
    queries_ : places of the queries that are used.
    network_ : the fitted members.
    held_out_ : best epochs, with losses and accuracies on held-out shadows.

    Notes
    -----
    Needs views with activations. A decision depends on the victim alone.
    """

    access: ClassVar[Access] = "white box"
    needs_activations: ClassVar[bool] = True
    queries_: Indices
    network_: AffinityNetwork
    held_out_: HeldOutScores

    def __init__(self, *, n_queries: int = 50, n_members: int = 2, epochs: int = 30, random_state: int | None = None) -> None:
        self.n_queries = n_queries
        self.n_members = n_members
        self.epochs = epochs
        self.random_state = random_state

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        n_queries, epochs = whole_number(2, n_queries=self.n_queries), whole_number(1, epochs=self.epochs)
        n_members = whole_number(1, n_members=self.n_members)
        generator = torch.Generator().manual_seed(int(as_generator(self.random_state).integers(2**32)))
        with one_thread():
            self._units = _units(shadow_0)
            self.queries_ = _even_subset(shadow_0.queries, n_queries)
            values = self._values(joined_views(shadow_0, shadow_1))
            self._readings = [_Reading.of(value) for value in values]
            inputs = self._inputs(values)
            split = split_shadows(len(shadow_0), len(shadow_1), n_members, generator=generator)
            kept = [_kept_pairs(layer, split) for layer in values[:-1]]
            self.network_ = AffinityNetwork(kept, values[-1].shape[1], generator=generator)
            self.held_out_ = train_members(self.network_, inputs, split, epochs=epochs, generator=generator)

    def _decide(self, victims: ModelViews) -> Floats:
        if _units(victims) != self._units:
            raise ValueError(f"victims must have hidden layers of {self._units} units as the shadows, got {_units(victims)}")
        with one_thread():
            inputs = self._inputs(self._values(victims))
            return np.asarray(self.network_.log_odds(inputs).mean(dim=0).numpy(), dtype=np.float64)

    def _values(self, views: ModelViews) -> list[Floats]:
        """Return (M, pairs) similarities of every layer, and (M, Q (C - 1)) probabilities of the classes but the first."""
        layers = [pair_similarities(layer[:, self.queries_]) for layer in views.activations]
        return [*layers, views.probabilities[:, self.queries_, 1:].reshape(len(views), -1)]

    def _inputs(self, values: list[Floats]) -> list[Tensor]:
        return [reading.read(value) for reading, value in zip(self._readings, values, strict=True)]

    def _check_access(self, views: ModelViews) -> None:
        if not views.activations:
            raise ValueError(f"{type(self).__name__} is a white-box attack: it needs views with activations")


def pair_similarities(activations: NDArray[np.floating]) -> Floats:
    """Return the cosine similarity of each pair of queries: (M, Q, units) to (M, Q (Q - 1) / 2); 0 where all units are 0.

    Raises
    ------
    ValueError : NaN or infinite activations.

    Examples
    --------
    >>> pair_similarities(np.array([[[1.0, 0.0], [3.0, 3.0], [0.0, 0.0]]])).round(3)
    array([[0.707, 0.   , 0.   ]])
    """
    if not np.isfinite(activations).all():
        raise ValueError("activations must be finite; a model that diverged can't take part in the game")
    outputs = np.asarray(activations, dtype=np.float64)
    length = np.linalg.norm(outputs, axis=2, keepdims=True)
    directions = outputs / np.where(length > 0, length, 1.0)
    first, second = np.triu_indices(outputs.shape[1], k=1)
    return np.asarray((directions @ directions.transpose(0, 2, 1))[:, first, second])


def _kept_pairs(values: Floats, split: Split) -> Tensor:
    """Return (K, pairs) the pairs that each member keeps, chosen on what it learns from."""
    places = split.taught.numpy()
    n_world_0 = int((places[0] < split.n_world_0).sum())
    return torch.from_numpy(np.stack([_most_separated(values[own], n_world_0) for own in places]))


def _most_separated(values: Floats, n_world_0: int) -> Indices:
    """Return the places of the fifth of the columns that differ most between worlds, in units of their spread within."""
    zero, one = values[:n_world_0], values[n_world_0:]
    between, within = (one.mean(axis=0) - zero.mean(axis=0)) ** 2, zero.var(axis=0) + one.var(axis=0)
    separation = np.divide(between, within, out=np.where(between > 0, np.inf, 0.0), where=within > 0)
    kept = max(1, round(KEPT_PAIRS * values.shape[1]))
    return np.sort(np.argsort(-separation, kind="stable")[:kept])


def _even_subset(queries: QueryLabels, n: int) -> Indices:
    """Return at most n places, half of them from each world where it has as many, spread evenly over their order."""
    if len(queries) <= n:
        return np.arange(len(queries))
    places = [np.flatnonzero(queries.world == world) for world in (False, True)]
    wanted_1 = min(len(places[1]), max(n // 2, n - len(places[0])))
    counts = (n - wanted_1, wanted_1)
    chosen = [own[np.arange(count) * len(own) // max(count, 1)] for own, count in zip(places, counts, strict=True)]
    return np.sort(np.concatenate(chosen))


def _units(views: ModelViews) -> tuple[int, ...]:
    return tuple(layer.shape[2] for layer in views.activations)
