"""Plans: nothing below the lower bound, actual units, what "auto" takes, the table, refusals."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.accounting.gaussian import gaussian_delta
from mechanisms.continual.catalog import MAKERS, choose_mechanism, error_factor, make_factorization
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.plan import plan_counter
from mechanisms.continual.stream_budget import stream_budget
from mechanisms.guarantee import Neighboring

ZERO = Neighboring.ZERO_OUT


@settings(max_examples=25)
@given(st.integers(1, 300), st.sampled_from(["mean", "max"]), st.booleans())
def test_nothing_is_below_the_nuclear_bound(T: int, objective: str, pure: bool):
    budget = {"epsilon": 1.0} if pure else {"rho": 0.5}
    plan = plan_counter(T, **budget, neighboring=ZERO, objective=objective)
    assert plan.lower_factor == pytest.approx(nuclear_bound(T))
    for row in plan.mechanisms:
        assert plan.lower_factor * (1 - 1e-9) <= row.mean_factor <= row.max_factor * (1 + 1e-12)


@settings(max_examples=25)
@given(st.integers(1, 600), st.sampled_from(["mean", "max"]), st.booleans(), st.integers(32, 80))
def test_auto_is_the_best_of_the_table_within_the_memory(T: int, objective: str, pure: bool, max_state: int):
    plan = plan_counter(T, **({"epsilon": 1.0} if pure else {"rho": 0.5}), neighboring=ZERO, objective=objective, max_state=max_state)
    chosen = choose_mechanism(T, pure=pure, objective=objective, max_state=max_state)
    allowed = [r for r in plan.mechanisms if r.n_state <= max_state and r.name != "unknown_horizon"]
    errors = {r.name: r.mean_factor if objective == "mean" else r.max_factor for r in allowed}
    assert errors[chosen.name] == min(errors.values())
    assert errors[plan.chosen] == min(errors.values())
    assert error_factor(chosen, pure=pure, objective=objective) == pytest.approx(errors[chosen.name])


@pytest.mark.parametrize("T", [100, 1024, 20_000])
def test_auto_for_gaussian_and_for_pure_noise(T: int):
    assert choose_mechanism(T).name == "scaled_square_root"
    assert choose_mechanism(T, objective="max").name == "scaled_square_root"
    assert choose_mechanism(T, pure=True).name == "k_ary"


def test_the_scaled_root_is_made_for_the_objective():
    assert choose_mechanism(1024).mean_error() <= 8.80
    assert choose_mechanism(1024, objective="max").max_error() <= 9.15


def test_units():
    plan = plan_counter(100, rho=0.02, neighboring=Neighboring.REPLACE, dim=9, bound=2.0, signed=False)
    for row in plan.mechanisms:
        assert row.mean_error == pytest.approx(row.mean_factor * 36 / 0.04)
        assert row.max_error == pytest.approx(row.max_factor * 36 / 0.04)
    assert plan.lower_bound == pytest.approx(nuclear_bound(100) * 36 / 0.04)
    pure = plan_counter(100, epsilon=0.5, neighboring=ZERO, dim=3)
    tree = pure["tree"]
    assert tree.mean_error == pytest.approx(2 * (7 * 3 / 0.5) ** 2 * np.mean([t.bit_count() for t in range(1, 101)]))


def test_known_pure_figure():
    assert plan_counter(1024, epsilon=1.0, neighboring=ZERO)["k_ary"].mean_error == pytest.approx(170.51, abs=0.005)


def test_epsilon_and_delta_take_the_exact_gaussian_curve():
    budget = stream_budget(rho=None, epsilon=4.887, delta=1e-6)
    assert budget.rho == pytest.approx(0.5, rel=1e-3)
    assert gaussian_delta(math.sqrt(2 * budget.rho), 4.887) == pytest.approx(1e-6, rel=1e-9)
    assert not budget.pure
    assert stream_budget(rho=None, epsilon=1.0, delta=0).pure


def test_certificate():
    plan = plan_counter(64, rho=0.5, neighboring=ZERO, objective="max", certificate=True)
    assert plan.certified
    assert plan.mechanisms[0].name == "dense"
    assert plan.lower_factor == pytest.approx(4.4579, rel=1e-3)
    assert plan.lower_factor <= plan["dense"].max_factor <= plan.lower_factor * 1.0002
    assert plan.chosen == "scaled_square_root", "the dense optimum needs all draws, so it is never automatic"


def test_table_and_record():
    plan = plan_counter(1000, rho=0.5, neighboring=ZERO)
    text, html = str(plan), plan._repr_html_()
    for name in [*(set(MAKERS) - {"dense"}), "lower bound", "too much state", "chosen", "1,000 steps"]:
        assert name in text
        assert name in html
    record = json.loads(json.dumps(plan.to_dict()))
    assert record["schema_version"] == 1
    assert [row["name"] for row in record["mechanisms"]] == [row.name for row in plan.mechanisms]
    assert record["budget"] == {"rho": 0.5, "epsilon": None, "delta": None}
    with pytest.raises(KeyError, match="no mechanism 'dense'"):
        plan["dense"]
    assert "epsilon = 1, delta = 0" in str(plan_counter(10, epsilon=1, neighboring=ZERO))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rho": None}, "either rho or epsilon"),
        ({"epsilon": 1.0}, "either rho or epsilon"),
        ({"delta": 1e-6}, "delta goes with epsilon"),
        ({"rho": 0}, "rho must be positive"),
        ({"neighboring": Neighboring.ADD_REMOVE}, "ZERO_OUT or REPLACE"),
        ({"dim": 0}, "dim"),
        ({"bound": -1}, "bound"),
        ({"objective": "median"}, "objective"),
        ({"max_state": 8}, "max_state"),
        ({"certificate": True, "rho": None, "epsilon": 1.0}, "certificate"),
        ({"horizon": 0}, "horizon"),
        ({"horizon": 4096, "certificate": True}, "2,048"),
    ],
)
def test_refusals(change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        plan_counter(**({"horizon": 10, "rho": 0.5, "neighboring": ZERO} | change))


def test_names():
    for name in MAKERS:
        assert make_factorization(name, 20).name == name
    with pytest.raises(ValueError, match="mechanism must be one of"):
        make_factorization("sqrt", 20)
