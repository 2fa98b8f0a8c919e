"""Counting every coordinate: the counter behind `MaxSum` and `SumSelect`, and whether it can win at all.

With steps in {0, 1}^d the change is sqrt(d) in L2 and d in L1; with one-hot steps it is 1, under replacement sqrt(2) and 2. Making the
counter's design takes seconds at T = 2^20, so "auto" asks first whether even the nuclear bound would beat what it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri

from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.continual.exact_budget import ExactBudget, exact_budget
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.step_sensitivity import step_change
from mechanisms.continual.stream_budget import stream_budget
from mechanisms.guarantee import Neighboring


@dataclass(frozen=True, slots=True)
class CountQuestion:
    """What is asked of a release of d counts, all public; parameters as `MaxSum`."""

    horizon: int
    dim: int
    rho: float | None
    epsilon: float | None
    delta: float | None
    beta: float
    neighboring: Neighboring
    one_hot: bool

    def budget(self) -> ExactBudget:
        """Return the budget; ValueError unless exactly one of rho and epsilon is given."""
        return exact_budget(rho=self.rho, epsilon=self.epsilon, delta=self.delta)


def per_coordinate_design(asked: CountQuestion) -> CounterDesign:
    """Return the design of a counter of all coordinates with the least largest error."""
    return design_counter(
        asked.horizon,
        rho=asked.rho,
        epsilon=asked.epsilon,
        delta=asked.delta,
        neighboring=asked.neighboring,
        dim=asked.dim,
        signed=False,
        one_hot=asked.one_hot,
        objective="max",
    )


def least_counter_bound(asked: CountQuestion) -> float:
    """Return a lower bound of every such counter's error bound, by the nuclear norm; instantly."""
    budget = stream_budget(rho=asked.rho, epsilon=asked.epsilon, delta=asked.delta)
    change = step_change(asked.neighboring, dim=asked.dim, bound=1.0, signed=False, one_hot=asked.one_hot)
    sd = math.sqrt(budget.unit * nuclear_bound(asked.horizon)) * (change.l1 if budget.pure else change.l2)
    return sd if budget.pure else sd * -float(ndtri(asked.beta / (2 * asked.dim * asked.horizon)))
