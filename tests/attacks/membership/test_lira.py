"""LiRA and difficulty calibration: closed forms, invariances, one-sidedness, variance modes against loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import norm

from attacks import DifficultyCalibrated, LiRA, LossAttack, MembershipScores
from mechanisms.errors import InsufficientEvidenceError
from tests.attacks.membership.games import gaussian_game

IDEAL = ndtr(1.5 / 2**0.5)  # 0.8556; sd of an AUC with 10,000 + 10,000 records is below 0.0028


@pytest.mark.parametrize("variance", ["fixed", "per_record", "shrunk"])
@pytest.mark.parametrize("online", [True, False])
def test_gaussian_toy_reaches_the_ideal_auc(variance: str, online: bool, rng: np.random.Generator):
    """mu = 1.5, 200 references: AUC Phi(mu / sqrt 2) less the loss from finite references (< 0.006). False alarm below 1e-6 (5 sd)."""
    game = gaussian_game(rng=rng)
    attack = LiRA(variance=variance, online=online).fit(game.ref_signals, game.ref_member)
    assert game.scores(attack.score(game.target)).auc == pytest.approx(IDEAL, abs=5 * 0.0028 + 0.006)


def test_two_sided_offline_score_is_the_broken_twin(rng: np.random.Generator):
    """-log N(phi_0; mu_out, v_out) also rewards records fitted less than usual: 0.753, far from 0.8556."""
    game = gaussian_game(rng=rng)
    attack = LiRA(online=False).fit(game.ref_signals, game.ref_member)
    two_sided = -norm.logpdf(game.target, attack.mean_out_[:, 0], np.sqrt(attack.variance_out_[:, 0]))
    assert game.scores(two_sided).auc == pytest.approx(0.753, abs=0.02)
    assert game.scores(two_sided).auc < IDEAL - 0.05


def test_calibration_helps_where_levels_differ(rng: np.random.Generator):
    """Levels spread by 3: the loss attack sees mu / sqrt(1 + 9), the calibrated one nearly mu."""
    game = gaussian_game(rng=rng)
    calibrated = DifficultyCalibrated().fit(game.ref_signals, game.ref_member).score(game.target)
    assert game.scores(calibrated).auc == pytest.approx(IDEAL, abs=0.02)
    assert game.scores(LossAttack().score(game.target)).auc == pytest.approx(ndtr(1.5 / (2 * 10) ** 0.5), abs=0.02)


@pytest.mark.parametrize("attack", [LiRA(), LiRA(variance="per_record", center="median"), LiRA(online=False), DifficultyCalibrated()])
def test_a_constant_on_one_record_changes_nothing(attack: LiRA | DifficultyCalibrated, rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=50, n_ref=12)
    shift = 30 * rng.normal(size=50)
    plain = attack.fit(game.ref_signals, game.ref_member).score(game.target)
    assert attack.fit(game.ref_signals + shift, game.ref_member).score(game.target + shift) == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("attack", [LiRA(online=False), DifficultyCalibrated()])
def test_negated_signals_mirror_a_one_sided_auc(attack: LiRA | DifficultyCalibrated, rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=300, n_ref=12)
    plain = game.scores(attack.fit(game.ref_signals, game.ref_member).score(game.target)).auc
    mirror = game.scores(attack.fit(-game.ref_signals, game.ref_member).score(-game.target)).auc
    assert mirror == pytest.approx(1 - plain)


@pytest.mark.parametrize("variance", ["fixed", "per_record", "shrunk"])
@pytest.mark.parametrize("center", ["mean", "median"])
def test_online_score_equals_the_loop(variance: str, center: str, rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=30, n_ref=10)
    member = game.ref_member
    fast = LiRA(variance=variance, center=center).fit(game.ref_signals, member).score(game.target)
    for i in range(30):
        logs = []
        for mask in (member, ~member):
            own = game.ref_signals[mask[:, i], i]
            parts = [game.ref_signals[mask[:, j], j] for j in range(30)]
            pooled = sum(((p - p.mean()) ** 2).sum() for p in parts) / (sum(map(len, parts)) - 30)
            squares = ((own - own.mean()) ** 2).sum()
            v = {
                "fixed": pooled,
                "per_record": own.var(ddof=1) if len(own) > 1 else pooled,
                "shrunk": (32 * pooled + squares) / (32 + len(own) - 1),
            }[variance]
            logs.append(norm.logpdf(game.target[i], getattr(np, center)(own), np.sqrt(v)))
        assert fast[i] == pytest.approx(logs[0] - logs[1])


def test_in_and_out_variances_stay_apart(rng: np.random.Generator):
    """IN noise 1, OUT noise 3: each variance is its own. chi2 with about 19,000 degrees: 6 sd is 6 %."""
    member = np.tile([[True], [False]], (20, 1000))
    signals = np.where(member, 1.0, 3.0) * rng.normal(size=(40, 1000))
    attack = LiRA().fit(signals, member)
    assert attack.variance_in_[0, 0] == pytest.approx(1, rel=0.07)
    assert attack.variance_out_[0, 0] == pytest.approx(9, rel=0.07)


def test_several_queries_average_the_log_likelihood_ratios(rng: np.random.Generator):
    game = gaussian_game(rng=rng, n=40, n_ref=12)
    second = game.ref_signals * 0.5 + rng.normal(size=game.ref_signals.shape)
    target = rng.normal(size=40)
    for attack in (LiRA(), LiRA(online=False), DifficultyCalibrated()):
        both = attack.fit(np.stack([game.ref_signals, second], axis=-1), game.ref_member).score(np.stack([game.target, target], axis=-1))
        one = attack.fit(game.ref_signals, game.ref_member).score(game.target)
        two = attack.fit(second, game.ref_member).score(target)
        assert both == pytest.approx((one + two) / 2)


def test_records_whose_own_references_agree_take_the_pooled_variance():
    signals = np.array([[0.0, 1], [1, 1], [4, 8], [5, 9]])
    member = np.array([[0, 0], [0, 0], [1, 1], [1, 1]])
    attack = LiRA(variance="per_record").fit(signals, member)
    assert attack.variance_out_[:, 0].tolist() == [0.5, 0.25]  # record 1 agrees: pooled (0.5 + 0) / 2
    assert np.isfinite(attack.score([1.0, 2.0])).all()


def test_too_little_evidence_is_refused():
    with pytest.raises(InsufficientEvidenceError, match="no record has two IN references"):
        LiRA().fit([[0.0], [1.0], [2.0]], [[0], [0], [1]])
    with pytest.raises(InsufficientEvidenceError, match="all OUT references of each record agree"):
        LiRA().fit([[0.0], [0.0], [2.0], [3.0]], [[0], [0], [1], [1]])


@pytest.mark.parametrize(("option", "value"), [("variance", "global"), ("center", "mode")])
def test_unknown_options_are_refused(option: str, value: str):
    with pytest.raises(ValueError, match=f"{option} must be one of"):
        LiRA(**{option: value}).fit([[0.0], [1.0]], [[0], [1]])


def test_loss_attack_keeps_its_order_far_out_and_checks_shapes():
    phi = np.array([-800.0, -1, 0, 40, 600])
    score = LossAttack().fit().score(phi)
    assert np.all(np.diff(score) > 0)
    assert LossAttack().score(phi[:, None]).tolist() == score.tolist()
    with pytest.raises(ValueError, match="target_signals must have shape"):
        LossAttack().score([])
    assert MembershipScores(score, phi > 0).auc == 1
