"""What every factorization must satisfy: L R = A by what its stream really does, exact norms, a state that resumes, step = run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mechanisms.continual.buffered_toeplitz import BufferedToeplitz
from mechanisms.continual.dense import Dense
from mechanisms.continual.factorization import Draw, Factorization, Noise, left_matrix
from mechanisms.continual.honaker import Honaker
from mechanisms.continual.k_ary import KAry
from mechanisms.continual.scaled_square_root import ScaledSquareRoot
from mechanisms.continual.smooth import Smooth
from mechanisms.continual.square_root import SquareRoot
from mechanisms.continual.tree import Tree
from mechanisms.continual.unknown_horizon import UnknownHorizon

MADE: dict[str, Callable[[int], Factorization]] = {
    "tree": Tree,
    "honaker": Honaker,
    "smooth": Smooth,
    "k_ary": KAry,
    "k_ary, base 3": lambda T: KAry(T, 3),
    "k_ary, base 7": lambda T: KAry(T, 7),
    "square_root": SquareRoot,
    "buffered_toeplitz": BufferedToeplitz,
    "buffered_toeplitz, 3 buffers": lambda T: BufferedToeplitz(T, 3),
    "scaled_square_root": ScaledSquareRoot,
    "scaled_square_root, max": lambda T: ScaledSquareRoot(T, objective="max"),
    "scaled_square_root, no scale": lambda T: ScaledSquareRoot(T, exponents=()),
    "dense": lambda T: Dense(T, tolerance=1e-2),
    "dense, max": lambda T: Dense(T, objective="max", tolerance=1e-2),
    "unknown_horizon": UnknownHorizon,
}
WHOLE = ["tree", "smooth", "k_ary", "k_ary, base 3", "k_ary, base 7"]
EXACT_SENSITIVITY = [name for name in MADE if not name.startswith(("smooth", "k_ary", "unknown"))]

every = pytest.mark.parametrize("name", MADE)
horizons = st.integers(1, 70)
few = settings(max_examples=7)  # each makes the matrices of a horizon


def replay(z: Noise) -> Draw:
    """Hand out the rows of z one after the other."""
    used = 0

    def draw(n: int) -> Noise:
        nonlocal used
        used += n
        return z[used - n : used]

    return draw


def whole_noise(factorization: Factorization, *, seed: int, dim: int = 2) -> Noise:
    n = len(factorization.right_matrix())
    return np.random.default_rng(seed).integers(-1000, 1000, (n, dim))


def real_noise(factorization: Factorization, *, seed: int, dim: int = 2) -> Noise:
    return np.random.default_rng(seed).normal(size=(len(factorization.right_matrix()), dim))


@every
@few
@given(T=horizons)
def test_the_stream_multiplies_to_prefix_sums(name: str, T: int):
    made = MADE[name](T)
    L, R = left_matrix(made), made.right_matrix()
    assert L.shape == R.T.shape
    np.testing.assert_allclose(L @ R, np.tril(np.ones((T, T))), atol=1e-9)


@every
@few
@given(T=horizons)
def test_norms_are_those_of_the_matrices(name: str, T: int):
    made = MADE[name](T)
    L, R = left_matrix(made), made.right_matrix()
    np.testing.assert_allclose(made.squared_row_norms(), (L**2).sum(axis=1), rtol=1e-8)
    l1, l2 = np.abs(R).sum(axis=0).max(), np.sqrt((R**2).sum(axis=0).max())
    assert l1 <= made.l1_sensitivity * (1 + 1e-12)
    assert l2 <= made.l2_sensitivity * (1 + 1e-12)
    if name in EXACT_SENSITIVITY:
        assert made.l1_sensitivity == pytest.approx(l1)
        assert made.l2_sensitivity == pytest.approx(l2)
    assert made.mean_error() == pytest.approx((L**2).sum() / T * made.l2_sensitivity**2)
    assert made.max_error() == pytest.approx((L**2).sum(axis=1).max() * made.l2_sensitivity**2)


@every
@few
@given(T=horizons)
def test_releases_before_a_step_dont_see_its_noise_shift(name: str, T: int):
    """The adaptive proof needs (L R e_s)_t = 0 for t < s; and no draw of a later step may be used earlier."""
    made = MADE[name](T)
    product = left_matrix(made) @ made.right_matrix()
    assert np.abs(np.triu(product, 1)).max() < 1e-9


@every
@few
@given(T=horizons, cut=st.integers(0, 70), seed=st.integers(0, 2**32))
def test_batches_give_what_steps_give(name: str, T: int, cut: int, seed: int):
    made, cut = MADE[name](T), min(cut, T)
    z = real_noise(made, seed=seed)
    one, draw = made.stream(2), replay(z)
    single = np.stack([one.step(draw) for _ in range(T)])
    many, draw = made.stream(2), replay(z)
    blocks = [many.run(draw, n) for n in (cut, T - cut) if n]
    assert one.n_seen == many.n_seen == T
    np.testing.assert_allclose(np.concatenate(blocks), single, rtol=1e-9, atol=1e-9 * np.abs(single).max())


@pytest.mark.parametrize("name", WHOLE)
@few
@given(T=horizons, cut=st.integers(0, 70), seed=st.integers(0, 2**32))
def test_whole_noise_stays_whole_and_batches_are_identical(name: str, T: int, cut: int, seed: int):
    made, cut = MADE[name](T), min(cut, T)
    assert made.whole
    z = whole_noise(made, seed=seed)
    one, draw = made.stream(2), replay(z)
    single = np.stack([one.step(draw) for _ in range(T)])
    many, draw = made.stream(2), replay(z)
    blocks = np.concatenate([many.run(draw, n) for n in (cut, T - cut) if n])
    assert single.dtype == blocks.dtype == np.int64
    assert (single == blocks).all()
    assert (single == np.rint(left_matrix(made)).astype(np.int64) @ z).all()


@every
@few
@given(T=horizons, cut=st.integers(0, 70), seed=st.integers(0, 2**32))
def test_a_restored_stream_goes_on_as_if_nothing_had_happened(name: str, T: int, cut: int, seed: int):
    made, cut = MADE[name](T), min(cut, T)
    z = whole_noise(made, seed=seed) if name in WHOLE else real_noise(made, seed=seed)
    draw = replay(z)
    first = made.stream(2)
    for _ in range(cut):
        first.step(draw)
    state, n_seen = first.state(), first.n_seen
    kept = {key: value.copy() for key, value in state.items()}
    second = made.stream(2)
    second.restore(state, n_seen)
    expected, found = [], []
    tail = np.random.default_rng(seed + 1).integers(-9, 9, (len(z), 2)).astype(z.dtype)
    one, two = replay(tail), replay(tail)
    for _ in range(T - cut):
        expected.append(first.step(one))
        found.append(second.step(two))
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))
    assert all((kept[key] == state[key]).all() for key in kept), "the saved state must not follow the stream"


@every
def test_two_streams_share_nothing(name: str):
    made = MADE[name](20)
    z = real_noise(made, seed=1)
    first, second = made.stream(2), made.stream(2)
    a, b = replay(z), replay(z)
    for _ in range(10):
        first.step(a)
    assert all((first.step(a) != 0).any() for _ in range(3))
    alone = made.stream(2)
    np.testing.assert_array_equal(second.run(b, 20), alone.run(replay(z), 20))


@every
def test_noise_returned_is_the_callers_own(name: str):
    made = MADE[name](20)
    z = real_noise(made, seed=2)
    touched, draw = made.stream(1), replay(z[:, :1].copy())
    untouched, other = made.stream(1), replay(z[:, :1].copy())
    for _ in range(20):
        noise = touched.step(draw)
        np.testing.assert_array_equal(noise, untouched.step(other))
        noise += 1e6


@every
def test_state_is_of_the_size_announced(name: str):
    made = MADE[name](64)
    stream = made.stream(1)
    stream.run(replay(real_noise(made, seed=3, dim=1)), 64)
    assert sum(value.size for value in stream.state().values()) <= made.n_state + 1


@pytest.mark.parametrize("name", [name for name in MADE if "dense" not in name])
def test_matrices_of_long_horizons_are_refused(name: str):
    with pytest.raises(ValueError, match="2,048, got 2,049"):
        MADE[name](2049).right_matrix()


def test_a_broken_twin_is_seen():
    """Negative control: a stream that forgets one carry fails the product test."""

    class Broken(Tree):
        def stream(self, dim: int):
            stream = super().stream(dim)
            step = stream.step

            def forgetful(draw: Draw) -> Noise:
                noise = step(draw)
                stream._below[1:] = 0
                return noise

            stream.step = forgetful
            stream.run = lambda draw, n: np.stack([forgetful(draw) for _ in range(n)])
            return stream

    made = Broken(8)
    assert np.abs(left_matrix(made) @ made.right_matrix() - np.tril(np.ones((8, 8)))).max() >= 1
