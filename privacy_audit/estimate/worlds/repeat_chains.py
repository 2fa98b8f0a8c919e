"""The posterior of repeats sampled with PyMC's NUTS: a cross-check of the grid, from the same model written independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from privacy_audit.estimate.model_effects.drawn_law import DrawnLaw
from privacy_audit.estimate.model_effects.nuts import ChainCheck, run_chains
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_grid import MU_SCALE, TAU_SCALE
from privacy_audit.estimate.worlds.repeat_likelihood import mean_rate_of_adversaries

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ChainLaw:
    """Law of the typical accuracy from chains.

    Parameters
    ----------
    drawn : the accuracies, under the name that `DrawnLaw` gives its variable.
    mu, tau : the chains of the parameters, shape (2, n_draws) and (n_draws,).
    """

    drawn: DrawnLaw
    mu: FloatArray
    tau: FloatArray

    def exceedance(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of draws above, and a smoothed density."""
        return self.drawn.exceedance(at)

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles; 1 at q = 1."""
        return np.minimum(self.drawn.quantile(q), 1.0)

    def mean(self) -> float:
        """Return the mean."""
        return self.drawn.mean()

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Draw (mu_0, mu_1, tau) again from the chains, with replacement."""
        at = rng.integers(len(self.tau), size=n)
        return self.mu[0, at], self.mu[1, at], self.tau[at]

    def tau_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of tau."""
        return np.asarray(np.quantile(self.tau, q), dtype=np.float64)


def sample_repeats(right: FloatArray, trials: FloatArray, *, rng: np.random.Generator) -> tuple[ChainLaw, ChainCheck]:
    """Sample the model of `repeat_grid`, with one standard normal effect per adversary and world.

    Parameters
    ----------
    right, trials : whole k_{r,w} and m_{r,w}, shape (2, R).
    rng : seeds the chains.
    """
    import pymc  # type: ignore[import-untyped]

    with pymc.Model() as model:
        tau = pymc.HalfNormal("tau", TAU_SCALE)
        for world, (k, m) in enumerate(zip(right, trials, strict=True)):
            mu = pymc.Normal(f"mu_{world}", 0.0, MU_SCALE)
            effect = pymc.Normal(f"effect_{world}", size=len(k))
            pymc.Binomial(f"right_{world}", n=m.astype(np.int64), logit_p=mu + tau * effect, observed=k.astype(np.int64))
    draws, check = run_chains(model, ("mu_0", "mu_1", "tau"), rng=rng)
    mu = np.stack([draws["mu_0"].ravel(), draws["mu_1"].ravel()])
    tau = draws["tau"].ravel()
    accuracy = typical_accuracy(mu[0], mu[1], tau)
    return ChainLaw(DrawnLaw.of_chains({"epsilon": accuracy.reshape(draws["tau"].shape)}), mu, tau), check


def typical_accuracy(mu_0: FloatArray, mu_1: FloatArray, tau: FloatArray) -> FloatArray:
    """Return the accuracy averaged over adversaries, shape (n,) as the arguments, in bounded memory."""
    accuracy = np.empty(len(tau))
    for start in range(0, len(tau), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        accuracy[part] = sum(mean_rate_of_adversaries(mu[part], tau[part]) for mu in (mu_0, mu_1)) / 2
    return accuracy
