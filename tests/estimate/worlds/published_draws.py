"""Models that publish m draws of the property, and an ideal observer: games whose n_leaked is known to be m."""

from __future__ import annotations

import numpy as np
from scipy import stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.rates.count_arrays import CountArrays


def observer_rates(m, p, q):
    """P[answer 0 | world 0] and P[answer 1 | world 1] of the likelihood ratio test on m draws, by the binomial laws themselves."""
    k = np.arange(m + 1)
    world_0, world_1 = stats.binom.pmf(k, m, p), stats.binom.pmf(k, m, q)
    answer_1 = world_1 > world_0 * (1 + 1e-12)
    return world_0[~answer_1].sum(), world_1[answer_1].sum()


def play(m, p, q, n_victims, rng, size=None):
    """Counts of one game, or arrays of many."""
    tnr, tpr = observer_rates(m, p, q)
    tn, tp = rng.binomial(n_victims, tnr, size), rng.binomial(n_victims, tpr, size)
    if size is None:
        return AttackCounts(tn=tn, fp=n_victims - tn, tp=tp, fn=n_victims - tp)
    return CountArrays(tn=tn, fp=n_victims - tn, tp=tp, fn=n_victims - tp)


def exact_coverage(tnr, tpr, n_victims, level=0.95):
    """P[the accuracy's equal-tailed interval holds (tnr + tpr) / 2], over all counts but 1e-9 of them."""
    k = np.arange(n_victims + 1)
    weight = np.outer(stats.binom.pmf(k, n_victims, tnr), stats.binom.pmf(k, n_victims, tpr))
    tn, tp = np.nonzero(weight > 1e-9 / weight.size)
    counts = CountArrays(tn=tn, fp=n_victims - tn, tp=tp, fn=n_victims - tp)
    below = np.asarray(AccuracyPosterior(counts).cdf((tnr + tpr) / 2))
    inside = (below >= (1 - level) / 2) & (below <= (1 + level) / 2)
    return float(weight[tn, tp][inside].sum())
