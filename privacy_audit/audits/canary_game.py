"""The game of one canary and many models: a fair coin decides for each model whether one chosen record joins its training set.

The runs are independent, so every strategy for thresholds holds, and so does the anytime-valid test: with `stop="rejected"` training ends
as soon as the claim is refuted, and the sequential bound is then the one that decides. Scores: the canary's logit signal under each model.

    design (K, N + 1) -> signals of the canary (K,) -> MembershipScores -> bound, posterior

References
----------
Jagielski, Ullman, Oprea, Auditing Differentially Private Machine Learning, NeurIPS 2020. Nasr et al., Adversary Instantiation, S&P 2021.
Gonzalez et al., Sequentially Auditing Differential Privacy, 2025.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attacks.scores import MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import PrivacyGuarantee
from mechanisms.randomness import RngLike, as_generator
from privacy_audit.audits.power import ideal_scores
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.strategies.split import best_threshold
from privacy_audit.estimate.thresholds import audit_scores

if TYPE_CHECKING:
    from attacks.shadow.run import ShadowRun, ShadowTask

POWER_REPEATS = 100
_LEAST_PILOT = 8  # models that choose the first threshold before any guess is counted


def canary_scores(run: ShadowRun, canary: int) -> MembershipScores:
    """Return one score per model: the signal of column `canary`.

    Raises
    ------
    InsufficientEvidenceError : all models had the canary, or none had; or a training failed. Whether it fails may depend on the canary, so
        the models that exist are no fair sample.
    """
    if run.failed:
        raise InsufficientEvidenceError(f"the game of a canary needs every model, and {len(run.failed)} groups could not be trained")
    member = run.member[:, canary]
    if member.all() or not member.any():
        raise InsufficientEvidenceError(f"{int(member.sum())} of {len(member)} models had the canary: train more models")
    signal = run.signals[:, canary, :].astype(np.float64).mean(axis=1)
    return MembershipScores(signal, member, run.model_id, np.zeros(len(member), dtype=np.int64))


def train_until_rejected(
    tasks: Sequence[ShadowTask],
    train: Callable[[Sequence[ShadowTask]], ShadowRun],
    auditor: SequentialAuditor,
    *,
    canary: int,
    at_once: int,
) -> ShadowRun:
    """Train rounds of tasks until the auditor's bound exceeds the claim or no task is left; returns all that was trained.

    Parameters
    ----------
    tasks : in the order of their models.
    train : returns the signals of all tasks it is given; those of earlier rounds come from the store.
    auditor : takes the guesses about each round, made at a threshold that earlier rounds chose.
    canary : its column.
    at_once : tasks a round.

    Guarantee
    ---------
    The threshold of a round is a function of earlier rounds and its coins are independent of them, which is what the auditor asks for.
    """
    judged, run = 0, None
    for end in range(at_once, len(tasks) + at_once, at_once):
        run = train(tasks[:end])
        member, signal = run.member[:, canary], run.signals[:, canary, :].astype(np.float64).mean(axis=1)
        judged = _judge(auditor, member, signal, judged)
        if auditor.lower_bound > auditor.epsilon:
            break
    if run is None:
        raise ValueError("tasks must hold at least one group")
    return run


def canary_power(claim: PrivacyGuarantee, *, n_models: int, level: float, repeats: int = POWER_REPEATS, rng: RngLike = None) -> float:
    """Return the share of ideal many-run audits of a tight claim that leave a positive bound; parameters as `one_run_power`."""
    if claim.epsilon == 0 or np.isinf(claim.epsilon):
        return float(np.isinf(claim.epsilon))
    rng, seen = as_generator(rng), 0
    for _ in range(repeats):
        member = rng.random(n_models) < 0.5
        if member.any() and not member.all():
            seen += audit_scores(ideal_scores(member, claim, rng), delta=claim.delta, level=level).epsilon > 0
    return seen / repeats


def _judge(auditor: SequentialAuditor, member: NDArray[np.bool_], signal: NDArray[np.float64], judged: int) -> int:
    """Count the guesses about models from `judged` on; until both worlds were seen often enough, they only choose the threshold."""
    n = len(member)
    if judged == 0:
        pilot = member.any() and not member.all() and n >= _LEAST_PILOT
        return n if pilot else 0
    threshold = best_threshold(signal[:judged], member[:judged], auditor.delta)
    auditor.update(member[judged:], signal[judged:] >= threshold)
    return n
