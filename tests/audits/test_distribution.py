"""Audits of a training distribution, end to end: a training of known epsilon and its broken twin, what decides, what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from attacks.distribution.defense import RebalanceDefense
from mechanisms.guarantee import Neighboring, PrivacyGuarantee
from privacy_audit.audits.distribution import NO_CLAIM, audit_distribution
from tests.audits.example_worlds import Coin, Constant, MeanMargin, noisy_count, table

ATTACKS = {"coin": Coin(), "mean": MeanMargin()}
SURE = 1 - 1e-6


TRAIN = noisy_count(0.1)


def audit(train=TRAIN, *, ratios=((0.5, 0.2),), **changes):
    options = {
        "n_train": 100,
        "delta": 0.0,
        "attacks": ATTACKS,
        "n_shadow": 20,
        "n_victim": 60,
        "rng": 3,
    }
    return audit_distribution(train, table(), ratios=ratios, **(options | changes))


@pytest.mark.parametrize("method", ["quota", "iid"])
@pytest.mark.parametrize("neighboring", [Neighboring.REPLACE, Neighboring.ADD_REMOVE])
def test_a_sound_training_is_not_called_a_violation(method, neighboring, rng):
    """False alarm 1e-6: the level of the bound."""
    claim = PrivacyGuarantee(0.1, 0.0, neighboring)
    report = audit(claim=claim, method=method, n_victim=300, level=SURE, rng=rng)
    assert not report.contradicted
    assert report.bound.epsilon <= 0.1
    assert report.bound.neighboring is neighboring


def test_its_broken_twin_is(rng):
    """Misses with probability far below 1e-6: 300 victims a world are told apart with accuracy 0.97."""
    claim = PrivacyGuarantee(0.1, 0.0, Neighboring.REPLACE)
    report = audit(noisy_count(0.2), claim=claim, n_victim=300, level=SURE, rng=rng)
    assert report.verdict == "violation"
    assert 0.1 < report.bound.epsilon <= 0.2
    assert "600 victim models tell more of their training distribution" in report.headline


def test_a_claim_beyond_reach_is_inconclusive():
    report = audit(claim=PrivacyGuarantee(3.0, 0.0, Neighboring.ADD_REMOVE))
    assert report.verdict == "inconclusive"
    assert report.bound.epsilon <= report.distribution.reach < 3.0
    assert "can't test the claim of epsilon 3" in report.headline


def test_without_a_claim():
    report = audit()
    assert report.claim.epsilon == math.inf
    assert report.claim.mechanism == NO_CLAIM
    assert report.claim.neighboring is Neighboring.ADD_REMOVE
    assert report.verdict == "consistent"
    assert report.bound.epsilon > 0


def test_shadow_models_choose_and_every_attack_is_shown():
    report = audit(ratios=[(0.5, 0.2), (0.5, 0.3)])
    assert [pair.chosen for pair in report.distribution.pairs] == ["mean", "mean"]
    for pair in report.distribution.pairs:
        assert [attack.name for attack in pair.attacks] == ["coin", "mean"]
        assert [attack.access for attack in pair.attacks] == ["label only", "black box"]
        accuracies = {attack.name: attack.shadow_accuracy for attack in pair.attacks}
        assert accuracies["mean"] > accuracies["coin"]
        assert pair.n_victims == 120
    assert report.distribution.pairs[0].accuracy > 0.75
    assert any("Bonferroni" in sentence for sentence in report.bound.assumptions)
    assert not any("Bonferroni" in sentence for sentence in audit().bound.assumptions)
    assert report.settings["records that differ between the worlds"] == "0.5 against 0.2: 30; 0.5 against 0.3: 20"
    assert report.membership is report.posterior is report.scores is None


def test_a_model_that_tells_nothing_gives_no_bound():
    """False alarm below 1e-6 of a wrong bound at this level."""
    report = audit(lambda x, y, rng: Constant(float(rng.normal())), attacks=[MeanMargin()], level=SURE)
    assert report.bound.epsilon == 0
    assert report.distribution.pairs[0].chosen == "MeanMargin"


def test_a_training_set_whose_size_shows_the_world_is_named():
    defense = RebalanceDefense(cells=None, target=0.5)
    report = audit(lambda x, y, rng: Constant(0.01 * len(x)), defense=defense, attacks=[MeanMargin()])
    (finding,) = report.distribution.findings
    assert finding.startswith("0.5 against 0.2: size side channel")
    assert report.settings["training records of victims"] == "100 and 40"
    assert report.distribution.pairs[0].accuracy == 1
    assert "size side channel" in json.dumps(report.to_dict())


def test_fixed_cells_hide_the_ratio_and_the_adversary_who_does_not_know_is_shown_too():
    defense = RebalanceDefense(cells=((5, 5), (5, 5)))
    report = audit(defense=defense, level=SURE)
    assert report.bound.epsilon == 0  # false alarm 1e-6
    assert report.distribution.defense.endswith("[[5, 5], [5, 5]]")
    assert report.distribution.pairs[0].undefended is not None
    assert report.distribution.findings == ()
    assert audit().distribution.pairs[0].undefended is None


def test_the_same_seed_gives_the_same_report_and_the_root_is_recorded():
    first, again, other = audit(), audit(), audit(rng=4)
    assert first.to_dict() == again.to_dict()
    assert first.to_dict() != other.to_dict()
    assert first.seeds["samples and trainings"] == "3"


def test_progress_counts_all_models_of_all_pairs():
    told = []
    audit(ratios=[(0.5, 0.2), (0.5, 0.3)], n_shadow=4, n_victim=5, progress=lambda *part: told.append(part))
    assert {total for _, total, _ in told} == {36}
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert told[-1][0] == 36
    assert {label for _, _, label in told} == {"shadow models", "victims"}


def test_the_default_attacks_are_black_box():
    report = audit(attacks=None, n_shadow=12, n_victim=12)
    assert len(report.distribution.pairs[0].attacks) >= 4
    assert {attack.access for attack in report.distribution.pairs[0].attacks} <= {"black box", "label only"}


GOOD = PrivacyGuarantee(1.0, 0.0, Neighboring.ADD_REMOVE)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ratios": []}, "at least one pair"),
        ({"ratios": [(0.5, 0.5)]}, "must differ, got 0.5 twice"),
        ({"ratios": [(0.5, 0.2), (0.2, 0.5)]}, "none twice"),
        ({"ratios": [(0.5, 0.2, 0.1)]}, "pairs"),
        ({"ratios": [(0.5, 1.2)]}, "ratio must be in"),
        ({"ratios": [(0.5, 0.5001)]}, "same training sets of 100 records"),
        ({"n_train": 0}, "n_train"),
        ({"n_train": 3000}, "cell"),
        ({"n_shadow": 3}, "n_shadow must be a whole number >= 4"),
        ({"n_victim": 1}, "n_victim"),
        ({"n_queries": 1}, "n_queries"),
        ({"method": "urn"}, "method"),
        ({"delta": 1.0}, "delta"),
        ({"level": 95}, "did you mean 0.95"),
        ({"claim": replace(GOOD, delta=1e-5)}, "same delta"),
        ({"claim": replace(GOOD, neighboring=Neighboring.ZERO_OUT)}, "zero_out"),
        ({"claim": replace(GOOD, privacy_unit="user")}, "privacy unit must be 'record', got 'user'"),
        ({"defense": RebalanceDefense(cells=((90, 1), (1, 1)))}, "cell"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        audit(**changes)


def test_a_claim_must_carry_its_neighbors():
    with pytest.raises(TypeError, match="PrivacyGuarantee"):
        audit(claim=1.0)
    with pytest.raises(TypeError, match="X, y, prop"):
        audit_distribution(noisy_count(1.0), (np.zeros((3, 1)), np.zeros(3)), ratios=[(0.5, 0.2)], n_train=10, delta=0.0)
