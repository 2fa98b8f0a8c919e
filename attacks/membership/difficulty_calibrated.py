"""Difficulty calibration: how much better the target fits a record than models that never saw it (Watson et al., ICLR 2022).

Score s = phi_0 - mean_OUT phi, per record. Cost: O(K n).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from attacks.membership.attack import ReferenceAttack
from attacks.membership.references import Floats


class DifficultyCalibrated(ReferenceAttack):
    """Score = target's logit signal minus its mean over the OUT references of that record; several queries are averaged.

    References
    ----------
    Watson, Guo, Cormode, Sablayrolles, On the Importance of Difficulty Calibration in Membership Inference Attacks, ICLR 2022.

    Examples
    --------
    >>> attack = DifficultyCalibrated().fit([[0.0, 1.0], [2.0, 5.0]], [[0, 0], [0, 1]])
    >>> attack.score([3.0, 3.0]).tolist()
    [2.0, 2.0]
    """

    def fit(self, ref_signals: ArrayLike | None = None, ref_member: ArrayLike | None = None, population: ArrayLike | None = None) -> Self:
        """Learn the OUT mean of each record.

        Parameters
        ----------
        ref_signals : (K, n) or (K, n, q) logit signals of the references.
        ref_member : (K, n) bool or 0/1: which record trained which reference.
        population : not used.

        Raises
        ------
        ValueError : no references, NaN or infinite signals, shapes that differ, membership other than 0/1, no non-member.
        """
        self._learn(ref_signals, ref_member, online=False)
        _, self.mean_out_ = self.statistics_.filled_means()
        return self

    def score(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> Floats:
        """Return phi_0 - mean_OUT of each record; shapes as in `fit` without the axis of models; `population` is not used."""
        return np.asarray((self._target(target_signals) - self.mean_out_).mean(axis=1), dtype=np.float64)
