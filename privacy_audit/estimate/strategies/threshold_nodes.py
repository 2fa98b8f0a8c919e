"""The exact test of thresholds whose ranks among the scores of one kind were named beforehand: no unknown rate is left.

At the (k+1)-th largest of n non-member scores the FPR x is Beta(k+1, n-k). Where the claim is true, the TPR of every threshold is at most

    f(x) = min(exp(epsilon) x + delta, 1 - exp(-epsilon) (1 - delta - x), 1),

so the members above are dominated by Binomial(m, f(x)). Their count is at least t with probability at most P[W <= f(X)], where W, the
t-th smallest of m uniform draws, is Beta(t, m-t+1). That is the p-value: one integral over two known laws. It is what inverting the two
Clopper-Pearson limits bounds from above, so it never gives a smaller epsilon than they do, and it tests both constraints at once.

All claims fail on one event. Let g be the true trade-off, so g <= f for every true claim (epsilon, delta). When the count t is rejected
for a true claim, P[W_t <= f(X)] <= share, which implies P[W_t <= g(X)] <= share; that is an event of probability at most share, the same
one for all delta. With ties P(score > T) is smaller in law than Beta(k+1, n-k) and f increases, so the p-value only grows.

The second role of the scores is the first one for the negated scores, members and non-members swapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from privacy_audit.estimate.rates.beta_law import BetaLaw
from privacy_audit.estimate.region import implied_epsilon

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
DeclaredRanks = tuple[IntArray, FloatArray]

_TOLERANCE = 1e-6
_CLEARANCE = 1e-10  # added to every p-value; the quadrature errs by less
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_LONGEST_PANEL = 6.0  # on the logit scale


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdNodes:
    """Thresholds with something above them: the laws of the FPR X and of the draw W that decides, and the error of each."""

    x: BetaLaw
    w: BetaLaw
    share: FloatArray

    @classmethod
    def of(cls, rank: IntArray, n: int, above: IntArray, m: int, share: FloatArray) -> ThresholdNodes:
        """Return the thresholds at the (rank+1)-th largest of n scores, `above` of m scores of the other kind above them."""
        possible = above > 0
        k, t = rank[possible].astype(np.float64), above[possible].astype(np.float64)
        return cls(BetaLaw.of(k + 1, n - k), BetaLaw.of(t, m - t + 1), share[possible])

    def __len__(self) -> int:
        return len(self.share)

    def joined(self, other: ThresholdNodes) -> ThresholdNodes:
        """Return these thresholds and others."""
        return ThresholdNodes(self.x.joined(other.x), self.w.joined(other.w), np.concatenate([self.share, other.share]))

    def rejecting(self, epsilon: float, delta: float) -> ThresholdNodes:
        """Return the thresholds that reject the claim."""
        rows = np.flatnonzero(self.p_value(epsilon, delta) <= self.share)
        return ThresholdNodes(self.x.take(rows), self.w.take(rows), self.share[rows])

    def clopper_pearson(self, delta: float) -> float:
        """Return the largest epsilon of two upper limits, each at half the error: a start that the test never falls behind."""
        fpr = special.betainccinv(self.x.a, self.x.b, self.share / 2)
        fnr = special.betainccinv(self.w.b, self.w.a, self.share / 2)
        return float(implied_epsilon(fpr, fnr, delta, one_direction=True).max(initial=0.0))

    def p_value(self, epsilon: float, delta: float) -> FloatArray:
        """Return P[W <= f(X)] of each threshold."""
        x, w = self.x, self.w
        with np.errstate(divide="ignore"):
            first, last = (special.logit(_inverse(special.expit(edge), epsilon, delta)) for edge in (w.low, w.high))
        low, high = np.maximum(x.low, first), np.minimum(x.high, last)
        corner = float(special.logit((1 - delta) * special.expit(-epsilon)))
        total = x.sf(special.expit(np.minimum(last, x.high)))
        total += _integral(x, w, low, np.minimum(high, corner), epsilon, delta)
        total += _integral(x, w, np.maximum(low, corner), high, epsilon, delta)
        return np.minimum(total + _CLEARANCE, 1.0)


def nodes_of_both_roles(
    inside: FloatArray, outside: FloatArray, *, of_outside: DeclaredRanks, of_inside: DeclaredRanks, alpha: float
) -> ThresholdNodes:
    """Return the thresholds at declared ranks of the non-members, and those of the mirrored role.

    Parameters
    ----------
    inside, outside : scores of members and non-members, both rising.
    of_outside, of_inside : ranks and the share of its role's error that each gets; the ranks of the members count from the lowest.
    alpha : allowed error probability, half of it for each role.
    """
    first = _role(outside, inside, of_outside, alpha / 2)
    return first.joined(_role(-inside[::-1], -outside[::-1], of_inside, alpha / 2))


def largest_epsilon(nodes: ThresholdNodes, delta: float) -> float:
    """Return the largest epsilon that some threshold rejects, rounded down by at most 1e-6.

    Bisection from the Clopper-Pearson bound; thresholds that don't reject are dropped.
    """
    low = nodes.clopper_pearson(delta)
    rejecting = nodes.rejecting(low, delta)
    if not rejecting:
        return low
    nodes, step, high = rejecting, 0.25, low + 0.25
    while rejecting := nodes.rejecting(high, delta):
        nodes, low, step = rejecting, high, 2 * step
        high += step
    while high - low > _TOLERANCE:
        middle = (low + high) / 2
        if rejecting := nodes.rejecting(middle, delta):
            nodes, low = rejecting, middle
        else:
            high = middle
    return low


def node_p_value(epsilon: float, *, rank: IntArray, n: int, above: IntArray, m: int, delta: float) -> FloatArray:
    """Return P[W <= f(X)] for X ~ Beta(rank+1, n-rank) and W ~ Beta(above, m-above+1), 1 where nothing lies above; elementwise.

    Parameters
    ----------
    epsilon : claim in nats.
    rank, n : the threshold is the (rank+1)-th largest of n scores.
    above, m : of m scores of the other kind so many lie above it.
    delta : in [0, 1).
    """
    p_value = np.ones(len(rank))
    possible = above > 0
    p_value[possible] = ThresholdNodes.of(rank, n, above, m, p_value).p_value(epsilon, delta)
    return p_value


def largest_tpr(fpr: FloatArray, epsilon: float, delta: float) -> FloatArray:
    """Return f, the largest TPR that (epsilon, delta) leaves possible at this FPR, epsilon up to 700."""
    first = np.exp(epsilon) * fpr + delta
    second = 1 - np.exp(-epsilon) * np.maximum(1 - delta - fpr, 0.0)
    tpr: FloatArray = np.minimum(np.minimum(first, second), 1.0)
    return tpr


def _inverse(tpr: FloatArray, epsilon: float, delta: float) -> FloatArray:
    fpr: FloatArray = np.maximum((tpr - delta) * np.exp(-epsilon), 1 - delta - (1 - tpr) * np.exp(epsilon))
    return np.clip(fpr, 0.0, 1.0)


def _integral(x: BetaLaw, w: BetaLaw, low: FloatArray, high: FloatArray, epsilon: float, delta: float) -> FloatArray:
    """Return the integral of the density of X times F_W(f) between two logits, in panels short enough for 48 nodes."""
    total = np.zeros(len(low))
    rows = np.flatnonzero(high > low)
    n_panels = np.ceil((high - low)[rows] / _LONGEST_PANEL).astype(np.intp)
    row = np.repeat(rows, n_panels)
    position = np.arange(len(row)) - np.repeat(np.cumsum(n_panels) - n_panels, n_panels)
    half = np.repeat((high - low)[rows] / n_panels / 2, n_panels)
    point = (low[row] + half * (2 * position + 1))[:, None] + half[:, None] * _NODES
    fpr, tnr = special.expit(point), special.expit(-point)
    below = special.betainc(w.a[row, None], w.b[row, None], largest_tpr(fpr, epsilon, delta))
    panel = ((x.take(row).logit_density(fpr, tnr) * below) @ _WEIGHTS) * half
    np.add.at(total, row, panel)
    return total


def _role(ordered: FloatArray, tested: FloatArray, declared: DeclaredRanks, alpha: float) -> ThresholdNodes:
    """Return the declared thresholds of one role; both arrays rise."""
    (rank, share), n, m = declared, len(ordered), len(tested)
    above = m - np.searchsorted(tested, ordered[n - 1 - rank], side="right")
    return ThresholdNodes.of(rank, n, above, m, alpha * share)
