"""The posterior of n_leaked: published figures, plateaus, models that publish m draws, the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attacks.distribution.ideal_observer import acc_ideal
from attacks.distribution.leakage import n_leaked
from attacks.scores import AttackCounts
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.hierarchical_accuracy import HierarchicalAccuracyPosterior
from privacy_audit.estimate.leakage import LeakagePosterior
from privacy_audit.estimate.worlds.draws_of_accuracy import accuracy_of_draws, last_draws, line_accuracy
from tests.estimate.worlds.published_draws import exact_coverage, observer_rates, play

GAMES = [(5, 0.5, 0.2), (50, 0.5, 0.4), (500, 0.5, 0.45)]
PLATEAUS = [(2, 0.3, 0.7), (6, 0.3, 0.7), (5, 0.3, 0.7), (50, 0.45, 0.55)]


def posterior(tn, tp, victims, p=0.5, q=0.2, **options):
    return LeakagePosterior(AccuracyPosterior(AttackCounts(tn=tn, fp=victims - tn, tp=tp, fn=victims - tp)), p, q, **options)


def holds(m, p, q, n_victims, n_games, rng):
    ends = LeakagePosterior(AccuracyPosterior(play(m, p, q, n_victims, rng, n_games)), p, q).interval()
    return (ends[:, 0] <= m) & (m <= ends[:, 1])


class TestFigures:
    def test_all_right(self):
        law = posterior(200, 200, 200)
        assert law.median == pytest.approx(80.7, abs=0.1)
        assert law.interval() == pytest.approx([53.12, 139.23], abs=0.01)
        assert law.saturated
        assert law.prob_zero < 1e-12

    def test_some_right(self):
        law = posterior(150, 160, 200)
        assert law.interval() == pytest.approx([3.608, 7.026], abs=1e-3)
        assert law.median == pytest.approx(4.96, abs=0.01)
        assert not law.saturated
        assert posterior(150, 160, 200, method="renyi_inf").median == pytest.approx(0.76, abs=0.01)

    def test_chance(self):
        law = posterior(50, 50, 100)
        assert law.prob_zero == pytest.approx(0.5, abs=1e-9)
        assert law.median == 0
        assert law.interval()[0] == 0
        assert posterior(40, 40, 100).median == 0

    @pytest.mark.parametrize(("m", "p", "q"), GAMES)
    def test_many_victims_find_m(self, m, p, q, rng):  # false alarm 1e-6
        law = LeakagePosterior(AccuracyPosterior(play(m, p, q, 2000, rng)), p, q)
        low, high = law.interval(1 - 1e-6)
        assert low <= m <= high
        assert np.diff(law.interval())[0] < max(0.3 * m, 3)
        published = LeakagePosterior(law.accuracy, p, q, method="renyi_inf").interval(1 - 1e-6)
        assert published[1] < m / 2


class TestLaw:
    @pytest.mark.parametrize("method", ["exact", "hellinger", "kl", "renyi_inf", "gaussian"])
    def test_cdf_and_ppf_are_inverse(self, method):
        law = posterior(150, 160, 200, method=method)
        q = np.array([0.05, 0.4, 0.95])
        assert law.cdf(law.ppf(q)) == pytest.approx(q, abs=1e-6)
        assert law.prob_exceeds(law.ppf(q)) == pytest.approx(1 - q, abs=1e-6)
        assert law.sf(-1.0) == 1.0

    def test_mass_at_zero(self):
        law = posterior(55, 50, 100)
        assert law.cdf(0.0) == pytest.approx(law.prob_zero, abs=1e-9)
        assert law.ppf(law.prob_zero * 0.99) == 0
        assert law.ppf(law.prob_zero * 1.01) > 0

    def test_draws_agree(self, rng):  # false alarm 1e-6
        law = posterior(150, 160, 200)
        draws = law.sample(1500, rng=rng)
        assert stats.kstest(draws, lambda n: np.asarray(law.cdf(n))).pvalue > 1e-6
        assert stats.kstest(draws, lambda n: np.asarray(posterior(150, 160, 200, q=0.25).cdf(n))).pvalue < 1e-6

    def test_one_sided(self):
        law = posterior(150, 160, 200)
        assert law.interval(0.95, "lower").tolist() == [law.ppf(0.05), np.inf]
        low, high = law.interval(0.95, "upper")
        assert low == 0
        assert high == pytest.approx(law.ppf(0.95))

    def test_many_at_once(self, rng):
        many = LeakagePosterior(AccuracyPosterior(play(5, 0.5, 0.2, 100, rng, 4)), 0.5, 0.2)
        assert many.interval().shape == (4, 2)
        assert many.cdf([0.0, 3.0]).shape == (4, 2)
        assert many.median.shape == many.prob_zero.shape == many.saturated.shape == (4,)

    def test_of_several_adversaries(self, rng):
        law = HierarchicalAccuracyPosterior([play(50, 0.5, 0.4, 100, rng) for _ in range(3)], shared_victims=False)
        leaked = LeakagePosterior(law, 0.5, 0.4)
        assert leaked.median == pytest.approx(n_leaked(law.median, 0.5, 0.4, interpolate=True))


class TestPlateaus:
    @pytest.mark.parametrize(("m", "p", "q"), PLATEAUS)
    def test_ends_of_a_plateau(self, m, p, q):
        accuracy = acc_ideal(m, p, q)
        first, last = n_leaked(accuracy, p, q, interpolate=True), last_draws(accuracy, p, q)
        assert first == pytest.approx(m - 1 + m % 2, abs=1e-6)
        assert last == pytest.approx(m + m % 2, abs=1e-6)
        assert last_draws(accuracy + 1e-9, p, q) >= m + m % 2
        assert line_accuracy(np.array([first, last]), p, q) == pytest.approx(accuracy, abs=1e-12)

    @settings(max_examples=40)
    @given(st.floats(0.5, 0.9999), st.sampled_from([(0.3, 0.7), (0.5, 0.2), (0.0, 0.1), (0.9, 1.0), (0.45, 0.55)]))
    def test_upper_reading_never_lies_below(self, accuracy, rates):
        low, high = n_leaked(accuracy, *rates, interpolate=True), last_draws(accuracy, *rates)
        assert low <= high + 1e-9
        assert high <= low + 1 + 1e-9
        assert line_accuracy(np.array([high]), *rates)[0] == pytest.approx(accuracy, abs=1e-10)
        assert n_leaked(accuracy_of_draws(low, *rates), *rates, interpolate=True) == pytest.approx(low, abs=1e-6)

    def test_edges(self):
        assert last_draws([0.0, 0.5, 1.0], 0.5, 0.2).tolist() == [0.0, 0.0, np.inf]
        assert last_draws(1.0, 0.0, 1.0) == 1.0
        assert last_draws(0.8, 0.5, 0.2, method="kl") == n_leaked(0.8, 0.5, 0.2, method="kl")

    def test_both_ends_read_alike_miss_the_truth(self, rng):
        """Control: the second draw of a plateau lies above the upper end whenever the accuracy's upper end is near."""
        ends = np.asarray(AccuracyPosterior(play(6, 0.3, 0.7, 1000, rng, 200)).ppf([0.025, 0.975]))
        alike = n_leaked(ends, 0.3, 0.7, interpolate=True)
        assert ((alike[:, 0] <= 6) & (alike[:, 1] >= 6)).mean() < 0.6  # a third is expected; false alarm below 1e-12


