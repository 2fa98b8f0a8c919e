"""Streams and runs for the tests of `MaxSum` and `SumSelect`, and an audit of one event in two neighboring worlds."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from scipy.stats import beta

from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SeededNoise

Made = TypeVar("Made")


def seeded(make: Callable[[SeededNoise], Made], seed: int) -> Made:
    """Make something with seeded noise, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return make(SeededNoise(seed))


def biased_stream(T: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """0/1 steps whose coordinates have rates from 0 to 1."""
    return (rng.random((T, d)) < rng.random(d)).astype(np.int64)


def epsilon_lower_bound(hits: tuple[int, int], n: int, level: float = 1 - 1e-6) -> float:
    """Lower bound of epsilon from one event in n runs of each world, pure privacy, valid with probability `level`."""
    tail = (1 - level) / 2
    low = float(beta.ppf(tail, hits[0], n - hits[0] + 1)) if hits[0] else 0.0
    high = float(beta.ppf(1 - tail, hits[1] + 1, n - hits[1])) if hits[1] < n else 1.0
    return math.log(low / high) if low else -math.inf
