"""Audits of all counters by our own estimators: adversaries that choose inputs from releases show no more than is claimed.

The challenge is at the step s that a Gaussian counter tells most about: 1 in one world, 0 in the other. All other inputs are chosen by
the adversary, blindly or from the last release; it knows them, so it takes the true sums of world 0 away and looks at the noise along R
e_s, which is the likelihood ratio of Gaussian noise. The audit orders equal scores by a generator of its own: one seeded like the noise
would repeat the noise and read it out. Bounds have the level 0.999, 24 of them: a false alarm in 2.4 % of all seeds if a mechanism spent
exactly what it may and the bounds were tight; they lose some 10 %, so it is far rarer. The twin with half the noise must be caught.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.continual.counter_design import CounterDesign, design_counter
from mechanisms.continual.factorization import left_matrix
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.thresholds import audit_scores
from tests.mechanisms.continual.counters import GAUSSIAN, PURE, many_runs

HORIZON = {"rho": 12, "epsilon": 5}
N_RUNS, LEVEL = 20_000, 0.999
DELTA = 1e-2
Adversary = Callable[[int, NDArray[np.int64] | None], NDArray[np.int64]]


def blind(t: int, last: NDArray[np.int64] | None) -> NDArray[np.int64]:
    return np.full(N_RUNS, t % 2)


def adaptive(t: int, last: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Feed the parity of the last release, negative where it looks high."""
    return np.zeros(N_RUNS, int) if last is None else np.where(last > t / 2, -(last % 2), last % 2)


ADVERSARIES: dict[str, Adversary] = {"blind": blind, "adaptive": adaptive}
CASES = [*((name, "rho") for name in GAUSSIAN), *((name, "epsilon") for name in PURE)]


def designed(name: str, kind: str) -> CounterDesign:
    return design_counter(HORIZON[kind], mechanism=name, **{kind: {"rho": 0.5, "epsilon": 2.0}[kind]})


def shown_epsilon(design: CounterDesign, adversary: Adversary, rng: np.random.Generator, noise_factor: float, delta: float) -> float:
    """Lower bound of epsilon from N_RUNS plays, half of them in each world."""
    counter = many_runs(design, N_RUNS, int(rng.integers(2**32)), noise_factor=noise_factor)
    challenge, direction = most_telling(design)
    in_world_1 = np.arange(N_RUNS) % 2 == 1
    sum_in_world_0, noise, last = np.zeros(N_RUNS, int), [], None
    for t in range(1, design.horizon + 1):
        x = np.zeros(N_RUNS, int) if t == challenge else adversary(t, last)
        last = np.asarray(counter.update(x + in_world_1 * (t == challenge)))
        sum_in_world_0 += x
        noise.append(last - sum_in_world_0)
    scores = MembershipScores(direction @ np.array(noise), in_world_1)
    return audit_scores(scores, delta=delta, level=LEVEL, neighboring=Neighboring.ZERO_OUT, rng=rng).epsilon


def most_telling(design: CounterDesign) -> tuple[int, NDArray[np.float64]]:
    """Step whose change is seen best in Gaussian noise, and the weights of the releases' noise for it."""
    L = left_matrix(design.factorization)
    changes = np.tril(np.ones((design.horizon, design.horizon)))
    weights = np.linalg.solve(L @ L.T, changes)
    step = int(np.argmax(np.diag(changes.T @ weights)))
    return step + 1, weights[:, step]


@pytest.mark.parametrize("adversary", ADVERSARIES)
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_counter_shows_no_more_than_it_claims_and_its_twin_does(name: str, kind: str, adversary: str, rng: np.random.Generator):
    design = designed(name, kind)
    delta = DELTA if kind == "rho" else 0.0
    claim = design.budget(DELTA).epsilon if kind == "rho" else 2.0
    shown = shown_epsilon(design, ADVERSARIES[adversary], rng, 1.0, delta)
    assert shown <= claim
    assert shown > 0.2 * claim  # the adversary is no straw man
    assert shown_epsilon(design, ADVERSARIES[adversary], rng, 0.5, delta) > claim


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), CASES)
def test_no_adaptive_game_of_many_is_lost(name: str, kind: str, rng: np.random.Generator):
    """Ten more games each; more than one violation of 0.1 % has probability 5e-5 a case."""
    design = designed(name, kind)
    delta = DELTA if kind == "rho" else 0.0
    claim = design.budget(DELTA).epsilon if kind == "rho" else 2.0
    shown = [shown_epsilon(design, adaptive, rng, 1.0, delta) for _ in range(10)]
    assert sum(epsilon > claim for epsilon in shown) <= 1
