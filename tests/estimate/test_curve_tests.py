"""Curve tests: naive oracles, levels with negative controls, bounds within the family, bad input.

Runs as private as the claim draw their total losses from the claim's own law; broken ones from the law of less noise.
"""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import special, stats

from attacks.scores import MembershipScores
from experiments.e_raw_signals import scores_of_law
from mechanisms.accounting.curve_family import CurveFamily
from privacy_audit.estimate.curves import curve_tests as tests
from privacy_audit.estimate.curves.curve_bounds import METHODS, curve_bound
from privacy_audit.estimate.curves.curve_tests import auc_kl, auc_normal, e_value
from privacy_audit.estimate.curves.recalibration import fit_logistic, halves, log_twice_probability

FAMILY = CurveFamily(1 / 15, 200)
ALL = (auc_normal, auc_kl, e_value)


@pytest.fixture(scope="module")
def claim():
    return FAMILY.curve(1.0)


@pytest.fixture(scope="module")
def broken():
    return FAMILY.curve(0.5)


class TestOracles:
    def test_auc_normal(self, claim, rng):
        scores = scores_of_law(claim, 300, rng)
        n1, n0 = scores.n_members, scores.n_non_members
        below = np.cumsum(claim.c0) - claim.c0 / 2
        area = claim.c1 @ below
        v1 = claim.c1 @ (below - area) ** 2
        above = 1 - np.cumsum(claim.c1) + claim.c1 / 2
        v0 = claim.c0 @ (above - area) ** 2
        z = (scores.auc - area) / math.sqrt(v1 / n1 + v0 / n0)
        assert auc_normal(scores, claim).p_value == pytest.approx(stats.norm.sf(z), rel=1e-9)

    def test_spread_of_areas_is_the_one_used(self, claim, rng):  # sd of 400 sds is 3.5 %: 6 of them
        areas = [scores_of_law(claim, 1000, rng).auc for _ in range(400)]
        assert np.std(areas) == pytest.approx(0.01414, rel=0.21)
        assert np.mean(areas) == pytest.approx(claim.auc, abs=6 * 0.01414 / 20)

    def test_auc_kl(self, broken, claim, rng):
        scores = scores_of_law(broken, 100, rng)
        a, area, n = scores.auc, claim.auc, min(scores.n_members, scores.n_non_members)
        kl = a * math.log(a / area) + (1 - a) * math.log((1 - a) / (1 - area))
        assert auc_kl(scores, claim).p_value == pytest.approx(math.exp(-n * kl), rel=1e-9)
        assert auc_kl(scores_of_law(FAMILY.curve(20.0), 100, rng), claim).p_value == 1.0

    def test_perfect_separation(self, claim):
        scores = MembershipScores([math.inf] * 50 + [-math.inf] * 50, [True] * 50 + [False] * 50)
        assert auc_kl(scores, claim).p_value == pytest.approx(claim.auc**50, rel=1e-9)
        assert all(test(scores, claim).rejected for test in ALL)

    @pytest.mark.parametrize(("place", "log_m"), [(2, None), (5, 0.106747)])
    def test_moments_are_those_of_the_best_answer(self, claim, place, log_m):
        stake = tests.STAKES[place]
        answer = np.linspace(1e-6, 1 - 1e-6, 4001)
        pi = special.expit(claim.loss[::50])
        best = [float(np.max(p * (2 * answer) ** stake + (1 - p) * (2 - 2 * answer) ** stake)) for p in pi]
        both = ((claim.c0 + claim.c1) / 2)[::50]
        found = tests.log_moments(claim)[place]
        assert found == pytest.approx(math.log(both @ best / both.sum()), abs=2e-4)
        assert log_m is None or found == pytest.approx(log_m, abs=1e-5)

    def test_e_value_of_known_bets(self):
        played, moments = ((3.0, 10), (-1.0, 12)), [0.01] * len(tests.STAKES)
        naive = np.mean([math.exp(stake * won - n * 0.01) for won, n in played for stake in tests.STAKES])
        assert tests.log_e_value(played, moments) == pytest.approx(math.log(naive), rel=1e-12)

    def test_recalibration_is_penalized_maximum_likelihood(self, rng):
        z, member = rng.standard_normal(80), rng.random(80) < 0.5
        theta = fit_logistic(z, member)
        p = special.expit(theta[0] + theta[1] * z)
        gradient = np.array([np.sum(p - member), np.sum((p - member) * z)]) + 0.01 * theta
        assert gradient == pytest.approx(0, abs=1e-4)
        separated = fit_logistic(np.sort(z), np.arange(80) >= 40)
        assert np.isfinite(separated).all()
        assert separated[1] > 5

    def test_bets_are_placed_by_the_other_half(self, rng):
        score, member = rng.standard_normal(40), rng.random(40) < 0.5
        first, second = halves(40)
        assert sorted([*first, *second]) == list(range(40))
        other = member.copy()
        other[first] = ~other[first]  # the coins bet on do not change the rule, only its winnings
        one = log_twice_probability(score, member, fitted=second, used=first)
        two = log_twice_probability(score, other, fitted=second, used=first)
        assert math.log(2) * 2 * len(first) > one + two
        assert log_twice_probability(score, member, fitted=first, used=second) != log_twice_probability(
            score, other, fitted=first, used=second
        )


