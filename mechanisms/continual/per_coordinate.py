"""Counting every coordinate: the counter behind `MaxSum` and `SumSelect`, and whether it can win at all.

With steps in {0, 1}^d the change is sqrt(d) in L2 and d in L1; with one-hot steps it is 1, under replacement sqrt(2) and 2. Making the
counter's design takes seconds at T = 2^20, so "auto" asks first whether even the nuclear bound would beat what it has.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from scipy.special import ndtri

from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.step_sensitivity import step_change
from mechanisms.continual.stream_budget import stream_budget
from mechanisms.guarantee import Neighboring

Asked = Mapping[str, float | None]
"""rho, epsilon and delta as they were given."""


def per_coordinate_design(horizon: int, dim: int, asked: Asked, neighboring: Neighboring, *, one_hot: bool) -> CounterDesign:
    """Return the design of a counter of all coordinates with the least largest error."""
    return design_counter(
        horizon,
        rho=asked["rho"],
        epsilon=asked["epsilon"],
        delta=asked["delta"],
        neighboring=neighboring,
        dim=dim,
        signed=False,
        one_hot=one_hot,
        objective="max",
    )


def least_counter_bound(horizon: int, dim: int, asked: Asked, neighboring: Neighboring, beta: float, *, one_hot: bool) -> float:
    """Return a lower bound of every such counter's error bound, by the nuclear norm; instantly."""
    budget = stream_budget(rho=asked["rho"], epsilon=asked["epsilon"], delta=asked["delta"])
    change = step_change(neighboring, dim=dim, bound=1.0, signed=False, one_hot=one_hot)
    sd = math.sqrt(budget.unit * nuclear_bound(horizon)) * (change.l1 if budget.pure else change.l2)
    return sd if budget.pure else sd * -float(ndtri(beta / (2 * dim * horizon)))
