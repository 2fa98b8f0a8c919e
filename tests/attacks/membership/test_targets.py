"""Leave-one-out scores: who may be a reference of whom."""

from __future__ import annotations

import numpy as np
import pytest

from attacks import RMIA, BayesT, LiRA, leave_one_out_scores
from mechanisms.errors import WeakEvidenceWarning


def half_split(*, rng: np.random.Generator, k: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    half = rng.permuted(np.tile(np.arange(n) < n // 2, (k // 2, 1)), axis=1)
    member = np.stack([half, ~half], axis=1).reshape(k, n)
    level = 3 * rng.normal(size=n)
    return level + 1.5 * member + rng.normal(size=(k, n)), member, rng.normal(size=(k, 60))


@pytest.mark.parametrize("pairs", [True, False])
def test_scores_equal_the_loop_without_target_and_complement(pairs: bool, rng: np.random.Generator):
    signals, member, population = half_split(rng=rng, k=8, n=30)
    scores = leave_one_out_scores(RMIA(), signals, member, population, pairs=pairs)
    for t in range(8):
        ref = [k for k in range(8) if k != t and not (pairs and k // 2 == t // 2)]
        own = RMIA().fit(signals[ref], member[ref], population[ref]).score(signals[t], population[t])
        mine = scores.model_id == t
        assert scores.score[mine].tolist() == own.tolist()
        assert scores.member[mine].tolist() == member[t].tolist()
        assert scores.example_id[mine].tolist() == list(range(30))


@pytest.mark.parametrize("attack", [LiRA(), BayesT()])
def test_membership_of_target_and_complement_is_not_used(attack: LiRA | BayesT, rng: np.random.Generator):
    """Swapping the rows of membership of one pair changes no score of that pair; with pairs=False it does (the twin that must fail)."""
    signals, member, _ = half_split(rng=rng, k=8, n=30)
    swapped = member.copy()
    swapped[[4, 5]] = member[[5, 4]]
    one, two = (leave_one_out_scores(attack, signals, m) for m in (member, swapped))
    pair = np.isin(one.model_id, (4, 5))
    assert one.score[pair].tolist() == two.score[pair].tolist()
    assert one.score[~pair].tolist() != two.score[~pair].tolist()
    broken = [leave_one_out_scores(attack, signals, m, pairs=False).score[pair] for m in (member, swapped)]
    assert not np.allclose(*broken)


def test_null_scores_say_nothing(rng: np.random.Generator):
    """Signals without any effect: mean AUC over 12 targets of 400 records 0.5, sd 0.0083; 6 sd."""
    _, member, _ = half_split(rng=rng, k=12, n=400)
    signals = rng.normal(size=400) + rng.normal(size=(12, 400))
    assert leave_one_out_scores(BayesT(), signals, member).auc == pytest.approx(0.5, abs=0.05)


def test_attack_stays_unfitted_and_queries_are_passed_on(rng: np.random.Generator):
    signals, member, _ = half_split(rng=rng, k=8, n=20)
    attack = LiRA()
    scores = leave_one_out_scores(attack, np.stack([signals, signals], axis=-1), member)
    assert scores.score == pytest.approx(leave_one_out_scores(attack, signals, member).score)
    assert not hasattr(attack, "statistics_")


def test_missing_references_are_counted_over_all_targets(rng: np.random.Generator):
    signals = rng.normal(size=(5, 4))
    member = np.tile([[1], [0], [1], [0], [1]], (1, 4))
    member[:, 0] = [1, 0, 0, 0, 0]
    with pytest.warns(WeakEvidenceWarning, match="over all 5 targets, 1 records had no IN and 0 no OUT") as caught:
        leave_one_out_scores(LiRA(), signals, member, pairs=False)
    assert len(caught) == 1


def test_bad_input_is_refused(rng: np.random.Generator):
    signals, member, population = half_split(rng=rng, k=8, n=20)
    with pytest.raises(ValueError, match="to be complements, got 7 models"):
        leave_one_out_scores(LiRA(), signals[:7], member[:7])
    with pytest.raises(ValueError, match="to be complements, got 6 models"):
        leave_one_out_scores(LiRA(), signals[1:7], member[1:7])
    with pytest.raises(ValueError, match=r"population must have shape \(8, P\)"):
        leave_one_out_scores(RMIA(), signals, member, population[:4])
    with pytest.raises(ValueError, match="ref_member must have shape"):
        leave_one_out_scores(LiRA(), signals, member[:, :3])
    with pytest.raises(ValueError, match="ref_signals must have shape"):
        leave_one_out_scores(LiRA(), signals[:2], member[:2])  # no reference is left
