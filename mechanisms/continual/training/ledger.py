"""Who took part in which step: the participation that a guarantee assumes, checked record by record before any noise is drawn.

A batch is served, then a step is taken with it; the records of all batches served since the last step take part in the next one. A step is
refused if one of them takes part too often, too soon, or (fixed order) off its place. Indices of records are public here: the order of
batches does not depend on what records hold. Cost: two whole numbers a record, O(batch) a step.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from mechanisms.continual.training.schedule import FixedOrder, Schedule
from mechanisms.errors import BudgetExhaustedError, StateError, UnsupportedClaimError

Integers = NDArray[np.int64]


class ParticipationLedger:
    """The participations of a run.

    Parameters
    ----------
    n_records : size of the data set.
    schedule : what the guarantee assumes.
    """

    def __init__(self, n_records: int, schedule: Schedule) -> None:
        self.schedule = schedule
        self.last_step = np.full(n_records, -1, dtype=np.int64)
        self.n_taken = np.zeros(n_records, dtype=np.int64)
        self._served: list[Integers] = []

    def serve(self, indices: Iterable[int]) -> None:
        """Note a batch that was handed out."""
        self._served.append(np.fromiter(indices, dtype=np.int64))

    def take(self, step: int, n_gradients: int) -> None:
        """Let the records served since the last step take part in `step`, which sums `n_gradients` clipped gradients.

        Raises
        ------
        UnsupportedClaimError : no batch was served, more gradients than records, a record served twice, or too soon after its last step.
        BudgetExhaustedError : a record took part in all the steps that the guarantee pays for.
        """
        if not self._served:
            raise UnsupportedClaimError(
                "no batch was served since the last step; take one step for each batch of the loader that correlated_noise returned"
            )
        records = np.concatenate(self._served)
        if n_gradients > len(records):
            raise UnsupportedClaimError(
                f"the step sums {n_gradients:,} clipped gradients for {len(records):,} records served since the last step, so a record may "
                "count twice in it; call backward once for each batch that the loader serves"
            )
        if len(np.unique(records)) < len(records):
            raise UnsupportedClaimError(
                f"{len(records) - len(np.unique(records))} records were served twice since the last step, so they may count twice in it; "
                "serve each record once a step, and look at batches through another loader"
            )
        if (self.n_taken[records] >= self.schedule.n_participations).any():
            raise BudgetExhaustedError(f"records of this batch took part as often as the guarantee pays for ({self.schedule})")
        gaps = step - self.last_step[records][self.n_taken[records] > 0]
        n_wrong = int(sum(not self.schedule.allows(int(gap)) for gap in np.unique(gaps)))
        if n_wrong:
            advice = "keep one order of batches in all epochs" if isinstance(self.schedule, FixedOrder) else "claim a smaller min_gap"
            raise UnsupportedClaimError(
                f"records of this batch return after {int(gaps.min())} steps, which {self.schedule} rules out; {advice}"
            )
        self.last_step[records], self._served = step, []
        self.n_taken[records] += 1

    def require_fit(self, last_step: Integers, n_taken: Integers) -> None:
        """Refuse participations of another data set.

        Raises
        ------
        StateError : the number of records differs.
        """
        if last_step.shape != self.last_step.shape or n_taken.shape != self.n_taken.shape:
            raise StateError(f"the state is of a data set of {len(last_step):,} records, this one has {len(self.last_step):,}")

    def restore(self, last_step: Integers, n_taken: Integers) -> None:
        """Go back to saved participations; errors as `require_fit`."""
        self.require_fit(last_step, n_taken)
        self.last_step, self.n_taken, self._served = last_step.copy(), n_taken.copy(), []
