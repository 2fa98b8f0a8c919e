"""Edges between bins of about equal mass, from a few noisy histograms of one column.

    1. K equal bins; a noisy histogram of them
    2. each bin whose noisy count is above 1 / K of the noisy total is halved; a noisy histogram of the new bins; again, at most h times
    3. of the borders found, those nearest to the quantiles 1 / K, 2 / K, ... are kept

A level is one histogram, hence rho / (h + 1), and its bins depend on noisy answers only. If no bin is too heavy, later levels aren't
measured nor charged. A border is off its quantile by half a bin at most, so no bin of the result has a noisy mass above 2 / K, unless
halving ended before: one value that many rows share can't be split. Where all noisy counts sum to nothing, equal bins are left. All edges
lie on the public grid of K 2^h equal parts. A bin that several levels measured has the mean of their counts.

Together the levels are one Gaussian release of L2 sensitivity sqrt(2 (h + 1)) (replacement) or sqrt(h + 1) (add/remove) with
sigma^2 = sensitivity^2 / (2 rho).

Symbols: K bins, h levels. Cost: one count of the rows, O(K h) afterwards.

References
----------
Whitehouse, Ramdas, Rogers, Wu, Fully-Adaptive Composition in Differential Privacy, ICML 2023 (a step that isn't taken isn't charged).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synth.domain.noisy_histogram import NoisyHistogram
from synth.domain.open_schema import BuyEdges
from synth.schema import Continuous

Measure = Callable[[str, NDArray[np.int64]], NoisyHistogram]
Borders = NDArray[np.int64]
Floats = NDArray[np.float64]


def buy_edges(placeholder: BuyEdges, fine: NDArray[np.int64], measure: Measure) -> tuple[Continuous, tuple[NoisyHistogram, ...]]:
    """Return the column with its bought edges, and what was measured.

    Parameters
    ----------
    placeholder : public settings.
    fine : (K 2^h,) exact counts of `placeholder.grid`, "missing" left out; secret.
    measure : noisy histogram of a step, charged at rho / (h + 1).

    Guarantee
    ---------
    Adaptive composition of at most h + 1 histograms; everything else is post-processing.
    """
    borders = _equal(placeholder)
    sums, n_measured = np.zeros(placeholder.bins), np.zeros(placeholder.bins)
    answers: list[NoisyHistogram] = []
    for level in range(placeholder.levels + 1):
        answer = measure(f"edges of {placeholder.name}, level {level}", np.add.reduceat(fine, borders[:-1]))
        answers.append(answer)
        sums, n_measured = sums + answer.counts, n_measured + 1
        heavy = heavy_bins(answer.counts, placeholder.bins)
        if level == placeholder.levels or not heavy.any():
            break
        borders, parent = halve(borders, heavy)
        fresh = heavy[parent]
        sums, n_measured = np.where(fresh, 0.0, sums[parent]), np.where(fresh, 0.0, n_measured[parent])
    mass = sums / n_measured
    chosen = quantile_borders(borders, mass, placeholder.bins) if mass.sum() > 0 else _equal(placeholder)
    grid = placeholder.grid.all_edges
    edges = tuple(grid[place] for place in chosen[1:-1])
    return Continuous(placeholder.name, placeholder.lower, placeholder.upper, edges=edges, nullable=placeholder.nullable), tuple(answers)


def heavy_bins(counts: NDArray[np.int64], bins: int) -> NDArray[np.bool_]:
    """Return which bins have more than 1 / K of the noisy total; none where the total is not positive.

    Examples
    --------
    >>> heavy_bins(np.array([70, 20, 10, -2]), 4).tolist()
    [True, False, False, False]
    """
    total = counts.sum()
    return np.asarray((counts * bins > total) & (total > 0))


def halve(borders: Borders, heavy: NDArray[np.bool_]) -> tuple[Borders, NDArray[np.intp]]:
    """Return borders with a new one in the middle of each heavy bin, and which bin each new bin comes from.

    Examples
    --------
    >>> halve(np.array([0, 4, 8]), np.array([False, True]))
    (array([0, 4, 6, 8]), array([0, 1, 1]))
    """
    middles = (borders[:-1] + borders[1:])[heavy] // 2
    finer = np.sort(np.concatenate([borders, middles]))
    return finer, np.searchsorted(borders, finer[:-1], side="right") - 1


def quantile_borders(borders: Borders, mass: Floats, bins: int) -> Borders:
    """Return the borders nearest to the quantiles 1 / K, 2 / K, ..., each once, with both ends.

    Parameters
    ----------
    borders : (b + 1,) increasing.
    mass : (b,) of the bins between them; may be negative, its sum is positive.

    Examples
    --------
    >>> quantile_borders(np.arange(6), np.array([10.0, -1.0, 1.0, 10.0, 20.0]), 4).tolist()
    [0, 1, 4, 5]
    """
    cumulative = np.maximum.accumulate(np.concatenate([[0.0], np.cumsum(mass)]))
    wanted = np.arange(1, bins) / bins * cumulative[-1]
    right = np.searchsorted(cumulative, wanted)
    left = right - 1
    nearest = np.where(wanted - cumulative[left] < cumulative[right] - wanted, left, right)
    chosen: Borders = borders[np.unique(np.concatenate([[0], nearest, [len(mass)]]))]
    return chosen


def _equal(placeholder: BuyEdges) -> Borders:
    fine_bins = 2**placeholder.levels
    return np.arange(0, placeholder.bins * fine_bins + 1, fine_bins, dtype=np.int64)
