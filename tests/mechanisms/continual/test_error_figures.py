"""Mean and largest errors of all mechanisms at 2^10, 2^16 and 2^20, in the unit 1/(2 rho)."""

from __future__ import annotations

import pytest

from mechanisms.continual.buffered_toeplitz import BufferedToeplitz
from mechanisms.continual.factorization import Factorization
from mechanisms.continual.honaker import Honaker
from mechanisms.continual.nuclear_bound import nuclear_bound
from mechanisms.continual.scaled_square_root import ScaledSquareRoot
from mechanisms.continual.smooth import Smooth
from mechanisms.continual.square_root import SquareRoot
from mechanisms.continual.tree import Tree

TREES = [
    (Tree, 2**10, 110, 55.01),
    (Tree, 2**16, 272, 136.0),
    (Tree, 2**20, 420, 210),
    (Honaker, 2**10, 63.83, 31.92),
    (Honaker, 2**16, 149.66, 74.83),
    (Smooth, 2**10, 49, 49),
    (Smooth, 2**16, 100, 100),
    (Smooth, 2**20, 144, 144),
    (SquareRoot, 2**10, 10.7096, 9.6708),
    (SquareRoot, 2**16, 21.1273, 19.6643),
    (SquareRoot, 2**20, 30.0193, 28.2753),
    (BufferedToeplitz, 2**10, 10.7096, 9.6708),
    (BufferedToeplitz, 2**16, 21.1273, 19.6643),
]


@pytest.mark.parametrize(("kind", "T", "largest", "mean"), TREES)
def test_published_mechanisms(kind: type[Factorization], T: int, largest: float, mean: float):
    made = kind(T)
    assert made.max_error() == pytest.approx(largest, rel=0.005)
    assert made.mean_error() == pytest.approx(mean, rel=0.005)


@pytest.mark.parametrize(("T", "largest", "mean"), [(2**10, 9.4910, 8.9482)])
def test_column_normalized_square_root(T: int, largest: float, mean: float):
    made = ScaledSquareRoot(T, exponents=())
    assert made.max_error() == pytest.approx(largest, rel=0.002)
    assert made.mean_error() == pytest.approx(mean, rel=0.002)


@pytest.mark.parametrize(("T", "mean", "largest"), [(2**10, 8.754, 8.841), (2**16, 18.229, 18.482)])
def test_fitted_scales(T: int, mean: float, largest: float):
    for_mean, for_max = ScaledSquareRoot(T), ScaledSquareRoot(T, objective="max")
    assert for_mean.mean_error() == pytest.approx(mean, rel=1e-3)
    assert for_max.max_error() == pytest.approx(largest, rel=1e-3)
    assert nuclear_bound(T) <= for_mean.mean_error() <= for_max.mean_error() <= for_max.max_error() <= for_mean.max_error()


def test_two_parameters_at_65536():
    """Exact square roots inside give 18.344 and 18.948 (row by row with FFTs); twelve exponentials cost 0.2 and 0.3 %."""
    made = ScaledSquareRoot(2**16, exponents=(2.005, 0.624))
    assert made.mean_error() == pytest.approx(18.344, rel=0.0025)
    assert made.max_error() == pytest.approx(18.948, rel=0.005)


@pytest.mark.slow
def test_a_million_steps():
    honaker = Honaker(2**20)
    assert (honaker.max_error(), honaker.mean_error()) == (pytest.approx(226.87, rel=0.005), pytest.approx(113.44, rel=0.005))
    two = ScaledSquareRoot(2**20, exponents=(2.005, 0.624))
    assert (two.max_error(), two.mean_error()) == (pytest.approx(27.39, rel=0.005), pytest.approx(26.59, rel=0.005))
    mean, largest = ScaledSquareRoot(2**20).mean_error(), ScaledSquareRoot(2**20, objective="max").max_error()
    assert nuclear_bound(2**20) <= mean <= 26.54
    assert mean <= largest <= 26.80
