"""How a model is trained: numbers of the optimizer and of the schedules, as one frozen record.

    lr(s)     = learning_rate * min(1, (s + 1) / warm-up steps) * decay from the end of the warm-up to 0
    lambda(s) = the penalty's weight until the share `penalty_until` of all steps, then falling linearly to 0 at the last one

Weight decay touches matrices only, never temperatures, gains, norms or thresholds (`optimizer_groups`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Literal, get_args

from mechanisms.json_ready import JsonValue, json_record
from mechanisms.validation import in_range, non_negative, one_of, positive, whole_number

Decay = Literal["linear", "cosine", "none"]


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """One way to train.

    Parameters
    ----------
    steps, batch_size : optimizer steps, and sequences in each.
    learning_rate : the highest one, of AdamW.
    weight_decay : on matrices only.
    warmup : share of the steps in which the rate rises from 0.
    decay : how the rate falls after that: "linear" or "cosine" to 0, or "none".
    clip : largest norm of a gradient.
    beta2 : how slowly AdamW's second moments forget.
    temperature_rate, threshold_rate : learning rates of temperatures and of the penalty's thresholds, as multiples of `learning_rate`.
    penalty_until : share of the steps after which the penalty's weight falls to 0; 1 keeps it.
    eval_every, track_every : steps between evaluations (and checkpoints), and between records of entropies.
    n_evaluation : held-out sequences of an evaluation, at most.

    Raises
    ------
    ValueError, TypeError : a number out of its range.

    Examples
    --------
    >>> recipe = TrainingRecipe(steps=100, learning_rate=1e-2)
    >>> [round(recipe.rate_at(step), 4) for step in (0, 4, 52, 99)]
    [0.002, 0.01, 0.0051, 0.0001]
    """

    steps: int = 800
    batch_size: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.1
    warmup: float = 0.05
    decay: Decay = "linear"
    clip: float = 1.0
    beta2: float = 0.999
    temperature_rate: float = 1.0
    threshold_rate: float = 1.0
    penalty_until: float = 1.0
    eval_every: int = 200
    track_every: int = 50
    n_evaluation: int = 1024

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_every", "track_every", "n_evaluation"):
            object.__setattr__(self, name, whole_number(1, **{name: getattr(self, name)}))
        for name in ("learning_rate", "clip"):
            positive(**{name: getattr(self, name)})
        for name in ("weight_decay", "temperature_rate", "threshold_rate"):
            non_negative(**{name: getattr(self, name)})
        in_range(0, 1, closed="left", warmup=self.warmup)
        in_range(0, 1, beta2=self.beta2)
        in_range(0, 1, closed="both", penalty_until=self.penalty_until)
        one_of(get_args(Decay), decay=self.decay)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        n_warmup = max(1, round(self.warmup * self.steps))
        if step < n_warmup:
            return self.learning_rate * (step + 1) / n_warmup
        left = (self.steps - step) / max(1, self.steps - n_warmup)
        shares = {"linear": left, "cosine": 0.5 - 0.5 * math.cos(math.pi * left), "none": 1.0}
        return self.learning_rate * shares[self.decay]

    def penalty_share_at(self, step: int) -> float:
        """Return what share of the penalty's weight a step has, in [0, 1]."""
        until = self.penalty_until * self.steps
        return 1.0 if step < until else (self.steps - step) / (self.steps - until)

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the JSON-ready record."""
        return json_record({"schema_version": 1, **asdict(self)})

    @classmethod
    def from_dict(cls, record: Mapping[str, object]) -> TrainingRecipe:
        """Return the recipe of a record; unknown keys are errors."""
        known = {field.name for field in fields(cls)}
        if unknown := set(record) - known - {"schema_version"}:
            raise ValueError(f"a TrainingRecipe has no {sorted(unknown)}; it has {sorted(known)}")
        return cls(**{name: record[name] for name in known if name in record})  # type: ignore[arg-type]
