"""The posterior of accuracy: published figures, exact coverage, simulation, many at once, the record."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from scipy import stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.accuracy import AccuracyPosterior
from privacy_audit.estimate.rates.count_arrays import CountArrays
from tests.estimate.worlds.published_draws import exact_coverage

COUNTS = AttackCounts(tn=150, fp=50, tp=160, fn=40)
OTHERS = [COUNTS, AttackCounts(tn=20, fp=0, tp=20, fn=0), AttackCounts(tn=0, fp=30, tp=900, fn=2)]


class TestLaw:
    def test_reference_interval(self):
        assert AccuracyPosterior(COUNTS).interval() == pytest.approx([0.73166, 0.81306], abs=1e-5)

    def test_mean(self):
        assert AccuracyPosterior(COUNTS).mean == pytest.approx((150.5 / 201 + 160.5 / 201) / 2)

    @pytest.mark.parametrize(("tnr", "tpr", "n_victims"), [(0.7, 0.9, 100), (0.5, 0.5, 60), (0.95, 0.6, 80)])
    def test_coverage_is_near_its_level(self, tnr, tpr, n_victims):
        assert 0.94 < exact_coverage(tnr, tpr, n_victims) < 0.965

    def test_coverage_of_pooled_guesses_falls_short(self):
        """Control: one Beta law over all guesses knows nothing of the balance of worlds of different size."""
        tnr, tpr, sizes = 0.5, 0.9, (20, 400)
        k = [np.arange(size + 1) for size in sizes]
        weight = np.outer(stats.binom.pmf(k[0], sizes[0], tnr), stats.binom.pmf(k[1], sizes[1], tpr))
        right = k[0][:, None] + k[1]
        below = stats.beta.cdf((tnr + tpr) / 2, right + 0.5, sum(sizes) - right + 0.5)
        assert weight[(below > 0.025) & (below < 0.975)].sum() < 0.5

    @pytest.mark.parametrize("counts", OTHERS)
    def test_draws_agree(self, counts, rng):  # false alarm 1e-6
        posterior = AccuracyPosterior(counts)
        draws = posterior.sample(2000, rng=rng)
        assert stats.kstest(draws, lambda x: np.asarray(posterior.cdf(x))).pvalue > 1e-6
        assert stats.kstest(draws, lambda x: np.asarray(AccuracyPosterior(counts, prior=(8.0, 8.0)).cdf(x))).pvalue < 1e-6

    @pytest.mark.parametrize("counts", OTHERS)
    def test_views_of_one_law_agree(self, counts):
        posterior = AccuracyPosterior(counts)
        q = np.array([0.01, 0.3, 0.5, 0.9])
        at = posterior.ppf(q)
        assert posterior.cdf(at) == pytest.approx(q, abs=1e-9)
        assert posterior.sf(at) == pytest.approx(1 - q, abs=1e-9)
        assert posterior.prob_exceeds(at) == pytest.approx(1 - q, abs=1e-9)
        assert posterior.median == pytest.approx(at[2])
        assert posterior.cdf([-1.0, 0.0, 1.0, 2.0]).tolist() == [0.0, 0.0, 1.0, 1.0]
        assert posterior.pdf([-1.0, 2.0]).tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("counts", OTHERS)
    def test_shortest_interval(self, counts):
        posterior = AccuracyPosterior(counts)
        low, high = posterior.interval(0.9, "hdi")
        assert posterior.cdf(high) - posterior.cdf(low) == pytest.approx(0.9, abs=1e-6)
        assert high - low <= np.diff(posterior.interval(0.9))[0] + 1e-9

    def test_one_sided(self):
        posterior = AccuracyPosterior(COUNTS)
        assert posterior.interval(0.9, "lower").tolist() == [posterior.ppf(0.1), 1.0]
        assert posterior.interval(0.9, "upper").tolist() == [0.0, posterior.ppf(0.9)]

    def test_many_at_once(self):
        many = AccuracyPosterior(OTHERS)
        singles = [AccuracyPosterior(counts) for counts in OTHERS]
        assert len(many) == 3
        assert many.interval() == pytest.approx(np.array([single.interval() for single in singles]), abs=1e-12)
        assert many.interval(kind="hdi") == pytest.approx(np.array([single.interval(kind="hdi") for single in singles]), abs=1e-6)
        assert many.mean == pytest.approx([single.mean for single in singles])
        assert many.cdf(0.8) == pytest.approx([single.cdf(0.8) for single in singles], abs=1e-12)
        assert many.sample(5, rng=0).shape == (3, 5)
        assert many.all_right.tolist() == [False, True, False]


class TestRecord:
    @pytest.mark.parametrize("counts", [COUNTS, OTHERS])
    def test_round_trip(self, counts):
        posterior = AccuracyPosterior(counts, prior=(1.0, 1.0))
        record = json.loads(json.dumps(posterior.to_dict()))
        assert record["kind"] == posterior.kind == "credible"
        assert AccuracyPosterior.from_dict(record).to_dict() == posterior.to_dict()
        for twin in (copy.deepcopy(posterior), pickle.loads(pickle.dumps(posterior))):
            assert twin.to_dict() == posterior.to_dict()

    def test_shown(self):
        from matplotlib.figure import Figure

        ax = Figure().subplots()
        many = AccuracyPosterior(OTHERS * 5)
        assert AccuracyPosterior(OTHERS[:2]).plot(ax) is ax
        assert AccuracyPosterior(COUNTS).plot(Figure().subplots()).get_xlabel() == "balanced accuracy"
        assert "and 3 more" in many._repr_html_()

    @pytest.mark.parametrize("prior", [(0.0, 1.0), (1.0,), (1.0, np.nan)])
    def test_bad_prior(self, prior):
        with pytest.raises(ValueError, match="prior"):
            AccuracyPosterior(COUNTS, prior=prior)

    def test_bad_counts(self):
        with pytest.raises(TypeError, match="AttackCounts"):
            AccuracyPosterior([(1, 2, 3, 4)])
        with pytest.raises(ValueError, match="at least one trial"):
            AccuracyPosterior(CountArrays(tp=[1], fn=[0], tn=[0], fp=[0]))

    @pytest.mark.parametrize("level", [0, 1, 95])
    def test_bad_level(self, level):
        with pytest.raises(ValueError, match="level"):
            AccuracyPosterior(COUNTS).interval(level)
