"""The posteriors of V0 and V1 by NUTS: the fallback where importance sampling is too coarse, and its oracle in tests.

Both are one model: the number of steps that an IN canary entered, k, is Binomial(trials, q), and its signal is N(c k, trials sigma^2), with
trials = 1 for every single signal (V1) or T for totals (V0, c = 1). About a minute.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.signals.canary_mixture import BINS

if TYPE_CHECKING:
    from attacks.canaries.result import CanaryResult

Floats = NDArray[np.float64]

CHAINS = 2
TUNE = 500


def nuts_draws(result: CanaryResult, view: str, *, prior_scale: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw theta = (log sigma, logit q, log c) by NUTS.

    Parameters
    ----------
    result : the run.
    view : "V0" or "V1".
    prior_scale : standard deviation of the normal priors around the claim.
    n : number of draws, dealt to two chains.
    rng : seeds the chains.

    Returns
    -------
    (n, 3) draws; log c is 0 in V0, logit q is 0 where the sample rate is 1.
    """
    claimed, sampled = result.claimed, result.claimed.sample_rate < 1
    trials = result.steps if view == "V0" else 1
    center, count, square_out, n_out = _statistics(result, view)
    entered = _entries(trials, claimed.sample_rate)
    ways = special.gammaln(trials + 1) - special.gammaln(entered + 1) - special.gammaln(trials - entered + 1)
    with _quiet(logging.getLogger("pymc")):
        import pymc as pm  # type: ignore[import-untyped]
        import pytensor.tensor as pt

    with _quiet(logging.getLogger("pymc")), pm.Model():
        log_sigma = pm.Normal("log_sigma", np.log(claimed.noise_multiplier), prior_scale)
        logit = pm.Normal("logit", special.logit(claimed.sample_rate), prior_scale) if sampled else None
        log_c = pm.Normal("log_c", 0.0, prior_scale) if view == "V1" else None
        length = 1.0 if log_c is None else pt.exp(log_c)
        variance = trials * pt.exp(2 * log_sigma)
        log_weight = 0.0 if logit is None else ways - entered * pt.softplus(-logit) - (trials - entered) * pt.softplus(logit)
        parts = log_weight - (center[:, None] - length * entered) ** 2 / (2 * variance)
        inside = pt.logsumexp(parts, axis=1)  # type: ignore[no-untyped-call]
        pm.Potential("inside", (count * (inside - log_sigma)).sum())
        pm.Potential("out", -n_out * log_sigma - square_out / (2 * variance))
        trace = pm.sample(
            -(-n // CHAINS), tune=TUNE, chains=CHAINS, cores=1, progressbar=False, random_seed=rng, compute_convergence_checks=False
        )
    names = ("log_sigma", "logit", "log_c")
    columns = [np.ravel(trace.posterior[name].values) if name in trace.posterior else None for name in names]
    size = len(columns[0]) if columns[0] is not None else 0
    return np.column_stack([np.zeros(size) if column is None else column for column in columns])[:n]


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep the sampler's progress messages and its remark about BLAS from the user."""
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="PyTensor could not link to a BLAS")  # no matrix product is needed
            warnings.filterwarnings("ignore", message="(?s).*ArviZ is undergoing a major refactor", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _statistics(result: CanaryResult, view: str) -> tuple[Floats, Floats, float, int]:
    """Return bin centers and counts of the IN signals, the sum of squares and the number of the OUT signals."""
    signals = result.signals.sum(axis=0, keepdims=True) if view == "V0" else result.signals
    out, inside = signals[:, ~result.member], signals[:, result.member]
    if inside.size <= BINS:
        return np.ravel(inside), np.ones(inside.size), float(np.sum(out**2)), out.size
    count, edges = np.histogram(inside, bins=BINS)
    return ((edges[:-1] + edges[1:]) / 2)[count > 0], count[count > 0].astype(np.float64), float(np.sum(out**2)), out.size


def _entries(trials: int, claimed_rate: float) -> Floats:
    """Return the numbers of steps entered that can matter at rates up to a few times the claimed one."""
    if claimed_rate == 1:
        return np.array([float(trials)])
    most = min(trials, int(trials * min(1.0, 4 * claimed_rate) + 40))
    return np.arange(most + 1, dtype=np.float64)
