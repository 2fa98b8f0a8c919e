"""From (epsilon, delta) to rho: the spec's figures, what samplers cost, and what is refused."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from mechanisms.accounting.gaussian import gaussian_mu
from mechanisms.accounting.zcdp import zcdp_rho
from mechanisms.errors import BudgetExhaustedError
from mechanisms.guarantee import Neighboring
from mechanisms.noise.source import SecureNoise, SeededNoise
from synth.budget import MOST_DRAWS, TV_PER_DRAW, adaptive_budget, default_delta, marginal_sensitivity, one_shot_budget

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE


@pytest.mark.parametrize(
    ("epsilon", "delta", "rho"), [(1, 1e-9, 0.01497306), (1, 1e-6, 0.02435597), (0.1, 1e-6, 0.00032105), (10, 1e-9, 1.0907857)]
)
def test_adaptive_rho(epsilon: float, delta: float, rho: float):
    assert adaptive_budget(epsilon=epsilon, delta=delta, neighboring=ADD).rho == pytest.approx(rho, rel=2e-5, abs=1e-8)


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
@pytest.mark.parametrize(("delta", "rho"), [(1e-9, 0.01655742), (1e-6, 0.02801448), (1e-5, 0.03592570)])
def test_one_shot_rho(neighboring: Neighboring, delta: float, rho: float):
    budget = one_shot_budget(epsilon=1.0, delta=delta, neighboring=neighboring, shares=np.full(500, 1 / 500))
    assert 0.9998 * rho < budget.rho < rho + 5e-9
    assert budget.rho > 1.1 * adaptive_budget(epsilon=1.0, delta=delta, neighboring=neighboring).rho


def test_other_releases_than_marginals():
    """What counts is p / D^2: half of rho on a family of sensitivity 3 is nearly continuous, on a single query it is not."""
    few = one_shot_budget(epsilon=2.0, delta=1e-6, neighboring=ADD, shares=[0.5, 0.5], sensitivities=[1.0, 1.0])
    many = one_shot_budget(epsilon=2.0, delta=1e-6, neighboring=ADD, shares=[0.5, 0.5], sensitivities=[9.0, 9.0])
    exact = gaussian_mu(2.0, 1e-6) ** 2 / 2
    assert few.rho < 0.98 * exact
    assert 0.998 * exact < many.rho < exact


def test_samplers_are_paid_for():
    budget = adaptive_budget(epsilon=1.0, delta=1e-17, neighboring=ADD)
    cost = (1 + math.e) * MOST_DRAWS * TV_PER_DRAW
    assert budget.sampler_delta == pytest.approx(cost, rel=1e-2)
    assert budget.rho == zcdp_rho(1.0, 1e-17 - cost)
    with pytest.raises(ValueError, match="too small to pay for"):
        adaptive_budget(epsilon=1.0, delta=1e-20, neighboring=ADD)
    assert adaptive_budget(epsilon=1.0, delta=1e-20, neighboring=ADD, n_draws=10_000).rho > 0


def test_record():
    budget = one_shot_budget(epsilon=1.0, delta=1e-6, neighboring=REPLACE, shares=[1.0])
    record = json.loads(json.dumps(budget.to_dict()))
    assert record["neighboring"] == "replace"
    assert record["rho"] == budget.rho
    ledger = budget.ledger()
    ledger.spend_rho("all", "any", sensitivity=1.0, scale=1.0, rho=budget.rho)
    with pytest.raises(BudgetExhaustedError):
        ledger.spend_rho("more", "any", sensitivity=1.0, scale=1.0, rho=1e-6)
    assert budget.guarantee("counts", SecureNoise()).assumptions == ()
    assert "seed" in budget.guarantee("counts", SeededNoise(1)).assumptions[0]


def test_delta_of_a_secret_number_of_rows():
    assert default_delta(REPLACE, n_rows=2000) == 1 / 2000**2
    with pytest.raises(ValueError, match="secret"):
        default_delta(ADD, n_rows=2000)


def test_relations():
    assert marginal_sensitivity(ADD) == 1.0
    assert marginal_sensitivity(REPLACE) == math.sqrt(2)
    with pytest.raises(ValueError, match="zero_out"):
        adaptive_budget(epsilon=1.0, delta=1e-6, neighboring=Neighboring.ZERO_OUT)
    with pytest.raises(TypeError, match="Neighboring"):
        marginal_sensitivity("add_remove")


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0.0, 1e-6), (-1.0, 1e-6), (math.nan, 1e-6), (math.inf, 1e-6), (1.0, 0.0), (1.0, 1.0), (1.0, math.nan)]
)
def test_bad_values(epsilon: float, delta: float):
    with pytest.raises(ValueError, match="epsilon|delta"):
        adaptive_budget(epsilon=epsilon, delta=delta, neighboring=ADD)
    with pytest.raises(ValueError, match="epsilon|delta"):
        one_shot_budget(epsilon=epsilon, delta=delta, neighboring=ADD, shares=[1.0])
