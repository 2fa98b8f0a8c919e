"""Epsilon of thousands of draws of (noise, sampling rate): log epsilon as a Chebyshev polynomial over the box that holds the draws.

A posterior of epsilon needs the accountant at every draw. `loss_curve` takes milliseconds, so it is asked at few nodes only: the box has
the principal axes of the draws in (log noise_multiplier, logit sample_rate), and more nodes where it is wider. Error at 4 nodes an axis
and a box of +- 3 %: below 1e-5 relative. Not pessimistic, as `loss_curve`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from scipy import special

from mechanisms.accounting.loss_curve import loss_curve
from mechanisms.errors import UnsupportedClaimError
from mechanisms.validation import same_length

Floats = NDArray[np.float64]

_NODES = ((0.0, 1), (0.15, 4), (0.6, 6), (1.6, 8), (3.0, 12), (np.inf, 18))  # widest box in nats, nodes along that axis
_RESOLUTIONS = (0.1, 1.0, 10.0)  # 2e-4 relative; the coarser ones for nodes in far corners, where next to nothing is ever sampled
_LOG_FROM = 1e-3  # epsilons below are too near 0 for a logarithm


def epsilon_draws(*, noise_multiplier: Floats, sample_rate: Floats, steps: int, delta: float) -> Floats:
    """Return epsilon of DP-SGD at every draw.

    Parameters
    ----------
    noise_multiplier : (n,) noise standard deviation over the record's clipped length.
    sample_rate : (n,) in (0, 1]; either all are 1 or none is.
    steps, delta : the same for all draws; delta in [1e-12, 1).

    Returns
    -------
    (n,) epsilons in nats.

    Raises
    ------
    ValueError : lengths that differ, no draws, rates of 1 mixed with others, parameters out of range.

    Examples
    --------
    >>> sigma, q = np.array([0.98, 1.0, 1.02]), np.full(3, 1 / 15)
    >>> epsilon_draws(noise_multiplier=sigma, sample_rate=q, steps=200, delta=1e-5).round(2)
    array([6.71, 6.45, 6.21])
    """
    n = same_length(noise_multiplier=noise_multiplier, sample_rate=sample_rate)
    if n == 0 or not (np.all(noise_multiplier > 0) and np.all(sample_rate > 0)):
        raise ValueError(f"noise_multiplier and sample_rate must hold positive numbers, got {n} draws, not all of them positive")
    full = np.asarray(sample_rate) >= 1
    if full.any() and not full.all():
        raise ValueError(f"sample_rate must be 1 in all draws or in none, got {int(full.sum())} of {n}")
    points = np.log(noise_multiplier)[:, None]
    if not full.any():
        points = np.column_stack([points, special.logit(sample_rate)])
    axes, center, half = _box(points)

    def at(nodes: Floats) -> Floats:
        real = (nodes * half) @ axes.T + center
        rates = special.expit(real[:, 1]) if real.shape[1] == 2 else np.ones(len(real))
        return np.array([_epsilon(float(sigma), float(q), steps, delta) for sigma, q in zip(np.exp(real[:, 0]), rates, strict=True)])

    scaled = (points - center) @ axes / np.where(half > 0, half, 1.0)
    return _interpolated(at, scaled, [_node_count(2 * width) for width in half])


def _box(points: Floats) -> tuple[Floats, Floats, Floats]:
    """Return principal axes (as columns), center and half widths of the smallest box along them that holds the points."""
    axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2].T if len(points) > 2 else np.eye(points.shape[1])
    turned = points @ axes
    low, high = turned.min(axis=0), turned.max(axis=0)
    half = (high - low) / 2
    half[half < 1e-12] = 0.0
    return axes, (high + low) / 2 @ axes.T, half


def _epsilon(sigma: float, q: float, steps: int, delta: float) -> float:
    for resolution in _RESOLUTIONS[:-1]:
        try:
            return loss_curve(sample_rate=q, noise_multiplier=sigma, steps=steps, resolution=resolution).epsilon(delta)
        except UnsupportedClaimError:
            continue
    return loss_curve(sample_rate=q, noise_multiplier=sigma, steps=steps, resolution=_RESOLUTIONS[-1]).epsilon(delta)


def _node_count(width: float) -> int:
    return next(count for widest, count in _NODES if width <= widest)


def _interpolated(at: Callable[[Floats], Floats], scaled: Floats, counts: list[int]) -> Floats:
    """Interpolate over [-1, 1]^d at the tensor grid of Chebyshev nodes."""
    lines = [chebyshev.chebpts1(count) if count > 1 else np.zeros(1) for count in counts]
    grid = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(counts))
    values = at(grid)
    use_log = bool(values.min() >= _LOG_FROM)
    table = (np.log(values) if use_log else values).reshape(counts)
    for axis, (line, count) in enumerate(zip(lines, counts, strict=True)):
        solved = np.linalg.solve(chebyshev.chebvander(line, count - 1), np.moveaxis(table, axis, 0).reshape(count, -1))
        table = np.moveaxis(solved.reshape([count, *np.delete(counts, axis)]), 0, axis)
    found = chebyshev.chebval(scaled[:, 0], table) if len(counts) == 1 else chebyshev.chebval2d(scaled[:, 0], scaled[:, 1], table)
    return np.asarray(np.exp(found) if use_log else np.maximum(found, 0.0), dtype=np.float64)
