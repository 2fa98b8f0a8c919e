"""Fast ways to norms, errors and choices against slow ones: plain loops, one filter a pair of exponentials, enumeration of all steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.continual.catalog import AUTOMATIC, WHOLE, choose_mechanism
from mechanisms.continual.exponential_sums import ExponentialSum, geometric, root_as_exponentials, shifted
from mechanisms.continual.honaker import node_variances
from mechanisms.continual.k_ary import BASES, KAry, absolute_digit_sums, best_base, levels_for, total_digit_sum
from mechanisms.continual.plan import plan_counter
from mechanisms.continual.row_scale import fitted_exponents, row_scale
from mechanisms.continual.row_variances import row_variances
from mechanisms.continual.smooth import Smooth
from mechanisms.continual.square_root import root_coefficients
from mechanisms.guarantee import Neighboring

LONG = 5000  # many blocks of 64 steps


def slow_coefficients(root: ExponentialSum, n: int) -> np.ndarray:
    return np.append(1.0, sum(w * r ** np.arange(n - 1) for w, r in zip(root.weight, root.rate, strict=True)))[:n]


def slow_gain(root: ExponentialSum, scale: np.ndarray) -> np.ndarray:
    squares, earlier = scale[::-1] ** 2, shifted(scale[::-1] ** 2)
    pairs = [(w * v, r * s) for w, r in zip(root.weight, root.rate, strict=True) for v, s in zip(root.weight, root.rate, strict=True)]
    return np.sqrt(squares + sum(weight * geometric(rate, earlier) for weight, rate in pairs))[::-1]


def slow_row_variances(inverse: ExponentialSum, scale: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The recursion over all steps, one filter for every pair of exponentials."""
    precision, m = 1 / scale**2, inverse.n_terms
    pairs = {(i, j): geometric(inverse.rate[i] * inverse.rate[j], shifted(precision)) for i in range(m) for j in range(m)}
    drive = [sum(inverse.weight[j] * pairs[i, j] for j in range(m)) for i in range(m)]
    squares = precision + sum(inverse.weight[i] * drive[i] for i in range(m))
    cross = sum(
        inverse.weight[i] * geometric(inverse.rate[i], shifted(inverse.rate[i] * gain * drive[i] + gain * precision)) for i in range(m)
    )
    return np.cumsum(2 * gain * cross + gain**2 * squares)


@pytest.mark.parametrize("T", [1, 63, 64, 65, 129, LONG])
@pytest.mark.parametrize("objective", ["mean", "max"])
def test_blocks_give_what_filters_over_all_steps_give(T: int, objective: str):
    root, scale = root_as_exponentials(T), row_scale(T, fitted_exponents(T, objective))
    for sums in (root, root.inverse()):
        np.testing.assert_allclose(sums.coefficients(T), slow_coefficients(sums, T), rtol=1e-13)
    gain = slow_gain(root, scale)
    np.testing.assert_allclose(root.filtered_by_squares(scale[::-1] ** 2)[::-1], gain**2, rtol=1e-13)
    np.testing.assert_allclose(row_variances(root.inverse(), scale, gain), slow_row_variances(root.inverse(), scale, gain), rtol=1e-11)


@given(st.integers(1, 10**6), st.sampled_from(BASES), st.integers(0, 2))
@settings(max_examples=20)
def test_digit_sums_in_closed_form(T: int, base: int, more: int):
    h = levels_for(T, base) + more
    assert total_digit_sum(T, base, h) == absolute_digit_sums(T, base, h).sum()


@pytest.mark.parametrize("T", [1, 7, 100, 1000, 2**14])
def test_best_base_by_enumeration(T: int):
    errors = {base: levels_for(T, base) ** 2 * int(absolute_digit_sums(T, base, levels_for(T, base)).sum()) for base in BASES}
    assert best_base(T) == min(errors, key=errors.__getitem__)
    assert KAry(T).mean_error() == pytest.approx(KAry(T).squared_row_norms().mean() * KAry(T).n_levels, rel=1e-14)


def slow_norms(T: int, objective: str) -> dict[str, tuple[np.ndarray, float, float]]:
    """Squared row norms, squared L2 and squared L1 sensitivity (0: not whole) of all automatic mechanisms."""
    steps = range(1, T + 1)
    bits, half = T.bit_length(), Smooth(T).n_ones
    variances = node_variances(bits)
    base = best_base(T)
    h, f, root = levels_for(T, base), root_coefficients(T), root_as_exponentials(T)
    c, scale = slow_coefficients(root, T), row_scale(T, fitted_exponents(T, objective))
    inverse = root.inverse()
    return {
        "tree": (np.array([float(t.bit_count()) for t in steps]), bits, bits**2),
        "smooth": (np.full(T, float(half)), half, half**2),
        "k_ary": (absolute_digit_sums(T, base, h).astype(float), h, h**2),
        "honaker": (np.array([sum(variances[i] for i in range(bits) if t >> i & 1) for t in steps]), bits, 0),
        "square_root": (np.cumsum(f**2), float(np.sum(f**2)), 0),
        "buffered_toeplitz": (np.cumsum(np.cumsum(slow_coefficients(inverse, T)) ** 2), float(np.sum(c**2)), 0),
        "scaled_square_root": (slow_row_variances(inverse, scale, slow_gain(root, scale)), 1.0, 0),
    }


@pytest.mark.parametrize("T", [60, 1000, LONG])
@pytest.mark.parametrize("objective", ["mean", "max"])
@pytest.mark.parametrize("pure", [False, True])
def test_plans_and_choices_are_those_of_the_slow_figures(T: int, objective: str, pure: bool):
    budget = {"epsilon": 1.0} if pure else {"rho": 0.5}
    plan = plan_counter(T, **budget, neighboring=Neighboring.ZERO_OUT, objective=objective)
    norms, errors = slow_norms(T, objective), {}
    for name in WHOLE if pure else AUTOMATIC:
        rows, l2, l1 = norms[name]
        factor = l1 if pure else l2
        assert plan[name].mean_factor == pytest.approx(rows.mean() * factor, rel=1e-11)
        assert plan[name].max_factor == pytest.approx(rows.max() * factor, rel=1e-11)
        if plan[name].n_state <= 64:
            errors[name] = (rows.mean() if objective == "mean" else rows.max()) * factor
    best = min(errors, key=errors.__getitem__)
    assert plan.chosen == best
    assert choose_mechanism(T, pure=pure, objective=objective).name == best
