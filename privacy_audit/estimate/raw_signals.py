"""Posterior of epsilon from the raw signals of a run: noise, sampling rate and clipped length are measured, the accountant does the rest.

Guess counts have a ceiling of about 5 to 7; raw signals have none: 1,000 canaries at a true epsilon of 6.46 give an interval of +- 5 %
from what `CanaryProbe` sees (view V2), where guesses show "at least 1.9". The price is assumptions (Gaussian noise, Poisson sampling, one
clipped length): the conformance tests check them, and after a failed test no posterior is given. Kind "credible": no bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mechanisms.accounting.epsilon_draws import epsilon_draws
from mechanisms.accounting.loss_curve import LEAST_DELTA
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import in_range, one_of, positive, whole_number
from privacy_audit.estimate.signals.conformance_report import ConformanceReport
from privacy_audit.estimate.signals.engine_draws import engine_draws, sharpest_view
from privacy_audit.estimate.signals.raw_signal_record import RawSignalPosterior
from privacy_audit.estimate.signals.signal_views import VIEWS, View

if TYPE_CHECKING:
    from attacks.canaries.result import CanaryResult

N_DRAWS = 4000


def raw_signal_posterior(
    result: CanaryResult,
    *,
    delta: float,
    view: str = "auto",
    conformance: ConformanceReport | None = None,
    prior_scale: float = 1.0,
    n_draws: int = N_DRAWS,
    rng: RngLike = None,
) -> RawSignalPosterior:
    """Return the posterior of the engine's epsilon given the raw signals of a run.

    Parameters
    ----------
    result : what the probe saw.
    delta : where epsilon is taken, in [1e-12, 1).
    view : "V0" final weights, "V1" all noisy updates, "V2" and the batch log, "V3" and the sums before the noise; "auto" the sharpest
        one that the run's records allow.
    conformance : tests of the same run; None if they were not made (the posterior presupposes what they test).
    prior_scale : standard deviation of the normal priors of log noise, logit rate and log length around the claim (V0 and V1 only).
    n_draws : number of draws.
    rng : int, numpy Generator or None.

    Returns
    -------
    The posterior, add/remove neighbors.

    Raises
    ------
    InsufficientEvidenceError : the given conformance report failed, or the run lacks what the view needs.
    ValueError : delta, view, prior_scale or n_draws out of range.

    Guarantee
    ---------
    None: a credible interval. Measured coverage of 95 % intervals over simulated engines: experiments/e_raw_signals.py.

    Notes
    -----
    The accountant is `loss_curve`, exact to about 1e-4, in the middle and not on the safe side. Cost: below a second; a minute where
    importance sampling fails (effective size below 0.5) and NUTS takes its place.
    """
    delta = in_range(LEAST_DELTA, 1, closed="left", delta=delta)
    name = one_of(("auto", *VIEWS), view=view)
    prior_scale, n_draws = positive(prior_scale=prior_scale), whole_number(2, n_draws=n_draws)
    if conformance is not None and not conformance.passed:
        broken = ", ".join(conformance.broken)
        raise InsufficientEvidenceError(f"conformance tests of {broken} failed; a posterior would assume what they refute")
    chosen = sharpest_view(result) if name == "auto" else _view(name)
    draws = engine_draws(result, chosen, n_draws, prior_scale=prior_scale, rng=as_generator(rng))
    ratio = np.asarray(draws.noise_multiplier / draws.clipped_length)
    epsilon = epsilon_draws(noise_multiplier=ratio, sample_rate=draws.sample_rate, steps=result.steps, delta=delta)
    return RawSignalPosterior(
        epsilon=epsilon,
        noise_multiplier=draws.noise_multiplier,
        sample_rate=draws.sample_rate,
        clipped_length=draws.clipped_length,
        weight=draws.weight,
        delta=delta,
        view=chosen,
        method=draws.method,
        effective_size=draws.effective_share,
        n_canaries=result.n_canaries,
        steps=result.steps,
    )


def _view(name: str) -> View:
    return next(view for view in VIEWS if view == name)
