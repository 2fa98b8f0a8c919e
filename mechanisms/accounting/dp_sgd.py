"""What DP-SGD costs: Poisson sampling, clipping, Gaussian noise, composed over all steps.

Three accountants, all upper bounds:
- "pld" (default): privacy loss distributions with pessimistic rounding, connected dots (dp-accounting). Tightest. A full batch
  (sample_rate 1) needs no grid: T Gaussian steps are one Gaussian mechanism with mu = sqrt(T) / noise_multiplier, exactly.
- "prv": privacy random variables (Opacus), about 0.01 above.
- "rdp": Renyi orders (Opacus), 5 to 60 % above; no grid and no FFT, so it is the one for tiny delta.
A fourth one, "gdp", is refused: the central limit value is an approximation that can lie below the truth.

Floating point. The pessimism of a PLD covers its grid, not the round-off of the FFT that composes it, which takes up to 5e-17 per step
away from delta (measured in experiments/e_round_off.py). Twenty times that is taken off delta before it is inverted; where this exceeds
half of delta, we refuse. At (sample_rate, noise_multiplier, steps, delta) = (0.01, 1, 1000, 1e-12) the true epsilon is 3.9143; a PLD
without this gives 3.9079 on a grid of 1e-3 and 3.9132 on 2e-4.

References
----------
Koskela, Jalko, Honkela, Computing Tight DP Guarantees Using FFT, AISTATS 2020. Doroshenko et al., Connect the Dots, PETS 2022. Gopi,
Lee, Wutschitz, Numerical Composition of DP, NeurIPS 2021. Mironov, Talwar, Zhang, RDP of the Sampled Gaussian Mechanism, 2019.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np

from mechanisms.accounting.gaussian import gaussian_epsilon, gaussian_mu
from mechanisms.errors import UnsupportedClaimError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.validation import in_range, one_of, positive, valid_sample_rate, whole_number

Accountant = Literal["pld", "prv", "rdp"]

ACCOUNTANTS: tuple[Accountant, ...] = ("pld", "prv", "rdp")
ASSUMPTIONS = (
    "every record enters each batch by an independent coin (Poisson sampling), empty batches included",
    "each record's gradient is clipped to max_grad_norm, and one record changes only its own clipped gradient",
    "fresh Gaussian noise of std noise_multiplier * max_grad_norm is added to the sum of every step",
    "the normalizer of the noisy sum is fixed without looking at the data set",
    "nothing else depends on the data: preprocessing, early stopping and hyperparameter choice cost extra",
)

_ROUND_OFF_PER_STEP = 1e-15
_LEAST_PRV_DELTA = 1e-9
_SETTLED = 1e-3  # relative change over a four times finer grid; the error falls as its square, so 1/15 of the change is left
_MOST_GRID_POINTS = 2e6
_MOST_PRV_POINTS = 5e6
_MULTIPLIER_TOLERANCE = 1e-4
_MOST_NEWTON_STEPS = 12


def dp_sgd_epsilon(
    *, sample_rate: float, noise_multiplier: float, steps: int, delta: float, accountant: Accountant = "pld"
) -> PrivacyGuarantee:
    """Return the guarantee of a DP-SGD run.

    Parameters
    ----------
    sample_rate : Poisson inclusion probability of a record in a step, in (0, 1].
    noise_multiplier : noise standard deviation / max_grad_norm, > 0.
    steps : optimizer steps, >= 1.
    delta : probability in (0, 1); Gaussian noise has no guarantee at delta = 0.
    accountant : "pld", "prv" or "rdp".

    Returns
    -------
    The guarantee for adding or removing one record, with the accountant in `mechanism` and the assumptions spelled out.

    Raises
    ------
    ValueError, TypeError : a parameter out of range.
    UnsupportedClaimError : accountant "gdp"; "prv" below delta 1e-9; "pld" where round-off reaches delta; an accountant that failed.

    Guarantee
    ---------
    Add/remove neighbors: the sum of clipped gradients has L2 sensitivity max_grad_norm, each step is a Poisson-subsampled Gaussian
    mechanism, and the accountant composes `steps` of them adaptively. Dividing by a fixed number is post-processing.

    Notes
    -----
    "pld" is within 1e-4 of the limit of fine grids (relatively, or 1e-8 absolutely) wherever 2 million grid points allow it.
    Measured: 0.1 to 1.3 s up to 5,000 steps, 4 s for 1e5, 9 s for 1e6; 1 s once for importing dp-accounting.

    Examples
    --------
    >>> round(dp_sgd_epsilon(sample_rate=1.0, noise_multiplier=10.0, steps=100, delta=1e-5).epsilon, 6)
    4.377178
    """
    _refuse_gdp(accountant)
    accountant = one_of(ACCOUNTANTS, accountant=accountant)  # type: ignore[assignment]
    sample_rate, z = valid_sample_rate(sample_rate), positive(noise_multiplier=noise_multiplier)
    steps, delta = whole_number(1, steps=steps), in_range(0, 1, delta=delta)
    epsilon = {"pld": _pld_epsilon, "prv": _prv_epsilon, "rdp": _rdp_epsilon}[accountant](sample_rate, z, steps, delta)
    return PrivacyGuarantee(
        epsilon=epsilon,
        delta=delta,
        neighboring=Neighboring.ADD_REMOVE,
        mechanism=f"DP-SGD, sample rate {sample_rate:.6g}, noise multiplier {z:.6g}, {steps} steps, {accountant.upper()} accountant",
        assumptions=ASSUMPTIONS,
    )


def dp_sgd_noise_multiplier(*, epsilon: float, delta: float, sample_rate: float, steps: int) -> float:
    """Return the smallest noise multiplier, up to 1e-4 relatively, whose PLD epsilon is at most the given one.

    Parameters and errors as `dp_sgd_epsilon`, with epsilon in nats, > 0. A delta that is at least the probability of being sampled at all
    is a ValueError: there the guarantee holds without any noise, and means nothing. Measured: 1 to 5 s, 20 s for sample rates of 1e-5.

    Guarantee
    ---------
    `dp_sgd_epsilon` of the returned value is at most `epsilon`: it was evaluated there.

    Examples
    --------
    >>> round(dp_sgd_noise_multiplier(epsilon=4.3771780956812245, delta=1e-5, sample_rate=1.0, steps=100), 6)
    10.0
    """
    epsilon, delta = positive(epsilon=epsilon), in_range(0, 1, delta=delta)
    sample_rate, steps = valid_sample_rate(sample_rate), whole_number(1, steps=steps)
    ever_sampled = 1.0 if sample_rate == 1 else -math.expm1(steps * math.log1p(-sample_rate))
    if delta >= ever_sampled:
        raise ValueError(f"delta must be below the probability {ever_sampled:.3g} that a record is sampled at all, got {delta:g}")
    enough = math.sqrt(steps) / gaussian_mu(epsilon, delta)
    if sample_rate == 1:
        while _pld_epsilon(sample_rate, enough, steps, delta) > epsilon:
            enough = math.nextafter(enough, math.inf)
        return enough
    return _least_multiplier(epsilon, delta, sample_rate, steps, enough)


def _refuse_gdp(accountant: str) -> None:
    if accountant == "gdp":
        raise UnsupportedClaimError(
            "accountant 'gdp' is the central limit approximation of the privacy loss; it can lie below the true epsilon "
            "(1.618 against 1.828 at sample rate 0.01, noise multiplier 1, 1000 steps, delta 1e-5), so it is no bound: "
            "use 'pld', 'prv' or 'rdp'"
        )


def _pld_epsilon(sample_rate: float, z: float, steps: int, delta: float, settled: float = _SETTLED) -> float:
    """Refine the grid by four until epsilon changes by less than `settled`; every grid bounds it from above, return the least bound.

    Sampling never costs more than full batches, so their epsilon is the first bound, and the last one where losses overflow.
    """
    full_batch = gaussian_epsilon(math.sqrt(steps) / z, delta)
    if sample_rate == 1:
        return full_batch
    round_off = _ROUND_OFF_PER_STEP * steps
    if round_off > delta / 2:
        raise UnsupportedClaimError(
            f"accountant 'pld' can't be trusted at delta {delta:g} with {steps} steps: round-off of its FFT may change delta "
            f"by {round_off:g}; use accountant 'rdp'"
        )
    interval = max(math.sqrt(1e-2 / steps), 1e-6 * full_batch)
    best, before, epsilon = full_batch, math.inf, 0.0
    while _grid_points(z, epsilon, interval) <= _MOST_GRID_POINTS:
        try:
            epsilon = _pld_on_grid(sample_rate, z, steps, delta - round_off, interval)
        except OverflowError:
            break
        best, interval = min(best, epsilon), interval / 4
        if before - epsilon <= settled * max(epsilon, 1e-4):
            break
        before = epsilon
    return best


def _grid_points(z: float, epsilon: float, interval: float) -> float:
    """Return about how many points one step or all steps need: the noise is cut at 10 standard deviations, the sum at 3 epsilon."""
    return max(1 / (2 * z * z) + 10 / z, 3 * epsilon if math.isfinite(epsilon) else 0.0) / interval


def _pld_on_grid(sample_rate: float, z: float, steps: int, delta: float, interval: float) -> float:
    """Return the pessimistic epsilon on one grid."""
    from dp_accounting.pld.privacy_loss_distribution import from_gaussian_mechanism

    step = from_gaussian_mechanism(z, sampling_prob=sample_rate, value_discretization_interval=interval, pessimistic_estimate=True)
    with np.errstate(over="ignore"):  # a loss beyond exp's range makes epsilon infinite, which is on the safe side
        return float(step.self_compose(steps).get_epsilon_for_delta(delta))


def _prv_epsilon(sample_rate: float, z: float, steps: int, delta: float) -> float:
    if delta < _LEAST_PRV_DELTA:
        raise UnsupportedClaimError(
            f"accountant 'prv' can't be trusted at delta {delta:g}: round-off of its FFT reaches delta below {_LEAST_PRV_DELTA:g}; "
            "use accountant 'rdp', or 'pld' for few steps"
        )
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(z, sample_rate, steps)]
    plan_grid = accountant._get_domain

    def plan_small_grid(**settings: object) -> object:
        grid = plan_grid(**settings)
        if grid.size > _MOST_PRV_POINTS:
            raise MemoryError(f"its grid needs {grid.size:.1e} points")
        return grid

    accountant._get_domain = plan_small_grid
    try:
        with _quiet_opacus():
            return max(0.0, float(accountant.get_epsilon(delta)))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        raise UnsupportedClaimError(f"accountant 'prv' failed at these settings ({error}); use accountant 'pld' or 'rdp'") from error


def _rdp_epsilon(sample_rate: float, z: float, steps: int, delta: float) -> float:
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(z, sample_rate, steps)]
    with _quiet_opacus():
        return max(0.0, float(accountant.get_epsilon(delta)))


@contextmanager
def _quiet_opacus() -> Iterator[None]:
    """Silence two things: more orders would be tighter (an upper bound all the same); ln 0 for losses that can't occur."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.filterwarnings("ignore", message="Optimal order is the", category=UserWarning)
        yield


