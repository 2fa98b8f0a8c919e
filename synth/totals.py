"""How many rows there are, as noisy answers tell: under add/remove neighbors the number of rows is secret.

Every marginal of c_g cells and noise sigma_g sums to n plus noise of variance sigma_g^2 c_g. Pooling these sums with weights

    w_g = 1 / (sigma_g^2 c_g)

gives the estimate of least variance, 1 / sum of w_g; it is what a least-squares fit of all answers finds (`synth.consistency`). The same
weights pool all that several marginals say of the same columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class NoisyMarginal(Protocol):
    """A `MarginalAnswer` or a `MarginalTarget`."""

    @property
    def columns(self) -> tuple[int, ...]:
        """Return its columns, increasing."""
        ...

    @property
    def answer(self) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return noisy counts, (size of each column)."""
        ...

    @property
    def sigma(self) -> float:
        """Return the noise of a cell."""
        ...


@dataclass(frozen=True, slots=True)
class TotalEstimate:
    """An estimate of the number of rows and its variance."""

    count: float
    variance: float


def pooled_total(answers: Sequence[NoisyMarginal]) -> TotalEstimate:
    """Return what the answers say of the number of rows.

    Raises
    ------
    ValueError : no answer, or answers with noise beside answers without.

    Examples
    --------
    >>> from synth.targets import MarginalTarget
    >>> pooled_total([MarginalTarget((0,), [60.0, 40.0], 1.0), MarginalTarget((1,), [70.0, 36.0], 1.0)])
    TotalEstimate(count=103.0, variance=1.0)
    """
    weights = pooling_weights(answers)
    sums = np.array([float(answer.answer.sum()) for answer in answers])
    variance = 0.0 if answers[0].sigma == 0 else float(1 / weights.sum())
    return TotalEstimate(float(weights @ sums / weights.sum()), variance)


def pooling_weights(answers: Sequence[NoisyMarginal]) -> NDArray[np.float64]:
    """Return w_g of each answer; where no answer has noise, as if all had sigma 1. Errors as `pooled_total`."""
    if not len(answers):
        raise ValueError("at least one answer is needed")
    sigmas, cells = np.array([answer.sigma for answer in answers]), np.array([answer.answer.size for answer in answers])
    if (sigmas == 0).any() and (sigmas > 0).any():
        raise ValueError("answers with noise and answers without can't be pooled; leave one kind out")
    return np.asarray(1 / (np.where(sigmas == 0, 1.0, sigmas) ** 2 * cells), dtype=np.float64)
