"""How improbable an event can become when a record is added or removed: the inverse blow-up function of a privacy curve.

For an event of probability x in one world, B^-1(x) is the least probability that it can have in the other one. Both directions together:

    B^-1(x) = max over epsilon >= 0 of max(0, e^-epsilon (x - delta(epsilon)), 1 - delta(epsilon) - e^epsilon (1 - x))

For mu-GDP it is Phi(Phi^-1(x) - mu) (Dong, Roth, Su 2022, proposition 6; Mahloujifar, Melis, Chaudhuri 2025). Of a loss curve finitely many
epsilons are taken: fewer lines give a smaller B^-1, which is the safe side.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import special

from mechanisms.accounting.loss_curve import LossCurve

InverseBlowUp = Callable[[float], float]

_LINES = 800
_LEAST_DELTA = 1e-11


def gaussian_inverse_blow_up(mu: float) -> InverseBlowUp:
    """Return B^-1 of mu-GDP."""
    return lambda x: float(special.ndtr(special.ndtri(min(x, 1.0)) - mu))


def curve_inverse_blow_up(curve: LossCurve) -> InverseBlowUp:
    """Return B^-1 of a loss curve, add/remove, from its supporting lines."""
    epsilon = np.linspace(0.0, curve.epsilon(_LEAST_DELTA), _LINES)
    delta = np.asarray(curve.delta(epsilon))
    slope = np.concatenate([np.exp(-epsilon), np.exp(np.minimum(epsilon, 700.0))])
    height = np.concatenate([-np.exp(-epsilon) * delta, 1 - delta - np.exp(np.minimum(epsilon, 700.0))])
    return lambda x: max(0.0, float(np.max(slope * min(x, 1.0) + height)))
