"""The posterior against closed forms, 30-digit quadrature, a plain scalar scheme, simulation, and its own identities."""

from __future__ import annotations

import itertools

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from attacks.scores import AttackCounts
from privacy_audit.estimate.posterior import EpsilonPosterior
from privacy_audit.estimate.rates.beta_law import BetaLaw, stirling_remainder
from privacy_audit.estimate.rates.pushforward import exceedance
from privacy_audit.estimate.region import implied_epsilon
from tests.estimate.posterior_oracle import mp_cdf, plain_sf

# fp, tn, fn, tp, delta, quantiles at 5, 50, 95 %
REFERENCE = [
    (3, 97, 40, 60, 0.0, (2.149151, 2.939315, 4.009866)),
    (0, 100, 0, 100, 1e-5, (4.896377, 7.251901, 12.196063)),
    (512, 1, 0, 487, 1e-5, (0.143895, 1.719988, 6.415596)),
    (50, 950, 600, 400, 1e-2, (1.823679, 2.050905, 2.295281)),
    (50, 9950, 6000, 4000, 1e-5, (4.154891, 4.378675, 4.620368)),
    (5000, 5000, 5000, 5000, 1e-2, (0.0, 0.0, 0.007838)),
]

# fp, tn, fn, tp, delta, epsilon, P(g <= epsilon) by mp_cdf
FROZEN = [
    (632, 3593, 1764, 2426, 0.0, 1.417971, 0.950000043971077421),
    (981, 2543, 323, 6246, 1e-3, 2.594759, 0.049999928145065314),
    (19777, 49739, 18276, 23708, 0.0, 0.69771, 0.950001250722215731),
    (11519, 46413, 8296, 34753, 1e-3, 1.423612, 0.500016788534813685),
    (213671, 690141, 199578, 225733, 0.0, 0.808715, 0.49994500811497403),
    (111174, 563747, 659759, 301094, 1e-3, 0.645057, 0.949984269497182666),
    (70336, 353076, 159001, 310671, 0.0, 1.387684, 0.949992121513931895),
    (40155, 528694, 534708, 417506, 1e-3, 1.82409, 0.49999743925926397),
    (500000, 500000, 500300, 499700, 0.0, 0.001043, 0.500026969064253971),
    (500000, 500000, 500300, 499700, 1e-4, 0.002329, 0.900027092687653757),
    (3, 999997, 10, 999990, 0.0, 12.661468, 0.499999794752372897),
    (0, 1000000, 799000, 1000, 0.0, 7.752457, 0.300000078842127533),
]


def posterior(fp, tn, fn, tp, **options) -> EpsilonPosterior:
    return EpsilonPosterior(AttackCounts(fp=fp, tn=tn, fn=fn, tp=tp), **options)


def laws(fp, tn, fn, tp, prior=(0.5, 0.5)):
    fp, tn, fn, tp = (np.atleast_1d(np.asarray(count, dtype=float)) for count in (fp, tn, fn, tp))
    return BetaLaw.of(fn + prior[0], tp + prior[1]), BetaLaw.of(fp + prior[0], tn + prior[1])


small_counts = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda c: c[0] + c[1] > 0 and c[2] + c[3] > 0)
any_counts = st.tuples(*[st.integers(0, 10**8)] * 4).filter(lambda c: c[0] + c[1] > 0 and c[2] + c[3] > 0)
deltas = st.sampled_from([0.0, 1e-12, 1e-5, 1e-2, 0.3])


