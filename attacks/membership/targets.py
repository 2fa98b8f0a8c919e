"""Every model in turn is the target, the others are its references: scores of one attack from one table of signals.

The target never stands among its own references. In a half-split design models 2i and 2i + 1 are complements: the complement's membership
is the negated answer, so both leave the references (`pairs=True`). Cost: K times fit and score, O(K^2 n) for most attacks.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone

from attacks.membership.attack import Attack
from attacks.membership.references import Bools, Floats, check_references, check_signals
from attacks.scores import MembershipScores
from mechanisms.errors import WeakEvidenceWarning


def leave_one_out_scores(
    attack: Attack, signals: ArrayLike, member: ArrayLike, population: ArrayLike | None = None, *, pairs: bool = True
) -> MembershipScores:
    """Score every record under every model with references that leave out the model and its complement.

    Parameters
    ----------
    attack : unfitted attack with the common `fit` and `score`; it is cloned for each target.
    signals : (K, n) logit signals, or (K, n, q) for attacks that take several queries.
    member : (K, n) bool or 0/1: which record trained which model.
    population : (K, P) signals of records that were never members of any model, for attacks that need them.
    pairs : models 2i and 2i + 1 are complements (half-split design); False: independent coins, only the target leaves.

    Returns
    -------
    K n scores with `model_id` the target and `example_id` the record.

    Raises
    ------
    ValueError : shapes that differ, bad values, `pairs=True` with models that aren't complements, too few models.

    Guarantee
    ---------
    The membership of a target and of its complement reaches neither `fit` nor `score` of that target's attack. Scores of one record under
    different targets share references: they are not independent.

    Examples
    --------
    >>> from attacks.membership.loss import LossAttack
    >>> scores = leave_one_out_scores(LossAttack(), [[2.0, 0.0], [0.0, 2.0]], [[1, 0], [0, 1]])
    >>> scores.auc, scores.model_id.tolist(), scores.example_id.tolist()
    (1.0, [0, 0, 1, 1], [0, 1, 0, 1])
    """
    checked, truth = check_references(signals, member)
    table = checked if np.ndim(signals) == 3 else checked[..., 0]
    others = None if population is None else _population(population, len(table))
    if pairs:
        _check_pairs(truth)
    score, n_without_in, n_without_out = [], 0, 0
    for target in range(len(table)):
        ref = np.ones(len(table), dtype=np.bool_)
        ref[[target, target ^ 1] if pairs else [target]] = False
        fitted, values = _one_target(clone(attack), table, truth, others, target, ref)
        score.append(values)
        n_without_in += getattr(fitted, "n_without_in_", 0)
        n_without_out += getattr(fitted, "n_without_out_", 0)
    if n_without_in + n_without_out:
        warnings.warn(
            f"over all {len(table)} targets, {n_without_in} records had no IN and {n_without_out} no OUT reference; where the attack uses "
            "that side, the other side and the average gap stood in",
            WeakEvidenceWarning,
            stacklevel=2,
        )
    n_models, n_records = truth.shape
    model_id, example_id = np.repeat(np.arange(n_models), n_records), np.tile(np.arange(n_records), n_models)
    return MembershipScores(np.concatenate(score), truth.ravel(), model_id, example_id)


def _one_target(
    attack: Attack, signals: Floats, member: Bools, population: Floats | None, target: int, ref: Bools
) -> tuple[Attack, Floats]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakEvidenceWarning)  # one warning with the total is given at the end
        attack.fit(signals[ref], member[ref], None if population is None else population[ref])
    return attack, attack.score(signals[target], None if population is None else population[target])


def _population(population: ArrayLike, n_models: int) -> Floats:
    signals = check_signals(population=population)
    if signals.ndim != 2 or len(signals) != n_models:
        raise ValueError(f"population must have shape ({n_models}, P), one row per model, got {signals.shape}")
    return signals


def _check_pairs(member: Bools) -> None:
    if len(member) % 2 or np.any(member[0::2] == member[1::2]):
        raise ValueError(
            f"pairs=True needs models 2i and 2i + 1 to be complements, got {len(member)} models that aren't; "
            "use pairs=False for independent coins"
        )