def _least_multiplier(epsilon: float, delta: float, sample_rate: float, steps: int, enough: float) -> float:
    """Return the multiplier where the PLD epsilon meets the target; `enough` satisfies it, as it would for full batches.

    A bracketed search with coarse grids, which err to the safe side, then Newton steps with fine ones and the coarse slope.
    """
    from scipy.optimize import brentq

    def excess(log_z: float, settled: float = 0.03) -> float:
        return math.log(max(_pld_epsilon(sample_rate, math.exp(log_z), steps, delta, settled), 1e-12) / epsilon)

    high = math.log(enough)
    low = high - math.log(2)
    while excess(low) <= 0:
        high, low = low, low - math.log(2)
    log_z = high if excess(high) > 0 else float(brentq(excess, low, high, xtol=_MULTIPLIER_TOLERANCE))
    slope = (excess(log_z + 0.02) - excess(log_z - 0.02)) / 0.04
    best = math.inf
    for _ in range(_MOST_NEWTON_STEPS):
        gap = excess(log_z, _SETTLED)
        best = min(best, log_z) if gap <= 0 else best
        if slope * _MULTIPLIER_TOLERANCE <= gap <= 0:
            break
        log_z -= gap / slope - _MULTIPLIER_TOLERANCE / 3
    return math.exp(best) if math.isfinite(best) else enough
