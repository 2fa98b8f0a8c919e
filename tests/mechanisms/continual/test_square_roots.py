"""Square roots: coefficients and inverses, exponential sums, the recursion against a dense solve, the row scale and exact variances."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, linalg

from mechanisms.continual.buffered_toeplitz import BufferedToeplitz, InverseFilterStream
from mechanisms.continual.exponential_sums import root_as_exponentials, shifted
from mechanisms.continual.factorization import left_matrix
from mechanisms.continual.row_scale import FITTED, fitted_exponents, row_scale
from mechanisms.continual.row_variances import row_variances
from mechanisms.continual.scaled_square_root import ScaledSquareRoot
from mechanisms.continual.square_root import SquareRoot, inverse_root_coefficients, root_coefficients

# --- coefficients ---


def test_root_squared_is_the_sum_and_the_inverse_undoes_it():
    f, g = root_coefficients(400), inverse_root_coefficients(400)
    np.testing.assert_allclose(np.convolve(f, f)[:400], 1, atol=1e-13)
    np.testing.assert_allclose(np.convolve(f, g)[:400], np.eye(1, 400)[0], atol=1e-14)


def test_coefficients_are_central_binomials():
    assert root_coefficients(20).tolist() == pytest.approx([math.comb(2 * k, k) / 4**k for k in range(20)], rel=1e-14)


def test_norm_grows_with_the_logarithm():
    s = float((root_coefficients(2**16) ** 2).sum())
    assert s == pytest.approx(math.log(2**16) / math.pi + 1.0663, abs=1e-4)
    assert SquareRoot(2**16).max_error() == pytest.approx(s**2)


@pytest.mark.parametrize("k", [1, 2, 7, 40])
def test_coefficients_are_a_mixture_of_exponentials(k: int):
    value, _ = integrate.quad(lambda x: x ** (k - 1) * math.sqrt(x / (1 - x)) / math.pi, 0, 1)
    assert value == pytest.approx(root_coefficients(k + 1)[k], rel=1e-7)


@pytest.mark.parametrize(("T", "m", "loss"), [(2**10, 8, 0.0029), (2**10, 10, 0.0004), (2**16, 10, 0.0025), (2**16, 12, 0.0005)])
def test_loss_of_the_buffers(T: int, m: int, loss: float):
    found = BufferedToeplitz(T, m).max_error() / SquareRoot(T).max_error() - 1
    assert 0 <= found == pytest.approx(loss, abs=6e-5)


# --- exponential sums ---


@given(st.integers(1, 300), st.integers(2, 14))
def test_exponential_sums_and_their_inverses(T: int, m: int):
    root = root_as_exponentials(T, m)
    inverse = root.inverse()
    c, g = root.coefficients(T), inverse.coefficients(T)
    np.testing.assert_allclose(np.convolve(c, g)[:T], np.eye(1, T)[0], atol=1e-12)
    assert (inverse.weight <= 0).all()
    assert (inverse.rate < 1).all()
    assert (np.sort(inverse.rate) <= np.sort(root.rate) + 1e-14).all(), "eigenvalues interlace"
    assert ((root.rate > 0) & (root.rate < 1)).all()


@given(st.integers(1, 120), st.integers(1, 3), st.integers(0, 2**32))
def test_filters_against_matrices(T: int, dim: int, seed: int):
    root = root_as_exponentials(T)
    c = np.tril(linalg.toeplitz(root.coefficients(T)))
    values = np.random.default_rng(seed).normal(size=(T, dim))
    np.testing.assert_allclose(root.filtered(values), c @ values, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(root.filtered_by_squares(values), c**2 @ values, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(root.inverse().filtered(root.filtered(values)), values, atol=1e-10)


def test_shifted():
    assert shifted(np.array([1.0, 2.0, 3.0])).tolist() == [0, 1, 2]


def test_twelve_exponentials_up_to_a_quarter_million_then_sixteen():
    assert [root_as_exponentials(T).n_terms for T in (1, 2**18, 2**18 + 1)] == [12, 12, 16]


@pytest.mark.parametrize("T", [1, 2, 50, 500])
def test_recursion_is_the_dense_solve(T: int, rng: np.random.Generator):
    root = root_as_exponentials(T)
    z = rng.normal(size=(T, 3))
    stream = InverseFilterStream(root, 3)
    noise = np.stack([stream.step(lambda n, t=t: z[t : t + n]) for t in range(T)])
    solved = linalg.solve_triangular(np.tril(linalg.toeplitz(root.coefficients(T))), z, lower=True)
    np.testing.assert_allclose(np.diff(noise, axis=0, prepend=0), solved, atol=1e-12)


# --- row scale ---


@pytest.mark.parametrize("T", [1, 2, 3, 30, 300])
@pytest.mark.parametrize("exponents", [(), (1.6478, 0.8654), (0.4, 0.5, -2.0, 0.9, 2.4, 0.4)])
def test_scaled_columns_have_norm_one(T: int, exponents: tuple[float, ...]):
    made = ScaledSquareRoot(T, exponents=exponents)
    R = made.right_matrix()
    np.testing.assert_allclose((R**2).sum(axis=0), 1, rtol=1e-10)
    np.testing.assert_allclose(left_matrix(made) @ R, np.tril(np.ones((T, T))), atol=1e-9)
    assert (made.scale > 0).all()


@settings(max_examples=20)
@given(st.integers(1, 150), st.integers(0, 2**32), st.integers(2, 12))
def test_row_variances_against_the_dense_matrix(T: int, seed: int, m: int):
    rng = np.random.default_rng(seed)
    scale, gain = np.exp(rng.normal(size=T)), np.exp(rng.normal(size=T))
    inverse = root_as_exponentials(T, m).inverse()
    L = np.tril(np.ones((T, T))) @ (gain[:, None] * np.tril(linalg.toeplitz(inverse.coefficients(T))) / scale)
    np.testing.assert_allclose(row_variances(inverse, scale, gain), (L**2).sum(axis=1), rtol=1e-8)


def test_the_two_parameter_figures():
    first, second = ScaledSquareRoot(1024, exponents=(1.6478, 0.8654)), ScaledSquareRoot(1024, exponents=(2.11, 0.5673))
    assert first.max_error() == pytest.approx(9.208, abs=1e-3)
    assert second.mean_error() == pytest.approx(8.799, abs=1e-3)
    assert second.max_error() == pytest.approx(9.951, abs=1e-3)


@pytest.mark.parametrize("objective", ["mean", "max"])
def test_fitted_numbers_between_horizons(objective: str):
    table = FITTED[objective]
    for T, exponents in table.items():
        assert fitted_exponents(T, objective) == pytest.approx(exponents)
    low, high = np.array(table[1024]), np.array(table[4096])
    between = np.array(fitted_exponents(2048, objective))
    np.testing.assert_allclose(between, (low + high) / 2, rtol=1e-12)
    assert fitted_exponents(1, objective) == pytest.approx(table[min(table)])
    assert fitted_exponents(2**30, objective) == pytest.approx(table[max(table)])


@pytest.mark.parametrize("T", [3, 100, 700, 3000, 10_000])
def test_fits_help_at_horizons_they_were_not_made_for(T: int):
    plain = ScaledSquareRoot(T, exponents=())
    assert ScaledSquareRoot(T).mean_error() <= plain.mean_error()
    assert ScaledSquareRoot(T, objective="max").max_error() <= plain.max_error()


def test_a_bad_scale_costs_accuracy_never_sensitivity():
    made = ScaledSquareRoot(200, exponents=(-3.0, 5.0))
    assert (made.right_matrix() ** 2).sum(axis=0).max() == pytest.approx(made.l2_sensitivity**2)
    assert made.mean_error() > 2 * ScaledSquareRoot(200).mean_error()


def test_refused_scales():
    with pytest.raises(ValueError, match="at most six"):
        row_scale(10, (0.0,) * 7)
    with pytest.raises(ValueError, match=r"beyond e\^300"):
        row_scale(10, (1e6,))
    with pytest.raises(ValueError, match="objective"):
        ScaledSquareRoot(10, objective="median")  # type: ignore[arg-type]
