"""Small holdouts for tests."""

from __future__ import annotations

import warnings

import numpy as np

from mechanisms.adaptive.reusable_holdout import ReusableHoldout
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise


def seeded(rng: np.random.Generator) -> SeededNoise:
    return SeededNoise(int(rng.integers(2**63)))


def made(train: object, holdout: object, noise: SeededNoise | None = None, **options: object) -> ReusableHoldout:
    """A reusable holdout, without the warning of seeded noise; a budget of 5 unless another is given."""
    if not {"budget", "epsilon"} & set(options):
        options["budget"] = 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return ReusableHoldout(train, holdout, noise=noise, **options)


def identity(records: np.ndarray) -> np.ndarray:
    return records
