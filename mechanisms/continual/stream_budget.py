"""The budget of a stream: rho-zCDP, (epsilon, delta) by the exact Gaussian curve, or pure epsilon.

    rho               Gaussian noise, sigma^2 = Delta^2 / (2 rho)
    epsilon, delta    Gaussian noise with the largest mu = Delta / sigma on the exact curve: rho = mu^2 / 2
    epsilon           Laplace noise, b = Delta_1 / epsilon

`rho` is derived for the second, None for the third. Naming two budgets, or none, is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from mechanisms.accounting.gaussian import gaussian_mu
from mechanisms.validation import in_range, positive


@dataclass(frozen=True, slots=True)
class StreamBudget:
    """A validated budget; `rho` is None exactly for pure epsilon-DP."""

    rho: float | None
    epsilon: float | None
    delta: float | None

    @property
    def pure(self) -> bool:
        """Whether noise is Laplace."""
        return self.rho is None

    @property
    def unit(self) -> float:
        """Variance for a change of 1 and an error factor of 1: 1 / (2 rho), or 2 / epsilon^2."""
        if self.rho is not None:
            return 1 / (2 * self.rho)
        return 2 / positive(epsilon=self.epsilon) ** 2


def stream_budget(*, rho: float | None, epsilon: float | None, delta: float | None) -> StreamBudget:
    """Return the budget.

    Raises
    ------
    ValueError : both or neither of rho and epsilon, delta without epsilon, or a value out of its range.

    Examples
    --------
    >>> round(stream_budget(rho=None, epsilon=1.0, delta=1e-6).rho, 4)
    0.028
    """
    if (rho is None) == (epsilon is None):
        raise ValueError(f"give either rho or epsilon, got rho={rho} and epsilon={epsilon}")
    if rho is not None:
        if delta is not None:
            raise ValueError(f"delta goes with epsilon, got rho={rho} and delta={delta}; convert with zcdp_epsilon")
        return StreamBudget(positive(rho=rho), None, None)
    nats = positive(epsilon=epsilon)
    if delta is None or delta == 0:
        return StreamBudget(None, nats, 0.0)
    probability = in_range(0, 1, delta=delta)
    return StreamBudget(gaussian_mu(nats, probability) ** 2 / 2, nats, probability)
