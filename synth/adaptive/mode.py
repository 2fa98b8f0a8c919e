"""One shot or adaptive: a rule that looks at paid one-ways only.

Measuring every group at once is best where answers stand out of their noise; where they drown in it, a few well chosen pairs are better.
The rule compares noise and answers:

    R = mean over groups g of sqrt(2 / pi) sigma_g c_eff,g / n,        c_eff,g = exp(sum of the entropies of the group's columns)

with sigma_g the one-shot noise, entropies of clipped noisy one-ways, and n their total. One shot if R <= 0.15. Plain numbers of cells don't
separate the cases, effective ones do it partly: on five survey tables of 12 to 20 columns (epsilon 0.07 to 1) one shot was the better one
up to R = 0.7 but for one case (R = 0.26: 0.064 against 0.094); on simulated tables of 20 and 100 weakly linked columns adaptive was, from
R = 0.14 on, by up to 88 %. The threshold is a compromise between the two, hence a parameter: a table whose columns are all linked may want
mode "one_shot".

Privacy of the rule. It reads noisy one-ways that both branches release with the same scale. Let M_A, M_B be the mechanisms that always take
branch A or B, each (epsilon, delta / 2)-DP, and A, B the sets of outcomes of the one-ways that lead there. For any event S,

    P(S) = P_A(S and A) + P_B(S and B) <= exp(epsilon) (Q_A(S and A) + Q_B(S and B)) + delta / 2 + delta / 2 = exp(epsilon) Q(S) + delta.

Symbols: sigma_g noise of a cell, c_g number of cells, n rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synth.adaptive.forest import non_negative_counts

Floats = NDArray[np.float64]

THRESHOLD = 0.15
FIRST_SHARE = 0.02  # of rho, for the one-ways that the rule reads


def noise_ratio(one_ways: Sequence[Floats], groups: Sequence[tuple[int, ...]], sigmas: Sequence[float], *, total: float) -> float:
    """Return R for noisy one-ways, all of the total, and the one-shot noise of each group.

    Examples
    --------
    >>> uniform = [np.full(4, 25.0), np.full(5, 20.0)]
    >>> round(noise_ratio(uniform, [(0, 1)], [1.0], total=100.0), 6) == round(math.sqrt(2 / math.pi) * 20 / 100, 6)
    True
    """
    entropies = [_entropy(one) for one in one_ways]
    effective = [math.exp(sum(entropies[column] for column in group)) for group in groups]
    noise = np.asarray(sigmas, dtype=np.float64) * math.sqrt(2 / math.pi)
    return float(np.mean(noise * effective) / max(total, 1.0))


def _entropy(one_way: Floats) -> float:
    """Return the entropy of clipped, normalized counts, in nats."""
    share = non_negative_counts(one_way)
    share = share[share > 0] / share.sum()
    return float(-(share * np.log(share)).sum())
