"""The hierarchical posterior the plain way: dense grids from scipy's beta-binomial law, loops, and simulated counts."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
from scipy import special, stats

from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.region import implied_epsilon


def mp_log_rising(a, k):
    """ln Gamma(a + k) - ln Gamma(a) - k ln a in 60 digits."""
    with mp.workdps(60):
        a = mp.mpf(a)
        return float(mp.loggamma(a + k) - mp.loggamma(a) - k * mp.log(a))


def plain_side(errors, trials, rho_prior, n_mu=500, n_rho=150):
    """Masses of mu and of rho, one model after the other, on equally spaced logits."""
    s, v = np.linspace(-12, 8, n_mu), np.linspace(-22, 9, 2 * n_rho)
    mu, rho = special.expit(s), special.expit(v)
    prior_rho = stats.beta.logpdf(rho, *rho_prior) + np.log(rho * (1 - rho))
    log_mass = stats.beta.logpdf(mu, 0.5, 0.5) + np.log(mu * (1 - mu)) + prior_rho[:, None]
    kappa = (1 / rho - 1)[:, None]
    for k, n in zip(errors, trials, strict=True):
        log_mass = log_mass + stats.betabinom.logpmf(k, n, mu * kappa, (1 - mu) * kappa)
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    return mu, mass.sum(axis=0), rho, mass.sum(axis=1)


def plain_sf(counts, delta, epsilon, rho_prior=(0.5, 4.5)):
    """P(g > epsilon) as a double sum over both grids."""
    fpr, mass_fpr, _, _ = plain_side(counts.fp, counts.n_non_members, rho_prior)
    fnr, mass_fnr, _, _ = plain_side(counts.fn, counts.n_members, rho_prior)
    above = implied_epsilon(fpr[:, None], fnr[None, :], delta) > epsilon
    return float(mass_fpr @ above @ mass_fnr)


def simulate(rng, *, n_models, n_points, fpr=0.1, fnr=0.5, rho=0.2):
    """Counts with beta distributed rates of models; rho = 0 gives binomial ones. `n_points` may be an array."""
    errors = []
    for mean in (fpr, fnr):
        rate = np.full(n_models, mean) if rho == 0 else rng.beta(mean * (1 / rho - 1), (1 - mean) * (1 / rho - 1), n_models)
        errors.append(rng.binomial(n_points, rate))
    return ModelCounts(fp=errors[0], tn=n_points - errors[0], fn=errors[1], tp=n_points - errors[1])


def pairwise_correlation(guesses):
    """Share of the variance that two guesses about one model have in common, by counting pairs; `guesses` is a list of lists of 0 and 1."""
    p = np.mean([g for model in guesses for g in model])
    products = [(a - p) * (b - p) for model in guesses for a, b in itertools.combinations(model, 2)]
    return float(np.mean(products) / (p * (1 - p)))
