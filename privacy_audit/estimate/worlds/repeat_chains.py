"""The posterior of repeats sampled with PyMC's NUTS: a cross-check of the grid, from the same model written independently."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from privacy_audit.estimate.model_effects.drawn_law import DrawnLaw
from privacy_audit.estimate.model_effects.nuts import ChainCheck, run_chains
from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_grid import TAU_SCALE
from privacy_audit.estimate.worlds.repeat_likelihood import mean_rate_of_adversaries
from privacy_audit.estimate.worlds.victim_sample import Adversaries, SampleEffect

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ChainLaw:
    """Law of the typical accuracy from chains.

    Parameters
    ----------
    drawn : the accuracies, under the name that `DrawnLaw` gives its variable.
    adversaries : the chains of the parameters, end to end.
    """

    drawn: DrawnLaw
    adversaries: Adversaries

    def exceedance(self, at: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the share of draws above, and a smoothed density."""
        return self.drawn.exceedance(at)

    def quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles; 1 at q = 1."""
        return np.minimum(self.drawn.quantile(q), 1.0)

    def mean(self) -> float:
        """Return the mean."""
        return self.drawn.mean()

    def draw(self, n: int, rng: np.random.Generator) -> Adversaries:
        """Draw the parameters again from the chains, with replacement."""
        chains = self.adversaries
        at = rng.integers(len(chains.tau), size=n)
        return Adversaries(mu=chains.mu[:, at], nu=chains.nu[:, at], tau=chains.tau[at])

    def tau_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of tau."""
        return np.asarray(np.quantile(self.adversaries.tau, q), dtype=np.float64)


def sample_repeats(right: FloatArray, trials: FloatArray, effect: SampleEffect, *, rng: np.random.Generator) -> tuple[ChainLaw, ChainCheck]:
    """Sample the model of `repeat_grid` and `victim_sample`, with one standard normal effect per adversary and world.

    Parameters
    ----------
    right, trials : k_{r,w} and m_{r,w}, shape (2, R).
    effect : of the sample of victims, and the prior of mu.
    rng : seeds the chains.
    """
    import pymc  # type: ignore[import-untyped]

    with pymc.Model() as model:
        tau = pymc.HalfNormal("tau", TAU_SCALE)
        for world, (k, m, error) in enumerate(zip(right, trials, effect.error.tolist(), strict=True)):
            mu = pymc.Normal(f"mu_{world}", 0.0, effect.mu_scale)
            shift = error * pymc.Normal(f"shift_{world}", 0.0, 1.0) if error > 0 else 0.0
            nu = pymc.Deterministic(f"nu_{world}", mu + shift)
            own = pymc.Normal(f"effect_{world}", size=len(k))
            pymc.Binomial(f"right_{world}", n=m.astype(np.int64), logit_p=nu + tau * own, observed=k.astype(np.int64))
    draws, check = run_chains(model, ("mu_0", "mu_1", "nu_0", "nu_1", "tau"), rng=rng)
    mu, nu = (np.stack([draws[f"{name}_{world}"].ravel() for world in (0, 1)]) for name in ("mu", "nu"))
    adversaries = Adversaries(mu=mu, nu=nu, tau=draws["tau"].ravel())
    accuracy = typical_accuracy(adversaries).reshape(draws["tau"].shape)
    return ChainLaw(DrawnLaw.of_chains({"epsilon": accuracy}), adversaries), check


def typical_accuracy(adversaries: Adversaries) -> FloatArray:
    """Return the accuracy averaged over adversaries of each draw, shape (n,), in bounded memory."""
    tau = adversaries.tau
    accuracy = np.empty(len(tau))
    for start in range(0, len(tau), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        accuracy[part] = mean_rate_of_adversaries(adversaries.mu[:, part], tau[part]).mean(axis=0)
    return accuracy
