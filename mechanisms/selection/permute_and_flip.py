"""Permute-and-flip, sampled exactly: never worse than the exponential mechanism at the same pure epsilon.

Candidates are visited in random order; candidate i is taken with probability p_i = exp(-epsilon (max u - u_i) / (2 D)), else the next one
is visited. The first taken candidate in a random order is a uniform one among all that would be taken, and the best always would: so all
coins are tossed at once, exactly, and one of the heads is drawn.

**It is epsilon-DP but not (epsilon^2 / 8)-zCDP**: with epsilon = 2 and D = 1, utilities (0, 0) against (1, -1) give (1/2, 1/2) against
(0.932332, 0.067668), whose Renyi divergence reaches 0.7275 a at some order a, above 1/2. It is charged epsilon^2 / 2, as any pure
mechanism: who counts in zCDP takes the exponential mechanism.

Symbols: u utility, D its sensitivity, p probability of heads. Cost: O(n) time, n coins whatever the data.

References
----------
McKenna, Sheldon, Permute-and-Flip, NeurIPS 2020. Ding, Kifer, Steinke, Wang, Xiao, Zhang, The Permute-and-Flip Mechanism is Identical to
Report-Noisy-Max with Exponential Noise, 2021. Bun, Steinke, Concentrated Differential Privacy, TCC 2016 (epsilon^2 / 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.bernoulli import bernoulli_exp_many
from mechanisms.noise.bits import uniform_below
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.selection.result import Selection
from mechanisms.selection.utilities import exponent_factor, exponents, valid_utilities
from mechanisms.validation import positive


def permute_and_flip(
    utilities: ArrayLike,
    *,
    epsilon: float,
    sensitivity: float,
    neighboring: Neighboring,
    monotone: bool = False,
    privacy_unit: str = "record",
    noise: NoiseSource | None = None,
) -> Selection:
    """Choose one candidate, better ones with higher probability; parameters and errors as `exponential_mechanism`.

    Returns
    -------
    The choice, its pure guarantee and rho = epsilon^2 / 2.

    Guarantee
    ---------
    epsilon-DP under `neighboring` (McKenna, Sheldon 2020, theorem 1), hence (epsilon^2 / 2)-zCDP. It is report-noisy-max with exponential
    noise of scale 2 D / epsilon; given the others' noise, candidate i wins if its own exceeds a level that a neighboring step moves by
    at most 2 D, or D if all utilities move the same way: the monotone form has scale D / epsilon. The sampler is exact.

    Examples
    --------
    >>> permute_and_flip([0.0, 400.0], epsilon=1.0, sensitivity=1.0, neighboring=Neighboring.ADD_REMOVE).index
    1
    """
    utility = valid_utilities(utilities)
    factor = exponent_factor(epsilon=epsilon, sensitivity=sensitivity, neighboring=neighboring, monotone=monotone)
    source = noise_source(noise)
    guarantee = PrivacyGuarantee(epsilon, 0.0, neighboring, privacy_unit, "permute-and-flip", noise_assumptions(source))
    exponent = exponents(utility, factor)
    heads = np.flatnonzero(bernoulli_exp_many(exponent.floats, exponent.exact, source.words))
    chosen = int(heads[uniform_below(source.words, len(heads))])
    return Selection((chosen,), guarantee, epsilon**2 / 2, source.secure)


def permute_and_flip_probabilities(
    utilities: ArrayLike, *, epsilon: float, sensitivity: float, monotone: bool = False
) -> NDArray[np.float64]:
    """Return the probability of each candidate, shape (n,), to float precision: for planning and for audits. O(n^2).

    With H the number of other heads, P(i) = p_i E[1 / (1 + H)] = p_i * integral over t in [0, 1] of prod_{j != i} (1 - p_j + p_j t), a
    polynomial, which Gauss-Legendre integrates without error.

    Examples
    --------
    >>> permute_and_flip_probabilities([1, -1], epsilon=2.0, sensitivity=1.0).round(6).tolist()
    [0.932332, 0.067668]
    """
    utility = valid_utilities(utilities)
    factor = positive(epsilon=epsilon) / positive(sensitivity=sensitivity) / (1 if monotone else 2)
    p = np.exp(factor * (utility - utility.max()))
    node, weight = np.polynomial.legendre.leggauss(len(p) // 2 + 1)
    survivor = 1 - p * (1 - (node[:, np.newaxis] + 1) / 2)  # (nodes, n), all positive: nodes lie inside (0, 1)
    return np.asarray(p * ((weight / 2) @ (survivor.prod(axis=1, keepdims=True) / survivor)), dtype=np.float64)
