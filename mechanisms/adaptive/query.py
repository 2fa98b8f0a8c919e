"""A statistical query: the mean of a function of one record with values in [0, 1].

A query is a vectorized callable: it takes the records, (n, ...) array, and returns n values in [0, 1] (or bools). Its mean over the sample
is q(X), its expectation in the population q(P). Replacing one record moves q(X) by at most 1/n. Values are checked before anything is
spent; the error names what is wrong, never a value.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Records: TypeAlias = NDArray[np.generic]
StatisticalQuery: TypeAlias = Callable[[Records], NDArray[np.generic]]


def query_values(query: StatisticalQuery, records: Records) -> NDArray[np.float64]:
    """Return the query's value of each record.

    Parameters
    ----------
    query : vectorized callable.
    records : shape (n, ...).

    Returns
    -------
    Values in [0, 1], shape (n,).

    Raises
    ------
    TypeError : the query is not callable, or what it returns is not numeric.
    ValueError : not one value a record, or a value that is NaN or outside [0, 1].

    Examples
    --------
    >>> query_values(lambda ages: ages > 40, np.array([30, 50]))
    array([0., 1.])
    """
    if not callable(query):
        raise TypeError(f"query must be callable with the records, got {type(query).__name__}")
    values = np.asarray(query(records))
    if values.dtype.kind not in "biuf":
        raise TypeError(f"query must return numbers in [0, 1], got dtype {values.dtype}")
    if values.shape != (len(records),):
        raise ValueError(f"query must return one value a record, shape ({len(records)},), got shape {values.shape}")
    numbers = values.astype(np.float64)
    if not ((numbers >= 0) & (numbers <= 1)).all():  # NaN fails both
        raise ValueError("query must have values in [0, 1] only, NaN is refused; rescale or clip it, nothing was spent")
    return numbers
