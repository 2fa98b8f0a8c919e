"""The game of a canary: bounds over independent runs, and the rule that stops when a claim is refuted."""

from __future__ import annotations

import dataclasses
import functools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from attacks.shadow.group import ShadowGroup
from attacks.shadow.run import ShadowTask, run_shadow
from attacks.shadow.store import MemoryStore
from mechanisms.errors import InsufficientEvidenceError
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.canary_game import canary_power, canary_scores, train_until_rejected
from privacy_audit.estimate.sequential import SequentialAuditor
from privacy_audit.estimate.thresholds import audit_scores


def work(model, leak, coin, noise):
    return ShadowGroup(model_id=[model], member=[[True, coin]], signals=[[0.0, leak * coin + noise]])


def tasks(rng, n, *, leak):
    rows = zip(range(n), rng.random(n) < 0.5, rng.normal(size=n), strict=True)
    return [ShadowTask(k, functools.partial(work, k, leak, bool(coin), noise), (k,)) for k, coin, noise in rows]


def signals_of(part):
    """What `run_shadow` returns, without its machinery."""
    groups = [task.work() for task in part]
    member, signals, ids = (np.concatenate([getattr(g, name) for g in groups]) for name in ("member", "signals", "model_id"))
    return SimpleNamespace(member=member, signals=signals, model_id=ids, failed=())


def play(rng, n, *, leak, epsilon, train=signals_of):
    auditor = SequentialAuditor(epsilon=epsilon, delta=1e-5)
    run = train_until_rejected(tasks(rng, n, leak=leak), train, auditor, canary=1, at_once=8)
    return auditor, run


def test_scores_are_the_column_of_the_canary(rng):
    run = run_shadow(tasks(rng, 20, leak=3.0))
    scores = canary_scores(run, 1)
    np.testing.assert_array_equal(scores.score, run.signals[:, 1, 0].astype(float))
    np.testing.assert_array_equal(scores.member, run.member[:, 1])
    with pytest.raises(InsufficientEvidenceError, match="20 of 20 models had the canary"):
        canary_scores(run, 0)


def test_models_that_failed_are_not_passed_over(rng):
    run = dataclasses.replace(run_shadow(tasks(rng, 20, leak=3.0)), failed=((7, "RuntimeError"),))
    with pytest.raises(InsufficientEvidenceError, match="1 groups could not be trained"):
        canary_scores(run, 1)


def test_training_ends_when_the_claim_is_refuted(rng):  # each guess right: 20 trials refute epsilon 1; 400 models fail with p < 1e-9
    home = MemoryStore()
    auditor, run = play(rng, 400, leak=20.0, epsilon=1.0, train=lambda part: run_shadow(part, home))
    assert auditor.rejected
    assert len(run.model_id) < 120
    assert 0 < auditor.n <= len(run.model_id) - 8


def test_true_claims_are_seldom_refuted(rng):  # false alarm 1e-6 for 200 games of 64 models at level 0.95
    refuted = sum(play(rng, 64, leak=0.0, epsilon=0.0)[0].rejected for _ in range(200))
    assert refuted <= stats.binom.isf(1e-6, 200, 0.05)


def test_guesses_at_a_threshold_of_their_own_round_are_caught(rng):  # negative control: the same coins choose and are judged
    refuted = 0
    for _ in range(60):
        coins, signal = rng.random(64) < 0.5, rng.normal(size=64)
        auditor = SequentialAuditor(epsilon=0.0, delta=0.0)
        for k in range(0, 64, 8):
            part = slice(k, k + 8)
            best = max(signal[part], key=lambda t, part=part: np.sum((signal[part] >= t) == coins[part]))
            auditor.update(coins[part], signal[part] >= best)
        refuted += auditor.rejected
    assert refuted > stats.binom.isf(1e-6, 60, 0.05)


def test_null_games_leave_no_bound(rng):  # false alarm 1e-6
    positive = 0
    for _ in range(300):
        run = signals_of(tasks(rng, 32, leak=0.0))
        positive += audit_scores(canary_scores(run, 1), delta=1e-5).epsilon > 0
    assert positive <= stats.binom.isf(1e-6, 300, 0.05)


def test_power_grows_with_the_claim(rng):
    def power(epsilon):
        claim = PrivacyGuarantee(epsilon, 1e-5, Neighboring.ADD_REMOVE)
        return canary_power(claim, n_models=64, level=0.95, repeats=40, rng=rng)

    assert power(0.0) == 0.0
    assert power(np.inf) == 1.0
    assert power(0.1) < 0.5 < power(8.0)
