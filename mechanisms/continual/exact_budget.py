"""A budget that is divided into equal parts, each spent on one whole number with exact integer noise.

    rho                discrete Gaussian, sigma^2 = n / (2 rho)           n parts of rho / n compose to rho-zCDP
    epsilon, delta     the largest rho whose conversion at the best order gives (epsilon, delta)
    epsilon            discrete Laplace, b = n / epsilon                  n parts of epsilon / n compose to epsilon-DP

The value has sensitivity 1. Samplers are the exact rational ones, so nothing is added to delta; adaptive composition covers streams chosen
from earlier releases. Cost: 0.1 to 1 ms a draw.

References
----------
Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020. Bun, Steinke, Concentrated DP, TCC 2016.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from mechanisms.accounting.zcdp import zcdp_epsilon, zcdp_rho
from mechanisms.continual.counter_budget import REPORTED_DELTA
from mechanisms.continual.recompute import gaussian_tail, laplace_tail
from mechanisms.continual.stream_budget import stream_budget
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.bits import Words
from mechanisms.noise.discrete_gaussian import exact_discrete_gaussian
from mechanisms.noise.discrete_laplace import exact_discrete_laplace
from mechanisms.validation import in_range, positive, valid_delta


@dataclass(frozen=True, slots=True)
class ExactBudget:
    """`rho`, or None for pure privacy, whose `epsilon` is spent; `asked_epsilon` at `asked_delta` where both were asked for."""

    rho: float | None
    epsilon: float
    asked_epsilon: float | None = None
    asked_delta: float | None = None

    @property
    def pure(self) -> bool:
        """Whether noise is Laplace."""
        return self.rho is None

    def share(self, part: float) -> ExactBudget:
        """Return a part in (0, 1) of the budget."""
        portion = in_range(0, 1, part=part)
        return ExactBudget(None if self.rho is None else self.rho * portion, self.epsilon * portion)

    def draw(self, n_parts: int, words: Words) -> int:
        """Return the noise of one of n parts."""
        if self.rho is None:
            return exact_discrete_laplace(n_parts / Fraction(self.epsilon), words)
        return exact_discrete_gaussian(n_parts / (2 * Fraction(self.rho)), words)

    def tail(self, n_parts: int, beta: float) -> float:
        """Return what all of n draws stay below in absolute value, with probability 1 - beta."""
        if self.rho is None:
            return laplace_tail(n_parts / self.epsilon, beta / n_parts)
        return gaussian_tail(math.sqrt(n_parts / (2 * self.rho)), beta / n_parts)

    def selection_epsilon(self, n_parts: int) -> float:
        """Return the epsilon of one of n exponential mechanisms: epsilon / n, or sqrt(8 rho / n), rounded down."""
        exact = self.epsilon / n_parts if self.rho is None else math.sqrt(8 * self.rho / n_parts)
        return exact * (1 - 2.0**-50)

    def guarantee(self, neighboring: Neighboring, mechanism: str, delta: float | None) -> PrivacyGuarantee:
        """Return what holds for all parts together, at a delta; None is the one asked for, for a rho 1e-6."""
        if self.rho is None:
            return PrivacyGuarantee(self.epsilon, 0.0 if delta is None else valid_delta(delta), neighboring, "step", mechanism)
        if self.asked_epsilon is not None and delta in (None, self.asked_delta):
            return PrivacyGuarantee(self.asked_epsilon, self.asked_delta or 0.0, neighboring, "step", mechanism)
        at = REPORTED_DELTA if delta is None else in_range(0, 1, delta=delta)
        return PrivacyGuarantee(zcdp_epsilon(self.rho, at), at, neighboring, "step", mechanism)


def exact_budget(*, rho: float | None, epsilon: float | None, delta: float | None) -> ExactBudget:
    """Return the budget; errors as `stream_budget`.

    Examples
    --------
    >>> round(exact_budget(rho=None, epsilon=1.0, delta=1e-6).rho, 8)
    0.02435597
    """
    asked = stream_budget(rho=rho, epsilon=epsilon, delta=delta)
    if asked.pure:
        return ExactBudget(None, positive(epsilon=epsilon))
    if asked.epsilon is None or asked.delta is None:
        return ExactBudget(positive(rho=rho), math.inf)
    return ExactBudget(zcdp_rho(asked.epsilon, asked.delta), asked.epsilon, asked.epsilon, asked.delta)
