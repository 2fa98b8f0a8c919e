"""Power of an audit: would it see anything if the claim were exactly tight?

The ideal mechanism with the claim's (epsilon, delta) is taken to be Gaussian: canary scores are N(mu, 1) for members and N(0, 1) for
others, mu from the exact Gaussian-DP curve (Dong, Roth, Su 2022); for delta = 0 it is randomized response. Power is the share of simulated
audits, with as many canaries and the same guesses, whose bound is above zero. Below one half, a silent audit says nothing: the verdict is
"inconclusive".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.accounting.gaussian import gaussian_mu
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.randomness import RngLike, as_generator
from privacy_audit.estimate.one_run import one_run_bound, one_run_guesses

REPEATS = 200


def one_run_power(
    claim: PrivacyGuarantee, *, n_canaries: int, n_in: int, n_out: int, level: float, repeats: int = REPEATS, rng: RngLike = None
) -> float:
    """Return the share of ideal one-run audits of a tight claim that leave a positive bound.

    Parameters
    ----------
    claim : the guarantee taken to be tight; an infinite epsilon is always seen.
    n_canaries, n_in, n_out : canaries, and how many are guessed in and out.
    level : of the bound.
    """
    if claim.epsilon == 0:
        return 0.0
    if np.isinf(claim.epsilon):
        return 1.0
    rng = as_generator(rng)
    seen = 0
    for _ in range(repeats):
        member = rng.random(n_canaries) < 0.5
        if member.all() or not member.any():
            continue
        scores = ideal_scores(member, claim, rng)
        n_guesses, n_correct = one_run_guesses(scores, n_in=n_in, n_out=n_out)
        bound = one_run_bound(n_canaries=n_canaries, n_guesses=n_guesses, n_correct=n_correct, delta=claim.delta, level=level)
        seen += bound.epsilon > 0
    return seen / repeats


def ideal_scores(member: NDArray[np.bool_], claim: PrivacyGuarantee, rng: np.random.Generator) -> MembershipScores:
    """Draw scores of a mechanism for which the claim is tight: Gaussian for delta > 0; randomized response for delta = 0."""
    if claim.delta > 0:
        mu = float(gaussian_mu(claim.epsilon, claim.delta))
        return MembershipScores(mu * member + rng.standard_normal(len(member)), member)
    truthful = rng.random(len(member)) < 1 / (1 + np.exp(-claim.epsilon))
    return MembershipScores(np.where(truthful, member, ~member) + 1e-6 * rng.random(len(member)), member)
