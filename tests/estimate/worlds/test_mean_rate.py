"""The mean of two Beta rates against closed forms, plain quadrature, and its own symmetries."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy_audit.estimate.rates.beta_law import BetaLaw
from privacy_audit.estimate.worlds.mean_rate import beta_variance, mean_of_rates
from privacy_audit.estimate.worlds.mean_rate_quantile import mean_rate_quantiles

# a, b, c, d, point; P(mean <= point) by plain_below
FROZEN = [
    ((150.5, 50.5, 160.5, 40.5, 0.77), 0.42257550968165),
    ((200.5, 0.5, 200.5, 0.5, 0.999), 0.6697832968116328),
    ((200.5, 0.5, 0.5, 200.5, 0.4999), 0.4447146877433087),
    ((200.5, 0.5, 0.5, 200.5, 0.501), 0.7632503170321218),
    ((0.5, 0.5, 0.5, 0.5, 0.3), 0.23045035838447),
    ((5.5, 1.5, 1000.5, 300.5, 0.8), 0.5474339904432995),
    ((0.5, 3.5, 2000.5, 30.5, 0.53), 0.5241516576103894),
    ((7000.5, 3000.5, 3.5, 1.5, 0.75), 0.6447233241947615),
]

shapes = st.sampled_from([0.1, 0.5, 1.0, 1.5, 3.5, 20.5, 300.5, 5000.5])
inner = st.floats(0.002, 0.998)


def law(a, b):
    return BetaLaw.of(np.array([float(a)]), np.array([float(b)]))


def below(a, b, c, d, at):
    return float(mean_of_rates(law(a, b), law(c, d), np.array([at]))[0][0])


def plain_below(a, b, c, d, at):
    """30 digits; both substitutions take the infinite edges away."""
    with mp.workdps(30):
        s = 2 * mp.mpf(at)
        if s > 1:
            return 1 - plain_below(b, a, d, c, 1 - mp.mpf(at))
        a, b, c, d = (mp.mpf(x) for x in (a, b, c, d))

        def term(angle):
            x, y = s * mp.sin(angle) ** 2, s * mp.cos(angle) ** 2
            density = x ** (a - 1) * (1 - s + y) ** (b - 1) / mp.beta(a, b)
            return density * mp.betainc(c, d, 0, y, regularized=True) * 2 * s * mp.sin(angle) * mp.cos(angle)

        return mp.quad(term, mp.linspace(0, mp.pi / 2, 12))


class TestProbability:
    @pytest.mark.parametrize("at", [1e-9, 0.01, 0.3, 0.5, 0.500001, 0.8, 0.999999])
    def test_uniform_rates_make_a_triangle(self, at):
        cdf, sf, density = mean_of_rates(law(1, 1), law(1, 1), np.array([at]))
        expected = 2 * at**2 if at <= 0.5 else 1 - 2 * (1 - at) ** 2
        assert cdf[0] == pytest.approx(expected, abs=1e-14)
        assert sf[0] == pytest.approx(1 - expected, abs=1e-14)
        assert density[0] == pytest.approx(4 * min(at, 1 - at), rel=1e-12)

    @pytest.mark.parametrize(("case", "expected"), FROZEN)
    def test_against_frozen_quadrature(self, case, expected):
        assert below(*case) == pytest.approx(expected, abs=1e-13)

    def test_frozen_values_are_those_of_thirty_digits(self):
        case, expected = FROZEN[0]
        assert float(plain_below(*case)) == pytest.approx(expected, abs=1e-14)

    def test_certain_guesser_is_at_one_half(self):
        assert below(200.5, 0.5, 0.5, 200.5, 0.5) == pytest.approx(0.5, abs=1e-12)

    @given(shapes, shapes, shapes, shapes, inner)
    def test_order_and_mirror(self, a, b, c, d, at):
        value = below(a, b, c, d, at)
        assert below(c, d, a, b, at) == pytest.approx(value, abs=1e-11)
        assert 1 - below(b, a, d, c, 1 - at) == pytest.approx(value, abs=1e-11)

    @given(shapes, shapes, shapes, shapes, inner)
    def test_density_is_the_slope(self, a, b, c, d, at):
        if abs(at - 0.5) < 0.01:  # it may be infinite at 1/2
            return
        step = 1e-5
        ends = np.array([at - step, at, at + step])
        laws = [BetaLaw.of(np.full(3, x), np.full(3, y)) for x, y in ((a, b), (c, d))]
        cdf, _, density = mean_of_rates(*laws, ends)
        rise = (density * np.array([1, 4, 1])).sum() / 6 * 2 * step
        assert cdf[2] - cdf[0] == pytest.approx(rise, rel=1e-3, abs=1e-9)

    def test_variance(self):
        assert beta_variance(law(2, 3))[0] == pytest.approx(0.04)


class TestQuantile:
    @settings(max_examples=60)
    @given(shapes, shapes, shapes, shapes, st.floats(1e-6, 1 - 1e-6))
    def test_round_trip(self, a, b, c, d, q):
        first, second = law(a, b), law(c, d)
        at = mean_rate_quantiles(first, second, np.array([q]))
        low, high = (mean_of_rates(first, second, np.clip(at + step, 0.0, 1.0))[0][0] for step in (-4e-16, 4e-16))
        assert low - 1e-9 <= q <= high + 1e-9  # quantiles are resolved to a few roundings of 1, also where a law piles up at 0 or 1

    def test_ends(self):
        laws = [BetaLaw.of(np.ones(2), np.ones(2)) for _ in range(2)]
        assert mean_rate_quantiles(*laws, np.array([0.0, 1.0])).tolist() == [0.0, 1.0]

    def test_uniform(self):
        q = np.array([0.02, 0.5, 0.98])
        laws = [BetaLaw.of(np.ones(3), np.ones(3)) for _ in range(2)]
        assert mean_rate_quantiles(*laws, q) == pytest.approx([0.1, 0.5, 0.9], abs=1e-12)
