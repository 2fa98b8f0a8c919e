"""Audit by shadow models: train -> signals -> scores -> counts -> bound, posterior -> AuditReport, for any training code, as a black box.

The training code runs many times, on parts of the data set that coins decide. Two games:

- records (default): every record has a coin in every model; a quarter of the models are targets, the others references. Shows what the
  final model tells of natural records; the bound is that of one run with n_targets * n_records coins (`records_game`).
- canary: one chosen record has a coin, all others are always in. Runs are independent, so bounds from order statistics hold, and training
  may stop as soon as a claim is refuted (`canary_game`).

What decides is fixed before training: attack, targets, number of guesses. Every other attack is shown and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mechanisms.errors import ShadowRunFailed
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from mechanisms.randomness import RngLike, as_generator, root_entropy
from mechanisms.validation import one_of, probability_level, valid_delta, whole_number
from privacy_audit.audits.canary_game import train_until_rejected
from privacy_audit.audits.provenance import Progress, require_audited_neighbors, silent
from privacy_audit.audits.records_game import ReferenceAttack
from privacy_audit.audits.shadow_attacks import REGISTERED, attacks_beside
from privacy_audit.audits.shadow_reports import ShadowAudit, canary_report, records_report
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.report.record import AuditReport

if TYPE_CHECKING:
    from attacks.shadow.ensemble import ShadowTrainer
    from attacks.shadow.records import AuditedRecords, DataSet
    from attacks.shadow.run import ShadowRun, ShadowTask
    from attacks.shadow.store import MemoryStore, ShadowStore
    from attacks.shadow.training import ShadowPlan, TrainOne

    Home = ShadowStore | MemoryStore

NO_CLAIM = "nothing is claimed"
LEAST_MODELS = 4
_LARGEST_SEED = 2**63
_MODELS_A_ROUND = 8  # between two looks of the stop rule


def audit_by_shadow_models(
    train: TrainOne | ShadowTrainer,
    dataset: DataSet,
    *,
    delta: float,
    n_models: int = 64,
    attack: str | ReferenceAttack = REGISTERED,
    claim: PrivacyGuarantee | None = None,
    canary: DataSet | None = None,
    population: DataSet | None = None,
    stop: Literal["never", "rejected"] = "never",
    store: str | PathLike[str] | Home | None = None,
    executor: object | None = None,
    group_size: int | None = None,
    level: float = 0.95,
    rng: RngLike = None,
    progress: Progress | None = None,
    title: str = "Audit by shadow models",
) -> AuditReport:
    """Train many models on parts of the data, attack them, and report what their outputs tell of the records.

    Parameters
    ----------
    train : the training code, called as train(part, rng): part is of the kind of `dataset`; returns a torch module (logits) or a classifier
        with `predict_proba`. Or a `ShadowTrainer`, which trains models in lock-step.
    dataset : (inputs, targets), or a torch data set of such pairs; targets are classes. For a language model a record is a sequence of
        tokens, (sequences[:, :-1], sequences[:, 1:]); the model's logits are (n, T, V), and the signal is the logit of exp(-mean loss).
    delta : where epsilon is claimed and bounded.
    n_models : trainings, at least 4. A quarter of them are targets in the game of records.
    attack : the attack that decides, by name or as an object with fit and score; others are shown beside it.
    claim : the guarantee to test (add/remove neighbors, the same delta); None tests nothing: its epsilon is infinite.
    canary : a data set of one record; then the game is that of the canary, in which `attack` and `population` have no part.
    population : public records that are in no training set, for RMIA, which is left out without them.
    stop : "rejected" ends a canary game as soon as the claim is refuted; the sequential bound then decides.
    store : folder (or `ShadowStore`) that survives a crash: the same call goes on where it stopped. A folder needs `rng` to be an int.
    executor : a name for `open_executor` ("processes:2", "dask://HOST:PORT", "ray", ...) or anything with submit; None trains here.
    group_size : models per task; None means 1 for training code, 16 for a `ShadowTrainer`.
    level : probability content of every interval and bound.
    rng : int, numpy Generator or None, for coins, training seeds and analysis.
    progress : called with (done, total, label).
    title : heading of the report.

    Returns
    -------
    The report; its `membership` holds the attacks side by side and the most exposed records.

    Raises
    ------
    ValueError : a parameter out of range or without a part in the game, or a claim about other neighbors or another delta.
    StoreMismatch : the store belongs to another experiment.
    ShadowRunFailed : the executor died, or no model could be trained; what is finished stays in the store.
    InsufficientEvidenceError : too few models could be trained.

    Guarantee
    ---------
    The bound holds under add/remove neighbors for any training code that sees its part of the records only; `records_game` and
    `audit_scores` say why. A small bound is no evidence of privacy: a better attack may exist.
    """
    from attacks.shadow.records import as_records

    delta, level = valid_delta(delta), probability_level(level)
    n_models = whole_number(LEAST_MODELS, n_models=n_models)
    claim = _settled(claim, delta)
    _check_game(claim, canary, population, one_of(("never", "rejected"), stop=stop))
    registered, attacks = attacks_beside(attack, with_population=population is not None)
    generator = as_generator(rng)
    for_design, for_training, for_analysis = generator.spawn(3)
    audited = as_records(dataset)
    n_records = len(audited)
    records = as_records(dataset, population if canary is None else canary)
    n_shared = 0 if population is None else audited.n_shared(as_records(population))
    if n_shared:
        raise ValueError(f"population must hold no audited record, got {n_shared} of {len(records) - n_records} that are; leave them out")
    if canary is not None and len(records) != n_records + 1:
        raise ValueError(f"canary must be a data set of one record, got {len(records) - n_records}")
    design = _design(n_models, n_records, len(records), is_canary_game=canary is not None, rng=for_design)
    seed, nominal = int(for_training.integers(_LARGEST_SEED)), n_records / 2 if canary is None else float(n_records)
    plan = _planned(train, records, design, seed, nominal, group_size)
    audit = ShadowAudit(
        claim=claim,
        level=level,
        n_models=n_models,
        title=title,
        training="the user's training code, one model after the other" if plan.is_training_code else "ShadowTrainer, in lock-step",
        seeds={"coins and trainings": root_entropy(generator)},
    )
    home = _home(store, plan, rng)
    with _opened(executor) as pool:
        if canary is None:
            run = _train(plan.tasks(), home, pool, progress or silent)
            return records_report(audit, run, n_records=n_records, registered=registered, attacks=attacks, rng=for_analysis)
        auditor = None if stop == "never" else SequentialAuditor(epsilon=claim.epsilon, delta=delta, level=level)
        run = _train_canary_game(plan, home, pool, progress or silent, auditor, canary=n_records)
        return canary_report(audit, run, canary=n_records, auditor=auditor, rng=for_analysis)


def _settled(claim: PrivacyGuarantee | None, delta: float) -> PrivacyGuarantee:
    require_audited_neighbors(claim, delta)
    return PrivacyGuarantee(np.inf, delta, Neighboring.ADD_REMOVE, mechanism=NO_CLAIM) if claim is None else claim


def _check_game(claim: PrivacyGuarantee, canary: DataSet | None, population: DataSet | None, stop: str) -> None:
    if canary is not None and population is not None:
        raise ValueError("population has no part in the game of a canary; leave one of the two out")
    if stop == "rejected" and canary is None:
        raise ValueError("stop='rejected' is for the game of a canary, whose runs are independent; pass canary=")
    if stop == "rejected" and np.isinf(claim.epsilon):
        raise ValueError("stop='rejected' needs a claim with a finite epsilon, which training can refute")


def _design(n_models: int, n_records: int, n_columns: int, *, is_canary_game: bool, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return who trains on what: fair coins for the audited records, nobody for the population; all but the canary are always in."""
    from attacks.shadow.designs import poisson_design

    if is_canary_game:
        coins = poisson_design(n_models, 1, rng=rng)
        return np.hstack([np.ones((n_models, n_records), dtype=np.bool_), coins])
    coins = poisson_design(n_models, n_records, rng=rng)
    return np.hstack([coins, np.zeros((n_models, n_columns - n_records), dtype=np.bool_)])


