"""Victims that several repeats guessed about: one repeat for each victim, so that no victim counts twice.

A victim that is easy for one adversary is easy for the next, so guesses of R adversaries about m victims are worth less than R m
independent ones. Dealing the victims to the repeats leaves m independent guesses, and with them the whole spread between repeats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from attacks.scores import AttackCounts, as_membership
from mechanisms.randomness import RngLike, as_generator


def one_repeat_per_victim(world: ArrayLike, guess: ArrayLike, *, rng: RngLike = None) -> list[AttackCounts]:
    """Deal the victims of each world at random to the repeats and count each repeat's guesses about its own.

    Parameters
    ----------
    world : of each victim, bool or 0 and 1, shape (n_victims,).
    guess : of each repeat about each victim, bool or 0 and 1, shape (n_repeats, n_victims).
    rng : deals the victims; without regard to guesses.

    Returns
    -------
    Counts of each repeat, for `HierarchicalAccuracyPosterior(..., shared_victims=False)`.

    Raises
    ------
    ValueError : shapes that don't fit, or fewer victims of a world than repeats.

    Examples
    --------
    >>> world, guess = [0, 0, 1, 1], [[0, 0, 1, 1], [0, 0, 1, 1]]
    >>> [counts.n_members for counts in one_repeat_per_victim(world, guess, rng=0)]
    [1, 1]
    """
    truth, table = as_membership(world=world), np.asarray(guess)
    if table.ndim != 2 or table.shape[1] != len(truth):
        raise ValueError(f"guess must have shape (n_repeats, {len(truth)}), one column per victim, got {table.shape}")
    guesses = as_membership(guess=table.ravel()).reshape(table.shape)
    n_repeats, generator = len(guesses), as_generator(rng)
    owner = np.empty(len(truth), dtype=np.intp)
    for here in (truth, ~truth):
        if here.sum() < n_repeats:
            raise ValueError(f"each world needs a victim for each of {n_repeats} repeats, got {int(here.sum())} in one of them")
        owner[here] = generator.permutation(np.arange(int(here.sum())) % n_repeats)
    return [AttackCounts.from_predictions(truth[owner == r], guesses[r, owner == r]) for r in range(n_repeats)]
