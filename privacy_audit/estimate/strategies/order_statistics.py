"""Thresholds at order statistics whose ranks were named beforehand, each with an exact test that has no unknown rate left.

At the (k+1)-th largest of n non-member scores the FPR x is Beta(k+1, n-k). Where the claim is true, the TPR of every threshold is at most

    f(x) = min(exp(epsilon) x + delta, 1 - exp(-epsilon) (1 - delta - x), 1),

so the members above are dominated by Binomial(m, f(x)). Their count is at least t with probability at most P[W <= f(X)], where W, the
t-th smallest of m uniform draws, is Beta(t, m-t+1). That is the p-value: one integral over two known laws. It is what inverting the two
Clopper-Pearson limits bounds from above, so it never gives a smaller epsilon than they do, and it tests both constraints at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from attacks.scores import MembershipScores
from mechanisms.randomness import RngLike, as_generator
from privacy_audit.estimate.rates.beta_law import BetaLaw
from privacy_audit.estimate.region import implied_epsilon

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

RATIO = 1.5  # between false-positive counts of neighboring thresholds
_LARGEST_SHARE = 1.2  # thresholds stop where n / 1.2 scores lie above
_TOLERANCE = 1e-6
_CLEARANCE = 1e-10  # added to every p-value; the quadrature errs by less
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)
_LONGEST_PANEL = 6.0  # on the logit scale


def declared_counts(n: int) -> IntArray:
    """Return the false-positive counts named beforehand for n non-members: 0, 1, 2, 3, 5, 8, ... below n / 1.2."""
    counts = [0]
    while (following := max(counts[-1] + 1, math.ceil(RATIO * counts[-1]))) < n / _LARGEST_SHARE:
        counts.append(following)
    return np.array(counts, dtype=np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class _Nodes:
    """Thresholds with something above them: the laws of the FPR X and of the draw W that decides, and the error of each."""

    x: BetaLaw
    w: BetaLaw
    share: FloatArray

    @classmethod
    def of(cls, rank: IntArray, n: int, above: IntArray, m: int, share: float) -> _Nodes:
        possible = above > 0
        k, t = rank[possible].astype(np.float64), above[possible].astype(np.float64)
        return cls(BetaLaw.of(k + 1, n - k), BetaLaw.of(t, m - t + 1), np.full(len(k), share))

    def __len__(self) -> int:
        return len(self.share)

    def joined(self, other: _Nodes) -> _Nodes:
        return _Nodes(self.x.joined(other.x), self.w.joined(other.w), np.concatenate([self.share, other.share]))

    def rejecting(self, epsilon: float, delta: float) -> _Nodes:
        rows = np.flatnonzero(self.p_value(epsilon, delta) <= self.share)
        return _Nodes(self.x.take(rows), self.w.take(rows), self.share[rows])

    def clopper_pearson(self, delta: float) -> float:
        """Return the largest epsilon of two upper limits, each at half the error: a start that the test never falls behind."""
        fpr = special.betainccinv(self.x.a, self.x.b, self.share / 2)
        fnr = special.betainccinv(self.w.b, self.w.a, self.share / 2)
        return float(implied_epsilon(fpr, fnr, delta, one_direction=True).max(initial=0.0))

    def p_value(self, epsilon: float, delta: float) -> FloatArray:
        x, w = self.x, self.w
        with np.errstate(divide="ignore"):
            first, last = (special.logit(_inverse(special.expit(edge), epsilon, delta)) for edge in (w.low, w.high))
        low, high = np.maximum(x.low, first), np.minimum(x.high, last)
        corner = float(special.logit((1 - delta) * special.expit(-epsilon)))
        total = x.sf(special.expit(np.minimum(last, x.high)))
        total += _integral(x, w, low, np.minimum(high, corner), epsilon, delta)
        total += _integral(x, w, np.maximum(low, corner), high, epsilon, delta)
        return np.minimum(total + _CLEARANCE, 1.0)


def order_statistics_epsilon(scores: MembershipScores, *, deltas: FloatArray, alpha: float, rng: RngLike = None) -> FloatArray:
    """Return, for each delta, the largest lower bound of epsilon over the declared thresholds of both roles.

    Parameters
    ----------
    scores : scores of members and non-members.
    deltas : each in [0, 1), shape (n_deltas,).
    alpha : allowed error probability, for all deltas together.
    rng : orders equal scores at random; without it they count against the attack.

    Returns
    -------
    Nats, shape (n_deltas,), rounded down by at most 1e-6.

    Guarantee
    ---------
    P(result <= epsilon(delta) for every delta) >= 1 - alpha. Each of the K thresholds of a role has error alpha / (2 K), a split that
    depends on the numbers of scores only; the second role is the first one for the negated scores, members and non-members swapped.
    At one threshold: let g be the true trade-off, g <= f for every true claim (epsilon, delta). The count t is rejected for a claim when
    P[W_t <= f(X)] <= share, which implies P[W_t <= g(X)] <= share; that is an event of probability at most share, the same one for all
    delta. With ties P(score > T) is smaller in law than Beta(k+1, n-k) and f increases, so the p-value only grows.

    Notes
    -----
    A likelihood-ratio bound inside a node brings nothing. The observation is one count t whose law under the claim has no unknown rate to
    maximize over, so every test that rejects larger counts first is this one; the enumeration of `likelihood_ratio`, which treats the
    false positives as binomial, has no place where their number was declared.

    References
    ----------
    David, Nagaraja, Order Statistics, 2003 (the Beta law).
    """
    values = scores.score if rng is None else untied(scores.score, as_generator(rng))
    inside, outside = np.sort(values[scores.member]), np.sort(values[~scores.member])
    nodes = _role(outside, inside, alpha / 2).joined(_role(-inside[::-1], -outside[::-1], alpha / 2))
    return np.array([_largest_epsilon(nodes, delta) for delta in deltas.tolist()])


def untied(score: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return ranks, equal scores ordered by independent uniform keys."""
    rank = np.empty(len(score))
    rank[np.lexsort((rng.random(len(score)), score))] = np.arange(len(score))
    return rank


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
    p_value[possible] = _Nodes.of(rank, n, above, m, 1.0).p_value(epsilon, delta)
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


def _role(ordered: FloatArray, tested: FloatArray, alpha: float) -> _Nodes:
    """Return the declared thresholds of one role; both arrays rise."""
    n, m, rank = len(ordered), len(tested), declared_counts(len(ordered))
    above = m - np.searchsorted(tested, ordered[n - 1 - rank], side="right")
    return _Nodes.of(rank, n, above, m, alpha / len(rank))


def _largest_epsilon(nodes: _Nodes, delta: float) -> float:
    """Return the largest epsilon that some node rejects: bisection from the Clopper-Pearson bound, nodes that don't reject dropped."""
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
