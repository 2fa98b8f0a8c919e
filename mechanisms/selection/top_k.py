"""The best k candidates in private: k rounds of the exponential mechanism, each without the winners of the former rounds.

Every round gets epsilon / k. Peeling has the distribution of one-shot noisy top-k with Gumbel noise (Durfee, Rogers 2019, lemma 4.2), and
each round is drawn exactly. Pure composition gives epsilon; bounded range gives rho = k (epsilon / k)^2 / 8 = epsilon^2 / (8 k), from which
`zcdp_epsilon(rho, delta)` takes the much smaller epsilon of large k.

Symbols: k number chosen. Cost: O(k n).

References
----------
Durfee, Rogers, Practical Differentially Private Top-k Selection with Pay-what-you-get Composition, NeurIPS 2019. Cesar, Rogers, Bounding,
Concentrating, and Truncating, ALT 2021.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.noise.bits import Words
from mechanisms.noise.source import NoiseSource, noise_assumptions, noise_source
from mechanisms.selection.exponential import draw_exponential, exponential_rho
from mechanisms.selection.result import Selection
from mechanisms.selection.utilities import exponent_factor, exponents, valid_utilities
from mechanisms.validation import whole_number


def top_k(
    utilities: ArrayLike,
    k: int,
    *,
    epsilon: float,
    sensitivity: float,
    neighboring: Neighboring,
    monotone: bool = False,
    privacy_unit: str = "record",
    noise: NoiseSource | None = None,
) -> Selection:
    """Choose k different candidates, the first one choice first; other parameters and errors as `exponential_mechanism`.

    Parameters
    ----------
    k : 1 <= k <= n, how many are chosen; public.
    epsilon : > 0, nats, for all k choices together.

    Returns
    -------
    The choices in order, their pure guarantee and rho = epsilon^2 / (8 k).

    Raises
    ------
    ValueError, TypeError : bad utilities or parameters, or k above the number of candidates; nothing is drawn then.

    Guarantee
    ---------
    epsilon-DP and (epsilon^2 / (8 k))-zCDP under `neighboring`: adaptive composition of k exponential mechanisms of bounded range
    epsilon / k, each a function of the data and of the former winners.

    Examples
    --------
    >>> chosen = top_k([0.0, 900.0, 500.0], 2, epsilon=4.0, sensitivity=1.0, neighboring=Neighboring.ADD_REMOVE)
    >>> chosen.indices, chosen.rho
    ((1, 2), 1.0)
    """
    utility = valid_utilities(utilities)
    factor = exponent_factor(epsilon=epsilon, sensitivity=sensitivity, neighboring=neighboring, monotone=monotone)
    n_chosen = whole_number(1, k=k)
    if n_chosen > len(utility):
        raise ValueError(f"k must be at most the number of candidates, {len(utility)}, got {k}")
    source = noise_source(noise)
    guarantee = PrivacyGuarantee(epsilon, 0.0, neighboring, privacy_unit, f"top {n_chosen} by peeling", noise_assumptions(source))
    indices = draw_top_k(utility, n_chosen, factor, source.words)
    return Selection(indices, guarantee, n_chosen * exponential_rho(epsilon / n_chosen), source.secure)


def draw_top_k(utility: NDArray[np.float64], k: int, factor: Fraction, words: Words) -> tuple[int, ...]:
    """Return k different indices by peeling, for valid utilities and the exponent factor of all k choices together."""
    left, indices = np.arange(len(utility)), []
    for _ in range(k):
        place = draw_exponential(exponents(utility[left], factor / k), words)
        indices.append(int(left[place]))
        left = np.delete(left, place)
    return tuple(indices)
