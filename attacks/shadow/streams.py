"""One stream of random numbers per purpose and shadow model, a function of (seed, model number) only.

A model's first weights, its batches and its noise therefore do not depend on which other models are trained beside it, nor on the order.
Coins come from numpy, seeded by 128 bits. torch's CPU generator keeps only 32 bits of its seed: hashing (seed, model) to 32 bits would give
two of 10,000 models the same noise with probability 0.01. So the hash covers the seed alone and the model number goes through a
bijection of 32-bit words: within one seed, no two streams are ever equal.

These are pseudo-random numbers of a simulation that can be repeated; nothing drawn here protects data.

References
----------
Matsumoto, Nishimura, Mersenne Twister, ACM TOMACS 1998. Appleby, MurmurHash3, 2011 (the bijection is its 32-bit finalizer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import nn

_WORD = 2**32
_TORCH_STREAMS = 2  # per model: the module's own draws, the noise
_default_generator = Lock()  # torch has one per process; threads that train side by side take turns


@dataclass(frozen=True, slots=True, eq=False)
class ModelStreams:
    """What one model draws from: `coins` for its batches, `module` for first weights and dropout, `noise` for its updates."""

    coins: np.random.Generator
    module: torch.Generator
    noise: torch.Generator


def model_streams(seed: int, model_id: int) -> ModelStreams:
    """Return the fresh streams of one model.

    Parameters
    ----------
    seed : of the whole ensemble, >= 0.
    model_id : number of the model in the ensemble, from 0 to 2^31 - 1.
    """
    base = int(np.random.SeedSequence(seed).generate_state(1, np.uint32)[0])
    words = [_mixed((base + _TORCH_STREAMS * model_id + stream) % _WORD) for stream in range(_TORCH_STREAMS)]
    module, noise = (torch.Generator().manual_seed(word) for word in words)
    return ModelStreams(np.random.default_rng([seed, model_id]), module, noise)


@contextmanager
def default_draws_from(generator: torch.Generator) -> Iterator[None]:
    """Let code that can't be handed a generator draw from this one: torch's default generator is lent its state and gets its own back.

    Notes
    -----
    The sequence of draws is the one that the generator itself would give; it goes on where the code stopped. A lock makes threads of this
    process take turns; a thread outside that draws from torch's default generator meanwhile would share the stream.
    """
    with _default_generator, torch.random.fork_rng(devices=[]):
        torch.set_rng_state(generator.get_state())
        try:
            yield
        finally:
            generator.set_state(torch.get_rng_state())


def new_module(make_model: Callable[[], nn.Module], generator: torch.Generator) -> nn.Module:
    """Call the factory with its weights drawn from the generator, whatever way it initializes them.

    Raises
    ------
    TypeError : the factory does not return a torch module.
    """
    with default_draws_from(generator):
        module = make_model()
    if not isinstance(module, nn.Module):
        raise TypeError(f"make_model must return a torch.nn.Module, got {type(module).__name__}")
    return module


def _mixed(word: int) -> int:
    """A bijection of 32-bit words that spreads neighbors apart."""
    word = ((word ^ (word >> 16)) * 0x85EBCA6B) % _WORD
    word = ((word ^ (word >> 13)) * 0xC2B2AE35) % _WORD
    return word ^ (word >> 16)
