"""What the sample can be off by for any query at all, where records have few different values.

On a universe of N cells the largest |q(X) - q(P)| over all q with values in [0, 1] is the total variation between the empirical law and P.
Its mean is at most sum over cells of sqrt(p (1 - p) / n) / 2 <= sqrt((N - 1) / (4 n)) (Cauchy, Schwarz), one record changes it by at most 1
/ n, so

    |q(X) - q(P)| <= sqrt((N - 1) / (4 n)) + sqrt(ln(1 / p) / (2 n))      for all queries at once, with probability 1 - p

(McDiarmid). No analyst can overfit beyond that, whatever was answered. It is narrower than what privacy proves where N is small against n.

References
----------
McDiarmid, On the Method of Bounded Differences, Surveys in Combinatorics 1989.
"""

from __future__ import annotations

import math

from mechanisms.validation import in_range, whole_number


def uniform_gap(n: int, n_cells: int, failure: float) -> float:
    """Return what |q(X) - q(P)| is below for all queries on `n_cells` cells at once, with probability 1 - `failure`.

    Examples
    --------
    >>> round(uniform_gap(100_000, 512, 0.05), 4)
    0.0396
    """
    size, cells = whole_number(1, n=n), whole_number(1, n_cells=n_cells)
    return math.sqrt((cells - 1) / (4 * size)) + math.sqrt(-math.log(in_range(0, 1, failure=failure)) / (2 * size))
