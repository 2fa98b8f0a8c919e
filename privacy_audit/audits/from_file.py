"""Audits that a TOML file describes: names of functions become functions, tables become arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING

from mechanisms.errors import PrivacyAuditError
from privacy_audit.audits.provenance import Progress
from privacy_audit.config import AuditConfig, DistributionTable, ShadowTable, TrainingTable
from privacy_audit.report.record import AuditReport
from privacy_audit.user_code import NamedFunction, load_function

if TYPE_CHECKING:
    from attacks.shadow.ensemble import ShadowTrainer
    from attacks.shadow.training import TrainOne


@dataclass(slots=True)
class Watch:
    """Whether a user's function is running (or has failed), so that its failure can be told from ours."""

    inside: bool = False


def watched(function: Callable[..., object], watch: Watch) -> Callable[..., object]:
    """Return the function, telling `watch` when it runs; after a failure `watch.inside` stays True."""

    @wraps(function)
    def call(*arguments: object) -> object:
        watch.inside = True
        result = function(*arguments)
        watch.inside = False
        return result

    return call


def audit_training_file(
    settings: AuditConfig, folder: Path, *, progress: Progress, on_error: Callable[[Exception], None] | None = None
) -> AuditReport:
    """Run kind = "training".

    Parameters
    ----------
    settings : the file.
    folder : where it stands; its functions are looked for there.
    progress : called with (done, total, label).
    on_error : shown the exception of a training function that failed.

    Raises
    ------
    PrivacyAuditError : the training function failed; the message has the type of its exception, not its text, which may quote a record.
    """
    from privacy_audit.audits.training import audit_training

    table = settings.audit
    if not isinstance(table, TrainingTable):
        raise TypeError(f"an audit of kind 'training' was expected, got '{table.kind}'")
    watch = Watch()
    try:
        return audit_training(
            watched(load_function(table.train, beside=folder), watch),
            delta=table.delta,
            n_canaries=table.n_canaries,
            claim=settings.guarantee(),
            level=table.level,
            rng=table.seed,
            progress=progress,
            title=table.title,
        )
    except Exception as error:
        if not watch.inside or isinstance(error, PrivacyAuditError):
            raise
        raise _training_failed(table.train, error, on_error) from error


def audit_shadow_file(
    settings: AuditConfig, folder: Path, store: Path, *, resume: bool, executor: str | None, progress: Progress
) -> AuditReport:
    """Run kind = "shadow".

    Parameters
    ----------
    settings, folder, progress : as in `audit_training_file`.
    store : folder of the shadow models.
    resume : whether models that are there already may be used.
    executor : comes before the one that the file names.

    Raises
    ------
    ValueError : the store has models and `resume` is False.
    """
    from privacy_audit.audits.shadow_models import audit_by_shadow_models

    table = settings.audit
    if not isinstance(table, ShadowTable):
        raise TypeError(f"an audit of kind 'shadow' was expected, got '{table.kind}'")
    n_stored = len(list(store.glob("group-*.npz")))
    if n_stored and not resume:
        raise ValueError(f"{store} holds {n_stored} finished groups of models; pass --resume to go on with them, or another --out")

    def called(reference: str | None) -> object:
        return None if reference is None else load_function(reference, beside=folder)()

    return audit_by_shadow_models(
        _trainer(table, folder),
        called(table.data),  # type: ignore[arg-type]
        delta=table.delta,
        n_models=table.n_models,
        attack=table.attack,
        claim=settings.guarantee(),
        canary=called(table.canary),  # type: ignore[arg-type]
        population=called(table.population),  # type: ignore[arg-type]
        stop=table.stop,
        store=store,
        executor=executor or table.executor,
        group_size=table.group_size,
        level=table.level,
        rng=table.seed,
        progress=progress,
        title=table.title,
    )


def audit_distribution_file(
    settings: AuditConfig, folder: Path, *, progress: Progress, on_error: Callable[[Exception], None] | None = None
) -> AuditReport:
    """Run kind = "distribution"; parameters and errors as in `audit_training_file`."""
    from attacks.distribution.defense import RebalanceDefense
    from privacy_audit.audits.distribution import audit_distribution

    table = settings.audit
    if not isinstance(table, DistributionTable):
        raise TypeError(f"an audit of kind 'distribution' was expected, got '{table.kind}'")
    cells = None if settings.defense is None else tuple(tuple(row) for row in settings.defense.cells)
    watch = Watch()
    if table.trainer is None:
        trainer: object = watched(load_function(str(table.train), beside=folder), watch)
    else:
        trainer = _lock_step_trainer(table.trainer, folder)
    data = load_function(table.data, beside=folder)()
    if not isinstance(data, tuple) or len(data) != 3:
        raise TypeError(f"data '{table.data}' must return (X, y, prop), got {type(data).__name__}")
    try:
        return audit_distribution(
            trainer,  # type: ignore[arg-type]
            data,
            ratios=[(first, second) for first, second in table.ratios],
            n_train=table.n_train,
            delta=table.delta,
            claim=settings.guarantee(),
            n_shadow=table.n_shadow,
            n_victim=table.n_victim,
            n_queries=table.n_queries,
            method=table.method,
            label_rate=table.label_rate,
            defense=None if cells is None else RebalanceDefense(cells=cells),
            level=table.level,
            rng=table.seed,
            progress=progress,
            title=table.title,
        )
    except Exception as error:
        if not watch.inside or isinstance(error, PrivacyAuditError):
            raise
        raise _training_failed(str(table.train), error, on_error) from error


def _trainer(table: ShadowTable, folder: Path) -> TrainOne | ShadowTrainer:
    if table.trainer is None:
        function = NamedFunction(str(table.train), str(folder.resolve()))
        load_function(function.reference, beside=folder)  # a wrong name is told before any worker starts
        return function
    return _lock_step_trainer(table.trainer, folder)


def _lock_step_trainer(reference: str, folder: Path) -> ShadowTrainer:
    from attacks.shadow.ensemble import ShadowTrainer

    made = load_function(reference, beside=folder)()
    if not isinstance(made, ShadowTrainer):
        raise TypeError(f"trainer '{reference}' must return a ShadowTrainer, got {type(made).__name__}")
    return made


def _training_failed(name: str, error: Exception, on_error: Callable[[Exception], None] | None) -> PrivacyAuditError:
    """Return the error that tells of a failed training function by its kind only: its text may quote a record."""
    if on_error is not None:
        on_error(error)
    return PrivacyAuditError(
        f"the training function '{name}' failed with {type(error).__name__}; no report was written (--traceback shows why and where)"
    )
