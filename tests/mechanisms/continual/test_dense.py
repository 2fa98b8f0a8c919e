"""The dense optimum: primal = dual, small figures, the nuclear bound by singular values, and nothing below either bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.continual.dense import Dense
from mechanisms.continual.factorization import left_matrix
from mechanisms.continual.nuclear_bound import nuclear_bound, nuclear_norm
from mechanisms.continual.scaled_square_root import ScaledSquareRoot


@given(st.integers(1, 60))
def test_nuclear_norm_by_singular_values(T: int):
    singular = np.linalg.svd(np.tril(np.ones((T, T))), compute_uv=False)
    assert nuclear_norm(T) == pytest.approx(singular.sum(), rel=1e-12)


@pytest.mark.parametrize(("T", "bound"), [(2**10, 8.4657), (2**16, 17.9106), (2**20, 26.1592)])
def test_nuclear_bound_figures(T: int, bound: float):
    assert nuclear_bound(T) == pytest.approx(bound, abs=5e-5)


@settings(max_examples=10)
@given(st.integers(1, 40), st.sampled_from(["mean", "max"]))
def test_primal_and_dual_agree(T: int, objective: str):
    made = Dense(T, objective=objective, tolerance=1e-6)
    assert -1e-12 <= made.gap <= 1e-6
    reached = made.mean_error() if objective == "mean" else made.max_error()
    assert reached == pytest.approx(made.lower_bound, rel=2e-6)
    assert made.lower_bound >= nuclear_bound(T) * (1 - 1e-9)


@pytest.mark.parametrize(("objective", "value"), [("max", 4.4579), ("mean", 4.4094)])
def test_figures_at_64(objective: str, value: float):
    made = Dense(64, objective=objective, tolerance=1e-6)
    assert made.lower_bound == pytest.approx(value, rel=1e-4)
    assert left_matrix(made) @ made.right_matrix() == pytest.approx(np.tril(np.ones((64, 64))), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("T", "objective", "value"), [(256, "max", 6.4147), (256, "mean", 6.3727), (1024, "max", 8.7703), (1024, "mean", 8.7347)]
)
def test_figures_of_larger_horizons(T: int, objective: str, value: float):
    made = Dense(T, objective=objective, tolerance=1e-3)
    assert made.lower_bound == pytest.approx(value, rel=2e-3)
    assert made.gap <= 1e-3
    scaled = ScaledSquareRoot(T, objective=objective)
    assert made.lower_bound < (scaled.mean_error() if objective == "mean" else scaled.max_error()) < 1.02 * made.lower_bound


def test_left_is_lower_triangular():
    left = left_matrix(Dense(30, objective="max"))
    assert np.abs(np.triu(left, 1)).max() == 0


def test_long_horizons_and_bad_settings_are_refused():
    with pytest.raises(ValueError, match="2,048"):
        Dense(2049)
    with pytest.raises(ValueError, match="objective"):
        Dense(4, objective="least")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tolerance"):
        Dense(4, tolerance=0)
