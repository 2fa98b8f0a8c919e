"""The state of one training run: everything that a step changes, and everything that a checkpoint must bring back."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from mechanisms.json_ready import JsonValue
from private_inference.attention import NonFiniteAttentionError
from private_inference.folding.conditioning import conditioning_penalty
from private_inference.gpt import PIGPT
from private_inference.heads.tracker import EntropyTracker
from private_inference.training.checkpoint import Checkpoint, Saved, load_module, load_optimizer, module_arrays, optimizer_arrays
from private_inference.training.evaluation import Evaluation, held_out_entropy, held_out_loss, token_loss
from private_inference.training.optimizer_groups import adamw, parameter_groups, set_rate
from private_inference.training.plan import TrainingPlan
from private_inference.training.result import HistoryRow, Status, TrainingResult
from private_inference.training.sequence_order import SequenceOrder

Progress = Callable[[int, int, str], None]

N_TRACKED = 16  # held-out sequences whose entropies are tracked
_N_LAST = 256  # and whose entropies are the last ones


class _NonFiniteStepError(Exception):
    """A loss or a gradient isn't finite."""


class TrainingRun:
    """One run between two steps.

    Parameters
    ----------
    plan : what the run is.
    seed : of initial weights and order.

    Attributes
    ----------
    n_steps : steps taken.
    status : "diverged" once a step was refused because its loss or gradient isn't finite.
    """

    def __init__(self, plan: TrainingPlan, seed: int) -> None:
        weights, order = np.random.SeedSequence(seed).spawn(2)
        config, corpus, recipe = plan.config, plan.corpus, plan.recipe
        self.plan, self.seed = plan, seed
        self.model = PIGPT(config, rng=np.random.default_rng(weights))
        self.penalty = None if plan.penalty is None else copy.deepcopy(plan.penalty).train()
        self.n_steps = 0
        self.status: Status = "finished"
        self.history: list[HistoryRow] = []
        self.tracker = EntropyTracker(data="held_out")
        self._losses = torch.full((recipe.steps,), math.nan)
        self._optimizer = adamw(parameter_groups(self.model, self.penalty, recipe), recipe)
        self._parameters = [parameter for group in self._optimizer.param_groups for parameter in group["params"]]
        self._train = torch.from_numpy(corpus.train_sequences(config.block_size).astype(np.int64))
        self._held_out = corpus.held_out_sequences(config.block_size, recipe.n_evaluation)
        self._watched = self._held_out  # whose entropies are tracked
        self._order = SequenceOrder(len(self._train), recipe.batch_size, seed=int(order.generate_state(1, np.uint64)[0]))

    @property
    def is_over(self) -> bool:
        """Return whether no step is left."""
        return self.status == "diverged" or self.n_steps == self.plan.recipe.steps

    @property
    def label(self) -> str:
        """Say how far the run is."""
        losses = [row.held_out_loss for row in self.history if row.held_out_loss is not None]
        return f"held-out loss {losses[-1]:.3f}" if losses else "training"

    def step(self) -> None:
        """Take one optimizer step, or mark the run as diverged and change nothing."""
        self._guarded(self._take_step)

    def evaluate(self) -> None:
        """Add a row to the history."""
        since = self.history[-1].step if self.history else 0
        rate = self.plan.recipe.rate_at(self.n_steps - 1)
        self.history.append(HistoryRow(self.n_steps, self._train_loss(since), self._held_out_loss(), rate))

    def result(self) -> TrainingResult:
        """Return what the run leaves."""
        if self.status == "finished":
            self._guarded(lambda: self._track(_N_LAST))
        loss = self._held_out_loss()
        if loss is None:
            self.status = "diverged"
        evaluation = None if loss is None else Evaluation(loss, self.plan.corpus.bits_per_byte(loss), len(self._held_out))
        return TrainingResult(
            self.model.eval(),
            self.penalty,
            self.status,
            self.n_steps,
            tuple(self.history),
            evaluation,
            self.tracker,
            self.plan.recipe,
            self.plan.corpus.to_dict(),
            str(self.seed),
        )

    def saved(self) -> Saved:
        """Return all that a resumed run needs."""
        record: dict[str, JsonValue] = {
            "n_steps": self.n_steps,
            "status": self.status,
            "history": [row.to_dict() for row in self.history],
            "tracker": self.tracker.to_dict(),
        }
        arrays = module_arrays("model", self.model) | optimizer_arrays(self._optimizer) | {"losses": self._losses.numpy().copy()}
        if self.penalty is not None:
            arrays |= module_arrays("penalty", self.penalty)
        return Saved({**self.plan.identity(), "seed": str(self.seed)}, record, arrays)

    def restore(self, saved: Saved) -> None:
        """Go on from what `saved` returned."""
        load_module("model", self.model, saved.arrays)
        if self.penalty is not None:
            load_module("penalty", self.penalty, saved.arrays)
        load_optimizer(self._optimizer, saved.arrays)
        self._losses = torch.from_numpy(saved.arrays["losses"].copy())
        self.n_steps, self.status = int(cast(int, saved.record["n_steps"])), cast(Status, saved.record["status"])
        self.history = [HistoryRow(**row) for row in cast(list[dict[str, float]], saved.record["history"])]  # type: ignore[arg-type]
        self.tracker = EntropyTracker.from_dict(cast(dict[str, JsonValue], saved.record["tracker"]))

    def _train_loss(self, since: int) -> float | None:
        return float(self._losses[since : self.n_steps].mean())

    def _held_out_loss(self) -> float | None:
        loss = held_out_loss(self.model, self._held_out)
        return loss if math.isfinite(loss) else None

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except (NonFiniteAttentionError, _NonFiniteStepError):
            self.status = "diverged"
            self.tracker.mark_diverged(self.n_steps)

    def _take_step(self) -> None:
        recipe, step = self.plan.recipe, self.n_steps
        if step % recipe.track_every == 0:
            self._track(N_TRACKED)
        set_rate(self._optimizer, recipe.rate_at(step))
        rows = self._train[torch.from_numpy(self._order.batch(step))]
        self._optimizer.zero_grad(set_to_none=True)
        cross_entropy, loss = self._loss(rows, recipe.penalty_share_at(step))
        loss.backward()  # type: ignore[no-untyped-call]
        _require_finite(nn.utils.clip_grad_norm_(self._parameters, recipe.clip, foreach=True))
        self._optimizer.step()
        self._losses[step] = cross_entropy
        self.n_steps += 1

    def _loss(self, rows: Tensor, penalty_share: float) -> tuple[float, Tensor]:
        """Return the batch's cross-entropy, and what is trained on."""
        ids, targets = rows[:, :-1], rows[:, 1:]
        if self.penalty is None or penalty_share == 0:
            loss = token_loss(self.model(ids), targets)
            cross_entropy = _require_finite(loss)
        else:
            logits, entropy = self.model(ids, return_entropy=True)
            loss = token_loss(logits, targets)
            cross_entropy = _require_finite(loss)
            loss = loss + penalty_share * self.penalty(entropy)
        if self.plan.conditioning:
            loss = loss + self.plan.conditioning * conditioning_penalty(self.model)
        return cross_entropy, loss

    def _track(self, n_sequences: int) -> None:
        entropy = held_out_entropy(self.model, self._watched[:: -(-len(self._watched) // n_sequences)])
        self.tracker.update(self.n_steps, entropy, model=self.model, penalty=self.penalty)


def take_steps(run: TrainingRun, file: Checkpoint | None, progress: Progress | None) -> TrainingResult:
    """Take the steps that are left, with a row of history and a checkpoint every `eval_every`; returns what the run leaves."""
    recipe = run.plan.recipe
    while not run.is_over:
        run.step()
        at_row = run.n_steps % recipe.eval_every == 0 or run.n_steps == recipe.steps
        if at_row and run.status == "finished":
            run.evaluate()
        if file is not None and (at_row or run.is_over):
            file.save(run.saved())
        if progress is not None:
            progress(run.n_steps, recipe.steps, run.label)
    return run.result()


def _require_finite(number: Tensor) -> float:
    value = float(number.detach())
    if not math.isfinite(value):
        raise _NonFiniteStepError
    return value
