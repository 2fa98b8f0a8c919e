"""Sampling the model-effects posterior with PyMC's NUTS, and the checks its chains must pass."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from mechanisms.errors import ConvergenceWarning
from mechanisms.json_ready import JsonValue, json_ready
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.rates.beta_law import FloatArray

N_CHAINS = 4
N_TUNE = 1000
N_DRAWS = 1000
TARGET_ACCEPT = 0.95
LARGEST_R_HAT = 1.01
SMALLEST_ESS = 400.0
LARGEST_TRIALS = 10**7  # PyMC's log-likelihoods lose digits beyond


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """What the chains showed, over all variables that were checked.

    Parameters
    ----------
    r_hat : largest split R-hat.
    ess_bulk, ess_tail : smallest effective sample sizes.
    n_divergent : transitions that diverged.
    """

    r_hat: float
    ess_bulk: float
    ess_tail: float
    n_divergent: int

    @property
    def passed(self) -> bool:
        """Whether R-hat <= 1.01, both effective sample sizes >= 400 and nothing diverged; NaN fails."""
        mixed = self.r_hat <= LARGEST_R_HAT and min(self.ess_bulk, self.ess_tail) >= SMALLEST_ESS
        return bool(mixed and self.n_divergent == 0)

    def warn(self) -> None:
        """Emit a `ConvergenceWarning` naming the figures if the chains did not pass."""
        if not self.passed:
            text = (
                f"the chains did not converge: R-hat {self.r_hat:.3f} (at most {LARGEST_R_HAT}), effective sample sizes "
                f"{self.ess_bulk:.0f} and {self.ess_tail:.0f} (at least {SMALLEST_ESS:.0f}), {self.n_divergent} divergences (none "
                "allowed); use method='quadrature'"
            )
            warnings.warn(text, ConvergenceWarning, stacklevel=2)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record; a figure that can't be computed is None."""
        figures = {"r_hat": self.r_hat, "ess_bulk": self.ess_bulk, "ess_tail": self.ess_tail}
        return {name: None if np.isnan(value) else json_ready(value) for name, value in figures.items()} | {"n_divergent": self.n_divergent}


def sample_beta_binomial(
    counts: ModelCounts, *, rho_prior: tuple[float, float], rng: np.random.Generator
) -> tuple[dict[str, FloatArray], ChainCheck]:
    """Sample both rates and both correlations: mu ~ Beta(1/2, 1/2), rho ~ Beta, errors ~ BetaBinomial.

    Parameters
    ----------
    counts : counts per model.
    rho_prior : parameters of the Beta prior of rho.
    rng : seeds the chains.

    Returns
    -------
    Chains of "fpr", "fnr", "rho_fpr", "rho_fnr", shape (n_chains, n_draws) each, and what the checks showed.
    """
    import pymc  # type: ignore[import-untyped]

    with pymc.Model() as model:
        for name, errors, trials in (("fpr", counts.fp, counts.n_non_members), ("fnr", counts.fn, counts.n_members)):
            mu, rho = pymc.Beta(name, 0.5, 0.5), pymc.Beta(f"rho_{name}", *rho_prior)
            kappa, tried = 1 / rho - 1, trials > 0
            pymc.BetaBinomial(f"errors_{name}", n=trials[tried], alpha=mu * kappa, beta=(1 - mu) * kappa, observed=errors[tried])
    return run_chains(model, ("fpr", "fnr", "rho_fpr", "rho_fnr"), rng=rng)


def sample_correlated(counts: ModelCounts, *, rng: np.random.Generator) -> tuple[dict[str, FloatArray], ChainCheck]:
    """Sample the model of `correlated_likelihood`, with one pair of standard normal effects per model.

    Returns
    -------
    Chains of "m_fpr", "m_fnr", "log_s_fpr", "log_s_fnr" and "artanh_correlation", shape (n_chains, n_draws) each, and the checks.
    """
    import pymc
    from pymc import math

    with pymc.Model() as model:
        effect = [pymc.Normal(f"effect_{i}", size=len(counts)) for i in (0, 1)]
        correlation = 2 * pymc.Beta("half_correlation", 2, 2) - 1  # LKJ(2) of a 2 x 2 matrix
        pymc.Deterministic("artanh_correlation", math.arctanh(correlation))
        effect[1] = correlation * effect[0] + math.sqrt(1 - correlation**2) * effect[1]
        sides = (("fpr", counts.fp, counts.n_non_members), ("fnr", counts.fn, counts.n_members))
        for standard, (name, errors, trials) in zip(effect, sides, strict=True):
            scale = pymc.HalfNormal(f"s_{name}", 1.0)
            location = pymc.Deterministic(f"m_{name}", math.logit(pymc.Beta(f"middle_{name}", 0.5, 0.5)))
            pymc.Deterministic(f"log_s_{name}", math.log(scale))
            tried = trials > 0
            logit = (location + scale * standard)[tried]
            pymc.Binomial(f"errors_{name}", n=trials[tried], logit_p=logit, observed=errors[tried])
    return run_chains(model, ("m_fpr", "m_fnr", "log_s_fpr", "log_s_fnr", "artanh_correlation"), rng=rng)


def run_chains(model: object, names: tuple[str, ...], *, rng: np.random.Generator) -> tuple[dict[str, FloatArray], ChainCheck]:
    """Run four chains of 1000 + 1000 steps of a PyMC model, one after the other, and return the named scalars, checked."""
    import pymc

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*ArviZ is undergoing a major refactor", category=FutureWarning)
        data = pymc.sample(
            N_DRAWS,
            tune=N_TUNE,
            chains=N_CHAINS,
            cores=1,
            target_accept=TARGET_ACCEPT,
            random_seed=int(rng.integers(2**31)),
            progressbar=False,
            compute_convergence_checks=False,
            model=model,
        )
    draws = {name: np.asarray(data["posterior"][name].values, dtype=np.float64) for name in names}
    return draws, check_chains(draws, n_divergent=int(np.asarray(data["sample_stats"]["diverging"].values).sum()))


def check_chains(draws: Mapping[str, FloatArray], *, n_divergent: int) -> ChainCheck:
    """Return R-hat and effective sample sizes of chains of shape (n_chains, n_draws); draws that never moved give NaN, which fails."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(?s).*ArviZ is undergoing a major refactor", category=FutureWarning)
        import arviz
    rhat: Callable[..., float] = arviz.rhat
    ess: Callable[..., float] = arviz.ess
    with np.errstate(invalid="ignore", divide="ignore"):
        r_hat = [float(rhat(values)) for values in draws.values()]
        bulk, tail = ([float(ess(values, method=method)) for values in draws.values()] for method in ("bulk", "tail"))
    return ChainCheck(float(np.max(r_hat)), float(np.min(bulk)), float(np.min(tail)), n_divergent)
