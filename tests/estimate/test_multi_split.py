"""The median over many splits: coverage, and that a median at the full error would not have it."""

from __future__ import annotations

import numpy as np
import pytest

from attacks.scores import MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon
from privacy_audit.estimate.region import implied_epsilon
from privacy_audit.estimate.strategies.multi_split import multi_split_epsilon
from privacy_audit.estimate.strategies.split import split_counts
from privacy_audit.estimate.thresholds import audit_scores
from tests.estimate.known_scores import coin_scores, laplace_scores, most_violations


class TestCoverage:
    @pytest.mark.parametrize("epsilon", [0.0, 1.0])
    def test_laplace(self, epsilon, rng):  # false alarm 1e-6
        bounds = [multi_split_epsilon(laplace_scores(rng, epsilon, 100), delta=0.0, alpha=0.05, n_splits=15, rng=rng) for _ in range(200)]
        assert sum(bound > epsilon for bound in bounds) <= most_violations(200)

    def test_randomized_response_with_ties(self, rng):  # false alarm 1e-6
        bounds = [multi_split_epsilon(coin_scores(rng, 1.0, 200), delta=0.0, alpha=0.05, n_splits=15, rng=rng) for _ in range(200)]
        assert sum(bound > 1.0 for bound in bounds) <= most_violations(200)

    def test_the_median_without_limits_is_caught(self, rng):
        # negative control: the plug-in values of the same splits
        wrong = 0
        for _ in range(60):
            scores = coin_scores(rng, 1.0, 200)
            counts = [split_counts(scores, delta=0.0, rng=rng)[0] for _ in range(15)]
            plug_in = [float(implied_epsilon(c.fpr, 1 - c.tpr, one_direction=True)) for c in counts]
            wrong += float(np.median(plug_in)) > 1.0
        assert wrong > most_violations(60)


class TestIdentities:
    def test_one_split_is_a_split_at_half_the_error(self):
        scores = laplace_scores(np.random.default_rng(3), 2.0, 80)
        counts, _ = split_counts(scores, delta=1e-5, rng=4)
        alone = clopper_pearson_epsilon(fp=counts.fp, tn=counts.tn, fn=counts.fn, tp=counts.tp, delta=1e-5, alpha=0.05)
        assert multi_split_epsilon(scores, delta=1e-5, alpha=0.1, n_splits=1, rng=4) == pytest.approx(float(alone), rel=1e-12)

    @pytest.mark.parametrize(("n_splits", "position"), [(7, 3), (8, 3)])
    def test_the_lower_median(self, n_splits, position):
        scores = laplace_scores(np.random.default_rng(3), 2.0, 80)
        rng = np.random.default_rng(5)
        counts = [split_counts(scores, delta=0.0, rng=rng)[0] for _ in range(n_splits)]
        bounds = [float(clopper_pearson_epsilon(fp=c.fp, tn=c.tn, fn=c.fn, tp=c.tp, delta=0.0, alpha=0.025)) for c in counts]
        median = multi_split_epsilon(scores, delta=0.0, alpha=0.05, n_splits=n_splits, rng=5)
        assert median == pytest.approx(sorted(bounds)[position], rel=1e-12)

    def test_a_seed_repeats_the_bound(self):
        scores = laplace_scores(np.random.default_rng(3), 2.0, 80)
        bounds = [audit_scores(scores, delta=0.0, strategy="multi_split", n_splits=9, rng=seed) for seed in (1, 1, 2)]
        assert bounds[0] == bounds[1]
        assert bounds[0].epsilon != bounds[2].epsilon
        assert bounds[0].method == "multi_split, 9 splits"
        assert bounds[0].kind == "bound"

    def test_infinite_scores(self):
        member = np.arange(200) < 100
        scores = MembershipScores(np.where(member, np.inf, -np.inf), member)
        assert multi_split_epsilon(scores, delta=0.0, alpha=0.05, n_splits=5, rng=1) > 1.5


class TestBadInput:
    def test_numbers(self):
        scores = laplace_scores(np.random.default_rng(3), 2.0, 80)
        with pytest.raises(ValueError, match="n_splits must be a whole number >= 1, got 0"):
            audit_scores(scores, delta=0.0, strategy="multi_split", n_splits=0)
        with pytest.raises(ValueError, match="at most 20,000,000 scores times splits, got 160,000,000"):
            audit_scores(scores, delta=0.0, strategy="multi_split", n_splits=1_000_000)

    def test_too_few_scores(self):
        with pytest.raises(InsufficientEvidenceError, match="members and non-members"):
            multi_split_epsilon(MembershipScores([1.0, 2.0, 3.0], [True, False, False]), delta=0.0, alpha=0.05, rng=1)
