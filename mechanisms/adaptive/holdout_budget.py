"""What a reusable holdout spends: a function of which queries fired, so it may be told at any time.

With u = 1 / (sigma n) nats, n the holdout's records: a run's threshold costs u / 2 when its first query is asked, its firing u / 2, the
answer u; 2 u a firing, 2 B u in all. As zCDP a run of u nats and an answer of u nats cost u^2 / 2 each: rho = B u^2.

Fractions throughout, floats are read as the decimals that they print as; a float at the end is rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.accounting.zcdp import zcdp_epsilon
from mechanisms.adaptive.holdout_noise import Law, decimal
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.validation import one_of, positive, valid_delta, whole_number

UNPROVED = "no guarantee is proved for the Gaussian law: it is the published experiment's, with floats and values of any range"


@dataclass(frozen=True, slots=True)
class HoldoutBudget:
    """B firings of a holdout of n records; made by `holdout_budget`.

    Parameters
    ----------
    n : holdout records.
    sigma : the scale that it is named by.
    firings : B.
    proved : whether the law of noise has a guarantee.
    """

    n: int
    sigma: float
    firings: int
    proved: bool

    @property
    def epsilon(self) -> float:
        """2 B / (sigma n), or infinity."""
        return _up(2 * self.firings * self._unit) if self.proved else math.inf

    @property
    def rho(self) -> float:
        """B / (sigma n)^2, or infinity."""
        return _up(self.firings * self._unit**2) if self.proved else math.inf

    def guarantee(self, delta: float | None, privacy_unit: str, assumptions: tuple[str, ...]) -> PrivacyGuarantee:
        """Return what holds for all answers together: pure for None, else the better of pure and zCDP at this delta."""
        at = 0.0 if delta is None else valid_delta(delta)
        epsilon = min(self.epsilon, zcdp_epsilon(self.rho, at)) if self.proved and at > 0 else self.epsilon
        reasons = assumptions if self.proved else (UNPROVED, *assumptions)
        return PrivacyGuarantee(epsilon, at, Neighboring.REPLACE, privacy_unit, "reusable holdout", reasons)

    def spent(self, n_asked: int, fired_at: Sequence[int]) -> float:
        """Return what n queries cost, of which those with the numbers `fired_at` fired."""
        if not self.proved:
            return math.inf if n_asked else 0.0
        return _up(len(fired_at) * 2 * self._unit + (self._unit / 2 if self._run_is_open(n_asked, fired_at) else 0))

    def ledger(self, n_asked: int, fired_at: Sequence[int]) -> EpsilonLedger:
        """Return the entries of these queries."""
        ledger = EpsilonLedger(self.epsilon)
        half, whole = (float(self._unit / 2), float(self._unit)) if self.proved else (math.inf, math.inf)
        law, change = "discrete laplace" if self.proved else "gaussian", 1 / self.n
        firsts = [1, *(i + 1 for i in fired_at)][: len(fired_at) + self._run_is_open(n_asked, fired_at)]
        test_scale, threshold_scale = (4 * self.sigma, 2 * self.sigma) if self.proved else (self.sigma, 0.0)
        for run, first in enumerate(firsts):
            ledger.spend(f"threshold from query {first:,}", law, sensitivity=change, scale=threshold_scale, epsilon=half)
            if run < len(fired_at):
                ledger.spend(f"query {fired_at[run]:,} fired", law, sensitivity=change, scale=test_scale, epsilon=half)
                ledger.spend(f"answer to query {fired_at[run]:,}", law, sensitivity=change, scale=self.sigma, epsilon=whole)
        return ledger

    @property
    def _unit(self) -> Fraction:
        return 1 / (decimal(self.sigma) * self.n)

    def _run_is_open(self, n_asked: int, fired_at: Sequence[int]) -> bool:
        return n_asked > (fired_at[-1] if fired_at else 0)


def holdout_budget(n: int, sigma: float, law: Law, *, budget: int | None, epsilon: float | None) -> HoldoutBudget:
    """Return the budget of B firings, or the largest B whose epsilon is at most the given one.

    Raises
    ------
    ValueError : both or neither, an epsilon below that of one firing, or an epsilon for a law without a guarantee.

    Examples
    --------
    >>> holdout_budget(10_000, 0.01, "laplace", budget=50, epsilon=None).epsilon
    1.0
    >>> holdout_budget(10_000, 0.03, "laplace", budget=None, epsilon=1.0).firings
    150
    """
    one_of(("laplace", "gaussian"), law=law)
    scale, proved = positive(sigma=sigma), law == "laplace"
    if (budget is None) == (epsilon is None):
        raise ValueError(f"give either budget or epsilon, got budget={budget} and epsilon={epsilon}")
    if budget is not None:
        return HoldoutBudget(n, scale, whole_number(1, budget=budget), proved)
    if not proved:
        raise ValueError(
            f"epsilon can't be kept by the Gaussian law, which proves nothing, got epsilon={epsilon}; give a budget, or law='laplace'"
        )
    firings = math.floor(decimal(positive(epsilon=epsilon)) * decimal(scale) * n / 2)
    if not firings:
        least = 2 / (scale * n)
        raise ValueError(
            f"epsilon must be at least {least:.6g}, the cost of one firing, got {epsilon}; a larger sigma or holdout costs less"
        )
    return HoldoutBudget(n, scale, firings, proved)


def _up(exact: Fraction) -> float:
    """Return the nearest float whose decimals are not below."""
    nearest = float(exact)
    return nearest if decimal(nearest) >= exact else math.nextafter(nearest, math.inf)