class TestValues:
    @pytest.mark.parametrize(("fp", "tn", "fn", "tp", "delta", "expected"), REFERENCE)
    def test_reference_quantiles(self, fp, tn, fn, tp, delta, expected):
        assert posterior(fp, tn, fn, tp, delta=delta).ppf([0.05, 0.5, 0.95]) == pytest.approx(expected, abs=1e-5)

    def test_pure_guessing_has_a_positive_lower_quantile(self):
        assert posterior(500, 500, 500, 500).ppf(0.05) == pytest.approx(0.002853, abs=1e-6)

    @pytest.mark.parametrize("delta", [0.0, 1e-6, 0.01, 0.5])
    def test_uniform_rates_have_a_closed_form(self, delta):
        fnr, fpr = laws(np.zeros(7), np.zeros(7), np.zeros(7), np.zeros(7), prior=(1.0, 1.0))
        epsilon = np.array([0.0, 1e-6, 0.1, 1.0, 3.0, 30.0, 300.0])
        sf, density = exceedance(fnr, fpr, epsilon, delta)
        cosh = (np.exp(-epsilon / 2) + np.exp(epsilon / 2)) / 2
        assert sf == pytest.approx(2 * (1 - delta) ** 2 / (1 + np.exp(epsilon)), rel=1e-11, abs=1e-15)
        assert density == pytest.approx((1 - delta) ** 2 / (2 * cosh**2), rel=1e-11)

    @pytest.mark.parametrize(("fp", "tn", "fn", "tp", "delta", "epsilon", "expected"), FROZEN)
    def test_large_counts_against_frozen_quadrature(self, fp, tn, fn, tp, delta, epsilon, expected):
        assert posterior(fp, tn, fn, tp, delta=delta).cdf(epsilon) == pytest.approx(expected, abs=1e-12)

    @pytest.mark.parametrize(
        ("counts", "delta", "epsilon", "prior"),
        [
            ((3, 97, 40, 60), 0.0, 2.0, (0.5, 0.5)),
            pytest.param((20, 20, 15, 18), 0.01, 0.3, (0.5, 0.5), marks=pytest.mark.slow),
            ((0, 3, 3, 0), 0.0, 0.3, (0.5, 0.5)),
            ((3, 97, 40, 60), 0.0, 2.0, (0.3, 0.7)),
            ((0, 97, 0, 60), 1e-5, 5.0, (0.3, 0.7)),
        ],
    )
    def test_against_quadrature_in_thirty_digits(self, counts, delta, epsilon, prior):
        fp, tn, fn, tp = counts
        exact = mp_cdf(*counts, delta, epsilon, prior)
        assert abs(mp.mpf(posterior(fp, tn, fn, tp, delta=delta, prior=prior).cdf(epsilon)) - exact) < 1e-12

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("counts", "delta", "epsilon", "prior"),
        [
            ((512, 1, 0, 487), 1e-5, 1.7, (0.5, 0.5)),
            ((512, 1, 0, 487), 1e-5, 0.1, (0.5, 0.5)),
            ((0, 3, 3, 0), 0.01, 2.0, (0.5, 0.5)),
            ((1, 0, 0, 2), 1e-5, 1.0, (0.5, 0.5)),
            ((0, 97, 97, 0), 1e-3, 1.0, (0.3, 0.7)),
            ((0, 2000, 1999, 1), 1e-4, 0.1, (0.5, 0.5)),
        ],
    )
    def test_delta_close_to_the_mass(self, counts, delta, epsilon, prior):
        fp, tn, fn, tp = counts
        exact = mp_cdf(*counts, delta, epsilon, prior, near_zero_rates=True)
        assert abs(mp.mpf(posterior(fp, tn, fn, tp, delta=delta, prior=prior).cdf(epsilon)) - exact) < 1e-12

    @pytest.mark.slow
    def test_random_counts_up_to_a_million_per_side(self, rng):
        for size in (30, 1000, 30_000, 1_000_000):
            n = rng.integers(size // 3, size, 2)
            hits = (n * rng.random(2) * [0.3, 0.7]).astype(int)
            counts = int(hits[0]), int(n[0] - hits[0]), int(hits[1]), int(n[1] - hits[1])
            law = posterior(*counts)
            epsilon = law.ppf(0.3)
            assert abs(mp.mpf(law.cdf(epsilon)) - mp_cdf(*counts, 0, epsilon)) < 1e-9

    @given(counts=small_counts, delta=deltas, epsilon=st.floats(0, 12))
    @settings(max_examples=25, deadline=None)
    def test_plain_scalar_scheme(self, counts, delta, epsilon):
        assert posterior(*counts, delta=delta).sf(epsilon) == pytest.approx(plain_sf(*counts, delta, epsilon), abs=2e-10)

    def test_stirling_remainder(self):
        z = np.array([0.1, 0.5, 1.0, 7.5, 9.99, 10.0, 123.5, 1e8])
        with mp.workdps(40):
            exact = [mp.loggamma(v) - ((mp.mpf(v) - 0.5) * mp.log(v) - v + mp.log(2 * mp.pi) / 2) for v in map(mp.mpf, z.tolist())]
        assert stirling_remainder(z) == pytest.approx([float(v) for v in exact], abs=2e-14)


class TestIdentities:
    @given(counts=any_counts, delta=deltas, epsilon=st.floats(0, 30))
    @settings(max_examples=60, deadline=None)
    def test_two_symmetries(self, counts, delta, epsilon):
        fp, tn, fn, tp = counts
        sf = posterior(fp, tn, fn, tp, delta=delta).sf(epsilon)
        assert posterior(fn, tp, fp, tn, delta=delta).sf(epsilon) == pytest.approx(sf, abs=1e-13)
        assert posterior(tn, fp, tp, fn, delta=delta).sf(epsilon) == pytest.approx(sf, abs=1e-13)

    @given(counts=any_counts, delta=deltas)
    @settings(max_examples=60, deadline=None)
    def test_quantiles_invert_the_cdf(self, counts, delta):
        law = posterior(*counts, delta=delta)
        q = np.array([1e-6, 0.05, 0.5, 0.95, 1 - 1e-6])
        epsilon = law.ppf(q)
        assert np.isfinite(epsilon).all()
        assert (np.diff(epsilon) >= 0).all()
        above = epsilon > 0
        assert law.cdf(epsilon)[above] == pytest.approx(q[above], abs=2e-9)
        assert (q[~above] <= law.cdf(0.0) + 1e-9).all()

    @given(counts=small_counts, delta=deltas)
    @settings(max_examples=30, deadline=None)
    def test_sf_falls_and_pdf_is_its_slope(self, counts, delta):
        law = posterior(*counts, delta=delta)
        grid = np.linspace(0.05, 8, 60)
        assert (np.diff(law.sf(grid)) <= 1e-14).all()
        slope = (law.sf(grid - 1e-5) - law.sf(grid + 1e-5)) / 2e-5
        assert law.pdf(grid) == pytest.approx(slope, abs=1e-7)

    @given(counts=small_counts, epsilon=st.floats(0, 6))
    @settings(max_examples=30, deadline=None)
    def test_larger_delta_leaves_less_epsilon(self, counts, epsilon):
        sf = [posterior(*counts, delta=delta).sf(epsilon) for delta in (0.0, 1e-4, 0.01, 0.2)]
        assert (np.diff(sf) <= 1e-13).all()

    def test_many_counts_are_the_single_ones(self):
        rows = [row[:4] for row in REFERENCE]
        fp, tn, fn, tp = np.array(rows).T
        many = EpsilonPosterior.from_arrays(fp=fp, tn=tn, fn=fn, tp=tp, delta=1e-5)
        from_records = EpsilonPosterior([AttackCounts(fp=a, tn=b, fn=c, tp=d) for a, b, c, d in rows], delta=1e-5)
        singles = [posterior(*row, delta=1e-5) for row in rows]
        points = np.array([[0.1, 1.0, 2.0], [3.0, 5.0, 9.0]])
        assert many.cdf(points).shape == (6, 2, 3)
        assert many.cdf(points) == pytest.approx(np.array([law.cdf(points) for law in singles]), abs=1e-14)
        assert many.mean == pytest.approx(np.array([law.mean for law in singles]), rel=1e-12)
        for kind in ("equal_tailed", "hdi", "lower", "upper"):
            assert many.interval(0.8, kind) == pytest.approx(np.array([law.interval(0.8, kind) for law in singles]), rel=1e-9, abs=1e-9)
        assert np.array_equal(from_records.median, many.median)
        assert len(many) == 6

    def test_extreme_points(self):
        law = posterior(3, 97, 40, 60)
        assert law.cdf([-1.0, 0.0, np.inf]).tolist() == [0.0, 0.0, 1.0]
        assert law.sf([-1.0, 0.0, 1e6]).tolist() == [1.0, 1.0, pytest.approx(0.0, abs=1e-100)]
        assert law.pdf(-1.0) == 0.0
        assert law.ppf([0.0, 1.0]).tolist() == [0.0, np.inf]
        assert law.prob_exceeds(2.0) == law.sf(2.0)
        assert isinstance(law.cdf(1.0), float)

    def test_mass_at_zero(self):
        law = posterior(5000, 5000, 5000, 5000, delta=0.01)
        assert law.cdf(0.0) == pytest.approx(0.8427, abs=1e-4)
        assert law.ppf([0.5, 0.84]).tolist() == [0.0, 0.0]
        assert law.ppf(0.85) > 0

    @pytest.mark.parametrize("sides", list(itertools.product([0, 1, 10**4, 10**8], repeat=2)))
    def test_finite_for_all_sizes(self, sides):
        for hits in itertools.product([0, 1], repeat=2):
            counts = []
            for size, hit in zip(sides, hits, strict=True):
                counts += [size if hit else 1, 1 if hit else size]
            for delta in (0.0, 1e-5):
                law = posterior(*counts, delta=delta)
                assert np.isfinite(law.ppf([1e-4, 0.5, 0.9999])).all()
                assert np.isfinite(law.mean)


class TestSummaries:
    def test_mean_of_uniform_rates_is_two_ln_two_with_a_uniform_prior(self):
        # counts can't be empty, so the law with one trial each is checked against quadrature of its own sf
        law = posterior(1, 0, 0, 1, prior=(1.0, 1.0))
        x, w = np.polynomial.legendre.leggauss(200)
        assert law.mean == pytest.approx(float((law.sf(40 * (x + 1)) * w).sum() * 40), abs=1e-10)

    @given(counts=small_counts, delta=deltas)
    @settings(max_examples=20, deadline=None)
    def test_mean_is_the_integral_of_sf(self, counts, delta):
        law = posterior(*counts, delta=delta)
        edges = np.concatenate([[0.0], np.geomspace(1e-3, 150, 60)])
        x, w = np.polynomial.legendre.leggauss(16)
        half = np.diff(edges)[:, None] / 2
        total = (law.sf(edges[:-1, None] + half * (1 + x)) * half * w).sum()
        assert law.mean == pytest.approx(float(total), abs=1e-8)

    @pytest.mark.parametrize(("fp", "tn", "fn", "tp", "delta"), [row[:5] for row in REFERENCE])
    def test_hdi_is_the_shortest_interval(self, fp, tn, fn, tp, delta):
        law = posterior(fp, tn, fn, tp, delta=delta)
        low, high = law.interval(0.9, "hdi")
        u = np.linspace(0, 0.0999, 200)
        assert high - low <= (law.ppf(u + 0.9) - law.ppf(u)).min() + 1e-9
        inside = law.cdf(high) - (law.cdf(low) if low > 0 else 0.0)
        assert inside >= 0.9 - 1e-9

    def test_one_sided_intervals(self):
        law = posterior(3, 97, 40, 60)
        assert law.interval(0.95, "lower").tolist() == [law.ppf(1 - 0.95), np.inf]
        assert law.interval(0.95, "upper").tolist() == [0.0, law.ppf(0.95)]
        assert law.interval().tolist() == pytest.approx([2.149151, 4.009866], abs=1e-5)
        assert law.median == law.ppf(0.5)


class TestSimulation:
    def test_draws_follow_the_law(self, rng):  # false alarm 1e-6
        law = posterior(3, 97, 40, 60)
        draws = law.sample(20_000, rng=rng)
        assert stats.kstest(law.cdf(draws), "uniform").pvalue > 1e-6
        assert stats.kstest(posterior(4, 96, 40, 60).cdf(draws), "uniform").pvalue < 1e-6  # it can fail

    def test_draws_have_one_row_per_attack(self):
        many = EpsilonPosterior.from_arrays(tp=[3, 5], fp=[1, 2], tn=[3, 4], fn=[2, 2])
        assert many.sample(7, rng=1).shape == (2, 7)
        assert np.array_equal(many.sample(7, rng=1), many.sample(7, rng=1))

    @pytest.mark.parametrize("delta", [0.0, 0.01])
    def test_simulation_based_calibration(self, delta, rng):  # false alarm 1e-6
        n, repeats = rng.integers(5, 200, (2, 3000)), 3000
        fpr, fnr = rng.beta(0.5, 0.5, (2, repeats))
        fp, fn = rng.binomial(n[0], fpr), rng.binomial(n[1], fnr)
        truth = implied_epsilon(fpr, fnr, delta)
        sf, _ = exceedance(*laws(fp, n[0] - fp, fn, n[1] - fn), truth, delta)
        at_zero, _ = exceedance(*laws(fp, n[0] - fp, fn, n[1] - fn), np.zeros(repeats), delta)
        u = np.where(truth > 0, 1 - sf, rng.random(repeats) * (1 - at_zero))  # the mass at 0 is spread evenly
        assert stats.kstest(u, "uniform").pvalue > 1e-6
        wrong, _ = exceedance(*laws(fp, n[0] - fp, fn, n[1] - fn, prior=(2.0, 2.0)), truth, delta)
        assert stats.kstest(1 - wrong, "uniform").pvalue < 1e-6  # another prior is noticed
