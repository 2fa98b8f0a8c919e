"""How an ensemble is cut up: groups of models that fit into a working set go in lock-step, or every model goes by itself.

Both ways give model number j the same first weights, batches and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attacks.shadow.batches import Batch, poisson_batches
from attacks.shadow.lockstep import LockStep, run_ahead
from attacks.shadow.one_by_one import train_one
from attacks.shadow.pool import Pool, precision_of
from attacks.shadow.settings import TrainingSettings
from attacks.shadow.streams import ModelStreams, model_streams, new_module

State = dict[str, Tensor]  # (K, ...) by name

_WORKING_SET = 32 * 2**20  # bytes of a group's parameters, noise and activations


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Everything that trains K models: factory, seed, their numbers, the pool, their E_k and the update rule."""

    make_model: Callable[[], nn.Module]
    seed: int
    ids: Sequence[int]
    pool: Pool
    expected_batch_size: Sequence[float]
    settings: TrainingSettings

    def fresh(self, place: slice) -> tuple[list[ModelStreams], list[nn.Module]]:
        """Return streams and untrained modules of some models."""
        streams = [model_streams(self.seed, number) for number in self.ids[place]]
        return streams, [new_module(self.make_model, stream.module) for stream in streams]

    def batches(self, place: slice, streams: Sequence[ModelStreams], dtype: torch.dtype) -> Iterator[Batch]:
        """Return the Poisson batches of some models."""
        coins = [stream.coins for stream in streams]
        return poisson_batches(
            self.pool.member[place], coins, sample_rate=self.settings.sample_rate, steps=self.settings.steps, dtype=dtype
        )


def train_in_lock_step(ensemble: Ensemble, template: nn.Module, models_at_once: int | None) -> Iterator[tuple[int, State]]:
    """Train group after group; yield how many models are done and the weights of the last group.

    Parameters
    ----------
    template : a module of the ensemble, in which `obstacle_of` finds no obstacle.
    models_at_once : size of a group, None for what fits.
    """
    inputs, n_ahead = run_ahead(template, ensemble.pool.inputs)
    at_once = models_at_once or _models_that_fit(ensemble, template, inputs, n_ahead)
    models = len(ensemble.ids)
    for start in range(0, models, at_once):
        place = slice(start, min(start + at_once, models))
        streams, modules = ensemble.fresh(place)
        noise = [stream.noise for stream in streams]
        engine = LockStep(modules, ensemble.settings, ensemble.expected_batch_size[place], noise, n_ahead=n_ahead)
        for batch in ensemble.batches(place, streams, precision_of(template)):
            engine.step(inputs, ensemble.pool.targets, batch)
        yield place.stop, engine.weights()


def train_one_by_one(ensemble: Ensemble) -> Iterator[tuple[int, State]]:
    """Train model after model, of any architecture; yield how many models are done and the state of the last one."""
    for k, size in enumerate(ensemble.expected_batch_size):
        place = slice(k, k + 1)
        (streams,), (module,) = ensemble.fresh(place)
        batches = ensemble.batches(place, [streams], precision_of(module))
        pool, settings = ensemble.pool, ensemble.settings
        state = train_one(module, pool.inputs, pool.targets, batches, settings=settings, expected_batch_size=size, streams=streams)
        yield k + 1, {name: tensor.unsqueeze(0) for name, tensor in state.items()}


def _models_that_fit(ensemble: Ensemble, template: nn.Module, inputs: Tensor, n_ahead: int) -> int:
    """How many models keep a step inside the working set, found by one pass of one model over one record."""
    engine = LockStep([template], ensemble.settings, [1.0], [torch.Generator()], n_ahead=n_ahead)
    one = Batch(torch.zeros((1, 1), dtype=torch.int64), torch.zeros((1, 1), dtype=precision_of(template)))
    engine.clipped_sums(inputs, ensemble.pool.targets, one)
    expected = ensemble.settings.sample_rate * ensemble.pool.member.sum(axis=1).max()
    floats = engine.floats_per_record() * (expected + 3 * math.sqrt(expected) + 1)
    floats += 3 * sum(parameter.value.numel() for parameter in engine.parameters)
    return max(1, int(_WORKING_SET // (floats * inputs.new_empty(0, dtype=precision_of(template)).element_size())))
