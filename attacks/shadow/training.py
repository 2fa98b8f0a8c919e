"""From a design to tasks: which models are trained together, by what, and what the store must know to tell experiments apart.

    records, design, train -> tasks of `run_shadow`;   the same -> experiment of `ShadowStore`

Training code of a user is called once per model as train(part, rng); a `ShadowTrainer` trains a whole group in lock-step. Either way the
signals of all records under each model are computed where it was trained, and the model is thrown away.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from attacks.shadow.ensemble import ShadowTrainer
from attacks.shadow.fingerprints import fingerprint, library_versions, source_fingerprint
from attacks.shadow.group import ShadowGroup
from attacks.shadow.read_out import model_signals
from attacks.shadow.records import AuditedRecords, DataSet
from attacks.shadow.run import ShadowTask
from attacks.signals import as_array, logit_signal
from mechanisms.json_ready import JsonValue

TrainOne = Callable[[DataSet, np.random.Generator], object]

LOCK_STEP_GROUP = 16


@dataclass(frozen=True, slots=True, eq=False)
class ShadowPlan:
    """What is to be trained.

    Parameters
    ----------
    train : the user's training code, called as train(part, rng), or a `ShadowTrainer`.
    records : all N records that are trained on or asked about.
    design : (K, N) bool, which records train each model.
    seed : of the generators that training code gets; a `ShadowTrainer` has its own.
    nominal_members : records a model is trained on by design, not by its coins: times the sample rate, it is what a `ShadowTrainer` divides
        by that names no expected batch size of its own.
    group_size : models per task; None means 1 for training code, 16 for a `ShadowTrainer`.
    """

    train: TrainOne | ShadowTrainer
    records: AuditedRecords
    design: NDArray[np.bool_]
    seed: int
    nominal_members: float
    group_size: int | None = None

    def __post_init__(self) -> None:
        if not callable(self.train) and not isinstance(self.train, ShadowTrainer):
            raise TypeError(f"train must be a function train(dataset, rng) or a ShadowTrainer, got {type(self.train).__name__}")
        if isinstance(self.train, ShadowTrainer) and self.records.are_sequences:
            raise ValueError("a ShadowTrainer learns one class a record; for sequences of tokens pass training code, train(part, rng)")
        if self.design.ndim != 2 or self.design.shape[1] != len(self.records):
            raise ValueError(f"design must have shape (models, {len(self.records)}), got {self.design.shape}")

    @property
    def is_training_code(self) -> bool:
        """Whether the user's own code trains, one model at a time."""
        return not isinstance(self.train, ShadowTrainer)

    @property
    def models_per_group(self) -> int:
        """Models that one task trains."""
        return self.group_size or (LOCK_STEP_GROUP if isinstance(self.train, ShadowTrainer) else 1)

    def tasks(self) -> list[ShadowTask]:
        """Return the tasks, in the order of the models; each carries the records and its rows of the design."""
        step = self.models_per_group
        found = []
        for group, start in enumerate(range(0, len(self.design), step)):
            ids = tuple(range(start, min(start + step, len(self.design))))
            found.append(ShadowTask(group, self._work(self.design[start : start + step], ids), ids))
        return found

    def experiment(self) -> dict[str, JsonValue]:
        """Return all that the signals depend on, by name, for the store.

        Raises
        ------
        TypeError : the source of the training code can't be read, so that a changed one could not be told from it.
        """
        parts: dict[str, JsonValue] = {
            **self.records.fingerprints(),
            "design": fingerprint(self.design),
            "group_size": self.models_per_group,
            "libraries": dict(library_versions()),
        }
        if isinstance(self.train, ShadowTrainer):
            return {**parts, "trainer": _trainer_parts(self.train)}
        return {**parts, "seed": self.seed, "training_code": _code_fingerprints(self.train)}

    def _work(self, member: NDArray[np.bool_], model_ids: tuple[int, ...]) -> Callable[[], ShadowGroup]:
        if isinstance(self.train, ShadowTrainer):
            trainer = self.train
            if trainer.expected_batch_size is None and trainer.sample_rate is not None:  # shuffled batches have their own sizes
                trainer = replace(trainer, expected_batch_size=trainer.sample_rate * self.nominal_members)
            return functools.partial(train_in_lock_step, trainer, self.records, member, model_ids)
        return functools.partial(train_each, self.train, self.records, member, model_ids, self.seed)


def train_each(train: TrainOne, records: AuditedRecords, member: NDArray[np.bool_], model_ids: tuple[int, ...], seed: int) -> ShadowGroup:
    """Call the user's training code for each row of `member`, with a generator that depends on (seed, model) only."""
    signals = [
        model_signals(train(records.part(row), np.random.default_rng([seed, model])), records.inputs, records.targets)
        for row, model in zip(member, model_ids, strict=True)
    ]
    return ShadowGroup(model_id=model_ids, member=member, signals=np.stack(signals), seed=[seed] * len(model_ids))


def train_in_lock_step(
    trainer: ShadowTrainer, records: AuditedRecords, member: NDArray[np.bool_], model_ids: tuple[int, ...]
) -> ShadowGroup:
    """Train all rows of `member` at once; the trainer's own seed decides."""
    models = trainer.train(records.inputs, records.targets, member, model_ids=model_ids)
    logits = models.logits(records.inputs)
    one_logit = logits[:, :, 0] if logits.shape[2] == 1 else logits
    signals = logit_signal(one_logit, as_array(records.targets))
    return ShadowGroup(model_id=model_ids, member=member, signals=signals, seed=[trainer.seed] * len(model_ids))


def _trainer_parts(trainer: ShadowTrainer) -> dict[str, JsonValue]:
    settings = {name: getattr(trainer, name) for name in trainer.__slots__ if name not in ("make_model", "models_at_once")}
    return {"model": _code_fingerprints(trainer.make_model), **{name: fingerprint(value) for name, value in settings.items()}}


def _code_fingerprints(function: Callable[..., object]) -> dict[str, JsonValue]:
    """Return hashes of the function's source and of its whole file: a learning rate may stand beside the function."""
    found: dict[str, JsonValue] = {"function": source_fingerprint(function)}
    inner = function.func if isinstance(function, functools.partial) else function
    file = inspect.getsourcefile(inspect.unwrap(inner))
    if file is not None and Path(file).is_file():
        found["file"] = fingerprint(Path(file).read_bytes())
    return found
