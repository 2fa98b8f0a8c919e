"""One number of leaked records behind several pairs of rates: models that publish m draws, plain sums, limits, the record."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from attacks.distribution.ideal_observer import acc_ideal
from attacks.scores import AttackCounts
from privacy_audit.estimate.pooled_leakage import PooledLeakage
from privacy_audit.estimate.worlds.pair_likelihood import pair_likelihood
from privacy_audit.estimate.worlds.pooled_grid import pooled_grid
from tests.estimate.worlds.published_draws import play

PAIRS = [(0.5, 0.2), (0.5, 0.3), (0.5, 0.4), (0.5, 0.7)]


def games(m, rng, pairs=PAIRS, n_victims=200):
    numbers = np.broadcast_to(m, len(pairs)).tolist()
    return [(play(number, p, q, n_victims, rng), p, q) for number, (p, q) in zip(numbers, pairs, strict=True)]


class TestLikelihood:
    def test_mean_over_the_segment(self):
        counts = AttackCounts(tn=30, fp=20, tp=45, fn=5)
        likelihood = pair_likelihood(counts, 0.5, 0.2)
        n = np.array([2.0, 4.0, 7.0, 9.0])
        plain = []
        for accuracy in acc_ideal(n, 0.5, 0.2):
            tnr = np.linspace(2 * accuracy - 1, 1, 20_001)
            plain.append((stats.binom.pmf(30, 50, tnr) * stats.binom.pmf(45, 50, 2 * accuracy - tnr)).mean())
        ours = likelihood.at(np.log(n))
        assert ours / ours.max() == pytest.approx(np.array(plain) / max(plain), abs=6e-3)  # the curve has a kink at every whole n

    def test_flat_on_a_plateau(self):
        counts = AttackCounts(tn=300, fp=200, tp=350, fn=150)
        value = pair_likelihood(counts, 0.4, 0.6).at(np.log([1.05, 1.5, 1.95, 3.05, 3.95]))
        assert value[:3] == pytest.approx(value[0], rel=1e-2)
        assert value[3] == pytest.approx(value[4], rel=1e-2)


class TestCommonNumber:
    @pytest.mark.parametrize("m", [5, 50, 500])
    def test_holds_m(self, m, rng):  # false alarm about 1e-4
        law = PooledLeakage(games(m, rng))
        low, high = law.interval(0.9999)
        assert low <= m <= high
        assert law.median == pytest.approx(m, rel=0.5)

    @pytest.mark.slow
    @pytest.mark.parametrize("m", [5, 50])
    def test_coverage(self, m, rng):
        """60 games with coverage at least 0.93: fewer than 44 held has probability below 1e-5."""
        ends = np.array([PooledLeakage(games(m, rng)).interval() for _ in range(60)])
        assert ((ends[:, 0] <= m) & (m <= ends[:, 1])).sum() >= 44

    def test_wrong_number_is_seen(self, rng):
        low, high = PooledLeakage(games(50, rng)).interval(0.95)
        assert 12 < low < high < 200

    def test_pairs_that_differ_have_a_spread(self, rng):
        same, different = PooledLeakage(games(30, rng)), PooledLeakage(games([10, 80, 10, 80], rng))
        assert different.spread[1] > 0.3
        assert same.spread[0] < 0.3
        rows = different.per_pair()
        assert rows[0].high < rows[1].low

    def test_against_a_plain_grid(self, rng):
        pairs = games(20, rng, PAIRS[:2], 100)
        likelihoods = [pair_likelihood(*pair) for pair in pairs]
        x, sigma = np.linspace(np.log(0.1), np.log(1e4), 900), np.linspace(0.02, 2.5, 120)
        total = np.zeros(len(x))
        for s in sigma:
            kernel = np.exp(-(((x - x[:, None]) / s) ** 2) / 2)
            kernel /= kernel.sum(axis=1, keepdims=True)
            total += np.exp(-2 * s**2) * np.prod([kernel @ pair.at(x) for pair in likelihoods], axis=0)
        cdf = (np.cumsum(total) - total / 2) / total.sum()
        law = PooledLeakage(pairs)
        assert law.cdf(np.exp(x[::30])) == pytest.approx(cdf[::30], abs=1e-2)

    def test_masses_are_whole(self, rng):
        grid = pooled_grid([pair_likelihood(*pair) for pair in games(20, rng)])
        for mass in (grid.eta_mass, grid.sigma_mass, *grid.pair_mass):
            assert mass.sum() == pytest.approx(1)

    def test_end_on_a_plateau_of_all_pairs(self, rng):
        law = PooledLeakage([(play(2, 0.3, 0.7, 20_000, rng), 0.3, 0.7)])
        row = law.per_pair()[0]
        assert row.low <= 1.01
        assert row.high >= 2.0

    def test_no_leakage_and_no_error(self):
        chance = PooledLeakage([(AttackCounts(tn=50, fp=50, tp=50, fn=50), 0.5, 0.2)] * 2)
        assert chance.cdf(2.0) > 0.99
        perfect = PooledLeakage([(AttackCounts(tn=50, fp=0, tp=50, fn=0), 0.5, 0.2)] * 2)
        assert perfect.interval()[0] > 20
        assert perfect.interval()[1] > 1e5


class TestRecord:
    def test_to_dict(self, rng):
        law = PooledLeakage(games(20, rng, PAIRS[:2], 100))
        record = json.loads(json.dumps(law.to_dict()))
        assert record["kind"] == law.kind == "credible"
        assert len(record["per_pair"]) == 2
        assert law.cdf(law.ppf(0.3)) == pytest.approx(0.3, abs=1e-9)

    def test_shown(self, rng):
        from matplotlib.figure import Figure

        law = PooledLeakage(games(20, rng, PAIRS[:2], 100))
        ax = Figure().subplots()
        assert law.plot(ax) is ax
        assert "Spread of ln n" in law._repr_html_()

    def test_bad_input(self):
        counts = AttackCounts(tn=5, fp=0, tp=5, fn=0)
        with pytest.raises(ValueError, match="at least one"):
            PooledLeakage([])
        with pytest.raises(ValueError, match="differ"):
            PooledLeakage([(counts, 0.3, 0.3)])
        with pytest.raises(TypeError, match="AttackCounts"):
            PooledLeakage([((5, 0, 5, 0), 0.3, 0.5)])
