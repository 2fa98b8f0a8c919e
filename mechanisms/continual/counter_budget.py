"""What a counter spends: from the budget that was asked for to the scale of its noise, and back to the (epsilon, delta) that holds.

    law                 scale                        ideal guarantee                          what computing adds
    gaussian            sigma = Delta_2 c_2 / mu     mu-GDP, exact curve; rho = mu^2 / 2      `float_cost`: a factor on probabilities
    discrete_gaussian   sigma = Delta_2 c_2 / mu     rho-zCDP; the curve of `discrete_curve`  total variation of the sampler, 2^-100 a draw
    discrete_laplace    b = Delta_1 c_1 / epsilon    epsilon-DP                               total variation of the sampler

An (epsilon, delta) that is asked for is kept with everything included: the ideal part gets what is left after the cost of computing. The
discrete Gaussian's own curve is a little above the Gaussian one; `mechanisms.accounting.discrete_curve` bounds it.

Symbols: Delta sensitivity of the factorization for a change of 1, c change of a step, mu = sqrt(2 rho). Cost: O(1).

References
----------
Bun, Steinke, Concentrated DP, TCC 2016. Dong, Roth, Su, Gaussian Differential Privacy, JRSS-B 2022. Canonne, Kamath, Steinke, NeurIPS 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from mechanisms.accounting.discrete_curve import discrete_gaussian_epsilon, discrete_gaussian_rho
from mechanisms.accounting.gaussian import gaussian_epsilon, gaussian_mu
from mechanisms.continual.block_noise import Law
from mechanisms.continual.float_cost import FloatCost
from mechanisms.continual.stream_budget import StreamBudget
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.total_variation import delta_of_tv

REPORTED_DELTA = 1e-6  # at which a rho is told as an epsilon, unless another one is asked for
TV_PER_DRAW = 2.0**-100
_SLACK = 1 + 2.0**-36  # scales are rounded up by more than the float errors of sensitivities and tables
_ROUNDS = 100

CostOfScale = Callable[[float], FloatCost]


@dataclass(frozen=True, slots=True)
class CounterBudget:
    """What a counter spends over its whole horizon, everything included.

    Parameters
    ----------
    epsilon, delta : the guarantee that holds.
    rho : zCDP parameter of the ideal mechanism; None for pure privacy.
    law : distribution of the base noise.
    noise_scale : its scale sigma or b, in the unit of the values.
    arithmetic_epsilon, arithmetic_delta : the part of epsilon and delta that pays for floats and samplers.
    secure_noise : False if the noise came from a seed; then nothing is protected.
    """

    epsilon: float
    delta: float
    rho: float | None
    law: Law
    noise_scale: float
    arithmetic_epsilon: float
    arithmetic_delta: float
    secure_noise: bool = True

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, **{name: getattr(self, name) for name in self.__dataclass_fields__}})


def noise_scale(asked: StreamBudget, law: Law, *, l1: float, l2: float, n_draws: int, cost: CostOfScale) -> float:
    """Return sigma or b.

    Parameters
    ----------
    asked : the budget.
    law : distribution of the base noise.
    l1, l2 : sensitivities Delta_1 c_1 and Delta_2 c_2 of the whole stream.
    n_draws : bound on the number of single draws.
    cost : what floats cost at a scale; nothing on the integer path.

    Raises
    ------
    ValueError : the cost of computing exceeds half of epsilon or delta.
    """
    if law == "discrete_laplace":
        return l1 / _of(asked.epsilon) * _SLACK
    if asked.epsilon is None or asked.delta is None:
        return l2 / math.sqrt(2 * _of(asked.rho)) * _SLACK
    if law == "discrete_gaussian":
        core = asked.delta - delta_of_tv(min(1.0, n_draws * TV_PER_DRAW), asked.epsilon)
        _require_room(core, asked.delta, "delta")
        return l2 / math.sqrt(2 * discrete_gaussian_rho(asked.epsilon, core, sensitivities=[l2], shares=[1.0])) * _SLACK
    return _gaussian_scale(asked.epsilon, asked.delta, l2, cost)


def spent(
    asked: StreamBudget, law: Law, scale: float, *, l2: float, unit: float, n_draws: int, cost: CostOfScale, delta: float | None = None
) -> CounterBudget:
    """Return what a counter with this noise spends; `delta` is where a rho is told as an epsilon. Other parameters as `noise_scale`.

    Raises
    ------
    ValueError : `delta` is not above twice the cost of computing.
    """
    tv = min(1.0, n_draws * TV_PER_DRAW)
    if law == "discrete_laplace":
        pure = _of(asked.epsilon)
        small = delta_of_tv(tv, pure)
        return CounterBudget(pure, small, None, law, scale * unit, 0.0, small)
    mu = l2 / scale * _SLACK
    total = delta if delta is not None else REPORTED_DELTA if asked.delta is None else asked.delta
    if law == "discrete_gaussian":
        paid = FloatCost(tail=tv)
        epsilon, core = _with_cost(lambda at: discrete_gaussian_epsilon([l2], [scale], at), total, paid)
    else:
        paid = cost(scale)
        epsilon, core = _with_cost(lambda at: gaussian_epsilon(mu, at), total, paid)
    return CounterBudget(epsilon + paid.epsilon, total, mu * mu / 2, law, scale * unit, paid.epsilon, total - core)


def _with_cost(curve: Callable[[float], float], total: float, paid: FloatCost) -> tuple[float, float]:
    """Return the ideal epsilon and delta that leave room for the cost within the total delta."""
    core, epsilon = total, curve(total)
    for _ in range(_ROUNDS):
        if paid.delta(epsilon, core) <= total:
            break
        core = (total - paid.delta(epsilon, 0.0)) * math.exp(-paid.ratio) * (1 - 1e-9)
        _require_room(core, total, "delta")
        epsilon = curve(core)
    return epsilon, core


def _gaussian_scale(epsilon: float, delta: float, l2: float, cost: CostOfScale) -> float:
    scale = l2 / gaussian_mu(epsilon, delta) * _SLACK
    for _ in range(_ROUNDS):
        paid = cost(scale)
        left = epsilon - paid.epsilon
        core = (delta - paid.delta(epsilon, 0.0)) * math.exp(-paid.ratio)
        _require_room(left, epsilon, "epsilon")
        _require_room(core, delta, "delta")
        needed = l2 / gaussian_mu(left, core) * _SLACK
        if needed <= scale:
            return scale
        scale = needed * (1 + 1e-9)
    raise ValueError("granularity is so fine that its cost has no bound; take a coarser one")


def _require_room(left: float, total: float, name: str) -> None:
    if not left > total / 2:
        raise ValueError(
            f"{name} of {total:g} is too small for the cost of float arithmetic; take a coarser granularity or a larger {name}"
        )


def _of(value: float | None) -> float:
    if value is None:
        raise TypeError("this law needs a budget of another kind")
    return value
