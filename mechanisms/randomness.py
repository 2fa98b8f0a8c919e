"""Randomness is passed in: `rng=` takes an int, a numpy Generator or None.

This is randomness of simulations and optimizers. Noise that protects data is another thing and never comes from here.
"""

from __future__ import annotations

import numpy as np

RngLike = int | np.random.Generator | None


def as_generator(rng: RngLike = None) -> np.random.Generator:
    """Return a numpy Generator: the given one, one seeded by the given int, or one from operating-system entropy.

    Raises
    ------
    TypeError : `rng` is neither an int, a numpy Generator nor None.
    ValueError : the seed is negative.

    Examples
    --------
    >>> as_generator(7).integers(100) == as_generator(7).integers(100)
    np.True_
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer):
        raise TypeError(f"rng must be an int, a numpy Generator or None, got {type(rng).__name__}")
    if rng < 0:
        raise ValueError(f"rng must be a non-negative seed, got {rng}")
    return np.random.default_rng(int(rng))


def root_entropy(rng: np.random.Generator) -> str:
    """Return the entropy of a generator's root seed as text, for reports ("unknown" where its bit generator keeps none)."""
    seed_sequence = getattr(rng.bit_generator, "seed_seq", None)
    entropy = getattr(seed_sequence, "entropy", None)
    return "unknown" if entropy is None else str(entropy)