class TestLevels:
    def test_runs_as_private_as_the_claim_pass_and_broken_ones_do_not(self, claim, broken, rng):  # false alarm below 3e-6
        repeats, m = 300, 200
        alarms = {test.__name__: 0 for test in ALL}
        for _ in range(repeats):
            scores = scores_of_law(claim, m, rng)
            for test in ALL:
                alarms[test.__name__] += test(scores, claim).rejected
        most = stats.binom.isf(1e-6, repeats, 0.06)  # the normal law is asymptotic
        assert all(count <= most for count in alarms.values())
        assert alarms["auc_kl"] <= stats.binom.isf(1e-6, repeats, 0.05)
        found = [test(scores_of_law(broken, m, rng), claim).rejected for test in ALL for _ in range(5)]
        assert sum(found) >= 13  # power 1.00 each (specification)

    def test_e_values_are_worth_at_most_one_on_average(self, claim, rng):
        """Negative control: the same bets on a broken engine are worth far more; 6 standard errors above 1 never happen in a sound one."""
        sound = np.exp([e_value(scores_of_law(claim, 60, rng), claim).statistic for _ in range(400)])
        assert sound.mean() <= 1 + 6 * sound.std() / 20
        bad = np.exp([e_value(scores_of_law(FAMILY.curve(0.5), 200, rng), claim).statistic for _ in range(20)])
        assert np.median(bad) > 100

    def test_runs_are_combined_by_product(self, claim, rng):
        runs = [scores_of_law(FAMILY.curve(0.8), 200, rng) for _ in range(3)]
        alone = [e_value(run, claim).statistic for run in runs]
        together = e_value(runs, claim)
        assert together.statistic == pytest.approx(sum(alone), rel=1e-12)
        assert any("combined runs" in sentence for sentence in together.assumptions)
        assert together.n_members == sum(run.n_members for run in runs)

    def test_any_increasing_change_of_the_scores_is_seen_alike(self, claim, rng):
        scores = scores_of_law(claim, 200, rng)
        bent = MembershipScores(np.exp(scores.score / 3), scores.member)
        for test in (auc_normal, auc_kl):
            assert test(bent, claim).p_value == pytest.approx(test(scores, claim).p_value, rel=1e-12)


class TestBounds:
    @pytest.mark.parametrize("method", METHODS)
    def test_the_curve_at_the_bound_is_where_rejection_ends(self, method, claim, rng):
        scores = scores_of_law(claim, 1000, rng)
        bound = curve_bound(scores, FAMILY, delta=1e-5, method=method)
        low, high = 0.3, 50.0
        for _ in range(40):  # the noise multiplier with that epsilon
            middle = math.sqrt(low * high)
            low, high = (middle, high) if FAMILY.curve(middle).epsilon(1e-5) > bound.epsilon else (low, middle)
        test = {"auc_normal": auc_normal, "auc_kl": auc_kl, "e_value": e_value}[method]
        assert test(scores, FAMILY.curve(high * 1.003)).rejected
        assert not test(scores, FAMILY.curve(high / 1.003)).rejected

    def test_mean_bounds_of_the_specification(self, claim, rng):  # 12 runs: spreads 0.5, 0.5, 0.6; 6 standard errors
        expected = {"auc_normal": 5.58, "auc_kl": 4.76, "e_value": 4.53}
        found = {method: [] for method in METHODS}
        for _ in range(12):
            scores = scores_of_law(claim, 1000, rng)
            for method, values in found.items():
                values.append(curve_bound(scores, FAMILY, delta=1e-5, method=method).epsilon)
        for method, values in found.items():
            assert np.mean(values) == pytest.approx(expected[method], abs=6 * 0.6 / math.sqrt(12))

    def test_record(self, claim, rng):
        scores = scores_of_law(claim, 200, rng)
        kl, normal = (curve_bound(scores, FAMILY, delta=1e-5, method=method) for method in ("auc_kl", "auc_normal"))
        assert (kl.kind, normal.kind) == ("bound", "estimate")
        assert all(any("within the claimed family" in sentence for sentence in bound.assumptions) for bound in (kl, normal))
        assert curve_bound([scores, scores_of_law(claim, 200, rng)], FAMILY, delta=1e-5, method="e_value").epsilon >= 0

    def test_no_leakage_is_no_bound(self, rng):
        scores = MembershipScores(rng.standard_normal(400), rng.random(400) < 0.5)
        assert curve_bound(scores, FAMILY, delta=1e-5, method="auc_kl", level=1 - 1e-6).epsilon == 0.0
        perfect = MembershipScores(np.arange(400.0), np.arange(400) >= 200)
        assert math.isfinite(curve_bound(perfect, FAMILY, delta=1e-5, method="auc_normal").epsilon)


class TestRecord:
    def test_fields(self, claim, broken, rng):
        record = auc_kl(scores_of_law(broken, 1000, rng), claim)
        assert (record.kind, record.scope, record.rejected) == ("bound", "curve", True)
        assert auc_normal(scores_of_law(claim, 100, rng), claim).kind == "conformance"
        assert "not as private as the claimed curve" in record.finding
        assert "epsilon" not in record.finding
        facts = json.loads(json.dumps(record.to_dict(), allow_nan=False))
        assert facts["rejected"] is True
        assert facts["assumptions"]

    def test_bad_input(self, claim, rng):
        scores = scores_of_law(claim, 50, rng)
        for test in ALL:
            with pytest.raises(ValueError, match="did you mean 0.95"):
                test(scores, claim, level=95)
        with pytest.raises(ValueError, match="at least one run"):
            e_value([], claim)
        for options, message in [
            ({"method": "auc"}, "method must be one of"),
            ({"delta": 0.0}, "delta"),
            ({"level": 2.0}, "level"),
        ]:
            with pytest.raises(ValueError, match=message):
                curve_bound(scores, FAMILY, **({"delta": 1e-5, "method": "auc_kl"} | options))
        with pytest.raises(ValueError, match="one run"):
            curve_bound([scores, scores], FAMILY, delta=1e-5, method="auc_kl")
