"""Label-only attacks: any black-box attack on hard labels, or on their averages over noisy copies of each query.

One copy: the guessed class gets probability 0.99. Several copies of each query, slightly perturbed: the share of guesses per class, with
one observation added over all classes, stands for the probability (Choquette-Choo et al. 2021; Li & Zhang 2021).
Cost: that of the attack.

References
----------
Choquette-Choo, Tramer, Carlini, Papernot, Label-Only Membership Inference Attacks, ICML 2021. Suri, Lu, Chen, Evans, SaTML 2023 (label only
distribution inference).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import Floats, ModelViews, QueryLabels
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import non_negative, whole_number

SURE = 0.99  # probability of the guessed class when there is one guess


class LabelOnly(WorldAttack):
    """An attack that sees no more than the guessed classes.

    Parameters
    ----------
    attack : a black-box attack; it is cloned.
    n_copies : copies of every query among the queries, one whole block after the other, as `perturbed_queries` makes them.

    Attributes
    ----------
    attack_ : the fitted attack.
    """

    access = "label only"

    def __init__(self, attack: WorldAttack, *, n_copies: int = 1) -> None:
        self.attack = attack
        self.n_copies = n_copies

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        if self.attack.access == "white box":
            raise ValueError(f"attack must be a black-box attack, got {type(self.attack).__name__}")
        self.attack_ = clone(self.attack).fit(guessed(shadow_0, self.n_copies), guessed(shadow_1, self.n_copies))

    def _decide(self, victims: ModelViews) -> Floats:
        return np.asarray(self.attack_.decision_function(guessed(victims, self.n_copies)))


def perturbed_queries(inputs: ArrayLike, n_copies: int, scale: float, *, rng: RngLike = None) -> Floats:
    """Return the queries and `n_copies - 1` noisy copies, block after block, shape (n_copies Q, ...).

    Parameters
    ----------
    scale : standard deviation of the Gaussian noise, in the units of (standardized) inputs.
    """
    copies, noise = whole_number(1, n_copies=n_copies), non_negative(scale=scale)
    queries = np.asarray(inputs, dtype=np.float64)
    blocks = as_generator(rng).normal(scale=noise, size=(copies, *queries.shape))
    blocks[0] = 0
    return np.concatenate(list(queries + blocks))


def guessed(views: ModelViews, n_copies: int = 1) -> ModelViews:
    """Return the views that guesses alone give: logarithms of shares of guesses, over the copies of each query.

    Raises
    ------
    ValueError : queries that are no whole number of blocks.
    """
    copies = whole_number(1, n_copies=n_copies)
    n_queries, rest = divmod(len(views.queries), copies)
    if rest:
        raise ValueError(f"{len(views.queries)} queries are no {copies} blocks of copies")
    one_hot = views.guesses[:, :, None] == np.arange(views.n_classes)
    shares = one_hot.reshape(len(views), copies, n_queries, views.n_classes).mean(axis=1)
    if copies == 1:
        probabilities = np.where(shares == 1, SURE, (1 - SURE) / (views.n_classes - 1))
    else:
        probabilities = (copies * shares + 1 / views.n_classes) / (copies + 1)
    labels = QueryLabels(views.queries.label[:n_queries], views.queries.world[:n_queries])
    return ModelViews(np.log(probabilities), labels)
