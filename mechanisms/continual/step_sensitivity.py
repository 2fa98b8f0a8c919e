"""How far one neighboring step moves the input of a counter: the other half of its sensitivity, beside the factorization's.

    inputs x_t                    zero_out: x_t becomes 0       replace: x_t becomes any x'_t
    in [-B, B]^d                  L1 d B,  L2 sqrt(d) B         L1 2 d B,  L2 2 sqrt(d) B
    in [0, B]^d                   L1 d B,  L2 sqrt(d) B         L1 d B,    L2 sqrt(d) B
    one-hot or zero, size 1       L1 1,    L2 1                 L1 2,      L2 sqrt 2

`moves=True` is for statistics in which one step of the raw stream changes two steps of the counted one, by opposite signs (a first
occurrence that moves): L1 doubles; L2 grows by sqrt 2 where R^T R >= 0 entrywise, since ||R (e_i - e_j)||^2 <= ||R e_i||^2 + ||R e_j||^2,
and by 2 otherwise.

Symbols: d dim, B bound. A counter is for streams of a fixed length, so nothing is ever added or removed: ADD_REMOVE is refused, and its
counterpart is ZERO_OUT.

References
----------
Dwork, Naor, Pitassi, Rothblum, STOC 2010 (event-level privacy). Jain, Raskhodnikova, Sivakumar, Smith, ICML 2023.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mechanisms.guarantee import Neighboring, valid_neighboring


@dataclass(frozen=True, slots=True)
class StepChange:
    """Largest norms of the change of a counter's input between neighbors, `l2` before any factor of the factorization."""

    l1: float
    l2: float


def step_change(
    neighboring: Neighboring,
    *,
    dim: int,
    bound: float,
    signed: bool = True,
    one_hot: bool = False,
    moves: bool = False,
    same_sign: bool = True,
) -> StepChange:
    """Return the change of one step.

    Parameters
    ----------
    neighboring : ZERO_OUT or REPLACE.
    dim : d >= 1.
    bound : B > 0, largest absolute value of a coordinate.
    signed : whether coordinates may be negative.
    one_hot : whether at most one coordinate differs from 0, and is 1.
    moves : whether one raw step changes two steps of the input, by opposite signs.
    same_sign : whether R^T R >= 0 entrywise; counts for `moves` only.

    Raises
    ------
    TypeError, ValueError : no `Neighboring`, or ADD_REMOVE.

    Examples
    --------
    >>> step_change(Neighboring.REPLACE, dim=4, bound=1.0, signed=True)
    StepChange(l1=8.0, l2=4.0)
    """
    if valid_neighboring(neighboring) is Neighboring.ADD_REMOVE:
        raise ValueError("neighboring must be ZERO_OUT or REPLACE, got add_remove; a stream of fixed length takes ZERO_OUT")
    replaced = neighboring is Neighboring.REPLACE
    if one_hot:
        l1, l2 = (2.0, math.sqrt(2.0)) if replaced else (1.0, 1.0)
    else:
        reach = bound * (2 if replaced and signed else 1)
        l1, l2 = dim * reach, math.sqrt(dim) * reach
    if moves:
        l1, l2 = 2 * l1, (math.sqrt(2.0) if same_sign else 2.0) * l2
    return StepChange(l1, l2)
