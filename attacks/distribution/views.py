"""What an adversary sees of models in the distribution-inference game: their answers to queries, and, white box, what is inside.

    queries   records of the adversary's own test samples, half of them from each world: label y, world w
    views     for M models: logits (M, Q, C) of the Q queries; weights and activations where the threat model is white box

Symbols: M models, Q queries, C classes, f = logit margin l_c - l_0 (for two classes the usual logit), p = softmax(l).
A view holds models' answers, never a training record. Cost: M Q C floats.

References
----------
Suri, Evans, Formalizing and Estimating Distribution Inference Risks, PETS 2022. Ganju et al., Property Inference Attacks on Fully
Connected Neural Networks using Permutation Invariant Representations, CCS 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax

_Scalar = TypeVar("_Scalar", bound=np.generic)
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Places = int | slice | NDArray[np.intp] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class QueryLabels:
    """What is known about the queries.

    Parameters
    ----------
    label : (Q,) classes 0 to C - 1.
    world : (Q,) bool: drawn from the test sample of world 1.

    Raises
    ------
    ValueError : no query, lengths that differ, negative labels, or a world other than 0 and 1.
    """

    label: NDArray[np.int64]
    world: Bools

    def __post_init__(self) -> None:
        label, world = np.array(self.label), np.array(self.world)
        if label.ndim != 1 or label.shape != world.shape or len(label) == 0:
            raise ValueError(f"label and world must have one axis and the same length >= 1, got shapes {label.shape} and {world.shape}")
        if label.dtype.kind not in "iub" or label.min() < 0:
            raise ValueError(f"label must hold classes 0, 1, ..., got dtype {label.dtype}")
        if not np.isin(world, (0, 1)).all():
            raise ValueError("world must be bool, or 0 and 1")
        object.__setattr__(self, "label", _frozen(label.astype(np.int64)))
        object.__setattr__(self, "world", _frozen(world.astype(np.bool_)))

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        return f"QueryLabels(n={len(self)})"

    def at(self, places: NDArray[np.intp] | Bools) -> QueryLabels:
        """Return the labels and worlds of some queries, in the order of `places`."""
        return QueryLabels(self.label[places], self.world[places])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ModelViews:
    """M models as an adversary sees them.

    Parameters
    ----------
    logits : (M, Q, C) answers to the queries; (M, Q) is read as the logit of class 1 against class 0.
    queries : labels and worlds of the Q queries.
    weights : white box: parameters by name in PyTorch's order, each (M, ...), weights before biases, layer by layer; empty if black box.
    activations : white box: per layer (M, Q, units) outputs of the hidden layers on the queries; empty if not asked for.

    Raises
    ------
    ValueError : shapes that don't fit, NaN or infinite logits, or fewer classes than labels.
    """

    logits: Floats
    queries: QueryLabels
    weights: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    activations: tuple[NDArray[np.floating], ...] = ()

    def __post_init__(self) -> None:
        logits = _as_logits(self.logits)
        models, queries, classes = logits.shape
        if queries != len(self.queries):
            raise ValueError(f"logits must have one column per query ({len(self.queries)}), got shape {logits.shape}")
        if not np.isfinite(logits).all():
            raise ValueError(
                "logits must not hold NaN or infinite values; leave out models that diverged, clip probabilities before the logarithm"
            )
        if self.queries.label.max() >= classes:
            raise ValueError(f"labels must be below the number of classes {classes}, got {self.queries.label.max()}")
        for name, stack in self.weights.items():
            if len(stack) != models:
                raise ValueError(f"weights '{name}' must hold {models} models, got {len(stack)}")
        for layer in self.activations:
            if layer.shape[:2] != (models, queries):
                raise ValueError(f"activations must have shape ({models}, {queries}, units), got {layer.shape}")
        object.__setattr__(self, "logits", _frozen(logits))
        object.__setattr__(self, "weights", dict(self.weights))

    def __len__(self) -> int:
        return len(self.logits)

    def __repr__(self) -> str:
        models, queries, classes = self.logits.shape
        return f"ModelViews(models={models}, queries={queries}, classes={classes}, white_box={bool(self.weights)})"

    def __getitem__(self, places: Places) -> ModelViews:
        """Return the views of some models; one number gives a view of one model."""
        chosen = slice(places, places + 1 or None) if isinstance(places, int) else places
        weights = {name: stack[chosen] for name, stack in self.weights.items()}
        return ModelViews(self.logits[chosen], self.queries, weights, tuple(layer[chosen] for layer in self.activations))

    def at_queries(self, places: NDArray[np.intp] | Bools) -> ModelViews:
        """Return the same models seen on some of the queries, in the order of `places`."""
        activations = tuple(layer[:, places] for layer in self.activations)
        return replace(self, logits=self.logits[:, places], queries=self.queries.at(places), activations=activations)

    def black_box(self) -> ModelViews:
        """Return the same views without weights and activations."""
        return replace(self, weights={}, activations=())

    @property
    def n_classes(self) -> int:
        """Number of classes C."""
        return int(self.logits.shape[2])

    @property
    def margins(self) -> Floats:
        """(M, Q, C - 1) logit margins l_c - l_0; for two classes the usual logit."""
        return np.asarray(self.logits[:, :, 1:] - self.logits[:, :, :1])

    @property
    def log_probabilities(self) -> Floats:
        """(M, Q, C) logarithms of the classes' probabilities; no overflow."""
        return np.asarray(log_softmax(self.logits, axis=2))

    @property
    def probabilities(self) -> Floats:
        """(M, Q, C) probabilities of the classes."""
        return np.exp(self.log_probabilities)

    @property
    def losses(self) -> Floats:
        """(M, Q) log losses of the queries' own labels."""
        return np.asarray(-np.take_along_axis(self.log_probabilities, self.queries.label[None, :, None], axis=2)[:, :, 0])

    @property
    def guesses(self) -> NDArray[np.int64]:
        """(M, Q) classes with the largest logit; of two equal ones the lower class."""
        return np.asarray(self.logits.argmax(axis=2), dtype=np.int64)

    @property
    def correct(self) -> Bools:
        """(M, Q) whether the guess is the label."""
        return np.asarray(self.guesses == self.queries.label)


