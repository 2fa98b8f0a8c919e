"""How an ensemble is cut up: groups of models that fit into a working set go in lock-step, or every model goes by itself.

Both ways give model number j the same first weights, batches and noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from attacks.shadow.batch_rules import BatchRule
from attacks.shadow.batches import Batch
from attacks.shadow.lockstep import LockStep, run_ahead
from attacks.shadow.one_by_one import train_one
from attacks.shadow.pool import Pool, precision_of
from attacks.shadow.settings import TrainingSettings
from attacks.shadow.streams import ModelStreams, model_streams, new_module

State = dict[str, Tensor]  # (K, ...) by name

_WORKING_SET = 32 * 2**20  # bytes of a group's parameters, noise and activations


@dataclass(frozen=True, slots=True, eq=False)
class Ensemble:
    """Everything that trains K models: factory, seed, their numbers, the pool, their E_k, the update rule and the batches."""

    make_model: Callable[[], nn.Module]
    seed: int
    ids: Sequence[int]
    pool: Pool
    expected_batch_size: Sequence[float]
    settings: TrainingSettings
    rule: BatchRule

    def fresh(self, place: slice) -> tuple[list[ModelStreams], list[nn.Module]]:
        """Return streams and untrained modules of some models."""
        streams = [model_streams(self.seed, number) for number in self.ids[place]]
        return streams, [new_module(self.make_model, stream.module) for stream in streams]

    def batches(self, place: slice, streams: Sequence[ModelStreams], dtype: torch.dtype) -> Iterator[Batch]:
        """Return the batches of some models."""
        return self.rule.draw(self.pool.member[place], [stream.coins for stream in streams], dtype)

    def n_steps(self) -> list[int]:
        """Steps of every model."""
        return [self.rule.n_steps(int(count)) for count in self.pool.member.sum(axis=1)]

    def in_order(self, order: Sequence[int]) -> Ensemble:
        """Return the same models in another order."""
        pool = replace(self.pool, member=self.pool.member[list(order)])
        sizes = [self.expected_batch_size[k] for k in order]
        return replace(self, ids=[self.ids[k] for k in order], pool=pool, expected_batch_size=sizes)


def train_in_lock_step(ensemble: Ensemble, template: nn.Module, models_at_once: int | None) -> Iterator[tuple[int, State]]:
    """Train group after group; yield how many models are done and the weights of the last group.

    Parameters
    ----------
    template : a module of the ensemble, in which `obstacle_of` finds no obstacle.
    models_at_once : size of a group, None for what fits.
    """
    inputs, n_ahead = run_ahead(template, ensemble.pool.inputs)
    models, steps = len(ensemble.ids), ensemble.n_steps()
    at_once = models_at_once or _equal_groups(models, _models_that_fit(ensemble, template, inputs, n_ahead))
    for start in range(0, models, at_once):
        place = slice(start, min(start + at_once, models))
        streams, modules = ensemble.fresh(place)
        noise = [stream.noise for stream in streams]
        engine = LockStep(modules, ensemble.settings, ensemble.expected_batch_size[place], noise, n_ahead=n_ahead)
        batches = ensemble.batches(place, streams, precision_of(template))
        yield place.stop, _trained(engine, inputs, ensemble.pool.targets, batches, steps[place])


def train_one_by_one(ensemble: Ensemble) -> Iterator[tuple[int, State]]:
    """Train model after model, of any architecture; yield how many models are done and the state of the last one."""
    for k, size in enumerate(ensemble.expected_batch_size):
        place = slice(k, k + 1)
        (streams,), (module,) = ensemble.fresh(place)
        batches = ensemble.batches(place, [streams], precision_of(module))
        pool, settings = ensemble.pool, ensemble.settings
        state = train_one(module, pool.inputs, pool.targets, batches, settings=settings, expected_batch_size=size, streams=streams)
        yield k + 1, {name: tensor.unsqueeze(0) for name, tensor in state.items()}


def _trained(engine: LockStep, inputs: Tensor, targets: Tensor, batches: Iterator[Batch], steps: Sequence[int]) -> State:
    """Run all batches; return each model's weights as they are after its own number of steps."""
    state, ends = engine.weights(), set(steps)
    for done, batch in enumerate(batches, start=1):
        engine.step(inputs, targets, batch)
        if done in ends:
            finished = torch.tensor([own == done for own in steps])
            for name, value in engine.weights().items():
                state[name][finished] = value[finished]
    return state


def _equal_groups(models: int, at_once: int) -> int:
    """The size of groups that leaves no small one at the end."""
    return math.ceil(models / math.ceil(models / at_once))


def _models_that_fit(ensemble: Ensemble, template: nn.Module, inputs: Tensor, n_ahead: int) -> int:
    """How many models keep a step inside the working set, found by one pass of one model over one record."""
    engine = LockStep([template], ensemble.settings, [1.0], [torch.Generator()], n_ahead=n_ahead)
    one = Batch(torch.zeros((1, 1), dtype=torch.int64), torch.zeros((1, 1), dtype=precision_of(template)))
    engine.clipped_sums(inputs, ensemble.pool.targets, one)
    floats = engine.floats_per_record() * ensemble.rule.rows(int(ensemble.pool.member.sum(axis=1).max()))
    floats += 3 * sum(parameter.value.numel() for parameter in engine.parameters)
    return max(1, int(_WORKING_SET // (floats * inputs.new_empty(0, dtype=precision_of(template)).element_size())))
