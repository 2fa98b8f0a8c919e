"""The median of the bounds of many random splits, each at half the error."""

from __future__ import annotations

import numpy as np

from attacks.scores import MembershipScores
from mechanisms.randomness import RngLike, as_generator
from mechanisms.validation import whole_number
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon
from privacy_audit.estimate.strategies.split import split_counts

SPLITS = 100


def multi_split_epsilon(scores: MembershipScores, *, delta: float, alpha: float, n_splits: int = SPLITS, rng: RngLike = None) -> float:
    """Return the lower median of Clopper-Pearson bounds over random half splits, each with error alpha / 2.

    Parameters
    ----------
    scores : scores of members and non-members.
    delta : in [0, 1).
    alpha : allowed error probability.
    n_splits : number of splits, fixed beforehand; one is a single split at half the error.
    rng : draws the splits.

    Returns
    -------
    Nats.

    Raises
    ------
    ValueError : fewer than one split.
    InsufficientEvidenceError : a part can't hold both members and non-members.

    Guarantee
    ---------
    P(result <= epsilon) >= 1 - alpha. Each bound exceeds the true epsilon with probability at most alpha / 2, so the expected share of
    wrong bounds is at most alpha / 2. The lower median is wrong only if more than half of them are: by Markov's inequality that has
    probability at most alpha, however much the splits depend on each other (Meinshausen et al. 2009, theorem 3.1).

    References
    ----------
    Meinshausen, Meier, Buhlmann, p-Values for High-Dimensional Regression, JASA 2009.
    """
    n_splits = whole_number(1, n_splits=n_splits)
    rng = as_generator(rng)
    counts = [split_counts(scores, delta=delta, rng=rng)[0] for _ in range(n_splits)]
    tp, fp, tn, fn = (np.array([getattr(count, name) for count in counts]) for name in ("tp", "fp", "tn", "fn"))
    bounds = clopper_pearson_epsilon(fp=fp, tn=tn, fn=fn, tp=tp, delta=delta, alpha=alpha / 2)
    return float(np.sort(bounds)[(n_splits - 1) // 2])
