"""What a transcript tells of one record: adaptive filters against theorem 1, all channels against 2, enumeration against 3."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binom, chi2

from mechanisms.adaptive.posterior_gap import composed_posterior_gap, gaussian_posterior_gap, pure_posterior_gap

Floats = NDArray[np.float64]
FALSE_ALARM = 5.0  # standard errors: 3e-7 one-sided

PRIORS = {
    "two kinds": np.array([0.5, 0.5]),
    "uneven": np.array([0.02, 0.08, 0.2, 0.3, 0.4]),
    "many kinds": np.full(16, 1 / 16),
}


def filtered_variation(prior: Floats, rho: float, n_steps: int, chooser: str, size: int, rng: np.random.Generator) -> Floats:
    """Total variation between prior and posterior of one record, after n steps with Gaussian noise whose queries are chosen by a rule.

    "fixed" asks the same 0/1 query again, "largest" asks for the kinds of records that have become likelier, "random" for any.
    """
    half = math.sqrt(rho / (2 * n_steps))  # e: rho = k (2 e)^2 / 2
    record = rng.choice(prior.size, size=size, p=prior)
    first = np.where(np.cumsum(prior) <= 0.5, half, -half) * np.ones((size, 1))
    density = np.ones((size, prior.size))
    for step in range(n_steps):
        drift = first
        if chooser == "random":
            drift = rng.choice([-half, half], size=density.shape)
        elif chooser == "largest" and step:
            root = np.sqrt(density)
            drift = np.where(root > 1 / (root @ prior)[:, None], half, -half)
        seen = drift[np.arange(size), record] + rng.standard_normal(size)
        density *= np.exp(-((seen[:, None] - drift) ** 2) / 2)
        density /= (density @ prior)[:, None]
    return np.asarray(np.abs(density - 1) @ prior / 2, dtype=np.float64)


def excess_over(variation: Floats, level: float, failure: float, factor: float = 1.0) -> float:
    """By how many standard errors E(V^2 - s)_+ is above p (T_p(rho w^2 / 8) - s), its bound at the quantile s."""
    gap = gaussian_posterior_gap(level * factor, failure)
    quantile = gaussian_quantile(level * factor, failure)
    over = np.maximum(variation**2 - quantile, 0)
    bound = failure * (gap**2 - quantile)
    return float((over.mean() - bound) / (over.std() / math.sqrt(over.size) + 1e-300))


def gaussian_quantile(rho: float, failure: float) -> float:
    return float(rho / 8 * chi2(1).isf(failure))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("chooser", ["fixed", "largest", "random"])
@pytest.mark.parametrize(("rho", "n_steps"), [(0.005, 1), (0.005, 12), (0.3, 12)])
def test_theorem_1_holds_for_adaptive_queries(prior: str, chooser: str, rho: float, n_steps: int, rng: np.random.Generator):
    variation = filtered_variation(PRIORS[prior], rho, n_steps, chooser, 20_000, rng)
    for failure in (0.5, 0.05, 0.01):
        assert excess_over(variation, rho, failure) < FALSE_ALARM


def test_theorem_1_is_sharp(rng: np.random.Generator):
    """Half of the gap would be wrong by far, and so would nine tenths of it."""
    variation = filtered_variation(PRIORS["two kinds"], 0.005, 12, "fixed", 100_000, rng)
    assert excess_over(variation, 0.005, 0.05, 0.25) > FALSE_ALARM
    assert excess_over(variation, 0.005, 0.05, 0.81) > FALSE_ALARM


@given(st.floats(0.01, 6), st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.data())
def test_theorem_2_holds_for_all_channels(epsilon: float, weights: list[float], data: st.DataObject):
    prior = np.array(weights) / np.sum(weights)
    likelihood = np.exp(epsilon * data.draw(arrays(np.float64, prior.size, elements=st.floats(0, 1))))
    posterior = prior * likelihood / (prior @ likelihood)
    assert np.abs(posterior - prior).sum() / 2 <= pure_posterior_gap(epsilon) + 1e-12


@given(st.floats(0.01, 6))
def test_theorem_2_is_attained(epsilon: float):
    s = 1 / (1 + math.exp(epsilon / 2))
    after = s * math.exp(epsilon) / (s * math.exp(epsilon) + 1 - s)
    assert after - s == pytest.approx(pure_posterior_gap(epsilon))
    assert after - s > pure_posterior_gap(epsilon / 2)


def enumerated_squares(epsilon: float, n_steps: int, share: float) -> tuple[Floats, Floats]:
    """V^2 and its probability, for n_steps randomized responses of a record that is one of two kinds."""
    heads = math.exp(epsilon) / (1 + math.exp(epsilon))
    squares, mass = [], []
    for bits in itertools.product((0, 1), repeat=n_steps):
        one = heads ** sum(bits) * (1 - heads) ** (n_steps - sum(bits))
        other = heads ** (n_steps - sum(bits)) * (1 - heads) ** sum(bits)
        total = share * one + (1 - share) * other
        squares.append((share * one / total - share) ** 2)
        mass.append(total)
    return np.array(squares), np.array(mass)


def tail_mean(values: Floats, mass: Floats, failure: float) -> float:
    return float(min(s + (np.maximum(values - s, 0) @ mass) / failure for s in np.append(values, 0.0)))


@given(st.floats(0.01, 2), st.integers(1, 7), st.floats(0.05, 0.95), st.floats(0.001, 0.9))
def test_theorem_3_holds_for_randomized_response(epsilon: float, n_steps: int, share: float, failure: float):
    squares, mass = enumerated_squares(epsilon, n_steps, share)
    assert math.sqrt(tail_mean(squares, mass, failure)) <= composed_posterior_gap(epsilon, n_steps, failure) + 1e-12


def test_theorem_3_with_half_of_the_loss_would_be_wrong():
    squares, mass = enumerated_squares(0.2, 7, 0.5)
    assert math.sqrt(tail_mean(squares, mass, 0.05)) > composed_posterior_gap(0.1, 7, 0.05)


@given(st.floats(0.001, 3), st.integers(1, 400), st.floats(1e-6, 0.9))
def test_theorem_3_formula(epsilon: float, n_steps: int, failure: float):
    heads = np.arange(n_steps + 1)
    loss = epsilon * (2 * heads - n_steps)
    mass = binom.pmf(heads, n_steps, 1 / (1 + math.exp(-epsilon)))
    expected = min(1.0, math.sqrt(tail_mean(loss * np.tanh(loss / 2) / 4, mass, failure)))
    assert composed_posterior_gap(epsilon, n_steps, failure) == pytest.approx(expected, rel=1e-6)


def test_many_steps_are_cheaper_than_their_sum_and_like_the_gaussian():
    """l is close to normal with variance 2 rho: the gap is sqrt(2) times the Gaussian's, whose proof knows more."""
    for n_steps in (10_000, 1_000_000):
        epsilon = 0.2 / math.sqrt(n_steps)
        found = composed_posterior_gap(epsilon, n_steps, 0.05)
        assert found == pytest.approx(math.sqrt(2) * gaussian_posterior_gap(0.02, 0.05), rel=0.02)
        assert found < pure_posterior_gap(n_steps * epsilon)
