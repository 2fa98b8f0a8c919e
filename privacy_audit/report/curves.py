"""The curves that page and notebook draw: ROC of few points, the region a claim allows, the posterior's density.

A decimated ROC keeps what a reader looks at: for a false positive rate f of the grid, the largest TPR with FPR <= f, on the step curve and
without interpolation. No threshold and no score leaves this file.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.guarantee import PrivacyGuarantee

if TYPE_CHECKING:
    from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
    from privacy_audit.estimate.posterior import EpsilonPosterior

Floats = NDArray[np.float64]

MOST_STEPS = 180
LOWEST_DECADE = -6
POSTERIOR_POINTS = 161


@dataclass(frozen=True, slots=True, eq=False)
class RocCurve:
    """A step curve of at most `MOST_STEPS` steps: at `fpr[i]` the TPR rises to `tpr[i]`; `fpr[0]` is 0."""

    fpr: Floats
    tpr: Floats
    lowest: int  # exponent of the smallest decade that the picture needs

    def corners(self) -> tuple[Floats, Floats]:
        """Return the corners of the steps, twice as many points less one."""
        return np.repeat(self.fpr, 2)[1:], np.repeat(self.tpr, 2)[:-1]


def roc_curve(scores: MembershipScores) -> RocCurve:
    """Return the decimated ROC of the scores."""
    fpr, tpr, _ = scores.roc()
    lowest = lowest_decade(scores.n_members, scores.n_non_members)
    steps = np.unique(fpr)
    if len(steps) > MOST_STEPS:
        steps = np.concatenate([[0.0], np.logspace(lowest, 0, MOST_STEPS - 1)])
    best = tpr[np.searchsorted(fpr, steps * (1 + 1e-12), side="right") - 1]
    return RocCurve(steps.astype(np.float64), np.asarray(best, dtype=np.float64), lowest)


def lowest_decade(n_members: int, n_non_members: int) -> int:
    """Return the exponent of the decade that shows a single trial, within [-6, -2]."""
    return int(np.clip(math.floor(-math.log10(max(n_members, n_non_members)) + 1e-9), LOWEST_DECADE, -2))


def largest_tpr(claim: PrivacyGuarantee, fpr: Floats) -> Floats:
    """Return the largest TPR that the claim allows at each FPR.

    TPR <= exp(epsilon) FPR + delta and 1 - FPR <= exp(epsilon) (1 - TPR) + delta.

    Examples
    --------
    >>> from mechanisms.guarantee import Neighboring
    >>> largest_tpr(PrivacyGuarantee(0.0, 0.1, Neighboring.ADD_REMOVE), np.array([0.0, 0.5]))
    array([0.1, 0.6])
    """
    if math.isinf(claim.epsilon):
        return np.ones_like(fpr)
    ratio = math.exp(min(claim.epsilon, 700.0))
    steep = ratio * fpr + claim.delta
    flat = 1 - np.maximum(1 - fpr - claim.delta, 0) / ratio
    return np.minimum(np.minimum(steep, flat), 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """The posterior's density on a grid, and the mass it puts on epsilon = 0."""

    epsilon: Floats
    density: Floats
    at_zero: float


def posterior_density(posterior: EpsilonPosterior | HierarchicalEpsilonPosterior, claim: PrivacyGuarantee) -> Density:
    """Return the density over all but the last thousandth of the posterior, and as far as the claim if that is near."""
    high = float(posterior.ppf(0.999))
    if claim.epsilon <= 2.5 * high:
        high = max(high, 1.1 * claim.epsilon)
    high = high if 0 < high < math.inf else 1.0
    epsilon = np.linspace(high / POSTERIOR_POINTS, high, POSTERIOR_POINTS)
    density = np.asarray(posterior.pdf(epsilon), dtype=np.float64)
    return Density(epsilon, np.where(np.isfinite(density), density, 0.0), float(posterior.cdf(0.0)))
