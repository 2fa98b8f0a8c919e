"""Three ways to release a running maximum of d counts: recompute now and then, count every coordinate, or say nothing.

    recompute         error (r - 1)/2 + noise of m = floor(T/r) releases of sensitivity 1, whatever d; about 1.5 (T ln(2m/beta) / rho)^(1/3)
    per_coordinate    the largest of d noisy counts, error of a counter with change sqrt(d): grows with sqrt(d), hardly with T
    trivial           t / 2, error T / 2, costs nothing

The maximum grows by at most 1 a step, so between recomputations it is moved to the middle of what can have happened: M(kr) + (r - 1)/2.
The largest of noisy counts is biased upward; its bound holds all the same.

Symbols: M(t) = max_j S_j(t), r interval, beta failure probability. Cost of a step: O(d); per_coordinate a counter's step.

References
----------
Jain, Raskhodnikova, Sivakumar, Smith, The Price of Differential Privacy under Continual Observation, ICML 2023.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from mechanisms.continual.counted_release import Counts
from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_design import CounterDesign
from mechanisms.continual.exact_budget import ExactBudget
from mechanisms.continual.recompute import RecomputeSchedule, best_schedule
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue, number_from_json
from mechanisms.noise.source import NoiseSource


def maximum_schedule(horizon: int, budget: ExactBudget, beta: float) -> RecomputeSchedule:
    """Return the best schedule of recomputations of a maximum."""
    return best_schedule(horizon, drift=middle_drift, noise=lambda m: budget.tail(m, beta))


def middle_drift(interval: int) -> float:
    """Return (r - 1)/2."""
    return (interval - 1) / 2


class RecomputedMaximum:
    """The noisy maximum at every r-th step, moved by (r - 1)/2."""

    name = "recompute"

    def __init__(self, schedule: RecomputeSchedule, budget: ExactBudget, neighboring: Neighboring, source: NoiseSource) -> None:
        self.schedule, self._budget, self._neighboring, self._source = schedule, budget, neighboring, source
        self._last = 0

    def release(self, sums: Counts, step: Counts, t: int) -> float:  # noqa: ARG002
        """Return the last noisy maximum, in the middle of what can have happened since."""
        if self.schedule.is_due(t):
            self._last = int(sums.max()) + self._budget.draw(self.schedule.n_recomputations, self._source.words)
        return self._last + middle_drift(self.schedule.interval)

    def bound(self, beta: float) -> float:
        """Drift and noise."""
        return middle_drift(self.schedule.interval) + self._budget.tail(self.schedule.n_recomputations, beta)

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:
        """Composition of m releases of sensitivity 1."""
        return self._budget.guarantee(self._neighboring, "maximum of counts, recomputed", delta)

    def state(self) -> dict[str, JsonValue]:
        """The last noisy maximum."""
        return {"last": self._last}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a state."""
        self._last = round(number_from_json(state["last"]))


class CounterMethod:
    """A method that is post-processing of one counter of all coordinates."""

    name = "per_coordinate"

    def __init__(self, design: CounterDesign, noise: NoiseSource | None) -> None:
        self._counter = ContinualCounter.from_design(design, noise=noise)

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:
        """The counter's."""
        return self._counter.guarantee_at(delta)

    def state(self) -> dict[str, JsonValue]:
        """The counter's."""
        return dict(self._counter.state_dict())

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a state."""
        self._counter.load_state_dict(state)


class MaximumPerCoordinate(CounterMethod):
    """The largest of d noisy counts."""

    def release(self, sums: Counts, step: Counts, t: int) -> float:  # noqa: ARG002
        """Return the largest release of the counter."""
        return float(largest_and_place(self._counter, step)[0])

    def bound(self, beta: float) -> float:
        """The counter's own bound for all coordinates and steps."""
        return self._counter.error_bound(beta)


class DataFree:
    """A method that does not look at the data."""

    name = "trivial"
    mechanism: ClassVar[str]

    def __init__(self, horizon: int, neighboring: Neighboring) -> None:
        self._horizon, self._neighboring = horizon, neighboring

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:  # noqa: ARG002
        """Nothing is spent."""
        return PrivacyGuarantee(0.0, 0.0, self._neighboring, "step", self.mechanism)

    def state(self) -> dict[str, JsonValue]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, object]) -> None:
        """Nothing to go to."""


class TimeAlone(DataFree):
    """Half the number of steps: no look at the data."""

    mechanism = "a function of time"

    def release(self, sums: Counts, step: Counts, t: int) -> float:  # noqa: ARG002
        """Return t / 2."""
        return t / 2

    def bound(self, beta: float) -> float:  # noqa: ARG002
        """T / 2, always."""
        return self._horizon / 2


def largest_and_place(counter: ContinualCounter, step: Counts) -> tuple[float, int]:
    """Take one step and return the largest count released, and the first coordinate that has it."""
    released = counter.update(step if len(step) > 1 else int(step[0]))
    values = [released] if isinstance(released, int | float) else released.tolist()
    place = max(range(len(values)), key=values.__getitem__)
    return values[place], place
