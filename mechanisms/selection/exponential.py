"""The exponential mechanism, sampled exactly: candidate i with probability proportional to exp(epsilon u_i / (2 D)).

A candidate is proposed uniformly and accepted by an exact coin of probability exp(-epsilon (max u - u_i) / (2 D)); the first accepted
one has exactly the mechanism's distribution. No logarithm of a float uniform is taken, so nothing leaks through the gaps between
floats (Mironov 2012; Ilvento 2020), and the guarantee is pure, with delta 0.

For monotone utilities (see `mechanisms.selection.utilities`) the weight is exp(epsilon u_i / D) at the same price. Either way the
mechanism has bounded range epsilon, hence (epsilon^2 / 8)-zCDP (Cesar, Rogers 2021).

Symbols: u utility, D its sensitivity. Cost: O(n) time and memory, n candidates; at most n proposals are expected, and their number
depends on the data: who can measure the time to microseconds sees more than the guarantee covers.

References
----------
McSherry, Talwar, Mechanism Design via Differential Privacy, FOCS 2007. Cesar, Rogers, Bounding, Concentrating, and Truncating, ALT 2021.
Mironov, On Significance of the Least Significant Bits for Differential Privacy, CCS 2012. Ilvento, Implementing the Exponential
Mechanism with Base-2 Differential Privacy, CCS 2020.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.bernoulli import bernoulli_exp_many
from mechanisms.noise.bits import Words, uniform_indices
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.selection.result import Selection
from mechanisms.selection.utilities import Exponents, exponent_factor, exponents, valid_utilities
from mechanisms.validation import in_range, non_negative, positive

_FIRST_PROPOSALS, _MOST_PROPOSALS = 64, 65536


def exponential_mechanism(
    utilities: ArrayLike,
    *,
    epsilon: float,
    sensitivity: float,
    neighboring: Neighboring,
    monotone: bool = False,
    privacy_unit: str = "record",
    noise: NoiseSource | None = None,
) -> Selection:
    """Choose one candidate, better ones with higher probability.

    Parameters
    ----------
    utilities : (n,) finite numbers; they are used exactly as given.
    epsilon : > 0, nats; the bounded range of the choice.
    sensitivity : > 0, the most that one utility can change between neighbors.
    neighboring : the relation of that sensitivity.
    monotone : whether a neighboring step moves all utilities the same way; refused under replacement.
    privacy_unit : what a neighboring step changes.
    noise : where the coins come from; None is the operating system.

    Returns
    -------
    The choice, its pure guarantee and rho = epsilon^2 / 8.

    Raises
    ------
    ValueError, TypeError : bad utilities or parameters; nothing is drawn then.

    Guarantee
    ---------
    epsilon-DP and (epsilon^2 / 8)-zCDP under `neighboring`. Each weight changes by a factor within exp(+-epsilon / 2), and so does their
    sum (monotone: both within [1, exp(epsilon)]), so the log-ratio of the two distributions has range at most epsilon: bounded range
    (Cesar, Rogers 2021, lemma 3.2 and theorem 3). The sampler is exact.

    Examples
    --------
    >>> exponential_mechanism([0.0, 400.0], epsilon=1.0, sensitivity=1.0, neighboring=Neighboring.ADD_REMOVE).index
    1
    """
    utility = valid_utilities(utilities)
    factor = exponent_factor(epsilon=epsilon, sensitivity=sensitivity, neighboring=neighboring, monotone=monotone)
    source = noise_source(noise)
    guarantee = PrivacyGuarantee(epsilon, 0.0, neighboring, privacy_unit, "exponential mechanism", noise_assumptions(source))
    chosen = draw_exponential(exponents(utility, factor), source.words)
    return Selection((chosen,), guarantee, exponential_rho(epsilon), source.secure)


def exponential_rho(epsilon: float) -> float:
    """Return epsilon^2 / 8, the zCDP parameter of an exponential mechanism of bounded range epsilon."""
    return in_range(0, math.inf, closed="both", epsilon=epsilon) ** 2 / 8


def exponential_epsilon(rho: float) -> float:
    """Return sqrt(8 rho): the epsilon of an exponential mechanism that spends rho.

    Examples
    --------
    >>> exponential_epsilon(0.5)
    2.0
    """
    return math.sqrt(8 * non_negative(rho=rho))


def exponential_probabilities(utilities: ArrayLike, *, epsilon: float, sensitivity: float, monotone: bool = False) -> NDArray[np.float64]:
    """Return the probability of each candidate, shape (n,), to float precision: for planning and for audits."""
    utility = valid_utilities(utilities)
    factor = positive(epsilon=epsilon) / positive(sensitivity=sensitivity) / (1 if monotone else 2)
    weight = np.exp(factor * (utility - utility.max()))
    return np.asarray(weight / weight.sum(), dtype=np.float64)


def draw_exponential(exponent: Exponents, words: Words) -> int:
    """Return one index with probability exactly proportional to exp(-r_i)."""
    n_proposals = _FIRST_PROPOSALS
    while True:
        proposed = uniform_indices(words, len(exponent.utility), n_proposals)
        candidates = exponent.take(proposed)
        accepted = bernoulli_exp_many(candidates.floats, candidates.exact, words)
        if accepted.any():
            return int(proposed[accepted.argmax()])
        n_proposals = min(2 * n_proposals, _MOST_PROPOSALS)
