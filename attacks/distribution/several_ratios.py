"""What games of several ratios have in common: different shares, sorted, each of which the table can give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from attacks.distribution.ratio_game import RatioGame
from attacks.distribution.several_rates import different_rates
from mechanisms.validation import whole_number


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SeveralRatios(RatioGame):
    """Base of the games whose worlds have several shares of a property.

    Parameters
    ----------
    alphas : at least two different shares in [0, 1]; they are sorted.
    n_train : records of a training sample, before any defense.
    """

    alphas: ArrayLike
    n_train: int

    def __post_init__(self) -> None:
        RatioGame.__post_init__(self)
        object.__setattr__(self, "n_train", whole_number(1, n_train=self.n_train))
        object.__setattr__(self, "alphas", tuple(different_rates(alphas=self.alphas).tolist()))
        for alpha in self.ratios:
            self.law(alpha)

    @property
    def ratios(self) -> tuple[float, ...]:
        """The ratios, from small to large."""
        return tuple(np.asarray(self.alphas).tolist())
