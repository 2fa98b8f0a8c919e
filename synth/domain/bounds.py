"""Bounds from one noisy histogram of magnitudes: powers of 2, never the least or the largest value of a row.

Cells double in width away from 0, on both sides. Noise is added to every cell, also to empty ones, and a cell counts as inhabited if it
exceeds a threshold that no empty cell exceeds, but with probability beta. Bounds are the outer ends of the outermost inhabited cells, so
they lie on a public grid, and a few outlying rows don't move them.

Cost in utility: an upper bound is at most twice too large; an inhabited cell is missed unless some sigma (z + 2) rows lie in it, z about 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mechanisms.errors import InsufficientEvidenceError
from synth.domain.noisy_histogram import NoisyHistogram, false_bin_threshold
from synth.domain.open_schema import BuyBounds
from synth.schema import Continuous, Ordinal


def bounds_of(placeholder: BuyBounds, histogram: NoisyHistogram) -> tuple[float, float]:
    """Return the bounds that a noisy histogram of `placeholder.magnitudes` tells.

    Parameters
    ----------
    placeholder : public settings.
    histogram : noisy counts of the cells, "missing" left out.

    Returns
    -------
    (lower, upper), each 0 or a power of 2 with its sign.

    Raises
    ------
    InsufficientEvidenceError : no cell stands out of the noise.

    Guarantee
    ---------
    Post-processing of the histogram.

    Examples
    --------
    >>> column = BuyBounds("income", largest=1024, smallest=1)
    >>> counts = [0] * 11 + [0, 3, 2, 90, 400, 80, 1, -2, 0, 0, 4]
    >>> bounds_of(column, NoisyHistogram(counts, 2.0))
    (4.0, 32.0)
    """
    inhabited = _inhabited(placeholder, histogram)
    edges = placeholder.magnitudes.all_edges
    if not len(inhabited):
        raise InsufficientEvidenceError(
            f"column {placeholder.name!r}: no magnitude has enough rows to stand out of noise of scale {histogram.sigma:.3g}, so there "
            "are no bounds; the budget is spent. Declare bounds from public knowledge, or give the column a larger share"
        )
    return edges[inhabited[0]], edges[inhabited[-1] + 1]


def bounded_column(placeholder: BuyBounds, lower: float, upper: float) -> Continuous | Ordinal:
    """Return the column with these bounds and equal bins or steps.

    Examples
    --------
    >>> bounded_column(BuyBounds("age", kind="ordinal", bins=32), 0.0, 128.0)
    Ordinal(name='age', lower=0, upper=127, step=4, nullable=False)
    """
    if placeholder.kind == "continuous":
        return Continuous(placeholder.name, lower, upper, bins=placeholder.bins, nullable=placeholder.nullable)
    first, last = int(lower), int(upper) - 1  # cells are half-open
    last = max(last, first + 1)
    step = -(-(last - first + 1) // placeholder.bins)
    return Ordinal(placeholder.name, first, last, step=step, nullable=placeholder.nullable)


def _inhabited(placeholder: BuyBounds, histogram: NoisyHistogram) -> NDArray[np.intp]:
    threshold = false_bin_threshold(histogram.sigma, len(histogram.counts), placeholder.false_bin)
    return np.flatnonzero(histogram.counts > threshold)
