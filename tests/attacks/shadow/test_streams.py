"""Random streams: a function of (seed, model), never equal within a seed, torch's own generator left as it was."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from attacks.shadow.streams import _mixed, default_draws_from, model_streams, new_module


def test_streams_repeat_and_differ():
    one, same, other = model_streams(3, 8), model_streams(3, 8), model_streams(3, 9)
    for name in ("module", "noise"):
        draws = [torch.rand(4, generator=getattr(streams, name)).tolist() for streams in (one, same, other)]
        assert draws[0] == draws[1] != draws[2]
    assert one.coins.random() == same.coins.random() != other.coins.random()


def test_no_two_streams_of_an_ensemble_share_torchs_32_bit_seed():
    seeds = set()
    for model in range(5_000):
        streams = model_streams(0, model)
        seeds |= {streams.module.initial_seed(), streams.noise.initial_seed()}
    assert len(seeds) == 10_000
    assert max(seeds) < 2**32


def test_mixing_is_a_bijection_of_low_words():
    assert len({_mixed(word) for word in range(2**16)}) == 2**16
    assert len({_mixed(word << 16) for word in range(2**16)}) == 2**16


def test_first_weights_are_those_that_the_generator_would_give():
    module = new_module(lambda: nn.Linear(3, 2), torch.Generator().manual_seed(11))
    weight = torch.empty(2, 3)
    nn.init.kaiming_uniform_(weight, a=5**0.5, generator=torch.Generator().manual_seed(11))
    assert torch.equal(module.weight.detach(), weight)


def test_default_generator_is_given_back():
    before = torch.get_rng_state()
    generator = torch.Generator()
    with default_draws_from(generator):
        torch.rand(5)
    with pytest.raises(RuntimeError, match="halfway"), default_draws_from(generator):
        raise RuntimeError("halfway")
    assert torch.equal(before, torch.get_rng_state())


def test_threads_take_turns():
    states: dict[int, list[float]] = {}

    def draw(k: int) -> None:
        with default_draws_from(model_streams(0, k).module):
            states[k] = [float(torch.rand(())) for _ in range(200)]

    threads = [threading.Thread(target=draw, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        generator = model_streams(0, k).module
        assert states[k] == [float(torch.rand((), generator=generator)) for _ in range(200)]


def test_factory_must_return_a_module():
    with pytest.raises(TypeError, match="make_model must return"):
        new_module(lambda: 3, torch.Generator())  # type: ignore[arg-type,return-value]
