"""The options of a counter, and of a release of counts, for those who pass them on."""

from __future__ import annotations

from typing import Literal, TypedDict

from mechanisms.continual.catalog import Objective
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource


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


class CountedOptions(TypedDict, total=False):
    """Keyword arguments that `MaxSum` and `SumSelect` share, see there."""

    rho: float | None
    epsilon: float | None
    delta: float | None
    beta: float
    neighboring: Neighboring
    method: str
    one_hot: bool
    on_violation: Literal["raise", "clip"]
    noise: NoiseSource | None
