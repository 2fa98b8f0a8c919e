"""What an error is to be held against: the error of columns without any link, and that of a fresh sample of the real table.

independent   each marginal is the product of its columns' exact shares; a synthetic table that isn't closer has learned no link
resampled     n' rows drawn independently from the real table's own rows; the expected total variation of each marginal,
              1/2 sum_c E|X_c / n' - p_c|, X_c binomial, by de Moivre's formula E|X - n p| = 2 m C(n, m) p^m (1 - p)^(n - m + 1),
              m = floor(n p) + 1. A table with a smaller error is closer than chance would put n' new people.

NOT private: both come from exact counts. Cost: O(cells) after counting.

References
----------
Diaconis, Zabell, Closed Form Summation for Classical Distributions, Statistical Science 1991.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, xlog1py, xlogy

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import whole_number
from synth.count_source import CountSource


@dataclass(frozen=True, slots=True)
class Yardstick:
    """Total variation of some marginals for a table that can be thought of; not private.

    Parameters
    ----------
    name : "independent" or "resampled".
    avg_tv, max_tv : over the marginals; of a resampled table, over the marginals' expected values.
    """

    name: str
    avg_tv: float
    max_tv: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"name": self.name, "avg_tv": self.avg_tv, "max_tv": self.max_tv})


def yardsticks(real: CountSource, groups: Sequence[tuple[int, ...]], *, n_rows: int) -> tuple[Yardstick, Yardstick]:
    """Return the independent and the resampled yardstick.

    Parameters
    ----------
    real : the counted real table.
    groups : columns of each marginal, increasing.
    n_rows : n', rows of the synthetic table.

    Examples
    --------
    >>> from synth.open_counts import count_source
    >>> from synth.schema import Categorical, Schema
    >>> schema = Schema((Categorical("a", ("x", "y")), Categorical("b", ("x", "y"))))
    >>> table = count_source({"a": ["x", "y"], "b": ["x", "y"]}, schema)
    >>> [(yardstick.name, yardstick.avg_tv) for yardstick in yardsticks(table, [(0, 1)], n_rows=1)]
    [('independent', 0.5), ('resampled', 0.5)]
    """
    whole_number(1, n_rows=n_rows)
    n, d = real.n_rows, len(real.schema)
    ones = [counts / n for counts in real.marginals([(column,) for column in range(d)])]
    independent, resampled = [], []
    for group, counts in zip(groups, real.marginals(groups), strict=True):
        product = reduce(np.multiply.outer, [ones[column] for column in group])
        independent.append(float(np.abs(counts / n - product).sum()) / 2)
        resampled.append(float(mean_deviation(n_rows, counts / n).sum()) / (2 * n_rows))
    return tuple(  # type: ignore[return-value]
        Yardstick(name, float(np.mean(tv)), float(np.max(tv))) for name, tv in (("independent", independent), ("resampled", resampled))
    )


def mean_deviation(n: int, p: ArrayLike) -> NDArray[np.float64]:
    """Return E|X - n p| of binomial X, for each p in [0, 1].

    Examples
    --------
    >>> mean_deviation(2, [0.0, 0.5, 1.0]).round(12).tolist()
    [0.0, 0.5, 0.0]
    """
    p = np.asarray(p, dtype=np.float64)
    m = np.minimum(np.floor(n * p) + 1, n)  # at p = 1 the last factor is 0 anyway
    log_choose = gammaln(n + 1.0) - gammaln(m + 1) - gammaln(n - m + 1)
    deviation: NDArray[np.float64] = 2 * m * np.exp(log_choose + xlogy(m, p) + xlog1py(n - m + 1, -p))
    return deviation
