"""What a synthetic table may spend: from (epsilon, delta) to the rho that its releases share.

    one shot   all releases are discrete Gaussian counts whose shares of rho are fixed in advance     `discrete_gaussian_rho`
    adaptive   noisy choices among the releases as well                                               `zcdp_rho` (Canonne, Kamath, Steinke)

The first allows 10 to 15 % more rho, 5 to 7 % less noise. Samplers aren't ideal: n draws of total variation at most t = 2^-100 each cost
(1 + exp(epsilon)) n t of delta, and that is paid before rho is found.

Under replacement n is public and delta may default to 1 / n^2; under add/remove n is secret, and delta has to be said.

References
----------
Bun, Steinke, Concentrated DP, TCC 2016. Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mechanisms.accounting.discrete_curve import discrete_gaussian_rho
from mechanisms.accounting.ledger import Ledger
from mechanisms.accounting.zcdp import zcdp_rho
from mechanisms.guarantee import Neighboring, PrivacyGuarantee, valid_neighboring
from mechanisms.json_ready import JsonValue, json_record
from mechanisms.noise.source import NoiseSource, noise_assumptions
from mechanisms.noise.total_variation import delta_of_tv
from mechanisms.validation import in_range, positive, whole_number

TV_PER_DRAW = 2.0**-100
MOST_DRAWS = 2**32  # what is charged for where the number of draws isn't known in advance


@dataclass(frozen=True, slots=True)
class SynthesisBudget:
    """What one fit may spend.

    Parameters
    ----------
    epsilon, delta : the guarantee that holds for everything together.
    neighboring : its relation.
    rho : what the releases share.
    adaptive : False if rho was found from the Gaussian curve: then it is for discrete Gaussian counts of the shares it was found for only.
    sampler_delta : the part of delta that pays for samplers.
    """

    epsilon: float
    delta: float
    neighboring: Neighboring
    rho: float
    adaptive: bool
    sampler_delta: float

    def ledger(self) -> Ledger:
        """Return an empty ledger of this rho."""
        return Ledger(self.rho)

    def guarantee(self, mechanism: str, noise: NoiseSource) -> PrivacyGuarantee:
        """Return the guarantee of a release whose ledger kept to this budget."""
        return PrivacyGuarantee(self.epsilon, self.delta, self.neighboring, "record", mechanism, noise_assumptions(noise))

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, **{name: getattr(self, name) for name in self.__dataclass_fields__}})


def one_shot_budget(
    *,
    epsilon: float,
    delta: float,
    neighboring: Neighboring,
    shares: ArrayLike,
    sensitivities: ArrayLike | None = None,
    n_draws: int = MOST_DRAWS,
) -> SynthesisBudget:
    """Return the budget of counts that are all released with discrete Gaussian noise.

    Parameters
    ----------
    epsilon, delta : epsilon > 0 in nats, delta in (0, 1).
    neighboring : `ADD_REMOVE` or `REPLACE`.
    shares : p_i > 0 of rho for each release, fixed without a look at the data; they sum to 1.
    sensitivities : D_i, L2 in counts; None: every release is one marginal.
    n_draws : bound on the number of noisy counts.

    Raises
    ------
    ValueError, TypeError : values out of range, or a delta too small for the samplers.

    Guarantee
    ---------
    Releases with sigma_i >= D_i / sqrt(2 rho p_i) are together (epsilon, delta)-DP under `neighboring`, and rho-zCDP before conversion:
    see `mechanisms.accounting.discrete_curve`.

    Examples
    --------
    >>> budget = one_shot_budget(epsilon=1.0, delta=1e-9, neighboring=Neighboring.ADD_REMOVE, shares=[0.5, 0.5])
    >>> round(budget.rho, 5)
    0.0164
    """
    core = _core_delta(epsilon, delta, n_draws)
    norms = np.full(np.shape(shares), marginal_sensitivity(neighboring)) if sensitivities is None else sensitivities
    rho = discrete_gaussian_rho(epsilon, core, sensitivities=norms, shares=shares)
    return SynthesisBudget(float(epsilon), float(delta), _counted(neighboring), rho, False, float(delta) - core)


def adaptive_budget(*, epsilon: float, delta: float, neighboring: Neighboring, n_draws: int = MOST_DRAWS) -> SynthesisBudget:
    """Return the budget of any releases that are charged in zCDP; parameters and errors as `one_shot_budget`.

    Guarantee
    ---------
    Releases whose rhos sum to at most this one, each chosen with the outcomes of the former ones known, are (epsilon, delta)-DP.

    Examples
    --------
    >>> round(adaptive_budget(epsilon=1.0, delta=1e-9, neighboring=Neighboring.ADD_REMOVE).rho, 8)
    0.01497306
    """
    core = _core_delta(epsilon, delta, n_draws)
    return SynthesisBudget(float(epsilon), float(delta), _counted(neighboring), zcdp_rho(epsilon, core), True, float(delta) - core)


def default_delta(neighboring: Neighboring, *, n_rows: int) -> float:
    """Return 1 / n^2 for replacement.

    Raises
    ------
    ValueError : under add/remove the number of rows is secret: a delta that depends on it would give it away.

    Examples
    --------
    >>> default_delta(Neighboring.REPLACE, n_rows=1000)
    1e-06
    """
    if _counted(neighboring) is Neighboring.ADD_REMOVE:
        raise ValueError("delta must be given under add_remove neighbors: the number of rows is secret there; take 1e-9, say")
    return 1.0 / whole_number(2, n_rows=n_rows) ** 2


def marginal_sensitivity(neighboring: Neighboring) -> float:
    """Return the L2 sensitivity D of one marginal's counts: 1 under add/remove, sqrt(2) under replacement (one cell loses, one gains).

    Raises
    ------
    ValueError : zero-out neighbors, for which a table has no null record.
    """
    return 1.0 if _counted(neighboring) is Neighboring.ADD_REMOVE else math.sqrt(2)


def _counted(neighboring: Neighboring) -> Neighboring:
    if valid_neighboring(neighboring) is Neighboring.ZERO_OUT:
        raise ValueError("neighboring must be add_remove or replace for a table of counts, got zero_out")
    return neighboring


def _core_delta(epsilon: float, delta: float, n_draws: int) -> float:
    """Return what is left of delta when the samplers are paid for."""
    asked = in_range(0, 1, delta=delta)
    core = asked - delta_of_tv(min(1.0, whole_number(1, n_draws=n_draws) * TV_PER_DRAW), positive(epsilon=epsilon))
    if not core > asked / 2:
        raise ValueError(f"delta of {delta:g} is too small to pay for {n_draws:.3g} draws at epsilon {epsilon:g}; take a larger one")
    return core