class TestCoverage:
    @pytest.mark.parametrize(("m", "p", "q"), GAMES + PLATEAUS)
    def test_m_is_held_exactly_as_often_as_its_accuracy(self, m, p, q):
        assert exact_coverage(*observer_rates(m, p, q), 100) > 0.94

    @pytest.mark.parametrize(("m", "p", "q"), GAMES + PLATEAUS)
    def test_interval_holds_m_where_the_accuracy_is_held(self, m, p, q, rng):
        counts = play(m, p, q, 100, rng, 60)
        accuracy = AccuracyPosterior(counts)
        low, high = accuracy.interval().T
        at = acc_ideal(m, p, q)
        ends = LeakagePosterior(accuracy, p, q).interval()
        held = (ends[:, 0] <= m) & (m <= ends[:, 1])
        assert held[(low <= at) & (at <= high)].all()

    @pytest.mark.slow
    @pytest.mark.parametrize("n_victims", [100, 1000])
    @pytest.mark.parametrize(("m", "p", "q"), GAMES + PLATEAUS)
    def test_games(self, m, p, q, n_victims, rng):
        """2000 games with true coverage >= 0.944: fewer than 0.918 held has probability below 1e-6."""
        assert holds(m, p, q, n_victims, 2000, rng).mean() > 0.918


class TestRecord:
    def test_to_dict(self):
        record = json.loads(json.dumps(posterior(150, 160, 200).to_dict()))
        assert record["kind"] == "credible"
        assert record["accuracy"]["counts"]["tp"] == 160
        assert record["interval"][0] < record["median"] < record["interval"][1]

    def test_shown(self):
        from matplotlib.figure import Figure

        law = posterior(200, 200, 200)
        ax = Figure().subplots()
        assert law.plot(ax) is ax
        assert "no count of exposed people" in law._repr_html_()

    @pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (-0.1, 0.5), (0.5, 1.5)])
    def test_bad_rates(self, p, q):
        with pytest.raises(ValueError, match="p|q"):
            posterior(10, 10, 20, p, q)

    def test_bad_words(self):
        with pytest.raises(ValueError, match="method"):
            posterior(10, 10, 20, method="best")
        with pytest.raises(ValueError, match="kind"):
            posterior(10, 10, 20).interval(0.9, "hdi")
        with pytest.raises(ValueError, match="did you mean 0.95"):
            posterior(10, 10, 20).interval(95)
