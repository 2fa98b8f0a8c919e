"""Loss attack: a record that the model fits well was a member (Yeom, Giacomelli, Fredrikson, Jha, CSF 2018).

Score s = log p_y = -loss, from the logit signal: -log(1 + exp(-phi)). No reference, nothing to fit. Cost: O(n).
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from attacks.membership.attack import Attack
from attacks.membership.references import Floats, check_signals


class LossAttack(Attack):
    """Score = minus the loss of each record; needs no references.

    References
    ----------
    Yeom, Giacomelli, Fredrikson, Jha, Privacy Risk in Machine Learning, CSF 2018.

    Examples
    --------
    >>> LossAttack().score([0.0, 2.0]).round(3).tolist()
    [-0.693, -0.127]
    """

    def fit(self, ref_signals: ArrayLike | None = None, ref_member: ArrayLike | None = None, population: ArrayLike | None = None) -> Self:
        """Return the attack: there is nothing to learn; the arguments are those of every attack and are not used."""
        return self

    def score(self, target_signals: ArrayLike, population: ArrayLike | None = None) -> Floats:
        """Return log p_y of each record.

        Parameters
        ----------
        target_signals : (n,) logit signals of the target model, or (n, q): the loss is averaged over the queries.
        population : not used.

        Raises
        ------
        ValueError : NaN or infinite signals, or not one or two axes.
        """
        target = check_signals(target_signals=target_signals)
        if target.ndim not in (1, 2) or 0 in target.shape:
            raise ValueError(f"target_signals must have shape (records,) or (records, queries), none 0, got {target.shape}")
        score = -np.logaddexp(0.0, -target)
        return np.asarray(score.mean(axis=1) if target.ndim == 2 else score, dtype=np.float64)

    def __sklearn_is_fitted__(self) -> bool:
        return True
