"""The likelihood-ratio bound for many trials: against the full enumeration, against closed forms, and by its coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.exact.likelihood_ratio import (
    likelihood_ratio_epsilon,
    likelihood_ratio_p_value,
    lower_boundary,
    windowed_p_value,
)
from privacy_audit.estimate.exact.windowed_likelihood_ratio import far_away, probability, staircase
from privacy_audit.estimate.lower_bound import MOST_EXACT_TRIALS, epsilon_lower_bound
from tests.estimate.known_scores import most_violations

ALPHA = 0.05


def largest_rejected(n, epsilon, delta, rows):
    """For each of these false positives, in a row and rising, the largest number of false negatives that is rejected, or -1.

    It can't rise with the false positives, so every search starts at the one before and doubles its step.
    """
    top, before = [], n
    for fp in rows:
        low, high, step = before, before + 1, 1
        while low >= 0 and not rejected(n, epsilon, delta, fp, low):
            low, high, step = low - step, low, 2 * step
        low = max(low, -1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if rejected(n, epsilon, delta, fp, middle) else (low, middle)
        top.append(low)
        before = low
    return np.array(top)


def rejected(n, epsilon, delta, fp, fn):
    return windowed_p_value(epsilon, fp=int(fp), n_out=n, fn=int(fn), n_in=n, delta=delta) <= ALPHA


def rejection_rate(n, x, y, rows, top):
    """Probability of the outcomes at most `top` in these rows, plus that of all other rows, for each pair of rates."""
    mass = stats.binom.pmf(rows[:, None], n, x)
    inside = (mass * np.where(top[:, None] >= 0, stats.binom.cdf(top[:, None], n, y), 0.0)).sum(axis=0)
    return inside + stats.binom.cdf(rows[0] - 1, n, x) + stats.binom.sf(rows[-1], n, x)


class TestCoverageAtAThousand:
    """By enumeration: the exact probability, under true rates on the boundary of a claim, that the claim is rejected."""

    def test_the_corner(self):
        # P[outside the rows] is 1e-6, and counts as rejected; the slow test has all rows and the whole boundary
        n, epsilon = 1000, 1.0
        corner = special.expit(-epsilon)
        sd = np.sqrt(n * corner * (1 - corner))
        rows = np.arange(int(n * corner - 5 * sd), int(n * corner + 5 * sd))
        top = largest_rejected(n, epsilon, 0.0, rows)
        assert 0.04 < rejection_rate(n, corner, corner, rows, top)[0] <= ALPHA
        assert rejection_rate(n, corner, corner, rows, top + 3)[0] > ALPHA  # negative control: three outcomes more in each row

    @pytest.mark.slow
    @pytest.mark.parametrize("delta", [0.0, 0.01])
    @pytest.mark.parametrize("epsilon", [0.5, 1.0, 2.0])
    def test_the_whole_boundary(self, epsilon, delta, rng):  # the largest rate is 0.0499, at the corner of epsilon 0.5, delta 0.01
        n = 1000
        rows = np.arange(n + 1)
        top = largest_rejected(n, epsilon, delta, rows)
        corner = (1 - delta) * special.expit(-epsilon)
        small = corner * np.concatenate([[1.0], 1 - np.geomspace(1e-4, 0.5, 150), rng.random(150), np.geomspace(1e-4, 0.5, 100)])
        large = 1 - delta - np.exp(epsilon) * small
        for x, y in ((small, large), (large, small)):
            rate = rejection_rate(n, x, y, rows, top)
            assert rate.max() <= ALPHA + 1e-4
            assert rate[0] > 0.03
            assert rejection_rate(n, x, y, rows, np.where(top >= 0, top + 3, -1)).max() > ALPHA
        for fp in rng.integers(0, int(n * corner), 30):  # within a row all smaller counts are rejected and no larger one is
            below, above = rng.integers(0, top[fp] + 1), rng.integers(top[fp] + 1, n + 1)
            assert rejected(n, epsilon, delta, fp, below)
            assert not rejected(n, epsilon, delta, fp, above)


class TestAgainstTheFullEnumeration:
    @pytest.mark.parametrize(
        ("fp", "n_out", "fn", "n_in", "delta"),
        [(36, 300, 36, 300, 0.0), (5, 300, 200, 300, 0.01), (0, 300, 150, 300, 0.0), (30, 400, 10, 60, 0.0), (2, 40, 150, 500, 1e-3)],
    )
    def test_p_values(self, fp, n_out, fn, n_in, delta):
        counts = {"fp": fp, "n_out": n_out, "fn": fn, "n_in": n_in}
        bound = likelihood_ratio_epsilon(**counts, delta=delta, alpha=0.05)
        for epsilon in bound + np.array([-0.2, -0.02, 0.02, 0.3]):
            full = likelihood_ratio_p_value(epsilon, **counts, delta=delta)
            # outcomes nearly as far away as the observed one may be ranked either way: some weigh up to a tenth of p
            assert windowed_p_value(epsilon, **counts, delta=delta) == pytest.approx(full, rel=0.2, abs=1e-5)

    @pytest.mark.parametrize(("n", "epsilon", "delta"), [(25, 1.0, 0.0), (25, 2.5, 0.02), (18, 0.0, 0.0)])
    def test_rejection_by_enumeration(self, n, epsilon, delta, rng):
        # every outcome, every pair of rates on the boundary and off the grid of the test
        p = [[windowed_p_value(epsilon, fp=i, n_out=n, fn=j, n_in=n, delta=delta) for j in range(n + 1)] for i in range(n + 1)]
        small = (1 - delta) * special.expit(-epsilon) * np.append(1.0, rng.random(200))
        large = 1 - delta - np.exp(epsilon) * small
        i = np.arange(n + 1)[:, None]
        for x, y in ((small, large), (large, small)):
            rejected = ((np.array(p) <= 0.05) @ stats.binom.pmf(i, n, y) * stats.binom.pmf(i, n, x)).sum(axis=0)
            assert rejected.max() <= 0.05 + 1e-3
        assert rejected.max() > 0.02

    @pytest.mark.slow
    @pytest.mark.parametrize(("fp", "fn"), [(20, 600), (200, 250), (0, 500), (480, 400), (3, 5)])
    def test_bounds_at_a_thousand(self, fp, fn):
        bound = likelihood_ratio_epsilon(fp=fp, n_out=1000, fn=fn, n_in=1000, delta=0.0, alpha=0.05)
        p = [likelihood_ratio_p_value(bound + shift, fp=fp, n_out=1000, fn=fn, n_in=1000, delta=0.0) for shift in (-3e-3, 3e-3)]
        assert p[0] <= 0.05 < p[1]

    def test_a_staircase_is_summed_as_it_stands(self):
        n_out, n_in, epsilon = 400, 500, 1.0
        x, y = lower_boundary(epsilon, 0.0, n_out, n_in, step=2.0)
        stairs = staircase(2.0, n_out, n_in, x, y)
        top = np.floor(stairs + 1e-9)
        i = np.arange(n_out + 1)
        plain = [
            (stats.binom.pmf(i, n_out, a) * np.where(top >= 0, stats.binom.cdf(top, n_in, b), 0)).sum() for a, b in zip(x, y, strict=True)
        ]
        summed = probability(stairs, n_out, n_in, x, y)
        assert summed == pytest.approx(np.array(plain), abs=1e-7)
        assert (summed >= np.array(plain) - 1e-12).all()  # what the windows leave out is added


class TestManyTrials:
    @pytest.mark.parametrize("n", [1000, 10_000])
    def test_a_perfect_attack_has_a_closed_form(self, n):
        corner = -np.expm1(np.log(0.05) / (2 * n))
        bound = likelihood_ratio_epsilon(fp=0, n_out=n, fn=0, n_in=n, delta=0.0, alpha=0.05)
        assert bound == pytest.approx(-special.logit(corner), abs=1e-3)
        assert bound <= -special.logit(corner) + 1e-4

    @pytest.mark.parametrize(("fp", "fn"), [(100, 6000), (2700, 2700), (0, 9000), (9000, 100)])
    def test_ten_thousand(self, fp, fn):
        n = MOST_EXACT_TRIALS
        counts = AttackCounts(fp=fp, tn=n - fp, fn=fn, tp=n - fn)
        exact, simple = epsilon_lower_bound(counts), epsilon_lower_bound(counts, method="clopper_pearson")
        assert exact.method == "likelihood_ratio"
        assert simple.epsilon < exact.epsilon < simple.epsilon + 0.4

    def test_a_useless_attack_gives_nothing(self):
        assert epsilon_lower_bound(AttackCounts(fp=2000, tn=3000, fn=3001, tp=1999)).epsilon == 0

    @pytest.mark.parametrize("n", [10**6, 10**8])
    @pytest.mark.parametrize("method", ["likelihood_ratio", "clopper_pearson", "katz_log"])
    def test_a_hundred_million(self, n, method):
        counts = AttackCounts(fp=n // 10, tn=n - n // 10, fn=n // 2, tp=n - n // 2)
        bound = epsilon_lower_bound(counts, method=method)
        assert bound.epsilon == pytest.approx(np.log(5), abs=0.01)
        assert bound.method.startswith("katz" if method == "katz_log" else "clopper_pearson")

    def test_coverage_at_the_corner(self, rng):  # false alarm 1e-6; P[bound > epsilon] = P[p-value <= 0.05]
        n, corner = 600, special.expit(-1.5)
        fp, fn = rng.binomial(n, corner, 200), rng.binomial(n, corner, 200)
        p = [windowed_p_value(1.5, fp=int(i), n_out=n, fn=int(j), n_in=n, delta=0.0) for i, j in zip(fp, fn, strict=True)]
        assert np.sum(np.array(p) <= 0.05) <= most_violations(200)
        too_low = [windowed_p_value(1.0, fp=int(i), n_out=n, fn=int(j), n_in=n, delta=0.0) for i, j in zip(fp[:60], fn[:60], strict=True)]
        assert np.sum(np.array(too_low) <= 0.05) > most_violations(60)  # negative control

    @pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-6])
    def test_far_outcomes_are_rare(self, alpha, rng):
        # the inequality itself, by enumeration over both binomials
        n, far = 60, far_away(alpha)
        i = np.arange(n + 1)
        for x, y in rng.uniform(0.01, 0.99, (20, 2)):
            from_x, from_y = (n * (special.rel_entr(i / n, r) + special.rel_entr(1 - i / n, 1 - r)) for r in (x, y))
            mass = np.outer(stats.binom.pmf(i, n, x), stats.binom.pmf(i, n, y))
            assert mass[from_x[:, None] + from_y >= far].sum() <= alpha
