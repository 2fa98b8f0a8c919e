"""A running maximum that looks only when it has grown: cheap where the last maximum is far below the number of steps.

A sparse vector asks at every step whether M(t) - (last noisy maximum) >= w; only a yes costs budget, and is answered by a fresh noisy
maximum. At most c times; then the last value is repeated for ever and `exhausted_` is set. The rounds are fixed in advance, from a
public guess `largest` of the last maximum.

    with probability 1 - beta: threshold noise <= B, all T test noises <= A, all c answer noises <= C
    silent:  -C <= M(t) - last < w + A + B          so last is moved by (w + A + B - C) / 2, error (w + A + B + C) / 2
    a yes means M grew by more than w - A - B - C since the last one, so c (w - A - B - C) >= largest never runs out

Half the budget goes to the tests, half to the answers. The sparse vector is pure, so it spends epsilon_1^2 / 2 of a rho.

Symbols: M(t) = max_j S_j(t), w threshold, c most answers. Cost: 0.1 ms a step.

References
----------
Dwork, Naor, Pitassi, Rothblum, STOC 2010. Lyu, Su, Li, Understanding the Sparse Vector Technique for Differential Privacy, VLDB 2017.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mechanisms.continual.counted_release import Counts
from mechanisms.continual.exact_budget import ExactBudget
from mechanisms.continual.recompute import laplace_tail
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.json_ready import JsonValue, number_from_json
from mechanisms.noise.source import NoiseSource
from mechanisms.selection.sparse_vector import SparseVector, sparse_vector_scales

_TEST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class ChangeDrivenPlan:
    """Public settings of a change-driven maximum; made by `change_driven_plan`.

    Parameters
    ----------
    horizon, largest : T, and the public guess of the last maximum.
    budget, neighboring : of the whole.
    n_answers : c.
    threshold : w.
    offset : what the last noisy maximum is moved by.
    bound : predicted error while the maximum is at most `largest`.
    """

    horizon: int
    largest: int
    budget: ExactBudget
    neighboring: Neighboring
    n_answers: int
    threshold: int
    offset: float
    bound: float


def change_driven_plan(horizon: int, budget: ExactBudget, neighboring: Neighboring, beta: float, largest: int) -> ChangeDrivenPlan:
    """Return the plan with the least predicted error over the number of answers."""
    plans = (_plan(horizon, budget, neighboring, beta, largest, c) for c in _numbers_of_answers(largest))
    return min(plans, key=lambda plan: plan.bound)


class ChangeDrivenMaximum:
    """The noisy maximum, renewed when a sparse vector says so."""

    name = "change_driven"

    def __init__(self, plan: ChangeDrivenPlan, source: NoiseSource) -> None:
        self.plan, self._source = plan, source
        self._answers = plan.budget.share(1 - _TEST_SHARE)
        self._test = SparseVector(
            plan.threshold,
            epsilon=epsilon_of_tests(plan.budget),
            max_firings=plan.n_answers,
            sensitivity=1.0,
            neighboring=plan.neighboring,
            monotone=plan.neighboring is Neighboring.ZERO_OUT,
            grid=1.0,
            noise=source,
        )
        self._last = 0

    @property
    def exhausted_(self) -> bool:
        """Whether all answers are spent, so that the last value is repeated."""
        return self._test.remaining_ == 0

    def release(self, sums: Counts, step: Counts, t: int) -> float:  # noqa: ARG002
        """Return the last noisy maximum, renewed if the test fires."""
        if not self.exhausted_:
            largest = int(sums.max())
            if self._test.ask(largest - self._last).fired:
                self._last = largest + self._answers.draw(self.plan.n_answers, self._source.words)
        return self._last + self.plan.offset

    def bound(self, beta: float) -> float:
        """Half of what silence leaves open, while the maximum is at most `largest`."""
        tests, answers = _tails(self.plan.horizon, self.plan.budget, self.plan.neighboring, beta, self.plan.n_answers)
        if self.plan.n_answers * (self.plan.threshold - tests - answers) < self.plan.largest:
            return float(self.plan.horizon)  # at this beta the answers may run out
        low, high = -answers - self.plan.offset, self.plan.threshold + tests - self.plan.offset
        return max(abs(low), abs(high), answers + abs(self.plan.offset))

    def guarantee(self, delta: float | None) -> PrivacyGuarantee:
        """Composition of the tests and the answers."""
        return self.plan.budget.guarantee(self.plan.neighboring, "maximum of counts, change-driven", delta)

    def state(self) -> dict[str, JsonValue]:
        """The last noisy maximum and the sparse vector's secret threshold."""
        return {"last": self._last, "test": dict(self._test.state_dict())}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go to a state."""
        test = state["test"]
        if not isinstance(test, Mapping):
            raise ValueError("state is damaged: it has no sparse vector")
        self._test.load_state_dict(test)
        self._last = round(number_from_json(state["last"]))


def epsilon_of_tests(budget: ExactBudget) -> float:
    """Return the epsilon of the sparse vector: its share of a pure epsilon, or sqrt(2 rho share), rounded down."""
    exact = budget.epsilon * _TEST_SHARE if budget.rho is None else math.sqrt(2 * budget.rho * _TEST_SHARE)
    return exact * (1 - 2.0**-50)


def _plan(horizon: int, budget: ExactBudget, neighboring: Neighboring, beta: float, largest: int, n_answers: int) -> ChangeDrivenPlan:
    tests, answers = _tails(horizon, budget, neighboring, beta, n_answers)
    threshold = math.ceil(largest / n_answers + tests + answers)
    offset = (threshold + tests - answers) / 2
    return ChangeDrivenPlan(horizon, largest, budget, neighboring, n_answers, threshold, offset, (threshold + tests + answers) / 2)


def _tails(horizon: int, budget: ExactBudget, neighboring: Neighboring, beta: float, n_answers: int) -> tuple[float, float]:
    """Return A + B and C: a quarter of beta for the threshold, a half for the tests, a quarter for the answers."""
    scales = sparse_vector_scales(epsilon=epsilon_of_tests(budget), max_firings=n_answers, monotone=neighboring is Neighboring.ZERO_OUT)
    tests = laplace_tail(float(scales.threshold), beta / 4) + laplace_tail(float(scales.query), beta / (2 * horizon))
    return tests, budget.share(1 - _TEST_SHARE).tail(n_answers, beta / 4)


def _numbers_of_answers(largest: int) -> list[int]:
    """Return 1, 2, 3, ... thinned out to steps of a tenth."""
    numbers = [1]
    while numbers[-1] < largest:
        numbers.append(max(numbers[-1] + 1, numbers[-1] * 11 // 10))
    return numbers
