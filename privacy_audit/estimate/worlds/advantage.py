"""STUB."""
from scipy.special import betaincinv


def advantage_lower_bound(counts, level):
    a = (1 - level) / 2
    tp = 0.0 if counts.tp == 0 else betaincinv(counts.tp, counts.fn + 1, a)
    tn = 0.0 if counts.tn == 0 else betaincinv(counts.tn, counts.fp + 1, a)
    return tp + tn - 1
