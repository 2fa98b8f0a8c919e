"""What a total variation costs: a mechanism within t of an (epsilon, delta)-DP one is (epsilon, delta + (1 + exp(epsilon)) t)-DP.

t on one neighbor, exp(epsilon) t on the other. That is the price of a sampler that is not quite exact, and of a bound that may fail.
"""

from __future__ import annotations

import math

from mechanisms.validation import in_range


def delta_of_tv(tv: float, epsilon: float) -> float:
    """Return (1 + exp(epsilon)) tv: what a total variation from an (epsilon, delta)-DP mechanism adds to its delta, at most 1.

    Examples
    --------
    >>> delta_of_tv(1e-9, 0.0)
    2e-09
    """
    distance = in_range(0, 1, closed="both", tv=tv)
    nats = in_range(0, math.inf, closed="both", epsilon=epsilon)
    return 0.0 if distance == 0 else min(1.0, (1 + math.exp(min(nats, 700.0))) * distance)
