"""Which steps one record may take part in, and the sensitivity that follows.

    FixedOrder(n_epochs, steps_per_epoch)          the same batches in the same order in every epoch: a record's steps are exactly b apart
    Participation(n_participations, min_gap)       any k steps at least b apart; an order shuffled anew in each epoch only has b = 1

R = diag(a) F diag(1/n) has no negative entry, so all of a record's changes may point the same way and (`participation`)

    Delta_2^2 = max over patterns pi of || sum_{j in pi} R e_j ||^2,

exact for a fixed order (b patterns), for one participation (T columns) and for Toeplitz R with non-increasing coefficients, where the
maximum is at {0, b, 2 b, ...}. For other R with a minimal gap `participation_bound` is an upper bound. A record that skips one of its steps
changes less. Symbols: k participations, b gap, a row scale, n gain. Cost: O(b T) filter steps for a fixed order; O(k T^2) for the bound.

References
----------
Choquette-Choo, McMahan, Rush, Thakurta, Multi-Epoch Matrix Factorization Mechanisms for Private Machine Learning, ICML 2023 (fixed order).
Choquette-Choo et al., (Amplified) Banded Matrix Factorization, NeurIPS 2023 (minimal gap).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from mechanisms.continual.factorization import MOST_DENSE, Floats
from mechanisms.continual.participation import participation_bound, toeplitz_participation
from mechanisms.continual.training.noise_filter import NoiseFilter
from mechanisms.validation import whole_number

_PHASES_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class FixedOrder:
    """The same batches in the same order in every epoch.

    Parameters
    ----------
    n_epochs : k, passes over the data, the last one perhaps not complete.
    steps_per_epoch : b.
    """

    n_epochs: int
    steps_per_epoch: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_epochs", whole_number(1, n_epochs=self.n_epochs))
        object.__setattr__(self, "steps_per_epoch", whole_number(1, steps_per_epoch=self.steps_per_epoch))

    @property
    def n_participations(self) -> int:
        """The number of epochs."""
        return self.n_epochs

    @property
    def gap(self) -> int:
        """Steps between two participations."""
        return self.steps_per_epoch

    def allows(self, gap: int) -> bool:
        """Whether two participations of a record may be `gap` steps apart."""
        return gap > 0 and gap % self.steps_per_epoch == 0

    def __str__(self) -> str:
        return f"{self.n_epochs} epochs of {self.steps_per_epoch} steps in a fixed order"


@dataclass(frozen=True, slots=True)
class Participation:
    """Any steps with a minimal gap.

    Parameters
    ----------
    n_participations : k, steps of one record at most.
    min_gap : b, least distance of two of them.
    """

    n_participations: int
    min_gap: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_participations", whole_number(1, n_participations=self.n_participations))
        object.__setattr__(self, "min_gap", whole_number(1, min_gap=self.min_gap))

    @property
    def gap(self) -> int:
        """Steps between two participations, at least."""
        return self.min_gap

    def allows(self, gap: int) -> bool:
        """Whether two participations of a record may be `gap` steps apart."""
        return gap >= self.min_gap

    def __str__(self) -> str:
        return f"at most {self.n_participations} participations at least {self.min_gap} steps apart"


Schedule = FixedOrder | Participation


def schedule_sensitivity(noise_filter: NoiseFilter, scale: Floats, gain: Floats, schedule: Schedule) -> float:
    """Return Delta_2 of R = diag(scale) F diag(1/gain) for contributions of norm at most 1.

    Parameters
    ----------
    noise_filter : F.
    scale, gain : (T,) positive tables.
    schedule : which steps a record may take part in.

    Raises
    ------
    ValueError : a minimal gap with several participations, tables that aren't constant and more than 2,048 steps; a schedule that does not
        reach over T steps.
    """
    T = len(scale)
    reach = schedule.n_participations * schedule.gap
    if isinstance(schedule, FixedOrder) and reach < T:
        raise ValueError(f"participation must cover all {T:,} steps, got {schedule}, that is {reach:,}; raise n_epochs")
    if np.all(scale == scale[0]) and np.all(gain == gain[0]):
        factor = float(scale[0] / gain[0])
        c = noise_filter.coefficients(T)
        return factor * toeplitz_participation(c, n_participations=schedule.n_participations, min_gap=schedule.gap)
    if schedule.n_participations == 1 or schedule.gap >= T:
        return float(np.max(column_norms(noise_filter, scale) / gain))
    if isinstance(schedule, FixedOrder):
        return _fixed_order(noise_filter, scale, gain, schedule.steps_per_epoch)
    if T > MOST_DENSE:
        raise ValueError(
            f"a scaled mechanism with a minimal gap is for at most {MOST_DENSE:,} steps, got {T:,}; "
            "take a FixedOrder, or a mechanism without a scale such as 'buffered_toeplitz'"
        )
    R = scale[:, None] * np.tril(linalg.toeplitz(noise_filter.coefficients(T))) / gain
    return participation_bound(R, n_participations=schedule.n_participations, min_gap=schedule.gap)


def column_norms(noise_filter: NoiseFilter, scale: Floats) -> Floats:
    """Return the norms of the columns of diag(scale) F, shape (T,)."""
    return np.ascontiguousarray(np.sqrt(noise_filter.filtered_by_squares(np.ascontiguousarray(scale[::-1] ** 2)))[::-1])


def _fixed_order(noise_filter: NoiseFilter, scale: Floats, gain: Floats, b: int) -> float:
    """Filter the sum of each pattern's columns; some patterns at once."""
    T, largest = len(scale), 0.0
    for first in range(0, b, _PHASES_AT_ONCE):
        phases = np.arange(first, min(b, T, first + _PHASES_AT_ONCE))
        if not len(phases):
            break
        steps = np.arange(T)[:, None]
        weights = np.where((steps >= phases) & ((steps - phases) % b == 0), 1 / gain[:, None], 0.0)
        columns = scale[:, None] * noise_filter.filtered(weights)
        largest = max(largest, float((columns**2).sum(axis=0).max()))
    return math.sqrt(largest)
