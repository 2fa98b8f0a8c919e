"""What was spent: sums, refusals that leave no trace, many entries."""

from __future__ import annotations

import json

import pytest

from mechanisms.accounting.ledger import Ledger
from mechanisms.errors import BudgetExhaustedError


def test_entries_sum_to_the_budget_and_no_further():
    ledger = Ledger(0.75)
    for i in range(5000):
        ledger.spend_rho(f"step {i}", "any", sensitivity=1.0, scale=2.0, rho=0.75 / 5000)
    assert ledger.spent == pytest.approx(sum(entry.rho for entry in ledger.entries), rel=1e-12)
    assert ledger.spent == pytest.approx(0.75, rel=1e-12)
    with pytest.raises(BudgetExhaustedError, match="one more costs"):
        ledger.spend("one more", "discrete gaussian", sensitivity=1.0, scale=100.0)
    assert len(ledger.entries) == 5000
    assert json.loads(json.dumps(ledger.to_dict()))["entries"][7]["step"] == "step 7"


def test_gaussian_rho():
    ledger = Ledger(1.0)
    assert ledger.spend("pairs", "discrete gaussian", sensitivity=3.0, scale=6.0) == 0.125
    assert ledger.left == 0.875
    with pytest.raises(ValueError, match="scale must be positive"):
        ledger.spend("free", "discrete gaussian", sensitivity=1.0, scale=0.0)
    assert ledger.spent == 0.125
