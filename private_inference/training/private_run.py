"""One private run: the steps of `training_run` with the gradient of DP-SGD, and nothing of training sequences in what is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self, cast

import torch
from opacus import GradSampleModule
from torch import Tensor, nn

from mechanisms.noise.source import NoiseSource
from private_inference.attention import NonFiniteAttentionError
from private_inference.gpt import next_token_loss
from private_inference.heads.guided_loss import GuidedLoss
from private_inference.heads.tracker import EntropyTracker
from private_inference.training.optimizer_groups import set_rate
from private_inference.training.plan import TrainingPlan
from private_inference.training.private_gradient import PrivateGradient, poisson_sample
from private_inference.training.result import TrainingResult
from private_inference.training.run import N_TRACKED, TrainingRun

_OF_TRAINING = ("n_train_tokens", "digest")  # a digest tells for sure which of two corpora it was


@dataclass(frozen=True, slots=True)
class PrivateSettings:
    """How a run is made private; meanings as in `train_private`."""

    sample_rate: float
    noise_multiplier: float
    max_grad_norm: float
    chunk: int
    source: NoiseSource
    watches_training: bool


class PrivateRun(TrainingRun):
    """A run whose steps are private; a context manager that takes Opacus's hooks off at its end.

    Parameters
    ----------
    plan : what the run is.
    seed : of initial weights.
    settings : noise, coins, clipping.
    """

    def __init__(self, plan: TrainingPlan, seed: int, settings: PrivateSettings) -> None:
        super().__init__(plan, seed)
        if settings.watches_training:
            self.tracker = EntropyTracker(data="training")
            self._watched = plan.corpus.train_sequences(plan.config.block_size)
        guided = self.model if self.penalty is None else GuidedLoss(self.model, self.penalty)
        self._net = GradSampleModule(guided, loss_reduction="sum")
        self._settings = settings
        self._gradient = PrivateGradient(
            self._net,
            _plain_losses if self.penalty is None else _guided_losses,
            max_grad_norm=settings.max_grad_norm,
            noise_multiplier=settings.noise_multiplier,
            expected_batch_size=plan.recipe.batch_size,
            source=settings.source,
            chunk=settings.chunk,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._net.to_standard_module()

    def result(self) -> TrainingResult:
        """Return what the run leaves; of the corpus, what held-out sequences and the tokenizer say."""
        found = super().result()
        return replace(found, corpus={name: value for name, value in found.corpus.items() if name not in _OF_TRAINING})

    def _take_step(self) -> None:
        recipe, step, settings = self.plan.recipe, self.n_steps, self._settings
        if step % recipe.track_every == 0:
            self._track(N_TRACKED)
        set_rate(self._optimizer, recipe.rate_at(step))
        chosen = poisson_sample(len(self._train), settings.sample_rate, settings.source)
        self._gradient.set(self._train[torch.from_numpy(chosen)])
        self._optimizer.step()
        self.n_steps += 1

    def _track(self, n_sequences: int) -> None:
        if not self._settings.watches_training:
            super()._track(n_sequences)
            return
        try:
            super()._track(n_sequences)
        except NonFiniteAttentionError:  # stopping here would tell of training sequences; the run goes on
            self.tracker.mark_diverged(self.n_steps)

    def _train_loss(self, since: int) -> None:
        """Return nothing: training losses are not covered by the guarantee."""


def _plain_losses(net: nn.Module, rows: Tensor) -> Tensor:
    return next_token_loss(net(rows[:, :-1]), rows[:, 1:])


def _guided_losses(net: nn.Module, rows: Tensor) -> Tensor:
    return cast(Tensor, net(rows[:, :-1], rows[:, 1:]))
