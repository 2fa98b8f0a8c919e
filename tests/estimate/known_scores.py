"""Scores whose exact epsilon is known, and how many violations a valid bound may show."""

from __future__ import annotations

import numpy as np
from scipy import stats

from attacks.scores import MembershipScores


def laplace_scores(rng, epsilon, n, n_out=None) -> MembershipScores:
    """The true epsilon is the shift of a unit Laplace law; n members, as many others unless said."""
    n_out = n if n_out is None else n_out
    member = np.arange(n + n_out) < n
    return MembershipScores(rng.laplace(size=n + n_out) + epsilon * member, member)


def gaussian_scores(rng, mu, n) -> MembershipScores:
    member = np.arange(2 * n) % 2 == 0
    return MembershipScores(rng.standard_normal(2 * n) + mu * member, member)


def coin_scores(rng, epsilon, n) -> MembershipScores:
    """Randomized response: two scores only, the hardest case for a bound."""
    member = np.arange(2 * n) % 2 == 0
    truthful = rng.random(2 * n) < 1 / (1 + np.exp(-epsilon))
    return MembershipScores(np.where(truthful, member, ~member), member)


def most_violations(repeats, alpha=0.05):
    """What a valid bound exceeds with probability at most 1e-6."""
    return stats.binom.isf(1e-6, repeats, alpha)
