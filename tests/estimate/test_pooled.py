"""Counts per model and the correlation that pooling hides: plain loops, closed forms, simulation, warnings."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from attacks.scores import AttackCounts, MembershipScores
from mechanisms.errors import WeakEvidenceWarning
from privacy_audit.estimate.hierarchical import HierarchicalEpsilonPosterior
from privacy_audit.estimate.model_effects.model_counts import ModelCounts
from privacy_audit.estimate.model_effects.pooled import counts_per_model, intra_model_correlation, pooled_counts, pooled_model_counts
from tests.estimate.hierarchical_oracle import pairwise_correlation, simulate


def some_scores(rng, n=60, n_models=7):
    member = rng.random(n) < 0.4
    return MembershipScores(rng.normal(size=n) + member, member, model_id=10 * rng.integers(0, n_models, n))


def quietly(counts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)
        return pooled_model_counts(counts)


class TestCountsPerModel:
    def test_against_a_loop(self, rng):
        scores = some_scores(rng)
        counts = counts_per_model(scores, 0.3)
        for i, model in enumerate(sorted(set(scores.model_id.tolist()))):
            rows = [row for row in range(len(scores)) if scores.model_id[row] == model]
            assert counts.tp[i] == sum(scores.member[r] and scores.score[r] >= 0.3 for r in rows)
            assert counts.fp[i] == sum(not scores.member[r] and scores.score[r] >= 0.3 for r in rows)
            assert counts.tn[i] == sum(not scores.member[r] and scores.score[r] < 0.3 for r in rows)
            assert counts.fn[i] == sum(scores.member[r] and scores.score[r] < 0.3 for r in rows)
        assert counts.pooled() == AttackCounts.from_scores(scores, 0.3)

    def test_models_with_one_side_only(self):
        scores = MembershipScores([1.0, 2.0, 3.0], [True, False, False], model_id=[5, -1, 5], example_id=[0, 0, 1])
        counts = counts_per_model(scores, 2.0)
        assert counts.n_members.tolist() == [0, 1]
        assert counts.n_non_members.tolist() == [1, 1]
        assert np.isfinite(HierarchicalEpsilonPosterior(counts).median)

    def test_bad_threshold(self, rng):
        with pytest.raises(ValueError, match="threshold must be a number, got nan"):
            counts_per_model(some_scores(rng), np.nan)
        with pytest.raises(TypeError, match="threshold must be a number"):
            pooled_counts(some_scores(rng), "0.5")


class TestCorrelation:
    def test_close_to_the_share_of_common_variance(self, rng):
        guesses = [rng.binomial(1, p, 12).tolist() for p in rng.beta(2, 3, 400)]
        errors, trials = np.array([sum(g) for g in guesses]), np.full(400, 12)
        assert intra_model_correlation(errors, trials) == pytest.approx(pairwise_correlation(guesses), abs=2e-3)

    def test_extremes(self):
        n = np.full(6, 8)
        assert intra_model_correlation(np.array([8, 0, 8, 8, 0, 0]), n) == 1.0
        assert intra_model_correlation(np.full(6, 4), n) == 0.0  # less spread than chance: cut to 0
        assert intra_model_correlation(np.zeros(6, dtype=int), n) == 0.0
        assert intra_model_correlation(np.ones(6, dtype=int), np.ones(6, dtype=int)) is None
        assert intra_model_correlation(np.array([3]), np.array([8])) is None
        assert intra_model_correlation(np.array([3, 0]), np.array([8, 0])) is None

    @pytest.mark.parametrize("rho", [0.05, 0.3, 0.7])
    def test_finds_what_was_put_in(self, rho, rng):  # false alarm below 1e-6: standard deviation at most 0.015
        counts = simulate(rng, n_models=3000, n_points=rng.integers(1, 20, 3000), fpr=0.3, rho=rho)
        assert intra_model_correlation(counts.fp, counts.n_non_members) == pytest.approx(rho, abs=0.08)
        assert intra_model_correlation(counts.fn, counts.n_members) == pytest.approx(rho, abs=0.08)


class TestPooled:
    def test_complete_correlation_leaves_one_guess_per_model_and_side(self):
        counts = ModelCounts(tp=[10, 0, 10, 0], fp=[0, 0, 5, 0], tn=[5, 5, 0, 5], fn=[0, 10, 0, 10])
        pooled = quietly(counts)
        assert (pooled.rho_fpr, pooled.rho_fnr) == (1.0, 1.0)
        assert pooled.n_effective == pytest.approx(8)
        assert pooled.points_per_model == 15
        assert pooled.kind == pooled.to_dict()["kind"] == "estimate"

    def test_one_guess_per_model_loses_nothing(self, rng):
        scores = some_scores(rng, n=40)
        scores = MembershipScores(scores.score, scores.member, model_id=np.arange(40))
        pooled = pooled_counts(scores, 0.0)
        assert pooled.rho_fpr is None
        assert pooled.n_effective == 40
        assert pooled.counts == AttackCounts.from_scores(scores, 0.0)

    def test_one_model_says_nothing_about_correlation(self, rng):
        scores = some_scores(rng)
        pooled = pooled_counts(MembershipScores(scores.score, scores.member), 0.0)
        assert (pooled.n_models, pooled.rho_fpr, pooled.rho_fnr, pooled.n_effective) == (1, None, None, 60)

    def test_warning_names_the_figures(self):
        counts = ModelCounts(tp=[10, 0, 10, 0], fp=[2, 2, 2, 2], tn=[3, 3, 3, 3], fn=[0, 10, 0, 10])
        with pytest.warns(WeakEvidenceWarning, match=r"60 guesses about 4 models.*FPR 0.000, of FNR 1.000.*about 24.*Hierarchical"):
            pooled_model_counts(counts)

    def test_warning_starts_at_a_tenth(self):
        def excess(high):
            return ModelCounts(tp=[0] * 40, fp=[3] * 20 + [high] * 20, tn=[7] * 20 + [10 - high] * 20, fn=[10] * 40)

        silent, loud = (quietly(excess(high)) for high in (5, 7))
        assert silent.excess_fpr < 0.1 < loud.excess_fpr
        pooled_model_counts(excess(5))
        with pytest.warns(WeakEvidenceWarning):
            pooled_model_counts(excess(7))

    def test_agrees_with_the_hierarchical_posterior(self, rng):
        counts = simulate(rng, n_models=300, n_points=20, fpr=0.2, rho=0.2)
        pooled, law = quietly(counts), HierarchicalEpsilonPosterior(counts)
        assert pooled.rho_fpr == pytest.approx(law.rho["fpr"].median, abs=0.06)
        assert pooled.n_effective == pytest.approx(law.n_effective, rel=0.25)
