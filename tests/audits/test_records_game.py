"""The game of records: its bound keeps its level whatever the attack, finds a leak, and looks only where it may."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from attacks.membership.lira import LiRA
from attacks.membership.loss import LossAttack
from attacks.scores import MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from privacy_audit.audits.records_game import (
    ShadowSignals,
    all_scores,
    guesses_per_side,
    records_bound,
    records_posterior,
    targets_of,
)
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.posterior import EpsilonPosterior


def evidence(rng, *, leak, n_models=12, n_records=400, population=None):
    member = rng.random((n_models, n_records)) < 0.5
    member[-2:] = [[False], [True]]  # every record has both sides, so no attack warns
    level = rng.normal(size=n_records)
    signals = level + leak * member + rng.normal(size=member.shape)
    return ShadowSignals(signals=signals, member=member, population=population, is_target=np.arange(n_models) < targets_of(n_models))


class TestSignals:
    def test_scores_are_those_of_the_targets_in_order(self, rng):
        found = evidence(rng, leak=1.0)
        scores = found.scores(LiRA(variance="fixed"))
        oracle = LiRA(variance="fixed").fit(found.signals[3:], found.member[3:])
        assert len(scores) == 3 * 400
        for target in range(3):
            rows = scores.model_id == target
            np.testing.assert_array_equal(scores.score[rows], oracle.score(found.signals[target]))
            np.testing.assert_array_equal(scores.member[rows], found.member[target])
            np.testing.assert_array_equal(scores.example_id[rows], np.arange(400))

    def test_no_target_is_a_reference_of_another(self, rng):
        found = evidence(rng, leak=1.0)
        before = found.scores(LiRA(variance="fixed")).score[:400]
        member = found.member.copy()
        member[1:3] = ~member[1:3]
        other = ShadowSignals(signals=found.signals, member=member, population=None, is_target=found.is_target)
        np.testing.assert_array_equal(other.scores(LiRA(variance="fixed")).score[:400], before)

    def test_too_few_models_are_refused(self, rng):
        found = evidence(rng, leak=0.0)
        with pytest.raises(InsufficientEvidenceError, match="reference"):
            ShadowSignals(signals=found.signals, member=found.member, population=None, is_target=np.ones(12, dtype=bool))


def test_guesses_are_fixed_by_the_number_of_coins():
    assert [guesses_per_side(n) for n in (10, 100, 1280, 64_000)] == [5, 20, 20, 1000]
    assert [targets_of(n) for n in (4, 7, 64)] == [1, 1, 16]


class TestBound:
    def test_null_audits_leave_no_bound(self, rng):  # false alarm 1e-6: at most binomial(1000, 0.05)
        positive = 0
        for _ in range(1000):
            member = rng.random(800) < 0.5
            scores = MembershipScores(rng.normal(size=800), member, np.repeat([0, 1], 400), np.tile(np.arange(400), 2))
            positive += records_bound(scores, delta=1e-5, level=0.95).epsilon > 0
        assert positive <= stats.binom.isf(1e-6, 1000, 0.05)

    def test_choosing_the_numbers_of_guesses_afterwards_is_caught(self, rng):  # negative control; rejects in almost half of the audits
        positive = 0
        for _ in range(200):
            member = rng.random(800) < 0.5  # in the order of scores that know nothing
            right_in, right_out = np.cumsum(member)[4:400:5], np.cumsum(~member[::-1])[4:400:5]
            n = np.arange(5, 401, 5)
            right, guesses = right_in[:, None] + right_out, n[:, None] + n
            positive += (stats.binom.sf(right - 1, guesses, 0.5) <= 0.05).any()
        assert positive > stats.binom.isf(1e-6, 200, 0.05)

    def test_targets_that_failed_still_cost_delta(self, rng):
        member = rng.random(4000) < 0.5
        scores = MembershipScores(3.0 * member + rng.normal(size=4000), member)
        whole, more = (records_bound(scores, delta=1e-4, level=0.95, n_coins=n).epsilon for n in (4000, 8000))
        assert records_bound(scores, delta=1e-4, level=0.95).epsilon == whole > more > 0

    def test_a_leak_is_bounded_from_below_and_never_above_the_truth(self, rng):
        # randomized response of each coin with epsilon 2: 1,200 coins; P(bound > 2) <= 0.05
        above = 0
        for _ in range(60):
            member = rng.random(1200) < 0.5
            told = np.where(rng.random(1200) < 1 / (1 + np.exp(-2.0)), member, ~member)
            scores = MembershipScores(told + 0.01 * rng.random(1200), member)
            epsilon = records_bound(scores, delta=0.0, level=0.95).epsilon
            above += epsilon > 2.0
            assert epsilon > 0
        assert above <= stats.binom.isf(1e-6, 60, 0.05)


class TestPosterior:
    @pytest.mark.filterwarnings("ignore:guesses about one model may be strongly correlated")
    def test_one_target_has_none_two_have_a_simple_one_many_a_hierarchical_one(self, rng):
        def of(n_models):
            return records_posterior(evidence(rng, leak=2.0, n_models=n_models).scores(LiRA(variance="fixed")), delta=1e-5)

        assert of(4) is None
        assert isinstance(of(8), EpsilonPosterior)
        assert isinstance(of(16), HierarchicalEpsilonPosterior)

    def test_counts_are_those_of_the_second_half(self, rng):
        scores = evidence(rng, leak=2.0, n_models=8).scores(LiRA(variance="fixed"))
        assert records_posterior(scores, delta=0.0).counts.n_members == scores.member[scores.model_id == 1].sum()


class TestAttacksThatCannotBeComputed:
    def signals_without_spread(self, rng):
        member = rng.random((12, 50)) < 0.5
        member[-2:] = [[False], [True]]
        return ShadowSignals(signals=10.0 * member, member=member, population=None, is_target=np.arange(12) < 3)

    def test_they_are_left_out_and_named(self, rng):
        attacks = {"loss": LossAttack(), "lira": LiRA(variance="fixed")}
        scores, left_out = all_scores(self.signals_without_spread(rng), attacks, registered="loss")
        assert list(scores) == ["loss"]
        assert scores["loss"].auc == 1.0
        assert len(left_out) == 1
        assert left_out[0].startswith("attack lira is left out")

    def test_the_one_that_decides_is_not_replaced(self, rng):
        with pytest.raises(InsufficientEvidenceError, match="'lira' decides and can't be computed.*'loss' need no spread"):
            all_scores(self.signals_without_spread(rng), {"lira": LiRA(variance="fixed"), "loss": LossAttack()}, registered="lira")
