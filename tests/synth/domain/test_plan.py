"""Shares of a budget: one conversion, and nothing spent beyond it."""

from __future__ import annotations

import pytest

from mechanisms.accounting.zcdp import zcdp_delta, zcdp_rho
from mechanisms.guarantee import Neighboring
from synth.counts import EncodedCounts
from synth.domain.buy import buy_domain
from synth.domain.open_schema import BuyBounds, BuyCategories, BuyEdges, OpenSchema
from synth.domain.plan import DomainPlan
from synth.encode import encode
from synth.measure import measure_marginals

ADD, REPLACE = Neighboring.ADD_REMOVE, Neighboring.REPLACE
NUMBERS = OpenSchema((BuyBounds("income", bins=8), BuyEdges("weight", 0, 150, bins=8)))
LABELS = OpenSchema((*NUMBERS.columns, BuyCategories("city")))


@pytest.mark.parametrize("neighboring", [ADD, REPLACE])
def test_budget(neighboring: Neighboring):
    numbers = DomainPlan(share=0.2).budget(NUMBERS, epsilon=1.0, delta=1e-6, neighboring=neighboring)
    assert numbers.total.rho == pytest.approx(zcdp_rho(1.0, 1e-6), rel=1e-6)
    assert numbers.rho == pytest.approx(0.2 * numbers.total.rho)
    assert numbers.delta == 0.0
    labels = DomainPlan(share=0.2, delta_share=0.3).budget(LABELS, epsilon=1.0, delta=1e-6, neighboring=neighboring)
    assert labels.delta == pytest.approx(3e-7)
    assert labels.total.rho == pytest.approx(zcdp_rho(1.0, 7e-7), rel=1e-6)
    assert zcdp_delta(labels.total.rho, 1.0) + labels.delta <= 1e-6
    assert (labels.total.epsilon, labels.total.delta, labels.total.neighboring, labels.total.adaptive) == (1.0, 1e-6, neighboring, True)


def test_bad_shares():
    for options in ({"share": 0.0}, {"share": 1.0}, {"delta_share": 1.0}):
        with pytest.raises(ValueError, match="share must be in"):
            DomainPlan(**options)
    with pytest.raises(ValueError, match="epsilon must be positive"):
        DomainPlan().budget(NUMBERS, epsilon=0.0, delta=1e-6, neighboring=ADD)
    with pytest.raises(ValueError, match="shares must sum to 1"):
        DomainPlan(shares={"income": 0.5, "weight": 0.6}).budget(NUMBERS, epsilon=1.0, delta=1e-6, neighboring=ADD)


def test_one_ledger_from_the_domain_to_the_measurements():
    """What a fit does: buy, then measure with all that is left; the whole is the rho of (epsilon, delta - delta')."""
    n = 2000
    table = {
        "income": [float(30 + i % 90) for i in range(n)],
        "weight": [40.0 + i % 60 for i in range(n)],
        "city": [("Bern", "Basel")[i % 2] for i in range(n)],
    }
    plan = DomainPlan(share=0.2, shares={"income": 0.5, "weight": 0.25, "city": 0.25})
    budget = plan.budget(LABELS, epsilon=3.0, delta=1e-6, neighboring=REPLACE)
    ledger = budget.ledger()
    bought = buy_domain(table, LABELS, rho=budget.rho, delta=budget.delta, neighboring=REPLACE, shares=plan.shares, ledger=ledger)
    assert bought.rho <= budget.rho
    source = EncodedCounts(encode(table, bought.schema), bought.schema)
    measure_marginals(source, [(0, 1), (0, 2), (1, 2)], rho=ledger.left, neighboring=REPLACE, ledger=ledger)
    assert ledger.spent <= budget.total.rho
    assert ledger.spent == pytest.approx(zcdp_rho(3.0, 9e-7), rel=1e-6)
    assert bought.delta + zcdp_delta(ledger.spent, 3.0) <= 1e-6