def _planned(
    train: TrainOne | ShadowTrainer,
    records: AuditedRecords,
    design: NDArray[np.bool_],
    seed: int,
    nominal_members: float,
    group_size: int | None,
) -> ShadowPlan:
    from attacks.shadow.training import ShadowPlan

    size = None if group_size is None else whole_number(1, group_size=group_size)
    return ShadowPlan(train, records, design, seed, nominal_members, size)


def _home(store: str | PathLike[str] | Home | None, plan: ShadowPlan, rng: RngLike) -> Home:
    from attacks.shadow.store import MemoryStore, ShadowStore

    if store is None:
        return MemoryStore()
    if isinstance(store, ShadowStore | MemoryStore):
        return store
    if rng is None:
        raise ValueError("a store needs rng to be an int: without it the same call could not find its coins again")
    return ShadowStore(store, experiment=plan.experiment())


def _opened(executor: object | None) -> AbstractContextManager[object | None]:
    from attacks.shadow.executors import open_executor

    return open_executor(executor) if isinstance(executor, str) else nullcontext(executor)


def _train(tasks: Sequence[ShadowTask], home: Home, pool: object | None, progress: Progress) -> ShadowRun:
    """Train what the store lacks. Training code that fails leaves fewer models; an executor that died is an error."""
    from attacks.shadow.run import run_shadow

    run = run_shadow(tasks, home, pool, progress=progress)
    if run.lost:
        kept = "in the store: run the same audit again to go on" if hasattr(home, "path") else "nowhere: pass store= to keep them"
        groups = ", ".join(map(str, run.lost[:10])) + (", ..." if len(run.lost) > 10 else "")
        raise ShadowRunFailed(
            f"the executor died: {len(run.lost)} of {len(tasks)} groups of models are missing (groups {groups}); "
            f"the finished ones are kept {kept}"
        )
    return run


def _train_canary_game(
    plan: ShadowPlan, home: Home, pool: object | None, progress: Progress, auditor: SequentialAuditor | None, *, canary: int
) -> ShadowRun:
    tasks = plan.tasks()
    if auditor is None:
        return _train(tasks, home, pool, progress)
    at_once = max(1, _MODELS_A_ROUND // plan.models_per_group)
    return train_until_rejected(tasks, lambda part: _train(part, home, pool, progress), auditor, canary=canary, at_once=at_once)
