"""Which pairs the model gets most wrong: a private choice of k pairs by their error.

The score of a pair g is |C_g(X) - M_g|_1 - sqrt(2 / pi) sigma c_g: the L1 error of the model's answer M_g in counts, less what the noise of
measuring its c_g cells would cost. M is fixed by former answers, so one record moves a score by 1 (add/remove, zero-out) or 2 (replace) and
nothing is divided by a secret n. The k best are chosen by peeling with epsilon_0 = sqrt(8 rho / k) each: rho in all.

Without the factor sqrt(k) in the noise, choosing 2 or 3 at once would cost up to 1.9 and 2.7 times rho.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from mechanisms.accounting.ledger import Ledger
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource
from mechanisms.selection.exponential import exponential_epsilon
from mechanisms.selection.top_k import draw_top_k
from mechanisms.selection.utilities import exponent_factor

Floats = NDArray[np.float64]
Pair = tuple[int, int]


def score_sensitivity(neighboring: Neighboring) -> float:
    """Return how much one record moves a score: 1, or 2 under replacement."""
    return 2.0 if neighboring is Neighboring.REPLACE else 1.0


def pair_scores(exact: Mapping[Pair, NDArray[np.int64]], model: Mapping[Pair, Floats], pairs: Sequence[Pair], *, sigma: float) -> Floats:
    """Return the score of each pair, shape (n_pairs,); as secret as the exact counts."""
    noise = math.sqrt(2 / math.pi) * sigma
    return np.array([float(np.abs(exact[pair] - model[pair]).sum()) - noise * model[pair].size for pair in pairs])


def choose_pairs(
    scores: Floats, pairs: Sequence[Pair], k: int, *, rho: float, neighboring: Neighboring, noise: NoiseSource, ledger: Ledger
) -> list[Pair]:
    """Return k different pairs, better scores with higher probability.

    Guarantee
    ---------
    rho-zCDP under `neighboring`: k exponential mechanisms of bounded range epsilon_0 = sqrt(8 rho / k) (Cesar, Rogers 2021).
    """
    sensitivity = score_sensitivity(neighboring)
    epsilon = exponential_epsilon(rho / k)
    ledger.spend_rho(
        "choice of a marginal" if k == 1 else f"choice of {k} marginals",
        "exponential, top k",
        sensitivity=sensitivity,
        scale=2 * sensitivity / epsilon,
        rho=rho,
    )
    factor = exponent_factor(epsilon=k * epsilon, sensitivity=sensitivity, neighboring=neighboring, monotone=False)
    return [pairs[place] for place in draw_top_k(scores, k, factor, noise.words)]
