"""The joint posterior of what repeats of a game share: mu_0, mu_1 and tau, on a grid.

In world w adversary r has logit p_{r,w} ~ Normal(mu_w, tau); mu_w ~ Normal(0, mu_scale), tau ~ HalfNormal(1), one tau for both
worlds. Given tau the worlds are independent, so the posterior is a mixture over tau of two one-dimensional laws. Nodes of tau are equally
spaced in ln tau on the range that holds the mass; below it the likelihood no longer changes, and the mass there is given to the first
node. Nodes of mu, for each tau their own, are center + scale sinh(t), t equally spaced on the range that holds the mass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from privacy_audit.estimate.rates.beta_law import FloatArray
from privacy_audit.estimate.worlds.repeat_likelihood import log_likelihood

TAU_SCALE = 1.0
_LARGEST_TAU = 6.5  # the prior mass beyond it is 8e-11
_SMALLEST = 0.02  # in units of the smallest standard error of a logit: below it tau changes nothing
_TAU_SCAN, _TAU_NODES, _MU_SCAN, _MU_NODES = 33, 48, 41, 61
_REACH = 3.6  # of t; sinh(3.6) = 18 scales
_TAU_DROP, _MU_DROP = 16.0, 32.0


@dataclass(frozen=True, slots=True, eq=False)
class RepeatGrid:
    """Posterior of (tau, mu_0, mu_1).

    Parameters
    ----------
    tau : nodes, shape (n_tau,).
    weight : their posterior mass, sum 1, shape (n_tau,).
    t : nodes of each world and tau, equally spaced, shape (2, n_tau, n_mu).
    mu : the same as values of mu.
    density : density of t given tau, shape (2, n_tau, n_mu).
    """

    tau: FloatArray
    weight: FloatArray
    t: FloatArray
    mu: FloatArray
    density: FloatArray

    @property
    def tau_mean(self) -> float:
        """The posterior mean of tau."""
        return float(self.weight @ self.tau)

    def tau_quantile(self, q: FloatArray) -> FloatArray:
        """Return quantiles of tau, each node's mass spread evenly over its cell in ln tau."""
        log_tau = np.log(self.tau)
        step = log_tau[1] - log_tau[0]
        edges = np.concatenate([[log_tau[0] - step / 2], log_tau + step / 2])
        quantile: FloatArray = np.exp(np.interp(q, np.concatenate([[0.0], np.cumsum(self.weight)]), edges))
        return quantile

    def draw(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw mu, shape (2, n), between its nodes, and tau, shape (n,), on its nodes."""
        row = rng.choice(len(self.tau), n, p=self.weight)
        mu = np.empty((2, n))
        for world in (0, 1):
            for i in np.unique(row):
                chosen = row == i
                mass = np.concatenate([[0.0], np.cumsum((self.density[world, i, 1:] + self.density[world, i, :-1]) / 2)])
                t = np.interp(rng.random(int(chosen.sum())) * mass[-1], mass, self.t[world, i])
                mu[world, chosen] = np.interp(t, self.t[world, i], self.mu[world, i])
        return mu, self.tau[row]


def repeat_grid(right: FloatArray, trials: FloatArray, mu_scale: FloatArray) -> RepeatGrid:
    """Return the posterior given counts.

    Parameters
    ----------
    right, trials : k_{r,w} and m_{r,w}, shape (2, R); worlds are rows.
    mu_scale : standard deviation of mu_w under the prior, shape (2,).
    """
    first = float(np.log(_SMALLEST / np.sqrt(trials.max() * len(trials[0]))))
    range_of_tau = np.linspace(first, np.log(_LARGEST_TAU), _TAU_SCAN)
    for _ in range(2):
        log_mass = _joint(right, trials, mu_scale, range_of_tau, _MU_SCAN, first)[0]
        kept = np.flatnonzero(log_mass > log_mass.max() - _TAU_DROP)
        ends = range_of_tau[max(kept[0] - 1, 0)], range_of_tau[min(kept[-1] + 1, len(range_of_tau) - 1)]
        range_of_tau = np.linspace(*ends, _TAU_SCAN)
    range_of_tau = np.linspace(*ends, _TAU_NODES)
    log_mass, t, mu, density = _joint(right, trials, mu_scale, range_of_tau, _MU_NODES, first)
    weight = np.exp(log_mass - special.logsumexp(log_mass))
    return RepeatGrid(tau=np.exp(range_of_tau), weight=weight / weight.sum(), t=t, mu=mu, density=density)


def _joint(
    right: FloatArray, trials: FloatArray, mu_scale: FloatArray, log_tau: FloatArray, n_mu: int, first: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return ln of the mass of each tau, and t, mu and density of both worlds, shape (2, n_tau, n_mu)."""
    tau = np.exp(log_tau)
    log_mass = log_tau - (tau / TAU_SCALE) ** 2 / 2
    if log_tau[0] == first:  # all smaller tau are as good: their mass is tau's, a step's is tau (ln tau_1 - ln tau_0)
        log_mass[0] += np.log(0.5 + 1 / (log_tau[1] - log_tau[0]))
    tables = []
    for k, m, prior in zip(right, trials, mu_scale.tolist(), strict=True):
        t, mu, log_density = _one_world(k, m, prior, tau, n_mu)
        step = np.log(t[:, 1] - t[:, 0])
        total = special.logsumexp(log_density, axis=1) + step
        log_mass = log_mass + total
        tables.append((t, mu, np.exp(log_density - total[:, None])))
    t, mu, density = (np.stack([table[i] for table in tables]) for i in range(3))
    return log_mass, t, mu, density


def _one_world(k: FloatArray, m: FloatArray, mu_scale: float, tau: FloatArray, n_mu: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return t, mu and the log density of t given tau, up to what doesn't depend on tau and t, shape (n_tau, n_mu) each."""
    center, scale = _rough_law(k, m, mu_scale, tau)

    def log_density(t: FloatArray) -> tuple[FloatArray, FloatArray]:
        mu = center[:, None] + scale[:, None] * np.sinh(t)
        prior = -((mu / mu_scale) ** 2) / 2 + np.log(scale)[:, None] + np.log(np.cosh(t))
        return mu, prior + log_likelihood(k, m, mu, tau[:, None])

    t = np.linspace(-_REACH, _REACH, _MU_SCAN)
    value = log_density(np.broadcast_to(t, (len(tau), _MU_SCAN)))[1]
    high = value > value.max(axis=1, keepdims=True) - _MU_DROP
    left, right = np.maximum(high.argmax(axis=1) - 1, 0), np.minimum(_MU_SCAN - high[:, ::-1].argmax(axis=1), _MU_SCAN - 1)
    nodes = np.linspace(t[left], t[right], n_mu, axis=1)
    return nodes, *log_density(nodes)


def _rough_law(k: FloatArray, m: FloatArray, mu_scale: float, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return center and scale of a normal law near that of mu, for each tau."""
    share = (k + 0.5) / (m + 1)
    precision = 1 / (1 / (m * share * (1 - share)) + tau[:, None] ** 2)
    total = precision.sum(axis=1) + 1 / mu_scale**2
    return (precision * np.log(share / (1 - share))).sum(axis=1) / total, 1 / np.sqrt(total)
