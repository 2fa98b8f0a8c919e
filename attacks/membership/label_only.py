"""Label-only attack: a member's label survives more noise on its features (Choquette-Choo et al., ICML 2021).

Only the predicted class is seen. Score = share of correct predictions for x + r Z, Z standard normal, over 5 radii r with 20 draws each: a
proxy of the distance to the decision boundary. Cost: 100 predictions per record, one radius at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator

from attacks.membership.references import Floats, check_signals
from attacks.signals import as_array
from mechanisms.randomness import as_generator
from mechanisms.validation import positive, whole_number

RADII = (0.05, 0.1, 0.2, 0.4, 0.8)


class LabelOnlyAttack(BaseEstimator):  # type: ignore[misc]
    """Share of correct predictions under Gaussian noise; needs the target's `predict`, no references.

    Parameters
    ----------
    predict : function from features (m, ...) to predicted classes (m,).
    radii : standard deviations of the noise, in units of the features: scale them if the features aren't of size 1.
    n_draws : noisy copies of each record per radius, >= 1.
    random_state : int, numpy Generator or None; draws the noise.

    Notes
    -----
    Scores take len(radii) n_draws + 1 values, so ties are frequent and TPR at a very low FPR is coarse.

    References
    ----------
    Choquette-Choo, Tramer, Carlini, Papernot, Label-Only Membership Inference Attacks, ICML 2021.

    Examples
    --------
    >>> attack = LabelOnlyAttack(lambda x: x[:, 0] > 0, random_state=0)
    >>> score = attack.score([[5.0], [0.1]], [1, 1])
    >>> bool(score[0] == 1.0 > score[1])
    True
    """

    def __init__(
        self,
        predict: Callable[[Floats], ArrayLike],
        *,
        radii: Sequence[float] = RADII,
        n_draws: int = 20,
        random_state: int | np.random.Generator | None = None,
    ) -> None:
        self.predict = predict
        self.radii = radii
        self.n_draws = n_draws
        self.random_state = random_state

    def fit(self, features: ArrayLike | None = None, labels: ArrayLike | None = None) -> Self:
        """Return the attack: there is nothing to learn."""
        return self

    def score(self, features: ArrayLike, labels: ArrayLike) -> Floats:
        """Return the share of correct predictions of each record, in [0, 1].

        Parameters
        ----------
        features : (n, ...) finite features.
        labels : (n,) true classes.

        Raises
        ------
        ValueError : NaN or infinite features, shapes that differ, radii or n_draws out of range, predictions of another length.
        """
        x, truth = check_signals(features=features), as_array(labels)
        if x.ndim < 2 or truth.shape != (len(x),) or len(x) == 0:
            raise ValueError(f"features must have shape (n, ...) and labels (n,), n > 0, got {x.shape} and {truth.shape}")
        n_draws, radii = whole_number(1, n_draws=self.n_draws), [positive(radius=radius) for radius in self.radii]
        if not radii:
            raise ValueError("radii must hold at least one radius")
        rng = as_generator(self.random_state)
        n_correct = np.zeros(len(x))
        for radius in radii:
            for _ in range(n_draws):
                n_correct += self._predicted(x + radius * rng.standard_normal(x.shape)) == truth
        return n_correct / (len(radii) * n_draws)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _predicted(self, x: Floats) -> NDArray[np.generic]:
        predicted = as_array(self.predict(x))
        if predicted.shape != (len(x),):
            raise ValueError(f"predict must return classes of shape ({len(x)},), got {predicted.shape}")
        return predicted
