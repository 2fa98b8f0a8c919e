"""Designs: which record trains which shadow model.

A design is a bool array of shape (n_models, n_records); row k says which records train model k (Carlini et al., Membership Inference
Attacks From First Principles, S&P 2022, section IV). Every coin is thrown independently across records, so the size of a training set
is random: drawing exactly half of the records would tie the coins together, and the one-run bounds would lose their proof.
Cost: O(n_models n_records) bits drawn, one byte each kept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, whole_number


def half_split_design(n_models: int, n_records: int, *, rng: RngLike = None) -> NDArray[np.bool_]:
    """Draw complementary pairs of models: what trains model 2i doesn't train model 2i + 1.

    Parameters
    ----------
    n_models : an even number of models.
    n_records : number of records.
    rng : seed or generator of the coins.

    Returns
    -------
    (n_models, n_records) bool; each record trains exactly half of the models.

    Raises
    ------
    ValueError : `n_models` is odd or less than 2, or there is no record.

    Notes
    -----
    Each pair throws a fair coin of its own for each record. Across records, and across pairs, the coins are independent Bernoulli(1/2).
    **Within a pair they are complements**: whoever knows row 2i knows row 2i + 1. So when one of them is the target of an attack,
    both leave the references.

    Examples
    --------
    >>> member = half_split_design(4, 3, rng=0)
    >>> member.shape, bool((member[0] != member[1]).all()), member.sum(axis=0).tolist()
    ((4, 3), True, [2, 2, 2])
    """
    n_models, n_records = whole_number(2, n_models=n_models), whole_number(1, n_records=n_records)
    if n_models % 2:
        raise ValueError(f"n_models must be even, got {n_models}: the models come in complementary pairs; poisson_design takes any number")
    coin = as_generator(rng).integers(0, 2, size=(n_models // 2, n_records), dtype=np.bool_)
    return np.stack([coin, ~coin], axis=1).reshape(n_models, n_records)


def poisson_design(n_models: int, n_records: int, *, probability: float = 0.5, rng: RngLike = None) -> NDArray[np.bool_]:
    """Throw an independent coin for each model and each record.

    Parameters
    ----------
    n_models, n_records : numbers of models and records.
    probability : chance that a record trains a model, in (0, 1).
    rng : seed or generator of the coins.

    Returns
    -------
    (n_models, n_records) bool.

    Raises
    ------
    ValueError : no model, no record, or a probability outside (0, 1).

    Notes
    -----
    A record may train no model at all, or every one: with n models and probability p, that has chance (1 - p)^n + p^n per record.

    Examples
    --------
    >>> poisson_design(3, 1000, probability=0.1, rng=0).mean(axis=1).round(2).tolist()
    [0.09, 0.12, 0.11]
    """
    n_models, n_records = whole_number(1, n_models=n_models), whole_number(1, n_records=n_records)
    probability = in_range(0, 1, probability=probability)
    return as_generator(rng).random((n_models, n_records)) < probability