def joined_views(*views: ModelViews) -> ModelViews:
    """Return the models of several views of the same queries, one after the other.

    Raises
    ------
    ValueError : no view, or views of other queries or layers.
    """
    if not views:
        raise ValueError("joined_views needs at least one view")
    first = views[0]
    for other in views[1:]:
        same = other.logits.shape[1:] == first.logits.shape[1:] and set(other.weights) == set(first.weights)
        if not same or not _same_queries(first.queries, other.queries) or len(other.activations) != len(first.activations):
            raise ValueError("views must be of the same queries, classes and layers to be joined")
    weights = {name: np.concatenate([view.weights[name] for view in views]) for name in first.weights}
    layers = tuple(np.concatenate(parts) for parts in zip(*(view.activations for view in views), strict=True))
    return ModelViews(np.concatenate([view.logits for view in views]), first.queries, weights, layers)


def _same_queries(a: QueryLabels, b: QueryLabels) -> bool:
    return a is b or (np.array_equal(a.label, b.label) and np.array_equal(a.world, b.world))


def _as_logits(values: ArrayLike) -> Floats:
    logits = np.array(values, dtype=np.float64)
    if logits.ndim == 2:
        logits = np.stack([np.zeros_like(logits), logits], axis=2)
    if logits.ndim != 3 or logits.shape[2] < 2:
        raise ValueError(f"logits must have shape (models, queries) or (models, queries, classes >= 2), got {logits.shape}")
    return logits


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.setflags(write=False)
    return array
