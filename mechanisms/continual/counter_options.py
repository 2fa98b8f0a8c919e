"""The options of a counter beside its horizon and its noise, for those who pass them on."""

from __future__ import annotations

from typing import Literal, TypedDict

from mechanisms.continual.catalog import Objective
from mechanisms.guarantee import Neighboring


class CounterOptions(TypedDict, total=False):
    """Keyword arguments of `ContinualCounter`, see there."""

    rho: float | None
    epsilon: float | None
    delta: float | None
    mechanism: str
    neighboring: Neighboring
    dim: int
    bound: float
    on_violation: Literal["raise", "clip"]
    granularity: float | None
    objective: Objective
    whole: bool
    signed: bool
    one_hot: bool
