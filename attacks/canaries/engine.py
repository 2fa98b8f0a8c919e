"""What we read from an Opacus engine, in one place: its accountant, its noise, its normalizer, its sampler.

Opacus has one slot for a step hook and its accountant sits in it; a `ChainedHook` keeps the old hook, so accounting goes on.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from mechanisms.continual.training.training_noise import TrainingNoise
from mechanisms.errors import UnsupportedClaimError


class ChainedHook:
    """A step hook that runs the previous one first."""

    def __init__(self, previous: Callable[[Any], None] | None, then: Callable[[Any], None]) -> None:
        self.previous = previous
        self.then = then

    def __call__(self, optimizer: Any) -> None:
        """Run both hooks, the older one first."""
        if self.previous is not None:
            self.previous(optimizer)
        self.then(optimizer)


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What the engine was set to do, read at `attach`.

    `n_records` is the size of the data set that the sampler draws from, canaries included; `poisson` whether the loader draws
    independent coins; `loader_sample_rate` what those coins are (1 / batches for other loaders).
    """

    noise_multiplier: float
    max_grad_norm: float
    expected_batch_size: float
    loss_reduction: str
    loader_sample_rate: float
    n_records: int
    steps_per_epoch: int
    poisson: bool
    secure_mode: bool
    optimizer: str


def accountant_of(optimizer: Any) -> Any | None:
    """Return the accountant behind the optimizer's step hook, or None if no accountant listens."""
    return _hook_variables(optimizer).get("self")


def accounted_sample_rate(optimizer: Any) -> float | None:
    """Return the sample rate that the accountant charges at each step, or None if no accountant listens."""
    rate = _hook_variables(optimizer).get("sample_rate")
    return None if rate is None else float(rate)


def _hook_variables(optimizer: Any) -> dict[str, Any]:
    hook = getattr(optimizer, "step_hook", None)
    while isinstance(hook, ChainedHook):
        hook = hook.previous
    if not inspect.isfunction(hook):
        return {}
    variables = dict(inspect.getclosurevars(hook).nonlocals)
    return variables if hasattr(variables.get("self"), "history") else {}


def history_of(accountant: Any) -> list[tuple[float, float, int]]:
    """Return the accountant's history as (noise multiplier, sample rate, steps)."""
    return [(float(sigma), float(rate), int(steps)) for sigma, rate, steps in accountant.history]


def is_poisson(loader: Any) -> bool:
    """Whether the loader draws an independent coin for every record and batch."""
    sampler = getattr(loader, "batch_sampler", None)
    return type(sampler).__name__ in ("UniformWithReplacementSampler", "DistributedUniformWithReplacementSampler")


def loader_sample_rate(loader: Any) -> float:
    """Return the inclusion probability of the loader's coins; for a loader without coins one over its number of batches."""
    rate = getattr(getattr(loader, "batch_sampler", None), "sample_rate", None)
    return float(rate) if rate is not None else 1 / len(loader)


def is_plain_sgd(optimizer: Any) -> bool:
    """Whether a step moves the weights by exactly lr times the noisy gradient."""
    inner = getattr(optimizer, "original_optimizer", optimizer)
    if type(inner) is not torch.optim.SGD:
        return False
    fixed = ("momentum", "weight_decay", "nesterov", "maximize")
    return not any(group.get(name) for group in inner.param_groups for name in fixed)


def correlated_design(optimizer: Any) -> TrainingNoise | None:
    """Return the design of an optimizer's correlated noise, None where every step has noise of its own."""
    design = getattr(optimizer, "design", None)
    return design if isinstance(design, TrainingNoise) else None


def normalizer_of(optimizer: Any) -> float:
    """Return what the noisy sum is divided by in this step: 1 for loss_reduction="sum"."""
    if optimizer.loss_reduction != "mean":
        return 1.0
    return float(optimizer.expected_batch_size) * float(optimizer.accumulated_iterations)


def read_engine(optimizer: Any, loader: Any) -> EngineFacts:
    """Read the settings of an engine made by Opacus's `make_private`.

    Raises
    ------
    TypeError : the optimizer is not a DPOptimizer of Opacus.
    UnsupportedClaimError : per-layer or adaptive clipping, whose noise does not scale with one clipping norm.
    """
    for name in ("noise_multiplier", "max_grad_norm", "expected_batch_size", "attach_step_hook"):
        if not hasattr(optimizer, name):
            raise TypeError("optimizer must be the DPOptimizer that make_private returned; attach the probe after make_private")
    other_clipping = any(word in type(optimizer).__name__ for word in ("PerLayer", "AdaClip"))
    if other_clipping or not isinstance(optimizer.max_grad_norm, int | float):
        raise UnsupportedClaimError("canaries need flat clipping with one constant norm; per-layer and adaptive clipping are not audited")
    return EngineFacts(
        noise_multiplier=float(optimizer.noise_multiplier),
        max_grad_norm=float(optimizer.max_grad_norm),
        expected_batch_size=float(optimizer.expected_batch_size) if optimizer.loss_reduction == "mean" else 1.0,
        loss_reduction=str(optimizer.loss_reduction),
        loader_sample_rate=loader_sample_rate(loader),
        n_records=len(loader.dataset),
        steps_per_epoch=len(loader),
        poisson=is_poisson(loader),
        secure_mode=bool(optimizer.secure_mode),
        optimizer=type(getattr(optimizer, "original_optimizer", optimizer)).__name__,
    )
