"""What floats cost a real-valued release: rounding to a grid, and the total variation that is left.

A float release differs from the ideal real-valued one, Y ~ N(m, sd^2), by at most eta. Both are rounded to multiples of a grid g. They
differ after rounding only if Y is within eta of a border between two cells. A normal density f is unimodal, so for every shift s the
sum of f over the borders (which are g apart) shifted by s is at most 1 / g + max f; integrating s over [-eta, eta],

    P(rounded releases differ) <= 2 eta (1 / g + 1 / (sqrt(2 pi) sd)).

The first term is the number of borders: on a grid much finer than sd, which is the usual one, it is nearly everything; counting a
single border, 2 eta / (sqrt(2 pi) sd), would be too little by a factor of 2.5 sd / g. Over a sequence of releases the terms add up, also
for adaptively chosen inputs, because equal rounded outputs leave the adversary's choices equal.

A mechanism within total variation t of an (epsilon, delta)-DP one is (epsilon, delta + (1 + exp(epsilon)) t)-DP: t on one neighbor,
exp(epsilon) t on the other.

Symbols: eta distance of computed and ideal release, sd of the release's noise, g grid. Cost: O(1) a release.

References
----------
Mironov, On Significance of the Least Significant Bits for Differential Privacy, CCS 2012. Canonne, Kamath, Steinke, The Discrete
Gaussian for Differential Privacy, NeurIPS 2020 (what rounding must not do).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.validation import in_range, positive

_LARGEST_MULTIPLE = 2.0**52  # floats above have no fraction left: rounding would do nothing


def round_to_grid(values: ArrayLike, grid: float) -> NDArray[np.float64]:
    """Return the nearest multiples of `grid`, so that nothing of the last bits of `values` is left.

    Raises
    ------
    ValueError : grid not positive, a value not finite, or so large that its multiple of the grid has no exact float.

    Examples
    --------
    >>> round_to_grid([0.3, 2.6], 0.5).tolist()
    [0.5, 2.5]
    """
    step = positive(grid=grid)
    with np.errstate(over="ignore"):
        multiple = np.asarray(values, dtype=np.float64) / step
    n_bad = int(np.sum(~(np.abs(multiple) < _LARGEST_MULTIPLE)))
    if n_bad:
        raise ValueError(
            f"values must be finite and below 2^52 times the grid, got {n_bad} of {multiple.size} that aren't; use a coarser grid"
        )
    return np.asarray((np.rint(multiple) + 0.0) * step, dtype=np.float64)  # + 0.0: a zero has no sign


def rounding_tv(eta: ArrayLike, sd: ArrayLike, grid: float, *, tail: float = 0.0) -> float:
    """Return the total variation between the rounded float releases and the rounded ideal ones.

    Parameters
    ----------
    eta : >= 0, bound on the distance of each float release from its ideal one, the division by the grid included.
    sd : > 0, standard deviation of each release's noise; broadcasts with eta.
    grid : > 0, what all releases are rounded to.
    tail : probability that some bound of `eta` fails.

    Returns
    -------
    The sum of 2 eta (1 / grid + 1 / (sqrt(2 pi) sd)) over the releases, plus the tail; at most 1.

    Raises
    ------
    ValueError : a value out of its range.

    Guarantee
    ---------
    Proof in the head of this file, for normal noise and any neighboring relation. What it costs of delta: `delta_of_tv`.

    Examples
    --------
    >>> round(rounding_tv(1e-12, 10.0, 1.0) * 1e12, 4)
    2.0798
    """
    step = positive(grid=grid)
    etas, sds = np.broadcast_arrays(np.asarray(eta, dtype=np.float64), np.asarray(sd, dtype=np.float64))
    if not ((etas >= 0).all() and (sds > 0).all()):
        raise ValueError(
            f"eta must be non-negative and sd positive, got {int(np.sum(~((etas >= 0) & (sds > 0))))} of {etas.size} that aren't"
        )
    total = float(np.sum(2 * etas * (1 / step + 1 / (math.sqrt(2 * math.pi) * sds))))
    return min(1.0, total + in_range(0, 1, closed="both", tail=tail))


def delta_of_tv(tv: float, epsilon: float) -> float:
    """Return (1 + exp(epsilon)) tv: what a total variation from an (epsilon, delta)-DP mechanism adds to its delta, at most 1.

    Examples
    --------
    >>> delta_of_tv(1e-9, 0.0)
    2e-09
    """
    distance = in_range(0, 1, closed="both", tv=tv)
    nats = in_range(0, math.inf, closed="both", epsilon=epsilon)
    return 0.0 if distance == 0 else min(1.0, (1 + math.exp(min(nats, 700.0))) * distance)
