"""Top k: the law of peeling, its price, and our own audit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import chisquare

from mechanisms.guarantee import Neighboring
from mechanisms.selection.exponential import exponential_probabilities
from mechanisms.selection.top_k import top_k
from tests.mechanisms.noise.laws import FALSE_ALARM
from tests.mechanisms.selection.audits import audited_epsilon

ADD_REMOVE = Neighboring.ADD_REMOVE


def peeled(utility: list[float], k: int, epsilon: float) -> dict[tuple[int, ...], float]:
    """The oracle: probability of every ordered choice."""
    result = {}
    for order in itertools.permutations(range(len(utility)), k):
        left, probability = list(range(len(utility))), 1.0
        for i in order:
            law = exponential_probabilities([utility[j] for j in left], epsilon=epsilon / k, sensitivity=1.0)
            probability *= law[left.index(i)]
            left.remove(i)
        result[order] = probability
    return result


def test_law_of_the_sampler():
    """False alarm 1e-6; the law with the whole epsilon in every round fails."""
    utility, n = [2.0, 0.0, 1.0, -1.0], 3000
    law, wrong = peeled(utility, 2, 3.0), peeled(utility, 2, 6.0)
    orders = list(law)
    chosen = [top_k(utility, 2, epsilon=3.0, sensitivity=1.0, neighboring=ADD_REMOVE).indices for _ in range(n)]
    seen = np.array([chosen.count(order) for order in orders])
    assert chisquare(seen, n * np.array([law[order] for order in orders])).pvalue > FALSE_ALARM
    assert chisquare(seen, n * np.array([wrong[order] for order in orders])).pvalue < FALSE_ALARM


@pytest.mark.parametrize("k", [1, 3, 4])
def test_price_and_form(k: int):
    chosen = top_k([1.0, 2.0, 3.0, 4.0], k, epsilon=2.0, sensitivity=1.0, neighboring=Neighboring.REPLACE)
    assert chosen.rho == pytest.approx(4 / (8 * k))
    assert chosen.guarantee.epsilon == 2.0
    assert len(set(chosen.indices)) == k


def test_privacy_of_the_exact_law():
    p, q = peeled([0.0, 0.0, 2.0, 2.0], 2, 2.0), peeled([1.0, 1.0, 1.0, 1.0], 2, 2.0)
    loss = [np.log(p[order] / q[order]) for order in p]
    assert 1.3 < np.abs(loss).max() <= 2.0


def test_audit():
    """False alarm 1e-6; a twin with a quarter of the noise is caught."""

    def bound(epsilon: float) -> float:
        def world(utility: list[float]) -> int:
            first, second = top_k(utility, 2, epsilon=epsilon, sensitivity=1.0, neighboring=ADD_REMOVE).indices
            return first < 2 and second < 2

        near, far = [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 2.0, 2.0]
        return audited_epsilon(lambda: world(near), lambda: world(far), {True}, 2500)

    assert bound(1.0) <= 1.0
    assert bound(4.0) > 1.0


@pytest.mark.parametrize("k", [0, 3, 1.5])
def test_bad_k(k: float):
    with pytest.raises(ValueError, match="k must be"):
        top_k([1.0, 2.0], k, epsilon=1.0, sensitivity=1.0, neighboring=ADD_REMOVE)  # type: ignore[arg-type]
