"""One training of any module: the same batches, clipping and noise as in lock-step, by Opacus's per-record gradients or plain torch.

The noise of a step is one vector over all trained parameters in the module's own order, so a module that has a lock-step form gets the same
noise here. Opacus (hooks mode) makes per-record gradients and their clipped sum; without clipping torch differentiates the summed loss.
What becomes of the sums is left to torch.optim.SGD or torch.optim.Adam.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from opacus import GradSampleModule
from opacus.optimizers import DPOptimizer
from torch import Tensor, nn

from attacks.shadow.batches import Batch
from attacks.shadow.settings import TrainingSettings
from attacks.shadow.streams import ModelStreams, default_draws_from
from attacks.shadow.updates import ADAM_BETAS, ADAM_EPSILON


def train_one(
    module: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    batches: Iterator[Batch],
    *,
    settings: TrainingSettings,
    expected_batch_size: float,
    streams: ModelStreams,
) -> dict[str, Tensor]:
    """Train a module in place and return a copy of its state (weights and buffers).

    Raises
    ------
    ValueError : clipping is asked for and Opacus can't make per-record gradients of the module (BatchNorm mixes records).
    """
    module.train()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("make_model must return a module with at least one trained parameter")
    summed_gradients = _ClippedGradients(module, settings) if settings.clips else _PlainGradients(module, settings)
    optimizer = _optimizer(parameters, settings)
    with default_draws_from(streams.module):
        for batch in batches:
            rows = batch.index[0]
            sums = summed_gradients(inputs[rows], targets[rows]) if len(rows) else [torch.zeros_like(p) for p in parameters]
            _add_noise(sums, settings.noise_std, streams.noise)
            size = expected_batch_size if batch.size is None else float(batch.size)
            for parameter, total in zip(parameters, sums, strict=True):
                parameter.grad = total.mul_(1 / size)
            optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _optimizer(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    if settings.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=settings.lr, betas=ADAM_BETAS, eps=ADAM_EPSILON, weight_decay=settings.weight_decay)
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


class _PlainGradients:
    """Gradients of the summed loss."""

    def __init__(self, module: nn.Module, settings: TrainingSettings) -> None:
        self._module, self._loss = module, settings.loss_function.value
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]

    def __call__(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return one gradient per trained parameter."""
        loss = self._loss(self._module(x), y).sum()
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for p, g in zip(self._parameters, gradients, strict=True)]


class _ClippedGradients:
    """Clipped sums of per-record gradients, by Opacus's own code."""

    def __init__(self, module: nn.Module, settings: TrainingSettings) -> None:
        try:
            self._wrapped = GradSampleModule(module, loss_reduction="sum", strict=True)
        except NotImplementedError as error:
            raise ValueError(
                "Opacus can't make per-record gradients of this module; replace BatchNorm by GroupNorm, or don't clip"
            ) from error
        self._loss = settings.loss_function.value
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._optimizer = DPOptimizer(
            torch.optim.SGD(self._parameters, lr=settings.lr),
            noise_multiplier=0.0,  # noise comes from the model's own stream
            max_grad_norm=settings.max_grad_norm,
            expected_batch_size=1,
        )

    def __call__(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return one clipped sum per trained parameter."""
        self._optimizer.zero_grad(set_to_none=True)
        self._loss(self._wrapped(x), y).sum().backward()  # type: ignore[no-untyped-call]
        self._optimizer.clip_and_accumulate()
        return [parameter.summed_grad for parameter in self._parameters]  # type: ignore[attr-defined]


def _add_noise(sums: list[Tensor], std: float, generator: torch.Generator) -> None:
    if not std:
        return
    noise = sums[0].new_empty(sum(total.numel() for total in sums)).normal_(0, std, generator=generator)
    start = 0
    for total in sums:
        total.add_(noise[start : start + total.numel()].view_as(total))
        start += total.numel()
