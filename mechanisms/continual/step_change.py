"""How far one step can move a stream: the change that multiplies every counter's sensitivity.

Values lie in [0, bound] in each of d coordinates. Whether a step is replaced by another one or by zeros, every coordinate moves by at most
`bound`, so the change is bound sqrt(d) in L2 (Gaussian noise) and bound d in L1 (Laplace noise).

A stream of fixed length has no add/remove relation: taking a step away would shift all later ones. Its counterpart is ZERO_OUT.
"""

from __future__ import annotations

import math

from mechanisms.guarantee import Neighboring, valid_neighboring
from mechanisms.validation import positive, whole_number


def valid_stream_neighboring(neighboring: object) -> Neighboring:
    """Return the relation, REPLACE or ZERO_OUT.

    Raises
    ------
    TypeError : no `Neighboring`.
    ValueError : ADD_REMOVE.
    """
    relation = valid_neighboring(neighboring)
    if relation is Neighboring.ADD_REMOVE:
        raise ValueError("neighboring must be ZERO_OUT or REPLACE for a stream of fixed length, got add_remove; take ZERO_OUT")
    return relation


def step_change(*, neighboring: Neighboring, dim: int, bound: float, pure: bool) -> float:
    """Return the L2 (pure: L1) change of one step with values in [0, bound]^dim.

    Examples
    --------
    >>> step_change(neighboring=Neighboring.REPLACE, dim=4, bound=1.0, pure=False)
    2.0
    """
    valid_stream_neighboring(neighboring)
    d = whole_number(1, dim=dim)
    return positive(bound=bound) * (d if pure else math.sqrt(d))
