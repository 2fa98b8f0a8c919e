"""Which parameters AdamW decays, and how fast each kind learns.

matrices and embeddings       weight decay, rate 1
gains, norms, lengths         no decay, rate 1
temperatures                  no decay, rate `temperature_rate`
thresholds of the penalty     no decay, rate `threshold_rate`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import torch
from torch import nn

from private_inference.feedforward import WeightNormLinear
from private_inference.leaves import Gain, HeadTemperature
from private_inference.training.recipe import TrainingRecipe


class ParameterGroup(TypedDict):
    """What AdamW takes, and the group's multiple of the learning rate."""

    params: list[nn.Parameter]
    weight_decay: float
    rate: float


def parameter_groups(model: nn.Module, penalty: nn.Module | None, recipe: TrainingRecipe) -> list[ParameterGroup]:
    """Return the groups that aren't empty, every trainable parameter in exactly one."""
    kinds: dict[int, str] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            kinds.setdefault(id(parameter), _kind(module, name, parameter))
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]  # a tied matrix comes once
    by_kind = {kind: [one for one in trained if kinds[id(one)] == kind] for kind in ("matrix", "scalar", "temperature")}
    return list(
        _present(
            ParameterGroup(params=by_kind["matrix"], weight_decay=recipe.weight_decay, rate=1.0),
            ParameterGroup(params=by_kind["scalar"], weight_decay=0.0, rate=1.0),
            ParameterGroup(params=by_kind["temperature"], weight_decay=0.0, rate=recipe.temperature_rate),
            ParameterGroup(params=[] if penalty is None else list(penalty.parameters()), weight_decay=0.0, rate=recipe.threshold_rate),
        )
    )


def adamw(groups: list[ParameterGroup], recipe: TrainingRecipe) -> torch.optim.AdamW:
    """Return AdamW over the groups, fused: one kernel for all parameters."""
    return torch.optim.AdamW([dict(group) for group in groups], lr=recipe.learning_rate, betas=(0.9, recipe.beta2), fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its multiple of the learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate"]


def _kind(module: nn.Module, name: str, parameter: nn.Parameter) -> str:
    if isinstance(module, HeadTemperature):
        return "temperature"
    is_length = isinstance(module, WeightNormLinear) and name == "length"
    return "scalar" if parameter.ndim < 2 or isinstance(module, Gain) or is_length else "matrix"


def _present(*groups: ParameterGroup) -> Iterator[ParameterGroup]:
    return (group for group in groups if group["params"])
