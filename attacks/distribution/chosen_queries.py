"""Fewer queries: an attack that asks only what separates its shadow models, ranked by a two-sample t statistic.

    t = |mean_1 - mean_0| / sqrt(var_0/m_0 + var_1/m_1)      of the logit margins at each query, largest over classes

Half of the queries kept comes from each world's test sample. The ranking uses shadow models only. Cost: O(m Q).

References
----------
Suri, Lu, Chen, Evans, Dissecting Distribution Inference, SaTML 2023 (choice of query points).
"""

from __future__ import annotations

import numpy as np
from sklearn.base import clone

from attacks.distribution.attack import WorldAttack
from attacks.distribution.views import Floats, ModelViews
from mechanisms.validation import whole_number


class ChosenQueries(WorldAttack):
    """A black-box attack on the queries that separate shadow models best.

    Parameters
    ----------
    attack : is cloned.
    n_queries : how many queries it asks, half from each world's sample.

    Attributes
    ----------
    kept_ : their places, sorted.
    attack_ : the fitted attack.
    """

    def __init__(self, attack: WorldAttack, *, n_queries: int = 200) -> None:
        self.attack = attack
        self.n_queries = n_queries

    def _learn(self, shadow_0: ModelViews, shadow_1: ModelViews) -> None:
        wanted = whole_number(2, n_queries=self.n_queries)
        separation, world = query_separation(shadow_0, shadow_1), shadow_0.queries.world
        parts = [np.flatnonzero(world == side) for side in (False, True)]
        best = [part[np.argsort(-separation[part], kind="stable")[: wanted // 2]] for part in parts]
        self.kept_ = np.sort(np.concatenate(best))
        self.attack_ = clone(self.attack).fit(shadow_0.at_queries(self.kept_), shadow_1.at_queries(self.kept_))

    def _decide(self, victims: ModelViews) -> Floats:
        return np.asarray(self.attack_.decision_function(victims.at_queries(self.kept_)))


def query_separation(shadow_0: ModelViews, shadow_1: ModelViews) -> Floats:
    """Return the t statistic of every query, shape (Q,); infinite where the worlds differ without any spread."""
    first, second = shadow_0.margins, shadow_1.margins
    gap = np.abs(second.mean(axis=0) - first.mean(axis=0))
    error = np.sqrt(first.var(axis=0, ddof=1) / len(first) + second.var(axis=0, ddof=1) / len(second))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(gap > 0, gap / error, 0.0)
    return np.asarray(ratio.max(axis=1))
