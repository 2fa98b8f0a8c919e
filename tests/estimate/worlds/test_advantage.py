"""The advantage bound: coverage by enumeration of every outcome, with a broken twin; closed forms; the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.exact.likelihood_ratio import likelihood_ratio_p_value
from privacy_audit.estimate.worlds.advantage import AdvantageBound, advantage_lower_bound

SIZES = [(12, 12), (6, 17)]
RATES = np.linspace(0.02, 0.98, 33)


def counts_of(tn, n_0, tp, n_1):
    return AttackCounts(tn=tn, fp=n_0 - tn, tp=tp, fn=n_1 - tp)


def table(n_0, n_1, bound):
    return np.array([[bound(counts_of(i, n_0, j, n_1)) for j in range(n_1 + 1)] for i in range(n_0 + 1)])


def worst_coverage(n_0, n_1, bounds):
    """The smallest P[bound <= max(adv, 0)] over a grid of rates."""
    mass_0 = stats.binom.pmf(np.arange(n_0 + 1)[:, None], n_0, RATES)
    mass_1 = stats.binom.pmf(np.arange(n_1 + 1)[:, None], n_1, RATES)
    worst = 1.0
    for i, tnr in enumerate(RATES):
        for j, tpr in enumerate(RATES):
            worst = min(worst, mass_0[:, i] @ (bounds <= max(tnr + tpr - 1, 0.0) + 1e-9) @ mass_1[:, j])
    return worst


class TestCoverage:
    @pytest.mark.parametrize("level", [0.8, 0.95])
    @pytest.mark.parametrize("method", ["likelihood_ratio", "clopper_pearson"])
    @pytest.mark.parametrize(("n_0", "n_1"), SIZES)
    def test_every_rate(self, n_0, n_1, method, level):
        bounds = table(n_0, n_1, lambda counts: advantage_lower_bound(counts, level, method=method).advantage)
        assert worst_coverage(n_0, n_1, bounds) >= level

    @pytest.mark.parametrize(("n_0", "n_1"), SIZES)
    def test_broken_twins_are_caught(self, n_0, n_1):
        point = table(n_0, n_1, lambda counts: max(counts.tpr - counts.fpr, 0.0))
        assert worst_coverage(n_0, n_1, point) < 0.7

        def limits_too_high(counts):
            return max(sum(stats.beta.ppf(0.3, k, n - k + 1) if k else 0.0 for k, n in right(counts)) - 1, 0.0)

        assert worst_coverage(n_0, n_1, table(n_0, n_1, limits_too_high)) < 0.95

    def test_likelihood_ratio_is_tighter(self):
        for tn, tp in ((75, 80), (100, 100), (55, 90)):
            counts = counts_of(tn, 100, tp, 100)
            assert advantage_lower_bound(counts).advantage > advantage_lower_bound(counts, method="clopper_pearson").advantage + 0.01


def right(counts):
    return (counts.tn, counts.n_non_members), (counts.tp, counts.n_members)


class TestValues:
    @pytest.mark.parametrize("n", [1, 20, 300, 301, 2000])
    def test_all_right(self, n):
        """Every guess is right with probability at most ((1 + d) / 2)^(2 n); that is between 0.95 alpha and alpha at the bound."""
        low, high = (max(2 * p ** (1 / (2 * n)) - 1, 0.0) for p in (0.95 * 0.05, 0.05))
        assert low - 1e-3 / n <= advantage_lower_bound(counts_of(n, n, n, n)).advantage <= high

    @settings(max_examples=12)
    @given(st.integers(15, 40), st.integers(10, 25))
    @example(19, 20)  # the p-value has two teeth here before it stays above alpha
    @example(23, 21)  # the first tooth only just passes 0.0475
    def test_first_claim_that_is_not_rejected(self, tn, tp):
        counts = counts_of(tn, 40, tp, 25)
        bound = advantage_lower_bound(counts).advantage
        assert 0 <= bound <= max(counts.tpr - counts.fpr, 0.0)
        if bound > 0:
            claims = np.linspace(0, bound, 300)
            p = [likelihood_ratio_p_value(0.0, fp=40 - tn, n_out=40, fn=25 - tp, n_in=25, delta=d) for d in claims]
            assert max(p) <= 0.05
            error = np.sqrt(counts.fpr * (1 - counts.fpr) / 40 + counts.tpr * (1 - counts.tpr) / 25) + 0.01
            just_above = bound + np.linspace(0, 2e-4 * error, 20)  # a tooth may be thinner than the steps below
            further = np.concatenate([just_above, np.linspace(bound, min(bound + 0.1 * error, 0.999), 30)])
            assert max(likelihood_ratio_p_value(0.0, fp=40 - tn, n_out=40, fn=25 - tp, n_in=25, delta=d) for d in further) > 0.0475

    def test_world_names_may_be_exchanged(self):
        one = advantage_lower_bound(counts_of(30, 40, 24, 25)).advantage
        assert advantage_lower_bound(counts_of(24, 25, 30, 40)).advantage == pytest.approx(one, abs=1e-4)

    def test_worse_than_chance_shows_nothing(self):
        assert advantage_lower_bound(counts_of(10, 100, 10, 100)).advantage == 0.0

    def test_large_counts_give_way(self):
        bound = advantage_lower_bound(counts_of(9000, 10_001, 9000, 10_001))
        assert bound.method.startswith("clopper_pearson (")
        assert 0.78 < bound.advantage < 0.8


class TestRecord:
    def test_round_trip(self):
        bound = advantage_lower_bound(counts_of(30, 40, 24, 25), 0.9)
        record = json.loads(json.dumps(bound.to_dict()))
        assert record["kind"] == bound.kind == "bound"
        assert AdvantageBound.from_dict(record) == bound
        assert bound.accuracy == (1 + bound.advantage) / 2
        assert any("fixed beforehand" in sentence for sentence in bound.assumptions)

    def test_bad_input(self):
        counts = counts_of(3, 4, 2, 2)
        with pytest.raises(TypeError, match="AttackCounts"):
            advantage_lower_bound((1, 2, 3, 4))
        with pytest.raises(ValueError, match="level"):
            advantage_lower_bound(counts, 95)
        with pytest.raises(ValueError, match="method"):
            advantage_lower_bound(counts, method="wald")
