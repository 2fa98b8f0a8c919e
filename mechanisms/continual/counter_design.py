"""The public design of a counter: factorization, law and scale of the noise, units. No data and no noise are in it.

Which path a counter takes is decided by public parameters alone:

- integer path (tree, smooth; k_ary with Laplace noise): L is whole, so exact integer noise stays exact in every release;
- real path (all others): Gaussian floats, rounded to a grid.

k_ary draws noise of nodes that are not complete yet; conditional on former releases it is a discrete Gaussian off the center, for which
zCDP on adaptive streams is not proved. With Gaussian noise it therefore takes the real path, where every conditional law is Gaussian.
Laplace noise is bounded pointwise, so k_ary with it is exact. Pure privacy off the integer path is refused.

Symbols: u unit of inputs, g grid of releases, both powers of two times the bound, or 1 for whole inputs. Cost: that of the factorization.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from mechanisms.continual.block_noise import Law
from mechanisms.continual.catalog import Objective, choose_mechanism, make_factorization
from mechanisms.continual.counter_budget import CounterBudget, noise_scale, spent
from mechanisms.continual.factorization import Factorization
from mechanisms.continual.float_cost import FloatCost, float_cost
from mechanisms.continual.step_domain import StepDomain
from mechanisms.continual.step_sensitivity import StepChange, step_change
from mechanisms.continual.stream_budget import StreamBudget, stream_budget
from mechanisms.guarantee import Neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import one_of, positive, whole_number

MOST_STEPS_UNKNOWN = 2**22  # after so many steps a counter without a horizon ends: the cost of floats grows with the steps
_UNKNOWN_SQUARED_ROW_NORM = 128.0  # above the largest ||L_t||^2 of such a counter, (sqrt 22 + sqrt b)^2 with b below 35
_FINE_BITS = 20  # inputs are finer than the bound, and than the grid, by this many bits
_GRID_BITS = 10  # no grid is finer than bound 2^-10 by default
_GRIDS_IN_NOISE = 64
_ROOM = 2.0**62


@dataclass(frozen=True, slots=True, eq=False)
class CounterDesign:
    """Everything public about a counter; made by `design_counter`.

    Parameters
    ----------
    factorization : A = L R.
    has_horizon : False for a counter whose number of steps wasn't known.
    domain : inputs and their unit.
    neighboring : ZERO_OUT or REPLACE.
    change : of one step, in units.
    asked : the budget.
    law, scale : base noise, in units.
    grid_units : grid of the releases, in units.
    options : what it was made from, for the hash.
    """

    factorization: Factorization
    has_horizon: bool
    domain: StepDomain
    neighboring: Neighboring
    change: StepChange
    asked: StreamBudget
    law: Law
    scale: float
    grid_units: int
    options: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """Number of steps that may be released."""
        return self.factorization.horizon

    @property
    def grid(self) -> float:
        """What releases are multiples of."""
        return self.grid_units * self.domain.unit

    def budget(self, delta: float | None = None) -> CounterBudget:
        """Return what is spent over the horizon; `delta` is where a rho is told as an epsilon, None takes 1e-6."""
        return spent(
            self.asked,
            self.law,
            self.scale,
            l2=self.factorization.l2_sensitivity * self.change.l2,
            unit=self.domain.unit,
            n_draws=most_draws(self.factorization, self.domain.dim),
            cost=lambda scale: arithmetic_cost(self.factorization, self.has_horizon, self.domain.dim, scale, self.grid_units, self.law),
            delta=delta,
        )

    def config_hash(self) -> str:
        """Return a hash of all public parameters: states of different designs can't be mistaken for each other."""
        text = json.dumps({**self.options, "scale": self.scale.hex()}, sort_keys=True, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()


def design_counter(
    horizon: int | None,
    *,
    rho: float | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    mechanism: str = "auto",
    neighboring: Neighboring = Neighboring.ZERO_OUT,
    dim: int = 1,
    bound: float = 1.0,
    whole: bool = True,
    signed: bool = True,
    one_hot: bool = False,
    moves: bool = False,
    on_violation: str = "raise",
    granularity: float | None = None,
    objective: Objective = "mean",
) -> CounterDesign:
    """Return the design; parameters and errors as `ContinualCounter`, `moves` as `step_change`."""
    options: dict[str, object] = {name: value for name, value in locals().items() if name != "on_violation"}
    asked = stream_budget(rho=rho, epsilon=epsilon, delta=delta)
    factorization = _factorization(horizon, mechanism, asked.pure, objective)
    law = _law(factorization, asked.pure)
    d, size = whole_number(1, dim=dim), _valid_bound(bound, whole, one_hot)
    step_change(neighboring, dim=d, bound=size)
    grid = _grid(granularity, whole, size, law, asked)
    unit = 1.0 if whole else grid if law != "gaussian" else grid * 2.0 ** -(_FINE_BITS + max(0, math.ceil(math.log2(grid / size))))
    grid_units = round(grid / unit)
    n_units = math.ceil(size / unit)
    clip = one_of(("raise", "clip"), on_violation=on_violation) == "clip"
    domain = StepDomain(d, unit, n_units, bool(whole), bool(signed), bool(one_hot), clip)
    same_sign = factorization.same_sign
    change = step_change(neighboring, dim=d, bound=n_units, signed=signed, one_hot=one_hot, moves=moves, same_sign=same_sign)
    scale = noise_scale(
        asked,
        law,
        l1=factorization.l1_sensitivity * change.l1 if asked.pure else math.inf,
        l2=factorization.l2_sensitivity * change.l2,
        n_draws=most_draws(factorization, d),
        cost=lambda at: arithmetic_cost(factorization, horizon is not None, d, at, grid_units, law),
    )
    _require_whole_numbers_fit(factorization, n_units, scale, law)
    public = json_record({**options, "mechanism": factorization.name, "schema_version": 1})
    return CounterDesign(factorization, horizon is not None, domain, neighboring, change, asked, law, scale, grid_units, public)


def most_draws(factorization: Factorization, dim: int) -> int:
    """Return a bound on the number of single draws of a stream: no factorization draws more than four vectors a step on the average."""
    return (4 * factorization.horizon + 4096) * dim


def arithmetic_cost(factorization: Factorization, has_horizon: bool, dim: int, scale: float, grid_units: int, law: Law) -> FloatCost:
    """Return what floats cost over the horizon: nothing on the integer path."""
    if law != "gaussian":
        return FloatCost()
    squared = float(factorization.squared_row_norms().max()) if has_horizon else _UNKNOWN_SQUARED_ROW_NORM
    return float_cost(
        horizon=factorization.horizon,
        dim=dim,
        row_norm=math.sqrt(squared),
        sensitivity=factorization.l2_sensitivity,
        scale=scale,
        grid=float(grid_units),
    )


def _factorization(horizon: int | None, mechanism: str, pure: bool, objective: Objective) -> Factorization:
    one_of(("mean", "max"), objective=objective)
    if horizon is None:
        if pure:
            raise ValueError("epsilon alone needs a horizon: without one only Gaussian noise is offered; give rho, or epsilon and delta")
        one_of(("auto", "unknown_horizon"), mechanism=mechanism)
        return make_factorization("unknown_horizon", MOST_STEPS_UNKNOWN)
    T = whole_number(1, horizon=horizon)
    if mechanism == "auto":
        return choose_mechanism(T, pure=pure, objective=objective)
    return make_factorization(mechanism, T, objective=objective)


def _law(factorization: Factorization, pure: bool) -> Law:
    if pure:
        if not factorization.whole:
            raise ValueError(
                f"mechanism {factorization.name!r} has no exact noise for epsilon alone, and Laplace floats have no guarantee; "
                "take 'tree', 'smooth' or 'k_ary', or give a delta"
            )
        return "discrete_laplace"
    return "discrete_gaussian" if factorization.whole and factorization.complete else "gaussian"


def _valid_bound(bound: object, whole: bool, one_hot: bool) -> float:
    size = positive(bound=bound)
    if whole and size != round(size):
        raise ValueError(f"bound must be a whole number where inputs are whole, got {bound}; pass whole=False for real values")
    if one_hot and (size != 1 or not whole):
        raise ValueError(f"one-hot steps are whole and have the bound 1, got bound={bound}")
    return size


def _grid(granularity: float | None, whole: bool, bound: float, law: Law, asked: StreamBudget) -> float:
    """The grid asked for, or the largest power of two times the bound below 1/64 of a step's fresh noise, at least bound 2^-10."""
    if whole:
        if granularity not in (None, 1):
            raise ValueError(f"granularity is 1 where inputs are whole, got {granularity}; pass whole=False for a finer one")
        return 1.0
    if granularity is not None:
        return positive(granularity=granularity)
    if law != "gaussian":
        return bound * 2.0**-_FINE_BITS
    if asked.rho is None:
        raise TypeError("a Gaussian law needs a rho")
    bits = math.floor(math.log2(1 / math.sqrt(2 * asked.rho) / _GRIDS_IN_NOISE))
    return bound * 2.0 ** max(-_GRID_BITS, bits)


def _require_whole_numbers_fit(factorization: Factorization, n_units: int, scale: float, law: Law) -> None:
    largest = factorization.horizon * float(n_units) + 64 * scale * factorization.n_state
    if largest > _ROOM or (law != "gaussian" and scale > 2.0**40):
        raise ValueError("granularity is too fine for 64-bit sums with this horizon, bound and noise; take a coarser one")
