"""Metrics against pair-by-pair and threshold-by-threshold loops, closed forms of the Gaussian pair, coverage of the intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom

from attacks import AttackCounts, MembershipScores
from attacks.membership.metrics import auc_interval, balanced_accuracy, tpr_at_fpr_interval
from mechanisms.errors import InsufficientEvidenceError

SCORE = st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 1.0, 2.0, np.inf]) | st.floats(allow_nan=False)


@st.composite
def any_scores(draw: st.DrawFn) -> MembershipScores:
    members, others = draw(st.lists(SCORE, min_size=1, max_size=12)), draw(st.lists(SCORE, min_size=1, max_size=12))
    order = draw(st.permutations(range(len(members) + len(others))))
    score, member = np.array(members + others), np.arange(len(order)) < len(members)
    return MembershipScores(score[list(order)], member[list(order)])


def pairs_auc(scores: MembershipScores) -> float:
    inside, outside = scores.score[scores.member], scores.score[~scores.member]
    return sum((a > b) + (a == b) / 2 for a in inside for b in outside) / (len(inside) * len(outside))


def gaussian(mu: float, n: int, *, rng: np.random.Generator) -> MembershipScores:
    member = np.arange(2 * n) < n
    return MembershipScores(rng.normal(size=2 * n) + mu * member, member)


# --- curve ---


@given(any_scores())
def test_auc_counts_pairs(scores: MembershipScores):
    assert scores.auc == pytest.approx(pairs_auc(scores), abs=1e-12)


@given(any_scores())
def test_roc_is_what_each_threshold_gives(scores: MembershipScores):
    fpr, tpr, threshold = scores.roc()
    assert (fpr[0], tpr[0], threshold[0]) == (0, 0, np.inf)
    assert (fpr[-1], tpr[-1]) == (1, 1)
    assert threshold[1:].tolist() == sorted(set(scores.score.tolist()), reverse=True)
    for f, t, at in zip(fpr[1:], tpr[1:], threshold[1:], strict=True):
        counts = AttackCounts.from_scores(scores, at)
        assert (f, t) == (counts.fpr, counts.tpr)


@given(any_scores())
def test_area_under_the_steps_is_the_auc(scores: MembershipScores):
    fpr, tpr, _ = scores.roc()
    assert np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2) == pytest.approx(scores.auc, abs=1e-12)


@given(any_scores(), st.randoms(use_true_random=False))
def test_row_order_and_rising_maps_change_nothing(scores: MembershipScores, random):
    order = list(range(len(scores)))
    random.shuffle(order)
    ranks = np.searchsorted(np.unique(scores.score), scores.score)
    other = MembershipScores(np.exp(ranks[order] / 3.0), scores.member[order])
    assert other.auc == scores.auc
    assert other.tpr_at_fpr(0) == scores.tpr_at_fpr(0)
    assert balanced_accuracy(other) == balanced_accuracy(scores)


@given(any_scores())
def test_negated_scores_mirror_the_auc(scores: MembershipScores):
    assert MembershipScores(-scores.score, scores.member).auc == pytest.approx(1 - scores.auc, abs=1e-12)


def test_constant_scores_say_nothing():
    scores = MembershipScores(np.zeros(10), np.arange(10) < 4)
    assert scores.auc == balanced_accuracy(scores) == 0.5
    assert scores.tpr_at_fpr(0.5) == 0
    assert [part.tolist() for part in scores.roc()] == [[0, 1], [0, 1], [np.inf, 0]]


# --- TPR at FPR ---


@given(any_scores(), st.integers(0, 12))
def test_tpr_at_fpr_is_the_best_threshold(scores: MembershipScores, k: int):
    f = min(k / scores.n_non_members, 1.0)
    outcomes = [AttackCounts.from_scores(scores, at) for at in set(scores.score.tolist())]
    best = max([c.tpr for c in outcomes if c.fp <= round(f * scores.n_non_members)], default=0.0)
    assert scores.tpr_at_fpr(f) == best


def test_no_interpolation_and_ties_stay_together():
    scores = MembershipScores([3, 2, 2, 2, 1], [1, 1, 0, 0, 0])
    assert scores.tpr_at_fpr(0) == scores.tpr_at_fpr(0.6) == 0.5  # the tie at 2 brings two false positives of three
    assert scores.tpr_at_fpr(2 / 3) == 1


def test_all_integer_shares_are_allowed_in_spite_of_rounding():
    for n in range(1, 200):
        scores = MembershipScores(np.arange(n + 1)[::-1], np.arange(n + 1) == n)
        assert scores.tpr_at_fpr(1 / n) == (1 if n == 1 else 0)
        for k in (n // 3 + 1, n - 1):
            if 0 < k <= n:
                assert scores.tpr_at_fpr(k / n) == (1.0 if k == n else 0.0)


def test_too_few_non_members_are_refused():
    scores = MembershipScores([1, 2, 3], [1, 0, 0])
    for ask in (scores.tpr_at_fpr, lambda f: tpr_at_fpr_interval(scores, f)):
        with pytest.raises(InsufficientEvidenceError, match=r"TPR at FPR 0\.001 needs >= 1/f = 1000 non-members, got 2"):
            ask(0.001)
    assert scores.tpr_at_fpr(0) == 0
    for f in (-0.1, 1.1, np.nan):
        with pytest.raises(ValueError, match="f must be"):
            scores.tpr_at_fpr(f)


# --- closed forms and intervals ---


def test_gaussian_pair():
    """mu = 1.5: AUC Phi(mu / sqrt 2) = 0.8556, TPR at 1 % Phi(-2.326 + 1.5) = 0.204. False alarm below 1e-6 (5 sd)."""
    scores = gaussian(1.5, 40_000, rng=np.random.default_rng())
    assert scores.auc == pytest.approx(0.8556, abs=5 * 0.0014)
    assert scores.tpr_at_fpr(0.01) == pytest.approx(0.204, abs=5 * 0.005)
    assert balanced_accuracy(scores) == pytest.approx(ndtr(0.75), abs=5 * 0.0025)
    assert scores.auc != pytest.approx(ndtr(1.2 / 2**0.5), abs=5 * 0.0014)  # it can fail


def test_auc_interval_covers():
    """300 data sets, level 0.9, true AUC 0.76: coverage within 5 sd (0.087) of 0.9. False alarm below 1e-6."""
    rng = np.random.default_rng()
    hits = 0
    for _ in range(300):
        low, high = auc_interval(gaussian(1.0, 60, rng=rng), 0.9)
        hits += low <= ndtr(1 / 2**0.5) <= high
    assert 0.813 <= hits / 300 <= 0.987


def test_auc_interval_narrows_with_data_and_widens_with_level():
    few, many = (gaussian(1.0, n, rng=np.random.default_rng(1)) for n in (100, 10_000))
    assert np.diff(auc_interval(many)) < np.diff(auc_interval(few)) < np.diff(auc_interval(few, 0.99))
    assert auc_interval(few)[0] < few.auc < auc_interval(few)[1]


def test_auc_interval_at_the_ends():
    perfect = MembershipScores(np.arange(20), np.arange(20) >= 10)
    assert auc_interval(perfect, 0.95) == (pytest.approx(0.025**0.1), 1.0)
    wrong = MembershipScores(-np.arange(20), np.arange(20) >= 10)
    assert auc_interval(wrong, 0.95) == (0.0, pytest.approx(1 - 0.025**0.1))
    low, high = auc_interval(MembershipScores(np.zeros(20), np.arange(20) >= 10))
    assert low < 0.3
    assert high > 0.7
    with pytest.raises(InsufficientEvidenceError, match="got 1 and 19"):
        auc_interval(MembershipScores(np.arange(20), np.arange(20) == 3))


def test_delong_equals_the_loop_over_placements():
    scores = MembershipScores(np.random.default_rng(2).integers(0, 8, 60), np.arange(60) % 3 == 0)
    inside, outside = scores.score[scores.member], scores.score[~scores.member]
    kernel = (inside[:, None] > outside) + (inside[:, None] == outside) / 2
    variance = kernel.mean(1).var(ddof=1) / len(inside) + kernel.mean(0).var(ddof=1) / len(outside)
    low, high = auc_interval(scores, 0.95)
    half = (np.log(high / (1 - high)) - np.log(low / (1 - low))) / 2
    assert half == pytest.approx(1.959963985 * np.sqrt(variance) / (scores.auc * (1 - scores.auc)), rel=1e-9)


def test_tpr_interval_is_clopper_pearson():
    scores = MembershipScores(np.arange(40), np.arange(40) >= 13)
    assert scores.tpr_at_fpr(0.2) == 1
    assert tpr_at_fpr_interval(scores, 0.2, 0.95) == (pytest.approx(0.025 ** (1 / 27)), 1.0)
    mixed = MembershipScores(np.arange(40), np.arange(40) % 2 == 0)
    low, high = tpr_at_fpr_interval(mixed, 0.25, 0.9)
    k = round(mixed.tpr_at_fpr(0.25) * 20)
    assert binom.sf(k - 1, 20, low) == pytest.approx(0.05)
    assert binom.cdf(k, 20, high) == pytest.approx(0.05)
    assert tpr_at_fpr_interval(MembershipScores([0, 1], [1, 0]), 0)[0] == 0


def test_tpr_interval_covers_the_rate_above_the_chosen_non_member():
    """2,000 exact-null data sets, level 0.9: misses are binomial with p <= 0.1. False alarm below 1e-6."""
    rng, misses = np.random.default_rng(), 0
    for _ in range(2000):
        scores = gaussian(1.0, 40, rng=rng)
        low, high = tpr_at_fpr_interval(scores, 0.1, 0.9)
        truth = ndtr(1.0 - np.sort(scores.score[~scores.member])[-5])
        misses += not low <= truth <= high
    assert binom.sf(misses - 1, 2000, 0.1) > 1e-6


@pytest.mark.parametrize("level", [0, 1, 95])
def test_level_is_a_probability(level: float):
    scores = MembershipScores([1, 2, 3, 4], [1, 0, 1, 0])
    with pytest.raises(ValueError, match="level must be"):
        auc_interval(scores, level)
    with pytest.raises(ValueError, match="level must be"):
        tpr_at_fpr_interval(scores, 0.5, level)
