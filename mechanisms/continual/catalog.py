"""Names of the factorizations, and which one "auto" takes: the least predicted error within a memory limit.

Everything here depends on public parameters alone (horizon, objective, memory, kind of noise), so choosing costs no privacy.

- Gaussian noise: all factorizations; error unit change^2 / (2 rho), factor Delta_2^2 ||L_t||^2.
- Laplace noise (pure privacy): those with whole entries, for which the exact integer sampler applies; unit 2 change^2 / epsilon^2, factor
  Delta_1^2 ||L_t||^2. As Delta_1 >= Delta_2 for them, the nuclear bound holds for this factor, too.

Cost: one pass over all candidates; a candidate whose lower bound is already beaten is not evaluated. One second at T = 2^20.

References
----------
Andersson, Pagh, Steiner, Torkamani, Count on Your Elders: Laplace vs Gaussian Noise, FORC 2025. Henzinger, Upadhyay, Upadhyay, SODA 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from mechanisms.continual.buffered_toeplitz import BufferedToeplitz
from mechanisms.continual.dense import Dense
from mechanisms.continual.factorization import Factorization
from mechanisms.continual.honaker import Honaker
from mechanisms.continual.k_ary import KAry
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.scaled_square_root import ScaledSquareRoot
from mechanisms.continual.smooth import Smooth
from mechanisms.continual.square_root import SquareRoot
from mechanisms.continual.tree import Tree
from mechanisms.continual.unknown_horizon import UnknownHorizon
from mechanisms.validation import one_of, whole_number

Objective = Literal["mean", "max"]

MAKERS: Mapping[str, Callable[[int, Objective], Factorization]] = {
    "tree": lambda horizon, _: Tree(horizon),
    "honaker": lambda horizon, _: Honaker(horizon),
    "smooth": lambda horizon, _: Smooth(horizon),
    "k_ary": lambda horizon, _: KAry(horizon),
    "square_root": lambda horizon, _: SquareRoot(horizon),
    "buffered_toeplitz": lambda horizon, _: BufferedToeplitz(horizon),
    "scaled_square_root": lambda horizon, objective: ScaledSquareRoot(horizon, objective=objective),
    "dense": lambda horizon, objective: Dense(horizon, objective=objective),
    "unknown_horizon": lambda horizon, _: UnknownHorizon(horizon),
}
WHOLE = ("tree", "smooth", "k_ary")
AUTOMATIC = ("tree", "smooth", "k_ary", "honaker", "square_root", "buffered_toeplitz", "scaled_square_root")
LEAST_STATE = 32  # of any horizon up to 2^31: the tree always fits


def make_factorization(name: str, horizon: int, *, objective: Objective = "mean") -> Factorization:
    """Return the factorization of that name.

    Raises
    ------
    ValueError : unknown name, a horizon below 1, or "dense" above 2,048.

    Examples
    --------
    >>> round(make_factorization("tree", 1000).max_error(), 6)
    90.0
    """
    one_of(tuple(MAKERS), mechanism=name)
    one_of(("mean", "max"), objective=objective)
    return MAKERS[name](whole_number(1, horizon=horizon), objective)


def choose_mechanism(horizon: int, *, pure: bool = False, objective: Objective = "mean", max_state: int = 64) -> Factorization:
    """Return the factorization with the least error of the objective whose state per coordinate is at most `max_state` numbers.

    Parameters
    ----------
    horizon : T.
    pure : True for Laplace noise (epsilon-DP), False for Gaussian noise.
    objective : "mean" or "max", over steps.
    max_state : at least 32, so that some mechanism always fits; `dense` is never chosen, it takes seconds to make.

    Raises
    ------
    ValueError : a parameter out of its range.

    Examples
    --------
    >>> choose_mechanism(4096).name, choose_mechanism(4096, pure=True).name
    ('scaled_square_root', 'k_ary')
    """
    T, limit = whole_number(1, horizon=horizon), whole_number(LEAST_STATE, max_state=max_state)
    best, least, floor = None, float("inf"), nuclear_bound(T)
    for name in WHOLE if pure else AUTOMATIC:
        made = make_factorization(name, T, objective=objective)
        if made.n_state > limit or floor * sensitivity_ratio(made, pure=pure) >= least:
            continue
        error = error_factor(made, pure=pure, objective=objective)
        if error < least:
            best, least = made, error
    if best is None:
        raise ValueError(f"max_state must be at least {T.bit_length()} for a horizon of {T:,}, got {limit}")
    return best


def error_factor(factorization: Factorization, *, pure: bool, objective: Objective) -> float:
    """Return the mean or largest variance in the unit change^2 / (2 rho), for pure privacy 2 change^2 / epsilon^2."""
    error = factorization.mean_error() if objective == "mean" else factorization.max_error()
    return error * sensitivity_ratio(factorization, pure=pure)


def sensitivity_ratio(factorization: Factorization, *, pure: bool) -> float:
    """Return (Delta_1 / Delta_2)^2 for pure privacy, else 1."""
    return (factorization.l1_sensitivity / factorization.l2_sensitivity) ** 2 if pure else 1.0


def candidates(*, pure: bool) -> tuple[str, ...]:
    """Return the names that a plan compares; "dense" only on request."""
    return WHOLE if pure else tuple(name for name in MAKERS if name != "dense")
