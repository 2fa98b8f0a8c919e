"""The options of a counter, and of a release of counts, for those who pass them on."""

from __future__ import annotations

from typing import Literal, TypedDict

from mechanisms.continual.catalog import Objective
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource


class BudgetOptions(TypedDict, total=False):
    """What every continual release is asked for."""

    rho: float | None
    epsilon: float | None
    delta: float | None
    neighboring: Neighboring


class CounterOptions(BudgetOptions, total=False):
    """Keyword arguments of `ContinualCounter`, see there."""

    mechanism: str
    dim: int
    bound: float
    on_violation: Literal["raise", "clip"]
    granularity: float | None
    objective: Objective
    whole: bool
    signed: bool
    one_hot: bool


class CountedOptions(BudgetOptions, total=False):
    """Keyword arguments that `MaxSum` and `SumSelect` share, see there."""

    beta: float
    method: str
    one_hot: bool
    on_violation: Literal["raise", "clip"]
    noise: NoiseSource | None
