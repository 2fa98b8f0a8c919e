"""The noise of each step as torch tensors, parameter by parameter: y = diag(gain) G diag(1/scale) z with the filter's state on its device.

Base noise is drawn on the processor by a `NoiseSource` in blocks and moved. Every draw is used once: a step that was interrupted halfway
can neither be repeated nor gone on from, because half of its noise has been used.

Cost of a step and parameter on one core: 70 to 90 ns for a secure draw of base noise (entropy 30, inversion 25), a few ns for the filter:
one pass over p - 1 floats of state for taps, three over m for exponentials. Memory: n_state floats a parameter, in its own precision,
single at least.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from mechanisms.continual.training.noise_filter import ExponentialFilter, TapFilter
from mechanisms.continual.training.training_noise import TrainingNoise
from mechanisms.errors import BudgetExhaustedError, StateError
from mechanisms.noise.source import NoiseSource, SeededNoise

_BLOCK = 2**16  # draws at once

NoiseState = dict[str, Tensor | list[Tensor] | str | int]
"""Tensors, text and whole numbers only: torch.load(..., weights_only=True) reads it."""


class NoiseTensors:
    """The noise of a run, one step after the other.

    Parameters
    ----------
    design : what noise.
    parameters : tensors whose shapes, devices and precision the noise follows.
    source : of the base noise.
    """

    def __init__(self, design: TrainingNoise, parameters: Sequence[Tensor], source: NoiseSource) -> None:
        self.design, self.source, self.n_taken = design, source, 0
        self._inside = False
        self._like = [_like(p) for p in parameters]
        self._state = [like.new_zeros((design.n_state, like.numel())) for like in self._like]
        chosen = design.noise_filter
        self._taps = chosen.taps[1:] if isinstance(chosen, TapFilter) else np.zeros(0)
        self._root = chosen.root if isinstance(chosen, ExponentialFilter) else None

    @contextmanager
    def step(self) -> Iterator[Iterator[Tensor]]:
        """Hand out the next step's noise, one tensor for each parameter in their order; all must be taken. Errors as `require_step`."""
        self.require_step()
        self._inside = True
        noise = self._noise()
        yield noise
        if next(noise, None) is not None:
            raise StateError("a step must take the noise of every parameter")
        self.n_taken, self._inside = self.n_taken + 1, False

    def require_step(self) -> None:
        """Refuse a step that can't be taken.

        Raises
        ------
        BudgetExhaustedError : all steps were taken.
        StateError : an earlier step was interrupted.
        """
        if self.n_taken >= self.design.n_steps:
            raise BudgetExhaustedError(f"all {self.design.n_steps:,} steps that the guarantee pays for were taken; plan a new run")
        if self._inside:
            raise StateError("an earlier step was interrupted after some of its noise was used; go on from a saved state")

    def state(self) -> NoiseState:
        """Return all that changes; it is as secret as the noise: whoever has it can take later noise away.

        Raises
        ------
        StateError : a step was interrupted.
        """
        if self._inside:
            raise StateError("a step was interrupted after some of its noise was used: there is no state to save")
        place = json.dumps(self.source.state()) if isinstance(self.source, SeededNoise) else ""
        return {
            "version": 1,
            "design": self.design.config_hash(),
            "n_taken": self.n_taken,
            "filter": [state.detach().cpu().clone() for state in self._state],
            "seeded_place": place,
        }

    def restore(self, state: Mapping[str, Tensor | list[Tensor] | str | int]) -> None:
        """Go on from a state that `state` returned; a secure source gives later steps fresh draws.

        Raises
        ------
        StateError : a state of another design, another model, another kind of source, or of a time before steps taken here.
        """
        saved, place, n_taken = state.get("filter"), state.get("seeded_place"), state.get("n_taken")
        if state.get("version") != 1 or not isinstance(saved, list) or not isinstance(place, str) or not isinstance(n_taken, int):
            raise StateError("this is no state of correlated noise")
        if state.get("design") != self.design.config_hash():
            raise StateError("the state is of another design of noise: steps, mechanism, participation or learning rates differ")
        if [tuple(item.shape) for item in saved] != [tuple(item.shape) for item in self._state]:
            raise StateError("the state is of a model with other parameters")
        if self.n_taken > n_taken or self._inside:
            raise StateError(
                f"the state is of step {n_taken:,}, but step {self.n_taken:,} was released here already; its noise would be drawn again"
            )
        if bool(place) != isinstance(self.source, SeededNoise):
            raise StateError("the state was written with another kind of noise source (seeded or secure); use the same kind")
        if isinstance(self.source, SeededNoise):
            self.source.restore(json.loads(place))
        for mine, item in zip(self._state, saved, strict=True):
            mine.copy_(item)
        self.n_taken = n_taken

    def _noise(self) -> Iterator[Tensor]:
        t = self.n_taken
        scale, gain = float(self.design.scale[t]), float(self.design.gain[t])
        for like, state in zip(self._like, self._state, strict=True):
            y = self._filtered(self._base(like).div_(scale), state)
            yield y.mul_(gain).view(like.shape)

    def _filtered(self, u: Tensor, state: Tensor) -> Tensor:
        if self._root is not None:
            y = u.sub_(u.new_tensor(self._root.weight) @ state)
            state.mul_(u.new_tensor(self._root.rate)[:, None]).add_(y)
            return y
        if not len(self._taps):
            return u
        place = self.n_taken % len(self._taps)  # of the oldest input, which this one replaces
        lags = (place - 1 - np.arange(len(self._taps))) % len(self._taps)
        y = u + u.new_tensor(self._taps[lags]) @ state
        state[place] = u
        return y

    def _base(self, like: Tensor) -> Tensor:
        n = like.numel()
        draws = np.concatenate([self.source.normal(1.0, min(_BLOCK, n - first)) for first in range(0, n, _BLOCK)] or [np.zeros(0)])
        return torch.from_numpy(draws).to(device=like.device, dtype=like.dtype)


def _like(parameter: Tensor) -> Tensor:
    """Return an empty tensor of its shape and device, of single precision at least; it takes no memory of its own."""
    precision = parameter.dtype if parameter.dtype in (torch.float32, torch.float64) else torch.float32
    return torch.empty(1, dtype=precision, device=parameter.device).expand(parameter.shape)
