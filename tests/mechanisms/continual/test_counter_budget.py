"""What a counter spends: scales of noise, totals that are kept, changes of a step, the cost of floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtr

from mechanisms.accounting.discrete_curve import discrete_gaussian_delta
from mechanisms.accounting.gaussian import gaussian_delta, gaussian_mu
from mechanisms.accounting.zcdp import zcdp_rho
from mechanisms.continual.catalog import MAKERS, make_factorization
from mechanisms.continual.counter import ContinualCounter
from mechanisms.continual.counter_design import design_counter
from mechanisms.continual.float_cost import float_cost
from mechanisms.continual.step_sensitivity import step_change
from mechanisms.guarantee import Neighboring

ZERO, REPLACE = Neighboring.ZERO_OUT, Neighboring.REPLACE


def inputs(signed: bool, one_hot: bool) -> list[list[float]]:
    if one_hot:
        return [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
    low = -2.0 if signed else 0.0
    return [[a, b, c] for a in (low, 0, 2.0) for b in (low, 0, 2.0) for c in (low, 0, 2.0)]


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("neighboring", [ZERO, REPLACE])
def test_change_is_the_largest_over_all_corners(neighboring: Neighboring, signed: bool, one_hot: bool):
    points = np.array(inputs(signed, one_hot))
    others = points if neighboring is REPLACE else np.zeros((1, 3))
    gaps = points[:, None] - others
    change = step_change(neighboring, dim=3, bound=1.0 if one_hot else 2.0, signed=signed, one_hot=one_hot)
    assert change.l1 == pytest.approx(np.abs(gaps).sum(-1).max(), rel=1e-12)
    assert change.l2 == pytest.approx(np.sqrt((gaps**2).sum(-1)).max(), rel=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_two_opposite_places_cost_what_is_charged(name: str):
    made = make_factorization(name, 40)
    R = made.right_matrix()
    pairs = R[:, :, None] - R[:, None, :]
    change = step_change(ZERO, dim=1, bound=1.0, moves=True, same_sign=made.same_sign)
    assert np.sqrt((pairs**2).sum(axis=0)).max() <= change.l2 * made.l2_sensitivity * (1 + 1e-9)
    assert np.abs(pairs).sum(axis=0).max() <= change.l1 * made.l1_sensitivity * (1 + 1e-9)
    assert not made.same_sign or (R.T @ R).min() > -1e-9
    if made.complete:  # the k-th draw of a step belongs to a row of R that this step completes
        n_drawn = drawn_by_step(name, 40)
        for step, (first, last) in enumerate(zip([0, *n_drawn], n_drawn, strict=False)):
            assert not (np.abs(R[first:last, step + 1 :]) > 1e-12).any()


def drawn_by_step(name: str, horizon: int) -> list[int]:
    stream, n_drawn, result = make_factorization(name, horizon).stream(1), 0, []

    def draw(n: int) -> np.ndarray:
        nonlocal n_drawn
        n_drawn += n
        return np.zeros((n, 1))

    for _ in range(horizon):
        stream.step(draw)
        result.append(n_drawn)
    return result


@pytest.mark.parametrize("name", [name for name in MAKERS if name != "dense"])
@pytest.mark.parametrize("horizon", [1, 2, 77, 2000])
def test_draws_stay_below_the_bound(name: str, horizon: int):
    assert drawn_by_step(name, horizon)[-1] <= 4 * horizon + 4096


@pytest.mark.parametrize("name", MAKERS)
def test_rho_gives_the_scale(name: str):
    design = design_counter(60, rho=0.3, mechanism=name, dim=4, bound=3.0)
    assert design.scale == pytest.approx(design.factorization.l2_sensitivity * 6 / math.sqrt(0.6), rel=1e-9)
    budget = design.budget()
    assert budget.rho <= 0.3 * (1 + 1e-12)
    assert budget.rho == pytest.approx(0.3, rel=1e-9)
    assert budget.delta == 1e-6


@pytest.mark.parametrize("name", ["tree", "smooth", "k_ary"])
def test_epsilon_alone_gives_laplace(name: str):
    counter = ContinualCounter(60, epsilon=0.7, mechanism=name, dim=2, neighboring=REPLACE)
    assert counter.budget_.noise_scale == pytest.approx(counter.factorization_.l1_sensitivity * 4 / 0.7, rel=1e-9)
    assert counter.guarantee.epsilon == 0.7
    assert 0 < counter.guarantee.delta < 1e-24


@given(st.floats(0.05, 20), st.floats(1e-9, 0.1), st.sampled_from(["tree", "scaled_square_root"]), st.sampled_from([True, False]))
def test_epsilon_and_delta_are_kept_with_everything_included(epsilon: float, delta: float, name: str, whole: bool):
    design = design_counter(500, epsilon=epsilon, delta=delta, mechanism=name, whole=whole)
    budget = design.budget()
    assert budget.delta <= delta
    assert budget.epsilon <= epsilon * (1 + 1e-9)
    assert budget.epsilon >= epsilon * (1 - 1e-3)
    mu = design.factorization.l2_sensitivity * design.change.l2 / design.scale
    if design.law == "gaussian":
        assert mu <= gaussian_mu(epsilon, delta)
        assert gaussian_delta(mu, epsilon - budget.arithmetic_epsilon) + budget.arithmetic_delta <= delta * (1 + 1e-6)
    else:
        assert zcdp_rho(epsilon, delta) * (1 - 1e-6) <= mu**2 / 2 <= gaussian_mu(epsilon, delta) ** 2 / 2  # between the two accountants
        change = design.factorization.l2_sensitivity * design.change.l2
        assert discrete_gaussian_delta([change], [design.scale], epsilon) <= delta


def test_replace_of_signed_values_doubles_the_noise_and_of_unsigned_ones_does_not():
    scales = [design_counter(60, rho=0.5, neighboring=n, signed=s).scale for n, s in [(ZERO, True), (REPLACE, True), (REPLACE, False)]]
    assert scales[1] == pytest.approx(2 * scales[0])
    assert scales[2] == scales[0]


def test_histogram_change_does_not_grow_with_dim():
    assert design_counter(60, rho=0.5, one_hot=True, dim=500).scale == pytest.approx(design_counter(60, rho=0.5).scale)


def test_large_budgets_that_have_no_epsilon_are_told_so():
    counter = ContinualCounter(60, rho=1e4)
    with pytest.raises(ValueError, match="too small for the cost"):
        _ = counter.guarantee
    with pytest.raises(ValueError, match="too small for the cost"):
        ContinualCounter(60, epsilon=1.0, delta=1e-320)


@given(st.floats(0.05, 3), st.floats(0.01, 3), st.floats(-12, 12))
def test_float_cost_covers_a_cell_of_a_single_release(grid: float, sd: float, at: float):
    """The factor of one release, with errors of the size of a thousandth of the grid: cells enlarged and shrunk by eta."""
    assume(grid > 0.01 * sd)
    eta = 1e-3 * grid
    center = round(at * sd / grid) * grid
    cell, larger, smaller = (
        mass(a / sd, b / sd) for a, b in [(center - w, center + w) for w in (grid / 2, grid / 2 + eta, grid / 2 - eta)]
    )
    moved = eta * 2 / sd
    factor = math.exp(2 * eta / (grid - 2 * eta) + moved * 16 + moved**2 / 2)
    assert larger <= factor * cell * (1 + 1e-9)
    assert cell <= factor * smaller * (1 + 1e-9)


def test_one_border_of_the_grid_is_not_enough():
    """A float release off by eta = 1e-4 grids, sd = 100 grids: it rounds differently 250 times as often as one border says."""
    eta, sd = 1e-4, 100.0
    borders = np.arange(-1003, 1003) + 0.5
    differs = sum(mass((border - eta) / sd, (border + eta) / sd) for border in borders)
    assert differs > 200 * 2 * eta / (math.sqrt(2 * math.pi) * sd)
    assert differs == pytest.approx(2 * eta, rel=5e-3)


def mass(low: float, high: float) -> float:
    """Normal probability of an interval, from the tail on its side."""
    return float(ndtr(-low) - ndtr(-high)) if low > 0 else float(ndtr(high) - ndtr(low))


def test_float_cost_grows_with_the_horizon_and_stays_small():
    costs = [float_cost(horizon=2**k, dim=1, row_norm=4.0, sensitivity=1.0, scale=1.0, grid=1.0) for k in (10, 16, 20)]
    assert costs[0].epsilon < costs[1].epsilon < costs[2].epsilon < 0.02
    assert costs[2].tail < 1e-48
    with pytest.raises(ValueError, match="coarser"):
        float_cost(horizon=2**20, dim=1, row_norm=4.0, sensitivity=1.0, scale=1.0, grid=1e-10)


@pytest.mark.parametrize("name", ["scaled_square_root", "buffered_toeplitz", "square_root", "honaker", "k_ary"])
def test_float_errors_stay_far_below_what_is_charged(name: str, rng: np.random.Generator):
    """Two orders of summing the same noise, one of them scaled by 3, differ by rounding errors only."""
    horizon = 2**12
    made = make_factorization(name, horizon)
    n_rows = drawn_by_step(name, horizon)[-1] if name != "square_root" else horizon
    z = rng.normal(size=(n_rows, 2))
    paths = [made.stream(2).run(handing(z), horizon)]
    stream, draw = made.stream(2), handing(3.0 * z)
    paths.append(np.stack([stream.step(draw) for _ in range(horizon)]) / 3.0)
    charged = math.sqrt(made.squared_row_norms().max()) * 16 * 2.0**-50 * math.sqrt(horizon)
    assert np.abs(paths[0] - paths[1]).max() < charged / 10


def handing(z: np.ndarray):  # type: ignore[no-untyped-def]
    used = 0

    def draw(n: int) -> np.ndarray:
        nonlocal used
        used += n
        return z[used - n : used]

    return draw
