"""What a training run leaves: the model, its history, its evaluation, and whether it went through.

A run is "diverged" from its first loss or gradient that isn't finite: the weights are those before that step, and the entropies of that
step are the last ones in the tracker.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from mechanisms.json_ready import JsonValue, json_record
from private_inference.config import PIGPTConfig
from private_inference.gpt import PIGPT
from private_inference.heads.penalty import EntropyPenalty
from private_inference.heads.tracker import EntropyTracker
from private_inference.training.evaluation import Evaluation
from private_inference.training.recipe import TrainingRecipe

Status = Literal["finished", "diverged"]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One line of a history.

    Parameters
    ----------
    step : steps taken so far.
    train_loss : mean cross-entropy of the steps since the last row, without any penalty, nats per token; None in private training.
    held_out_loss : of the evaluation sequences; None where it isn't finite.
    learning_rate : of the last step.
    """

    step: int
    train_loss: float | None
    held_out_loss: float | None
    learning_rate: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record(asdict(self))


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """A finished or diverged run.

    Parameters
    ----------
    model, penalty : as trained; the penalty, where there was one, with its thresholds.
    status : "finished", or "diverged" at the step after `n_steps`.
    n_steps : steps taken.
    history : one row an evaluation.
    evaluation : of the final weights on held-out sequences; None where their loss isn't finite.
    tracker : head entropies, of training batches every `track_every` steps and at last of held-out sequences.
    recipe, corpus : how and on what it was trained; the corpus by its counts and digest.
    seed : of initial weights and of the order of sequences, as text.
    """

    model: PIGPT = field(repr=False)
    penalty: EntropyPenalty | None = field(repr=False)
    status: Status
    n_steps: int
    history: tuple[HistoryRow, ...]
    evaluation: Evaluation | None
    tracker: EntropyTracker = field(repr=False)
    recipe: TrainingRecipe
    corpus: dict[str, JsonValue]
    seed: str

    @property
    def config(self) -> PIGPTConfig:
        """Return the model's shape and variant."""
        return self.model.config

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record, without weights and without the tracker's entropies."""
        return {
            "schema_version": 1,
            "status": self.status,
            "n_steps": self.n_steps,
            "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
            "history": [row.to_dict() for row in self.history],
            "model": self.config.to_dict(),
            "recipe": self.recipe.to_dict(),
            "corpus": self.corpus,
            "seed": self.seed,
        }
