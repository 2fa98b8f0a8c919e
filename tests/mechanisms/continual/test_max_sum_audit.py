"""Audits of MaxSum and SumSelect on neighboring streams, fixed and adaptive, with twins that forget the composition and must be caught.

Each audit has one event, fixed in advance, 1,500 runs of each world and a bound of level 1 - 1e-6: a true claim is contradicted with that
probability at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from mechanisms.continual.change_driven import ChangeDrivenMaximum, change_driven_plan
from mechanisms.continual.exact_budget import ExactBudget, exact_budget
from mechanisms.continual.maximum_methods import RecomputedMaximum
from mechanisms.continual.recompute import RecomputeSchedule
from mechanisms.continual.sum_select import RecomputedSelection
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import NoiseSource, SeededNoise
from tests.mechanisms.continual.streams import epsilon_lower_bound, seeded

ZERO, REPLACE = Neighboring.ZERO_OUT, Neighboring.REPLACE
N_RUNS = 1500
CLAIM = 2.0
EVERY_STEP = RecomputeSchedule(4, 1, 0.0)


@dataclass(frozen=True, slots=True)
class Forgetful(ExactBudget):
    """The broken twin: every part gets the whole budget, as if recomputations looked at different records."""

    def draw(self, n_parts, words):
        return ExactBudget.draw(self, 1, words)

    def selection_epsilon(self, n_parts):
        return ExactBudget.selection_epsilon(self, 1)


def pure(kind: type[ExactBudget] = ExactBudget) -> ExactBudget:
    return kind(None, CLAIM)


def audit(event: Callable[[int, NoiseSource], bool], rng: np.random.Generator) -> float:
    source = SeededNoise(int(rng.integers(2**63)))
    hits = tuple(sum(event(world, source) for _ in range(N_RUNS)) for world in (1, 0))
    return epsilon_lower_bound((hits[0], hits[1]), N_RUNS)


def maximum_event(budget: ExactBudget, *, adaptive: bool) -> Callable[[int, NoiseSource], bool]:
    """World 1 counts a 1 at the first step, world 0 a 0: the four releases are all shifted by 1."""

    def event(world: int, source: NoiseSource) -> bool:
        method, count, total = RecomputedMaximum(EVERY_STEP, budget, ZERO, source), 0, 0.0
        for t in range(1, 5):
            step = world if t == 1 else int(adaptive and total > 0)
            count += step
            released = method.release(np.array([count]), np.array([step]), t)
            total += released - (count - (world if t >= 1 else 0))  # the adversary knows all but the first step
        return total >= 5

    return event


@pytest.mark.parametrize("adaptive", [False, True])
def test_recomputed_maximum(adaptive: bool, rng: np.random.Generator):
    assert audit(maximum_event(pure(), adaptive=adaptive), rng) <= CLAIM
    assert audit(maximum_event(pure(Forgetful), adaptive=adaptive), rng) > CLAIM


def selection_event(budget: ExactBudget, neighboring: Neighboring) -> Callable[[int, NoiseSource], bool]:
    """One step moves from coordinate 0 to coordinate 1 (replace) or is zeroed."""

    def event(world: int, source: NoiseSource) -> bool:
        method = RecomputedSelection(EVERY_STEP, 2, budget, neighboring, source)
        sums = np.array([1, 0]) if world else np.array([0, 1 if neighboring is REPLACE else 0])
        return all(method.release(sums, sums, t) == 0 for t in range(1, 5))

    return event


@pytest.mark.parametrize("neighboring", [ZERO, REPLACE])
def test_recomputed_selection(neighboring: Neighboring, rng: np.random.Generator):
    assert audit(selection_event(pure(), neighboring), rng) <= CLAIM
    if neighboring is REPLACE:
        assert audit(selection_event(pure(Forgetful), neighboring), rng) > CLAIM


def test_weights_of_the_wrong_relation_are_caught(rng: np.random.Generator):
    """A twin that treats a replacement as a zeroed step: log-odds move from 0 to -2 epsilon."""

    def event(neighboring: Neighboring) -> Callable[[int, NoiseSource], bool]:
        def chosen(world: int, source: NoiseSource) -> bool:
            method = RecomputedSelection(RecomputeSchedule(1, 1, 0.0), 2, pure(), neighboring, source)
            sums = np.array([1, 1]) if world else np.array([0, 2])
            return method.release(sums, sums, 1) == 0

        return chosen

    assert audit(event(REPLACE), rng) <= CLAIM
    assert audit(event(ZERO), rng) > CLAIM


def change_event(budget: ExactBudget, *, fresh: bool) -> Callable[[int, NoiseSource], bool]:
    """Counts far above the threshold: it fires at once, and its value is off by 1 between the worlds."""
    plan = change_driven_plan(4, budget, ZERO, 0.5, 1)

    def event(world: int, source: NoiseSource) -> bool:
        method = seeded(lambda _: ChangeDrivenMaximum(plan, source), 0)
        if not fresh:
            method._answers = ExactBudget(None, 4 * CLAIM)  # the twin
        count = 1000 + world
        return method.release(np.array([count]), np.array([1]), 1) - plan.offset >= 1001

    return event


def test_change_driven_maximum(rng: np.random.Generator):
    assert audit(change_event(pure(), fresh=True), rng) <= CLAIM
    assert audit(change_event(pure(), fresh=False), rng) > CLAIM


def test_gaussian_recomputation_has_the_stated_variance_in_all(rng: np.random.Generator):
    """The mean of m releases of a constant has variance sigma^2 / m = 1 / (2 rho): chi-square of 300 runs, 6.5 standard errors (1e-10)."""
    budget = exact_budget(rho=0.5, epsilon=None, delta=None)
    source = SeededNoise(int(rng.integers(2**63)))

    def mean(kind: ExactBudget) -> float:
        method = RecomputedMaximum(EVERY_STEP, kind, ZERO, source)
        return float(np.mean([method.release(np.array([9]), np.array([0]), t) - 9 for t in range(1, 5)]))

    good = np.mean([mean(budget) ** 2 for _ in range(300)])
    assert abs(good - 1) < 6.5 * np.sqrt(2 / 300)
    bad = np.mean([mean(Forgetful(0.5, np.inf)) ** 2 for _ in range(300)])
    assert bad < 1 - 6.5 * np.sqrt(2 / 300)
