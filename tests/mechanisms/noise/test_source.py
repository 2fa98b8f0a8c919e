"""Sources: what is secure, what is reproducible, and that no word is used twice."""

from __future__ import annotations

import copy
import os
import pickle
import warnings

import numpy as np
import pytest

from mechanisms.errors import InsecureNoiseWarning
from mechanisms.noise.source import SEEDED_ASSUMPTION, NoiseSource, SecureNoise, SeededNoise, noise_assumptions, noise_source


def test_seeded_noise_is_reproducible():
    first, second = SeededNoise(7), SeededNoise(7)
    for draw in ("normal", "discrete_gaussian", "discrete_laplace"):
        left, right = getattr(first, draw)(3.0, (4, 5)), getattr(second, draw)(3.0, (4, 5))
        assert np.array_equal(left, right)
        assert not np.array_equal(left, getattr(first, draw)(3.0, (4, 5)))
        getattr(second, draw)(3.0, (4, 5))


def test_spawned_sources_differ():
    root = SeededNoise(7)
    children = [*root.spawn(3), *root.spawn(3), SeededNoise(7)]
    assert len({int(child.words(1)[0]) for child in children}) == 7
    assert int(SeededNoise(7).spawn(1)[0].words(1)[0]) == int(SeededNoise(7).spawn(1)[0].words(1)[0])


def test_secure_noise_keeps_nothing():
    source = SecureNoise()
    others = [source, copy.copy(source), copy.deepcopy(source), pickle.loads(pickle.dumps(source)), SecureNoise()]
    words = np.concatenate([other.words(1000) for other in others])
    assert len(np.unique(words)) == len(words)  # false alarm 7e-13


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forks_share_no_words():
    source = SecureNoise()
    source.words(3)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # other tests may have left threads
        child = os.fork()
    if child == 0:
        os.write(write, source.words(64).tobytes())
        os._exit(0)
    mine = source.words(64)
    os.waitpid(child, 0)
    theirs = np.frombuffer(os.read(read, 512), dtype=np.uint64)
    os.close(read)
    os.close(write)
    assert not np.intersect1d(mine, theirs).size


def test_words_are_uniform_bits(rng: np.random.Generator):
    for source in (SecureNoise(), SeededNoise(int(rng.integers(2**32)))):
        bits = np.unpackbits(source.words(10_000).view(np.uint8)).reshape(-1, 64)
        assert np.abs(bits.mean(axis=0) - 0.5).max() < 6.5 * 0.5 / 100  # false alarm 64 * 8e-11


def test_shapes_and_types():
    source = SeededNoise(0)
    assert source.discrete_gaussian(2.0).shape == ()
    assert source.discrete_laplace(2.0, 3).shape == (3,)
    assert source.discrete_laplace(200.0, (0, 3)).shape == (0, 3)
    assert source.normal([1.0, 2.0], (3, 2)).shape == (3, 2)
    assert source.normal(1.0, 3).dtype == np.float64
    assert source.discrete_gaussian(1e6, 3).dtype == np.int64
    assert 0 <= source.uniform_below(10**30) < 10**30


def test_noise_source_warns_of_seeds():
    assert isinstance(noise_source(None), SecureNoise)
    assert noise_assumptions(noise_source(None)) == ()
    with pytest.warns(InsecureNoiseWarning, match="not private"):
        seeded = noise_source(SeededNoise(1))
    assert noise_assumptions(seeded) == (SEEDED_ASSUMPTION,)
    for wrong in (7, np.random.default_rng(0)):
        with pytest.raises(TypeError, match="SeededNoise"):
            noise_source(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 2.0**41])
def test_bad_scales(scale: float):
    source = SeededNoise(0)
    for draw in (source.discrete_gaussian, source.discrete_laplace):
        with pytest.raises(ValueError, match="must be"):
            draw(scale)


def test_bad_normal_scales_and_seeds():
    for scale in (-1.0, [1.0, -1.0], float("nan"), [1.0, float("inf")]):
        with pytest.raises(ValueError, match="scale"):
            SeededNoise(0).normal(scale, 2)
    with pytest.raises(ValueError, match="non-negative"):
        SeededNoise(-1)
    for seed in (1.5, True, None):
        with pytest.raises(TypeError, match="seed"):
            SeededNoise(seed)  # type: ignore[arg-type]


def test_a_source_needs_words():
    with pytest.raises(TypeError, match="abstract"):
        NoiseSource()  # type: ignore[abstract]


def test_repr_tells_no_state():
    assert "123456" not in repr(SeededNoise(123456))
