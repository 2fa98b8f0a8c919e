"""Auditing a choice: guess the world from the chosen index, with a set of indices fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from attacks.scores import AttackCounts
from privacy_audit.estimate.lower_bound import epsilon_lower_bound

LEVEL = 1 - 1e-6  # false alarm 1e-6


def audited_epsilon(present: Callable[[], int], absent: Callable[[], int], guess: Collection[int], n: int) -> float:
    """Return a lower bound of epsilon from n runs in each of two neighboring worlds."""
    tp, fp = (sum(world() in guess for _ in range(n)) for world in (present, absent))
    return epsilon_lower_bound(AttackCounts(tp=tp, fn=n - tp, fp=fp, tn=n - fp), level=LEVEL).epsilon


def largest_loss(p: np.ndarray, q: np.ndarray) -> float:
    """Largest |ln(p / q)| over the outcomes."""
    return float(np.abs(np.log(p / q)).max())
