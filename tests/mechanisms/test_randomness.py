"""Randomness is passed in."""

from __future__ import annotations

import numpy as np
import pytest

from mechanisms.randomness import as_generator, root_entropy


def test_a_seed_gives_the_same_draws_and_a_generator_is_kept():
    assert as_generator(7).random() == as_generator(7).random() == as_generator(np.int64(7)).random()
    rng = np.random.default_rng(1)
    assert as_generator(rng) is rng


def test_none_draws_fresh_entropy():
    assert as_generator().random() != as_generator(None).random()  # false alarm 2^-53


@pytest.mark.parametrize("rng", [1.0, "1", True, np.random.RandomState(0), [1]])
def test_other_types_are_refused(rng: object):
    with pytest.raises(TypeError, match="rng must be an int, a numpy Generator or None"):
        as_generator(rng)  # type: ignore[arg-type]


def test_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative seed, got -1"):
        as_generator(-1)


def test_root_entropy_names_the_seed_also_after_spawning():
    assert root_entropy(as_generator(7)) == "7"
    assert root_entropy(as_generator(7).spawn(2)[1]) == "7"
    assert int(root_entropy(as_generator())) > 0
