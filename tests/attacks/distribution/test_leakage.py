"""n_leaked: known values, round trips, the order of its methods, the search against counting up, and its edge cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from attacks.distribution.ideal_observer import acc_ideal, tv_bernoulli
from attacks.distribution.leakage import METHODS, n_leaked
from attacks.distribution.rates import hellinger_rate, kl_rate, renyi_inf_rate
from experiments.e_n_leaked import Config, run
from mechanisms.errors import WeakEvidenceWarning

OTHERS = [0.1, 0.2, 0.3, 0.4, 0.45]
RATES = st.floats(0, 1)


class TestKnownValues:
    @pytest.mark.parametrize(
        ("accuracy", "expected"), [(0.75, [2, 4, 11, 45, 182]), (0.9, [8, 16, 39, 162, 655]), (0.99, [24, 51, 127, 533, 2157])]
    )
    def test_exact(self, accuracy: float, expected: list[float]):
        assert n_leaked(accuracy, 0.5, OTHERS).tolist() == expected

    @pytest.mark.parametrize(
        ("accuracy", "expected"),
        [(0.75, [0.4894, 0.6121, 0.8550, 1.5779, 3.0184]), (0.9, [1.7381, 2.1737, 3.0364, 5.6036, 10.7192])],
    )
    def test_published(self, accuracy: float, expected: list[float]):
        assert n_leaked(accuracy, 0.5, OTHERS, method="renyi_inf") == pytest.approx(expected, abs=5e-5)

    def test_narrow_gap(self):
        assert n_leaked(0.9, 0.5, 0.51) == 16421
        assert n_leaked(0.9, 0.5, 0.51, method="renyi_inf") == pytest.approx(51.6, abs=0.05)

    def test_float_tolerance(self):
        assert tv_bernoulli(1, 0.5, 0.4) - 1e-16 < 2 * 0.55 - 1
        assert n_leaked(0.55, 0.5, 0.4) == 1

    def test_gaussian_is_near_exact(self):
        """Within 2.6 % from n = 100 on, 1 % from 500."""
        accuracy = np.linspace(0.6, 0.999, 40)[:, None]
        exact, gaussian = (n_leaked(accuracy, 0.5, [0.2, 0.3, 0.4, 0.45, 0.48], method=m) for m in ("exact", "gaussian"))
        off = np.abs(gaussian / exact - 1)
        assert off[exact >= 100].max() < 0.026
        assert off[exact >= 500].max() < 0.01

    def test_published_logs(self):
        *_, variation = run(Config())
        assert variation["exact"] == pytest.approx(0.20, abs=0.005)
        assert variation["published"] == pytest.approx(0.61, abs=0.005)


class TestSearch:
    @pytest.mark.parametrize(("p", "q"), [(0.5, 0.2), (0.5, 0.45), (0.1, 0.3), (0.3, 0.7), (0.01, 0.02), (0, 0.1), (0.8, 1)])
    def test_round_trip(self, p: float, q: float):
        """Back to n, or to the one before on a plateau."""
        n = np.arange(1, 1500)
        tv = tv_bernoulli(n, p, q)
        kept = 1 - tv > 1e-9
        before = np.concatenate([[0.0], tv[:-1]])
        first = np.where(tv - before <= 1e-12 * (1 - tv), n - 1, n)
        assert n_leaked(acc_ideal(n, p, q), p, q)[kept].tolist() == first[kept].tolist()

    def test_equals_counting_up(self, rng: np.random.Generator):
        for p, q, accuracy in rng.uniform([0, 0, 0.5], [1, 1, 1], (200, 3)):
            tv = tv_bernoulli(np.arange(1 + 2**14), p, q)
            enough = np.flatnonzero(1 - tv <= 2 * (1 - accuracy) * (1 + 1e-12) + 4e-16)
            if len(enough):
                assert n_leaked(accuracy, p, q) == enough[0]

    @given(st.floats(0.5 + 1e-9, 1 - 1e-9), RATES, RATES)
    def test_answer_is_enough_and_one_less_is_not(self, accuracy: float, p: float, q: float):
        assume(abs(p - q) > 1e-6)
        n = n_leaked(accuracy, p, q)
        assert acc_ideal(n, p, q) >= accuracy - 1e-11
        assert acc_ideal(n - 1, p, q) <= accuracy + 1e-11

    def test_up_to_ten_to_the_nine(self):
        n = np.array([10**9, 123456789, 7 * 10**8 + 1])
        p, q = 0.5, 0.5 + 2 / np.sqrt(n)
        found = n_leaked(acc_ideal(n, p, q), p, q)
        assert found == pytest.approx(n, rel=1e-9)
        assert n_leaked(0.9, 1e-9, 2e-9) == pytest.approx(n_leaked(0.9, 1e-6, 2e-6) * 1000, rel=1e-5)

    def test_beyond_it_is_the_gaussian_form(self):
        assert n_leaked(0.9, 0.5, 0.5 + 1e-8) == n_leaked(0.9, 0.5, 0.5 + 1e-8, method="gaussian") > 2**50


class TestInterpolation:
    @given(st.floats(0.5 + 1e-9, 1 - 1e-9), RATES, RATES)
    def test_stays_within_the_plateau(self, accuracy: float, p: float, q: float):
        assume(abs(p - q) > 1e-6)
        whole, real = n_leaked(accuracy, p, q), n_leaked(accuracy, p, q, interpolate=True)
        assert max(whole - 2, 0) <= real <= whole

    @pytest.mark.parametrize(("p", "q"), [(0.3, 0.7), (0.5, 0.2), (0, 0.1)])
    def test_is_linear_between_the_two_points(self, p: float, q: float):
        """A plain loop: n_hi first, then the first n with the advantage of n_hi - 1."""
        for accuracy in np.linspace(0.51, 0.98, 60):
            tv = tv_bernoulli(np.arange(400), p, q)
            high = int(np.argmax(tv >= 2 * accuracy - 1 - 1e-12))
            low = int(np.argmax(tv >= tv[high - 1] - 1e-13))
            expected = low + (2 * accuracy - 1 - tv[low]) / (tv[high] - tv[low]) * (high - low)
            assert n_leaked(accuracy, p, q, interpolate=True) == pytest.approx(expected, abs=1e-9)

    def test_rises_without_jumps(self):
        """Where n t is nearly whole one more draw adds nearly nothing, so n may move by the length of a plateau at once."""
        accuracy = np.linspace(0.5, 0.99, 20001)
        for p, q in ((0.5, 0.4), (0.3, 0.7)):
            step = np.diff(n_leaked(accuracy, p, q, interpolate=True))
            assert (step >= -1e-12).all()
            assert step.max() < 2


class TestOrder:
    @given(st.floats(0.5 + 1e-9, 1 - 1e-9), RATES, RATES)
    def test_bounds_stand_below_exact(self, accuracy: float, p: float, q: float):
        assume(abs(p - q) > 1e-6)
        renyi, kl, hellinger, exact = (n_leaked(accuracy, p, q, method=m) for m in ("renyi_inf", "kl", "hellinger", "exact"))
        assert renyi <= kl * (1 + 1e-12)
        assert kl <= hellinger * (1 + 1e-12)
        assert hellinger <= exact * (1 + 1e-9)

    @pytest.mark.parametrize("method", METHODS)
    @given(p=RATES, q=RATES)
    def test_symmetric_and_rising(self, method: str, p: float, q: float):
        assume(abs(p - q) > 1e-6)
        accuracy = np.linspace(0, 1 - 1e-9, 50)
        found = n_leaked(accuracy, p, q, method=method)
        assert found.tolist() == n_leaked(accuracy, q, p, method=method).tolist()
        assert (np.diff(found) >= -1e-12 * found[1:]).all()

    @given(RATES, RATES)
    def test_divergences_are_ordered(self, p: float, q: float):
        low, high = np.array(min(p, q)), np.array(max(p, q))
        assume(high > low)
        assert hellinger_rate(low, high) <= kl_rate(low, high) * (1 + 1e-12)
        assert kl_rate(low, high) <= renyi_inf_rate(low, high) * (1 + 1e-12)

    def test_divergences_of_nearly_certain_rates(self):
        """Overlap 1e-50: 1 - H^2 alone would be 0."""
        low, high = np.array(1e-100), np.array(1.0)
        assert hellinger_rate(low, high) == kl_rate(low, high) == renyi_inf_rate(low, high) == pytest.approx(100 * math.log(10))

    def test_divergences_keep_their_digits(self):
        """A gap of 1e-9: KL = gap^2 / (2 a (1-a)), and the Bhattacharyya rate is half of it."""
        low, high = np.array(0.3), np.array(0.3 + 1e-9)
        expected = float(high - low) ** 2 / (2 * 0.3 * 0.7)
        assert kl_rate(low, high) == pytest.approx(expected, rel=1e-6)
        assert hellinger_rate(low, high) == pytest.approx(expected / 2, rel=1e-6)
        assert kl_rate(np.array(0.5), np.array(0.2)) == pytest.approx(0.2 * math.log(0.4) + 0.8 * math.log(1.6), rel=1e-14)


class TestEdges:
    @pytest.mark.parametrize("method", METHODS)
    def test_half_or_less_is_nothing_and_never_mirrored(self, method: str):
        assert n_leaked([0, 0.1, 0.3, 0.5], 0.5, 0.2, method=method).tolist() == [0] * 4
        assert n_leaked([0, 0.5], 0.3, 0.3, method=method).tolist() == [0, 0]
        assert n_leaked(0.5, 0, 0, method=method) == 0

    @pytest.mark.parametrize("method", METHODS)
    def test_equal_rates_above_half_warn(self, method: str):
        with pytest.warns(WeakEvidenceWarning, match="1 of 2 accuracies are above 1/2 though the two rates are equal"):
            assert n_leaked([0.6, 0.4], 0.3, 0.3, method=method).tolist() == [math.inf, 0]

    @pytest.mark.parametrize("method", METHODS)
    def test_perfect_accuracy(self, method: str):
        assert n_leaked(1, [0.5, 0, 0.3], [0.2, 0.5, 1], method=method).tolist() == [math.inf] * 3
        assert n_leaked(1, 0, 1, method=method) == (1 if method == "exact" else 0)

    def test_one_record_separates_zero_from_one(self):
        assert n_leaked([0.51, 0.99], 0, 1).tolist() == [1, 1]

    def test_next_to_perfect_is_finite(self):
        found = n_leaked([1 - 1e-15, np.nextafter(1, 0)], 0.5, 0.2)
        assert np.isfinite(found).all()
        assert (found > 500).all()

    def test_broadcasts_and_keeps_scalars(self):
        assert n_leaked([[0.6], [0.9]], 0.5, OTHERS).shape == (2, 5)
        assert n_leaked([], 0.5, 0.2).shape == (0,)
        assert isinstance(n_leaked(0.9, 0.5, 0.2), float)

    @pytest.mark.parametrize(
        ("arguments", "options", "error", "message"),
        [
            ((1.1, 0.5, 0.2), {}, ValueError, r"accuracy must be in \[0, 1\], got 1.1"),
            ((math.nan, 0.5, 0.2), {}, ValueError, "accuracy must be in"),
            (([0.9, -0.1], 0.5, 0.2), {}, ValueError, "accuracy must be in .*1 of 2"),
            ((0.9, 2, 0.2), {}, ValueError, "p must be in"),
            ((0.9, 0.5, math.nan), {}, ValueError, "q must be in"),
            (("high", 0.5, 0.2), {}, TypeError, "accuracy must hold numbers"),
            ((0.9, 0.5, 0.2), {"method": "bound"}, ValueError, "method must be one of"),
        ],
    )
    def test_bad_input(self, arguments: tuple[float, float, float], options: dict[str, str], error: type[Exception], message: str):
        with pytest.raises(error, match=message):
            n_leaked(*arguments, **options)
