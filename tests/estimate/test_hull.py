"""The hull rule is for comparison only: its corners, its values, and that nothing calls it a bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.scores import MembershipScores
from privacy_audit.estimate.bound import EpsilonBound
from privacy_audit.estimate.lower_bound import clopper_pearson_epsilon
from privacy_audit.estimate.strategies.hull import hull_corners, hull_epsilon, threshold_counts
from privacy_audit.estimate.thresholds import audit_scores
from tests.estimate.known_scores import laplace_scores


def corners_by_definition(x, y):
    """A point stays if no chord between an earlier and a later point passes through or below it; every pair is tried."""
    kept = []
    for i in range(len(x)):
        pairs = [(j, k) for j in range(i) for k in range(i + 1, len(x))]
        cross = [(y[i] - y[j]) * (x[k] - x[j]) - (y[k] - y[j]) * (x[i] - x[j]) for j, k in pairs]
        if not any(value >= 0 for value in cross):
            kept.append(i)
    return kept


class TestCorners:
    @given(steps=st.lists(st.sampled_from([(0, 1), (1, 0), (1, 1), (2, 1), (0, 3)]), min_size=1, max_size=14))
    @settings(max_examples=60)
    def test_against_the_definition(self, steps):
        x, y = np.cumsum([(0, 0), *steps], axis=0).T
        assert hull_corners(x, y).tolist() == corners_by_definition(x.tolist(), y.tolist())

    def test_a_straight_line_has_two(self):
        assert hull_corners(np.arange(50), np.arange(50)).tolist() == [0, 49]


class TestHull:
    def test_it_is_the_best_corner_at_a_share_of_the_error(self, rng):
        scores = laplace_scores(rng, 2.0, 60)
        fp, fn = threshold_counts(scores)
        corner = corners_by_definition((60 - fp).tolist(), fn.tolist())
        fp, fn = fp[corner], fn[corner]
        bounds = clopper_pearson_epsilon(fp=fp, tn=60 - fp, fn=fn, tp=60 - fn, delta=0.0, alpha=0.05 / len(corner))
        assert hull_epsilon(scores, delta=0.0, alpha=0.05) == (pytest.approx(float(bounds.max()), rel=1e-12), len(corner))

    def test_it_is_an_estimate_and_says_why(self, rng):
        bound = audit_scores(laplace_scores(rng, 2.0, 100), delta=0.0, strategy="hull")
        assert bound.approximate
        assert bound.kind == "estimate"
        assert bound.method.startswith("hull, ")
        assert any("no proof" in sentence and "no bound" in sentence for sentence in bound.assumptions)
        assert EpsilonBound.from_dict(bound.to_dict()).kind == "estimate"

    def test_ties_and_infinities(self):
        member = np.arange(200) < 100
        perfect = MembershipScores(np.where(member, np.inf, -np.inf), member)
        assert audit_scores(perfect, delta=0.0, strategy="hull").epsilon > 2
        assert audit_scores(MembershipScores(np.zeros(200), member), delta=0.0, strategy="hull").epsilon == 0
