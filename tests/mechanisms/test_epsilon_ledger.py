"""What was spent of a pure budget: sums rounded once, refusals that leave no trace, budgets without a guarantee."""

from __future__ import annotations

import json
import math

import pytest

from mechanisms.accounting.epsilon_ledger import EpsilonLedger
from mechanisms.errors import BudgetExhaustedError


@pytest.mark.parametrize("n", [3, 50, 4999])
def test_equal_parts_sum_to_the_budget_and_no_further(n: int):
    ledger = EpsilonLedger(1.0)
    for i in range(n):
        ledger.spend(f"step {i}", "discrete laplace", sensitivity=1.0, scale=float(n), epsilon=1 / n)
    assert ledger.spent == 1.0
    with pytest.raises(BudgetExhaustedError, match="one more costs"):
        ledger.spend("one more", "discrete laplace", sensitivity=1.0, scale=1.0, epsilon=1e-6)
    assert len(ledger.entries) == n
    assert json.loads(json.dumps(ledger.to_dict()))["entries"][2]["step"] == "step 2"


def test_no_guarantee_is_written_as_infinite():
    ledger = EpsilonLedger(math.inf)
    ledger.spend("query 1", "gaussian", sensitivity=1.0, scale=1.0, epsilon=math.inf)
    assert (ledger.spent, ledger.left) == (math.inf, math.inf)
    assert json.loads(json.dumps(ledger.to_dict(), allow_nan=False))["spent"] == "inf"


@pytest.mark.parametrize("epsilon", [-1.0, math.nan])
def test_bad_costs_are_refused(epsilon: float):
    ledger = EpsilonLedger(1.0)
    with pytest.raises(ValueError, match="epsilon"):
        ledger.spend("bad", "any", sensitivity=1.0, scale=1.0, epsilon=epsilon)
    assert ledger.entries == ()
