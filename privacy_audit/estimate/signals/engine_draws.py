"""Draws of what an engine really does (noise, sampling rate, clipped length), from the raw signals of its canaries.

Four views of one run (membership_inference.md 4.7), each sharper than the one before:

    V0  final weights: F_j = sum_t O_tj; the clipped length is not identified and taken as 1
    V1  every noisy update: the mixture of `canary_mixture`
    V2  and the log of which canaries entered which step: closed form
    V3  and the sums before the noise, which show the clipped length: closed form

Priors of V0 and V1: log sigma, logit q, log c independent normal around the claim, standard deviation `prior_scale`. V2 and V3: Jeffreys.
symbols: B = (steps, canaries) who entered, n_B their number, n_1 T the steps that could have been entered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mechanisms.errors import InsufficientEvidenceError
from privacy_audit.estimate.signals.canary_mixture import CanaryMixture
from privacy_audit.estimate.signals.final_weights import FinalWeights
from privacy_audit.estimate.signals.signal_views import View
from privacy_audit.estimate.signals.student_proposal import ENOUGH, student_draws

if TYPE_CHECKING:
    from attacks.canaries.result import BatchLog, CanaryResult

Floats = NDArray[np.float64]
_FITS = 5.0  # standard errors by which the length read before the noise may miss the one seen in the signals


@dataclass(frozen=True, slots=True, eq=False)
class EngineDraws:
    """Draws of the three parameters, each (n,), with weights summing to 1 and the share of draws that the weights are worth."""

    noise_multiplier: Floats
    sample_rate: Floats
    clipped_length: Floats
    weight: Floats
    effective_share: float
    method: str


class SignalModel(Protocol):
    """A likelihood of theta = (log sigma, logit q, log c)."""

    @property
    def sampled(self) -> bool:
        """Whether q is a parameter."""

    def start(self) -> Floats:
        """Return theta by moments."""

    def negative_log_likelihood(self, theta: Floats) -> tuple[float, Floats]:
        """Return -log L and its gradient."""


@dataclass(frozen=True, slots=True, eq=False)
class NegativeLogPosterior:
    """The likelihood times the prior, as a function of the parameters that are free; the others stay at the prior's center."""

    model: SignalModel
    center: Floats
    prior_scale: float
    free: NDArray[np.bool_]

    def __call__(self, part: Floats) -> tuple[float, Floats]:
        """Return the value and its gradient in the free parameters."""
        value, gradient = self.model.negative_log_likelihood(self.full(part))
        away = (part - self.center[self.free]) / self.prior_scale
        return value + float(away @ away) / 2, gradient[self.free] + away / self.prior_scale

    def full(self, part: Floats) -> Floats:
        """Return theta, (..., 3), from its free parameters, (..., d)."""
        theta = np.broadcast_to(self.center, (*part.shape[:-1], 3)).copy()
        theta[..., self.free] = part
        return theta


def sharpest_view(result: CanaryResult) -> View:
    """Return the sharpest view that the run's records allow."""
    log = result.batch_log
    if log is None or not log.canary_in[:, result.member].any():
        return "V1"
    return "V3" if result.clipped_length is not None and _length_fits(result, log) else "V2"


def engine_draws(result: CanaryResult, view: View, n: int, *, prior_scale: float, rng: np.random.Generator) -> EngineDraws:
    """Draw the engine's parameters from their posterior.

    Raises
    ------
    InsufficientEvidenceError : the run lacks what the view needs.
    """
    if view in ("V2", "V3"):
        return _closed_form(result, view, n, rng)
    target = negative_log_posterior(result, view, prior_scale=prior_scale)
    found = student_draws(target, target.model.start()[target.free], n, rng=rng)
    if found.effective_share >= ENOUGH:
        return _from_theta(target.full(found.draws), found.weight, found.effective_share, "importance sampling", target.model.sampled)
    from privacy_audit.estimate.signals.engine_nuts import nuts_draws

    theta = nuts_draws(result, view, prior_scale=prior_scale, n=n, rng=rng)
    return _from_theta(theta, np.full(len(theta), 1 / len(theta)), 1.0, "NUTS", target.model.sampled)


def negative_log_posterior(result: CanaryResult, view: View, *, prior_scale: float) -> NegativeLogPosterior:
    """Return the target of V0 or V1."""
    claimed = result.claimed
    sampled = claimed.sample_rate < 1
    out, inside = result.signals[:, ~result.member], result.signals[:, result.member]
    model: SignalModel
    if view == "V0":
        model = FinalWeights.from_totals(out.sum(axis=0), inside.sum(axis=0), steps=result.steps, sampled=sampled)
    else:
        model = CanaryMixture.from_signals(out, inside, sampled=sampled)
    logit = float(special.logit(claimed.sample_rate)) if sampled else 0.0
    center = np.array([math.log(claimed.noise_multiplier), logit, 0.0])
    return NegativeLogPosterior(model, center, prior_scale, np.array([True, sampled, view == "V1"]))


def _from_theta(theta: Floats, weight: Floats, share: float, method: str, sampled: bool) -> EngineDraws:
    rate = special.expit(theta[:, 1]) if sampled else np.ones(len(theta))
    return EngineDraws(np.exp(theta[:, 0]), rate, np.exp(theta[:, 2]), weight, share, method)


def _closed_form(result: CanaryResult, view: View, n: int, rng: np.random.Generator) -> EngineDraws:
    """Draw q from a Beta, sigma^2 from a scaled inverse chi-square, c from a normal (V2) or as it was read (V3)."""
    log, length = result.batch_log, result.clipped_length
    if log is None or not log.canary_in[:, result.member].any():
        raise InsufficientEvidenceError(f"view {view} needs a batch log in which canaries entered steps; use view 'V1'")
    if view == "V3" and (length is None or not _length_fits(result, log)):
        raise InsufficientEvidenceError("view V3 needs a clipped length read before the noise that fits the signals; use view 'V2'")
    entered = log.canary_in & result.member
    signals, n_in, tries = result.signals, int(entered.sum()), int(result.member.sum()) * result.steps
    mean = float(signals[entered].mean())
    center = length if view == "V3" and length is not None else mean
    squares = float(np.sum(signals[~entered] ** 2) + np.sum((signals[entered] - center) ** 2))
    degrees = signals.size - (view == "V2")
    sigma = np.sqrt(squares / rng.chisquare(degrees, n))
    clipped = np.full(n, center) if view == "V3" else np.abs(mean + sigma / math.sqrt(n_in) * rng.standard_normal(n))
    full = result.claimed.sample_rate == 1 and n_in == tries
    rate = np.ones(n) if full else rng.beta(n_in + 0.5, tries - n_in + 0.5, n)
    return EngineDraws(sigma, rate, clipped, np.full(n, 1 / n), 1.0, "closed form")


def _length_fits(result: CanaryResult, log: BatchLog) -> bool:
    """Whether the length read before the noise is the one that the signals show where canaries entered."""
    entered = log.canary_in & result.member
    error = math.sqrt(float(np.mean(result.signals[:, ~result.member] ** 2)) / int(entered.sum()))
    return result.clipped_length is not None and abs(float(result.signals[entered].mean()) - result.clipped_length) <= _FITS * error
