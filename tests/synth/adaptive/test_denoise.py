"""Projection is least squares under its constraints; shrinkage removes noise and keeps what stands out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.adaptive.denoise import denoise_pair, project_on_one_ways, shrink_singular_values


def constrained_least_squares(answer, rows, columns):
    """Nearest table with given margins, by the KKT system: the oracle."""
    s_i, s_j = answer.shape
    constraints = np.vstack([np.kron(np.eye(s_i), np.ones(s_j)), np.kron(np.ones(s_i), np.eye(s_j))])
    wanted = np.concatenate([rows, columns])
    multiplier = np.linalg.lstsq(constraints @ constraints.T, wanted - constraints @ answer.ravel(), rcond=None)[0]
    return (answer.ravel() + constraints.T @ multiplier).reshape(answer.shape)


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_projection_is_least_squares(s_i, s_j, seed):
    rng = np.random.default_rng(seed)
    rows, columns = rng.dirichlet(np.ones(s_i)) * 100, rng.dirichlet(np.ones(s_j)) * 100
    answer = rng.normal(size=(s_i, s_j)) * 10
    assert np.allclose(project_on_one_ways(answer, rows, columns), constrained_least_squares(answer, rows, columns), atol=1e-9)


def test_pure_noise_is_shrunk_to_nothing(rng):
    # the largest singular value exceeds (1 + sqrt(beta)) by more than 30 % with probability below 1e-20 at 60 x 40
    noise = rng.normal(size=(60, 40)) * 3
    assert np.abs(shrink_singular_values(noise, 3 * 1.3)).max() == 0
    assert np.abs(shrink_singular_values(noise, 3 * 0.5)).max() > 1  # too small a sigma leaves it there


def test_a_strong_interaction_is_nearer_to_the_truth(rng):
    truth = 500 * np.outer(np.linalg.qr(rng.normal(size=(30, 30)))[0][0], np.linalg.qr(rng.normal(size=(20, 20)))[0][0])
    noisy = truth + rng.normal(size=truth.shape) * 4
    raw, shrunk = np.sum((noisy - truth) ** 2), np.sum((shrink_singular_values(noisy, 4.0) - truth) ** 2)
    assert shrunk < 0.4 * raw  # one of 20 singular values holds it all


def test_nothing_is_shrunk_without_noise():
    interaction = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert np.array_equal(shrink_singular_values(interaction, 0.0), interaction)


@pytest.mark.parametrize("shrunk", [0.0, 0.7, 1.0])
def test_the_denoised_pair_has_the_one_ways(rng, shrunk):
    rows, columns = rng.dirichlet(np.ones(5)) * 1000, rng.dirichlet(np.ones(7)) * 1000
    answer = np.outer(rows, columns) / 1000 + rng.normal(size=(5, 7)) * 20
    denoised = denoise_pair(answer, rows, columns, sigma=20.0, shrunk=shrunk)
    assert np.allclose(denoised.sum(axis=1), rows)
    assert np.allclose(denoised.sum(axis=0), columns)
    if shrunk == 0.0:
        assert np.allclose(denoised, project_on_one_ways(answer, rows, columns))
