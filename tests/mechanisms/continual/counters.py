"""Counters whose coordinates are independent runs: one release of many coordinates is many runs of a counter for one coordinate."""

from __future__ import annotations

import warnings
from dataclasses import replace

from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import NoiseSource, SeededNoise

GAUSSIAN = ["tree", "honaker", "smooth", "k_ary", "square_root", "buffered_toeplitz", "scaled_square_root", "dense", "unknown_horizon"]
PURE = ["tree", "smooth", "k_ary"]


def many_runs(design: CounterDesign, n_runs: int, seed: int, *, noise_factor: float = 1.0) -> ContinualCounter:
    """Return a counter of one coordinate, n_runs times; with `noise_factor` it has less noise than it says."""
    runs = replace(design, domain=replace(design.domain, dim=n_runs), scale=design.scale * noise_factor)
    return quiet(runs, SeededNoise(seed))


def quiet(design: CounterDesign, noise: NoiseSource) -> ContinualCounter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureNoiseWarning)
        return ContinualCounter.from_design(design, noise=noise)


def seeded(seed: int, horizon: int | None, **options: object) -> ContinualCounter:
    return quiet(design_counter(horizon, **options), SeededNoise(seed))
