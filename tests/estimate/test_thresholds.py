"""From scores to a bound: coverage of every strategy, and the broken twin that looks at all thresholds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring
from privacy_audit.estimate.lower_bound import epsilon_lower_bound
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.thresholds import audit_scores, declared_counts, split_counts
from tests.estimate.known_scores import laplace_scores, most_violations

REPEATS = 200


def best_of_all_thresholds(scores) -> float:
    """The broken twin: the largest 5 % quantile over 41 thresholds of the same scores."""
    thresholds = np.quantile(scores.score, np.linspace(0.02, 0.98, 41))
    tp = (scores.score[scores.member][:, None] >= thresholds).sum(axis=0)
    fp = (scores.score[~scores.member][:, None] >= thresholds).sum(axis=0)
    law = EpsilonPosterior.from_arrays(tp=tp, fn=scores.n_members - tp, fp=fp, tn=scores.n_non_members - fp)
    return float(np.max(law.ppf(0.05)))


class TestCoverage:
    @pytest.mark.parametrize("epsilon", [0.0, 1.0, 2.0])
    def test_order_statistics(self, epsilon, rng):  # false alarm 1e-6
        bounds = [audit_scores(laplace_scores(rng, epsilon, 500), delta=0.0).epsilon for _ in range(REPEATS)]
        assert sum(bound > epsilon for bound in bounds) <= most_violations(REPEATS)

    @pytest.mark.parametrize("epsilon", [1.0, 2.0])
    def test_the_broken_twin_is_caught(self, epsilon, rng):
        bounds = [best_of_all_thresholds(laplace_scores(rng, epsilon, 500)) for _ in range(200)]
        assert sum(bound > epsilon for bound in bounds) > most_violations(200)

    def test_split(self, rng):  # false alarm 1e-6
        bounds = [audit_scores(laplace_scores(rng, 1.0, 60), delta=0.0, strategy="split", rng=rng).epsilon for _ in range(150)]
        assert sum(bound > 1.0 for bound in bounds) <= most_violations(150)

    @pytest.mark.parametrize("keyed", [False, True])
    def test_order_statistics_with_ties(self, keyed, rng):  # false alarm 1e-6
        violations = 0
        for _ in range(REPEATS):
            member = np.arange(400) % 2 == 0
            truthful = rng.random(400) < np.e / (1 + np.e)  # randomized response, epsilon 1: two scores only
            scores = MembershipScores(np.where(truthful, member, ~member), member)
            violations += audit_scores(scores, delta=0.0, rng=rng if keyed else None).epsilon > 1.0
        assert violations <= most_violations(REPEATS)

    def test_order_statistics_with_delta(self, rng):  # false alarm 1e-6; the truth is the exact Gaussian curve at mu = 1
        violations = 0
        for _ in range(REPEATS):
            member = np.arange(600) % 2 == 0
            scores = MembershipScores(rng.standard_normal(600) + member, member)
            violations += audit_scores(scores, delta=0.126936737507).epsilon > 1.0
        assert violations <= most_violations(REPEATS)

    @pytest.mark.parametrize(("epsilon", "expected"), [(1.0, 0.834), (2.0, 1.737), (4.0, 3.376)])
    def test_order_statistics_beat_a_split_and_the_hull(self, epsilon, expected, rng):  # means lie more than six standard errors apart
        grid, split, hull = [], [], []
        for _ in range(120):
            scores = laplace_scores(rng, epsilon, 1000)
            grid.append(audit_scores(scores, delta=0.0).epsilon)
            hull.append(audit_scores(scores, delta=0.0, strategy="hull").epsilon)
            counts, _ = split_counts(scores, delta=0.0, rng=rng)
            split.append(epsilon_lower_bound(counts, method="clopper_pearson").epsilon)
        assert np.mean(grid) > np.mean(hull) > np.mean(split)
        assert np.mean(grid) == pytest.approx(expected, abs=6 * np.std(grid) / np.sqrt(120) + 0.01)


class TestIdentities:
    @given(seed=st.integers(0, 10**6), power=st.sampled_from([1, 3]), delta=st.sampled_from([0.0, 1e-5, 0.1]))
    @settings(max_examples=20, deadline=None)
    def test_only_the_order_of_scores_matters(self, seed, power, delta):
        rng = np.random.default_rng(seed)
        scores = laplace_scores(rng, 2.0, 40)
        order = rng.permutation(80)
        bent = MembershipScores(5 * scores.score[order] ** power - 7, scores.member[order])
        assert audit_scores(bent, delta=delta).epsilon == audit_scores(scores, delta=delta).epsilon

    @given(seed=st.integers(0, 10**6))
    @settings(max_examples=20, deadline=None)
    def test_both_roles_count_alike(self, seed):
        scores = laplace_scores(np.random.default_rng(seed), 2.0, 40)
        mirrored = MembershipScores(-scores.score, ~scores.member)
        assert audit_scores(mirrored, delta=0.0).epsilon == audit_scores(scores, delta=0.0).epsilon

    @pytest.mark.parametrize("strategy", ["band", "hull", "multi_split", "split"])
    def test_only_the_order_matters_to_every_strategy(self, strategy, rng):
        scores = laplace_scores(rng, 2.0, 60)
        bent = MembershipScores(np.exp(scores.score), scores.member)
        first, second = (audit_scores(these, delta=1e-5, strategy=strategy, n_splits=5, rng=3) for these in (scores, bent))
        assert first == second

    @pytest.mark.parametrize("strategy", ["order_statistics", "band", "hull", "multi_split"])
    @pytest.mark.parametrize("delta", [0.0, 0.05])
    def test_a_higher_level_never_claims_more(self, strategy, delta, rng):
        scores = laplace_scores(rng, 2.0, 150)
        low, high = (audit_scores(scores, delta=delta, level=level, strategy=strategy, n_splits=5, rng=3).epsilon for level in (0.8, 0.99))
        assert high <= low

    @pytest.mark.parametrize(("strategy", "proved"), [("order_statistics", True), ("band", True), ("multi_split", True), ("hull", False)])
    def test_only_proved_values_are_called_bounds(self, strategy, proved, rng):
        bound = audit_scores(laplace_scores(rng, 2.0, 50), delta=0.0, strategy=strategy, n_splits=5)
        assert bound.kind == ("bound" if proved else "estimate")

    def test_declared_counts(self):
        assert declared_counts(1000).tolist() == [0, 1, 2, 3, 5, 8, 12, 18, 27, 41, 62, 93, 140, 210, 315, 473, 710]
        assert declared_counts(1).tolist() == [0]

    def test_equal_scores_say_nothing(self):
        scores = MembershipScores(np.zeros(200), np.arange(200) < 100)
        assert audit_scores(scores, delta=0.0).epsilon == 0

    def test_infinite_scores_are_ordered(self):
        member = np.arange(200) < 100
        scores = MembershipScores(np.where(member, np.inf, -np.inf), member)
        perfect = MembershipScores(np.where(member, 1.0, 0.0), member)
        assert audit_scores(scores, delta=0.0).epsilon == audit_scores(perfect, delta=0.0).epsilon > 2

    def test_a_fixed_threshold_is_the_bound_of_its_counts(self):
        scores = laplace_scores(np.random.default_rng(5), 2.0, 100)
        bound = audit_scores(scores, delta=1e-5, level=0.9, strategy=1.0, neighboring=Neighboring.REPLACE)
        direct = epsilon_lower_bound(AttackCounts.from_scores(scores, 1.0), delta=1e-5, level=0.9)
        assert bound.epsilon == direct.epsilon
        assert bound.method == "fixed threshold, likelihood_ratio"
        assert bound.neighboring is Neighboring.REPLACE
        assert bound.kind == "bound"

    def test_ties_are_named_in_the_assumptions(self):
        scores = laplace_scores(np.random.default_rng(5), 2.0, 30)
        assert "equal scores count against the attack" in audit_scores(scores, delta=0.0).assumptions
        assert "equal scores were ordered by an independent random key" in audit_scores(scores, delta=0.0, rng=1).assumptions


class TestSplit:
    def test_every_score_is_used_once(self):
        scores = laplace_scores(np.random.default_rng(5), 2.0, 100)
        counts, threshold = split_counts(scores, delta=0.0, rng=3, fraction=0.3)
        assert counts.n_members + counts.n_non_members == 140
        assert threshold in scores.score
        assert split_counts(scores, delta=0.0, rng=3, fraction=0.3) == (counts, threshold)

    def test_the_choice_does_not_see_the_counted_scores(self):
        # the part depends on the labels and the generator only, so making one of the 50 counted scores loud leaves the threshold
        base = laplace_scores(np.random.default_rng(8), 2.0, 50)
        threshold = split_counts(base, delta=0.0, rng=1)[1]
        unchanged = 0
        for victim in range(100):
            loud = base.score.copy()
            loud[victim] = 1e6 if base.member[victim] else -1e6
            unchanged += split_counts(MembershipScores(loud, base.member), delta=0.0, rng=1)[1] == threshold
        assert unchanged >= 50

    def test_without_a_leak_the_threshold_is_still_sensible(self):
        scores = laplace_scores(np.random.default_rng(5), 0.3, 30)
        counts, _ = split_counts(scores, delta=0.3, rng=3)
        assert counts.tp + counts.fp > 0
        assert counts.tn + counts.fn > 0

    def test_too_few_scores(self):
        with pytest.raises(InsufficientEvidenceError, match="members and non-members"):
            split_counts(MembershipScores([1.0, 2.0, 3.0], [True, False, False]), delta=0.0, rng=1)
        counts, _ = split_counts(MembershipScores([1.0, 2.0, 3.0, 4.0], [True, False, True, False]), delta=0.0, rng=1)
        assert (counts.n_members, counts.n_non_members) == (1, 1)


class TestBadInput:
    @pytest.mark.parametrize("strategy", ["hulls", "best", ""])
    def test_unknown_strategies_are_refused(self, strategy):
        scores = laplace_scores(np.random.default_rng(5), 2.0, 30)
        with pytest.raises(
            ValueError, match="strategy must be one of 'order_statistics', 'split', 'band', 'multi_split', 'hull' or a threshold"
        ):
            audit_scores(scores, delta=0.0, strategy=strategy)

    def test_parameters(self):
        scores = laplace_scores(np.random.default_rng(5), 2.0, 30)
        with pytest.raises(ValueError, match="strategy must be a number, got nan"):
            audit_scores(scores, delta=0.0, strategy=float("nan"))
        with pytest.raises(ValueError, match="did you mean 0.95"):
            audit_scores(scores, delta=0.0, level=95)
        with pytest.raises(ValueError, match="did you mean 1e-05"):
            audit_scores(scores, delta=1e5)
        with pytest.raises(ValueError, match=r"fraction must be in \(0, 1\)"):
            split_counts(scores, delta=0.0, fraction=1.0)
