"""K trainings in lock-step: steps of (DP-)SGD or (DP-)Adam of K models of one architecture, as few batched operations.

Symbols (Abadi et al. 2016): C = max_grad_norm, sigma = noise_multiplier, E = expected batch size, B_k the batch of model k. A step makes
h_k = (sum_{i in B_k} min(1, C / (||g_i|| + 1e-6)) g_i + sigma C Z) / E_k; `updates` says how h_k moves theta_k. A shuffled batch has |B_k|
in place of E_k. Factors lr / E_k are put on the records' factors, so SGD's sums land in theta without a buffer. The released sum is that
of Opacus's hooks mode: padding, grouping and the way norms are computed do not change it. Without clipping the factors multiply the
gradient of the loss.
Cost of an MLP step: three matrix products per layer; memory K times (parameters + noise) and K B times the activations.

References
----------
Abadi et al., Deep Learning with Differential Privacy, CCS 2016. Yousefpour et al., Opacus, 2021. Goodfellow 2015 (see layers.affine).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attacks.shadow.batches import Batch
from attacks.shadow.layers.recognize import stack_layers
from attacks.shadow.layers.stacked import TrainedLayer, in_one_buffer, views_of
from attacks.shadow.settings import CLIP_STABILIZER, TrainingSettings
from attacks.shadow.updates import update_of

_POOL_BYTES = 2**27  # a pool that first layers would blow up beyond this goes through them batch by batch


def run_ahead(module: nn.Module, inputs: Tensor) -> tuple[Tensor, int]:
    """Run the whole pool through the layers that come before any parameter, as long as the result stays small.

    Returns
    -------
    What goes into the next layer, (N, ...), and how many layers were run.
    """
    n_ahead = 0
    for layer in stack_layers([module]):
        if layer.parameters:
            break
        one = layer.forward(inputs[None, :1], keep=False)
        if one.numel() * one.element_size() * len(inputs) > _POOL_BYTES:
            break
        inputs = layer.forward(inputs[None], keep=False)[0]
        n_ahead += 1
    return inputs, n_ahead


class LockStep:
    """The state of K models in training.

    Parameters
    ----------
    modules : K modules that `obstacle_of` finds no obstacle in; their weights are copied.
    settings : the update rule.
    expected_batch_size : E_k, one per model.
    noise : generators of the noise, one per model.
    n_ahead : how many of the first layers the inputs have been through already, see `run_ahead`.
    """

    def __init__(
        self,
        modules: Sequence[nn.Module],
        settings: TrainingSettings,
        expected_batch_size: Sequence[float],
        noise: Sequence[torch.Generator],
        *,
        n_ahead: int = 0,
    ) -> None:
        self.layers = stack_layers(modules)[n_ahead:]
        trained = [layer for layer in self.layers if layer.parameters]
        assert all(isinstance(layer, TrainedLayer) for layer in trained)
        self._trained: list[TrainedLayer] = trained  # type: ignore[assignment]
        self._lowest = self.layers.index(trained[0])
        self._settings = settings
        self.parameters = [parameter for layer in trained for parameter in layer.parameters]
        self._update = update_of(in_one_buffer(self.parameters), settings)
        self._moved = views_of(self._update.moved, self.parameters)
        first = self.parameters[0].value
        self._scale = first.new_tensor([self._update.pace / size for size in expected_batch_size]).unsqueeze(1)
        self._noise_std = [settings.noise_std * self._update.pace / size for size in expected_batch_size]
        self._noise_generators = noise
        self._noise = first.new_empty((len(modules), sum(parameter.value[0].numel() for parameter in self.parameters)))

    def step(self, inputs: Tensor, targets: Tensor, batch: Batch) -> None:
        """Update all models by their batches; a model without a record in it still gets noise."""
        scale = self._scale if batch.size is None else self._update.pace / batch.size
        factor = self._differentiate(inputs, targets, batch, scale) if batch.n_rows else None
        self._update.prepare()
        if batch.n_rows:
            self._add_sums(factor, self._moved, self._update.sign)
        if self._settings.noise_std:
            self._add_noise(self._moved)
        self._update.finish()

    def clipped_sums(self, inputs: Tensor, targets: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Return sum_i min(1, C / (||g_i|| + 1e-6)) g_i of every model in PyTorch's order, by parameter name; nothing is updated."""
        sums = [torch.zeros_like(parameter.value) for parameter in self.parameters]
        if batch.n_rows:
            self._add_sums(self._differentiate(inputs, targets, batch, torch.ones_like(self._scale)), sums, 1)
        return {parameter.name: parameter.in_torch_order(total) for parameter, total in zip(self.parameters, sums, strict=True)}

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of all weights in PyTorch's order, (K, ...) by parameter name."""
        ordered = {parameter.name: parameter.in_torch_order(parameter.value) for parameter in self.parameters}
        return {name: value.clone(memory_format=torch.contiguous_format) for name, value in ordered.items()}

    def floats_per_record(self) -> int:
        """Floats that one record of one model takes during a step, after a first step."""
        return sum(layer.floats_per_record() for layer in self.layers)

    def _differentiate(self, inputs: Tensor, targets: Tensor, batch: Batch, scale: Tensor) -> Tensor | None:
        """Forward, then backward down to the lowest layer with parameters.

        Returns
        -------
        Factors of the records' gradients, (K, B); None where nothing clips: then scale and weight are in the gradient from the start.
        """
        rows = batch.index.reshape(-1)
        x = inputs.index_select(0, rows).view(*batch.index.shape, *inputs.shape[1:])
        for layer in self.layers:
            x = layer.forward(x, keep=True)
        y = targets.index_select(0, rows).view(*batch.index.shape, *targets.shape[1:])
        gradient: Tensor | None = self._settings.loss_function.gradient(x, y)
        assert gradient is not None
        if not self._settings.clips:
            gradient.mul_((batch.weight * scale if batch.padded else scale).unsqueeze(2))
        for place in range(len(self.layers) - 1, self._lowest - 1, -1):
            assert gradient is not None
            gradient = self.layers[place].backward(gradient, wanted=place > self._lowest)
        return self._record_factors(batch.weight).mul_(scale) if self._settings.clips else None

    def _record_factors(self, weight: Tensor) -> Tensor:
        squares = self._trained[0].squared_norms()
        for layer in self._trained[1:]:
            squares = squares + layer.squared_norms()
        norms = squares.sqrt_().add_(CLIP_STABILIZER)
        return norms.reciprocal_().mul_(self._settings.max_grad_norm).clamp_(max=1).mul_(weight)

    def _add_sums(self, factor: Tensor | None, targets: Sequence[Tensor], sign: int) -> None:
        start = 0
        for layer in self._trained:
            stop = start + len(layer.parameters)
            layer.add_sums(factor, targets[start:stop], sign=sign)
            start = stop

    def _add_noise(self, moved: Sequence[Tensor]) -> None:
        for row, std, generator in zip(self._noise, self._noise_std, self._noise_generators, strict=True):
            row.normal_(0, std, generator=generator)
        start = 0
        for parameter, target in zip(self.parameters, moved, strict=True):
            view = parameter.in_torch_order(target)
            stop = start + view[0].numel()
            view.add_(self._noise[:, start:stop].view(view.shape))
            start = stop
