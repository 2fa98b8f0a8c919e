"""The largest advantage between data sets several steps apart: brute force along the chain, the mechanism that reaches it, its inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from mechanisms.accounting.group_advantage import epsilon_of_group_advantage, group_advantage

epsilons = st.floats(1e-4, 5)
deltas = st.sampled_from([0.0, 1e-6, 0.01, 0.3])


def along_the_chain(epsilon: float, delta: float, m: int) -> float:
    """Largest p_m - p_0 over a fine grid of p_0, step by step."""
    start = np.concatenate([np.linspace(0, 1, 20001), np.geomspace(1e-9, 1, 20001)])
    p = start.copy()
    for _ in range(m):
        p = np.minimum(np.minimum(math.exp(epsilon) * p + delta, 1 - math.exp(-epsilon) * (1 - p - delta)), 1.0)
    return float((p - start).max())


def geometric_count(epsilon: float, shift: int) -> float:
    """Total variation of a count with two-sided geometric noise, by summing its probabilities."""
    x = np.arange(-4000, 4000 + shift)
    ratio = math.exp(-epsilon)
    first, second = ((1 - ratio) / (1 + ratio) * ratio ** np.abs(x - at) for at in (0, shift))
    return float(0.5 * np.abs(first - second).sum())


@pytest.mark.parametrize("epsilon", [0.02, 0.3, 1.5])
@pytest.mark.parametrize("m", [1, 2, 3, 4, 7, 20])
def test_a_count_with_geometric_noise_reaches_it(epsilon, m):
    assert group_advantage(epsilon, steps=1, n_pairs=m) == pytest.approx(geometric_count(epsilon, m), abs=1e-12)


@given(epsilons, deltas, st.integers(1, 12))
def test_no_chain_of_neighbors_exceeds_it(epsilon, delta, m):
    limit = group_advantage(epsilon, delta=delta, steps=1, n_pairs=m)
    found = along_the_chain(epsilon, delta, m)
    assert found <= limit + 1e-9
    if delta == 0 and math.exp(-m * epsilon / 2) > 1e-7:
        assert found >= limit - 1e-3


@given(epsilons, deltas, st.integers(1, 40), st.floats(0, 1), st.sampled_from([1, 2]))
def test_the_mean_over_a_random_number_of_records(epsilon, delta, n, chance, steps):
    weight = [math.comb(n, k) * chance**k * (1 - chance) ** (n - k) for k in range(n + 1)]
    each = [group_advantage(epsilon, steps=1, n_pairs=steps * k) for k in range(n + 1)]
    expected = min(1.0, (1 + 2 * delta / math.expm1(epsilon)) * float(np.dot(weight, each)))
    assert group_advantage(epsilon, delta=delta, steps=steps, n_pairs=n, chance=chance) == pytest.approx(expected, abs=1e-11)


@given(epsilons, st.integers(1, 2000), st.floats(1e-3, 1), st.sampled_from([1, 2]))
def test_it_is_sharper_than_tanh(epsilon, n, chance, steps):
    limit = group_advantage(epsilon, steps=steps, n_pairs=n, chance=chance)
    k = np.arange(n + 1)
    weight = binom.pmf(k, n, chance)
    assert limit <= float(weight @ np.tanh(steps * k * epsilon / 2)) + 1e-9
    assert limit <= steps * n * chance * math.tanh(epsilon / 2) + 1e-12


@given(st.floats(1e-6, 3), deltas, st.integers(1, 500), st.floats(0.01, 1), st.sampled_from([1, 2]))
def test_the_inverse(epsilon, delta, n, chance, steps):
    options = {"delta": delta, "steps": steps, "n_pairs": n, "chance": chance}
    advantage = group_advantage(epsilon, **options)
    found = epsilon_of_group_advantage(advantage, **options)
    assert found <= epsilon * (1 + 1e-9) or group_advantage(found, **options) < advantage
    assert found == 0 or group_advantage(found, **options) <= advantage


def test_figures():
    show = [epsilon_of_group_advantage(a, steps=1, n_pairs=1000, chance=0.3) for a in (0.9, 0.99)]
    assert show == pytest.approx([0.0154, 0.0309], abs=2e-4)  # tanh gives 0.0099 and 0.0178
    halved = epsilon_of_group_advantage(0.9, steps=2, n_pairs=1000, chance=0.3)
    assert halved == pytest.approx(show[0] / 2, rel=0.01)


def test_edges():
    assert group_advantage(0.0, steps=1, n_pairs=10) == 0
    assert group_advantage(0.0, delta=0.01, steps=2, n_pairs=10) == pytest.approx(0.2)
    assert group_advantage(1e-12, delta=0.01, steps=2, n_pairs=10) == pytest.approx(0.2)
    assert group_advantage(math.inf, steps=1, n_pairs=1) == 1
    assert group_advantage(math.inf, steps=1, n_pairs=3, chance=0.5) == pytest.approx(1 - 0.5**3)
    assert group_advantage(1.0, steps=1, n_pairs=0) == 0
    assert epsilon_of_group_advantage(-0.3, steps=1, n_pairs=10) == 0
    assert epsilon_of_group_advantage(0.2, delta=0.02, steps=1, n_pairs=10) == 0
    assert epsilon_of_group_advantage(0.9, steps=1, n_pairs=3, chance=0.5) == math.inf
    assert epsilon_of_group_advantage(1.0, steps=2, n_pairs=10) > 1


@pytest.mark.parametrize("options", [{"steps": 3}, {"n_pairs": 1.5}, {"n_pairs": -1}, {"chance": 1.1}, {"delta": 1.0}])
def test_refusals(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        group_advantage(1.0, **{"steps": 1, "n_pairs": 10, **options})
