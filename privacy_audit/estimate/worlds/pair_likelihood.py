"""The likelihood of the number of leaked records given the counts of one pair of rates.

n records give an ideal observer the accuracy A(n), between whole numbers by a line (flat on plateaus). Counts tell about TNR and TPR
separately; given their mean A they are taken to be uniform on the segment TNR + TPR = 2 A, so

    L(n) = mean of the two binomial likelihoods over that segment = f(A(n)) / t(A(n)) up to a factor,

with f the density of the mean of two Beta(right + 1, wrong + 1) rates and t(A) = 4 min(A, 1 - A), its density under uniform rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attacks.scores import AttackCounts
from privacy_audit.estimate.rates.beta_law import BetaLaw, FloatArray
from privacy_audit.estimate.worlds.draws_of_accuracy import line_accuracy
from privacy_audit.estimate.worlds.mean_rate import mean_of_rates

LEAST, MOST = 0.1, 1e7
_SCAN, _NODES = 121, 801
_DROP = 30.0
_ALMOST_ONE = 1 - 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class PairLikelihood:
    """Likelihood of x = ln n, largest value 1.

    Parameters
    ----------
    x : equally spaced nodes on the part of [ln 0.1, ln 1e7] where it is not negligible; between them it is good to about 1 %.
    value : at the nodes.
    width : of the part where the likelihood is above exp(-1/2), at least one step.
    """

    x: FloatArray
    value: FloatArray
    width: float

    def at(self, x: FloatArray) -> FloatArray:
        """Return the likelihood, any shape; 0 beyond the nodes."""
        value: FloatArray = np.interp(x, self.x, self.value, left=0.0, right=0.0)
        return value


def pair_likelihood(counts: AttackCounts, p: float, q: float) -> PairLikelihood:
    """Return the likelihood from the counts at rates p and q."""
    x = np.linspace(np.log(LEAST), np.log(MOST), _SCAN)
    for n_nodes in (_SCAN, _NODES):
        logarithm = _log_likelihood(x, counts, p, q)
        kept = np.flatnonzero(logarithm > logarithm.max() - _DROP)
        x = np.linspace(x[max(kept[0] - 1, 0)], x[min(kept[-1] + 1, len(x) - 1)], n_nodes)
    logarithm = _log_likelihood(x, counts, p, q)
    value = np.exp(logarithm - logarithm.max())
    high = x[value > np.exp(-0.5)]
    return PairLikelihood(x=x, value=value, width=float(max(high[-1] - high[0], x[1] - x[0])))


def _log_likelihood(x: FloatArray, counts: AttackCounts, p: float, q: float) -> FloatArray:
    accuracy = np.minimum(line_accuracy(np.exp(x), p, q), _ALMOST_ONE)
    tnr, tpr = (
        BetaLaw.of(np.full(len(x), right + 1.0), np.full(len(x), wrong + 1.0))
        for right, wrong in ((counts.tn, counts.fp), (counts.tp, counts.fn))
    )
    density = mean_of_rates(tnr, tpr, accuracy)[2]
    likelihood: FloatArray = np.log(np.maximum(density, 1e-300)) - np.log(np.minimum(accuracy, 1 - accuracy))
    return likelihood
