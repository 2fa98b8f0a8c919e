"""What holds for every black-box attack: it finds what is there, nothing where nothing is, and decides about one victim at a time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from attacks.distribution.chosen_queries import ChosenQueries
from attacks.distribution.combined import CombinedAttack
from attacks.distribution.kl_test import KLTest
from attacks.distribution.label_only import LabelOnly
from attacks.distribution.loss_test import LossTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from attacks.distribution.per_point import PerPointThresholdTest
from attacks.distribution.selection import accuracy_interval
from attacks.distribution.shadow_accuracy import shadow_accuracy
from attacks.distribution.threshold_test import ThresholdTest
from attacks.distribution.views import ModelViews
from mechanisms.errors import WeakEvidenceWarning
from tests.attacks.distribution.simulated import SimulatedModels, with_worlds_renamed

ATTACKS = {
    "loss": LossTest(),
    "loss, log": LossTest(metric="log_loss"),
    "threshold": ThresholdTest(),
    "threshold, log": ThresholdTest(metric="log_loss"),
    "per point": PerPointThresholdTest(),
    "kl": KLTest(),
    "kl at 0": KLTest(calibrate=False),
    "kl auto": KLTest(calibrate="auto"),
    "output": OutputMetaClassifier(),
    "output, one strength": OutputMetaClassifier(strengths=(1e-2,), with_lda=False),
    "output, lda": OutputMetaClassifier(strengths=()),
    "output, probabilities": OutputMetaClassifier(of="probabilities"),
    "label only": LabelOnly(OutputMetaClassifier()),
    "label only, per point": LabelOnly(PerPointThresholdTest()),
    "combined": CombinedAttack(),
    "chosen queries": ChosenQueries(OutputMetaClassifier(), n_queries=20),
}
STRONG = [name for name in ATTACKS if not name.startswith(("loss", "threshold"))]


class TransductiveKL(KLTest):
    """Broken on purpose: scales the values over all victims and cuts at the middle, as public code does."""

    def _decide(self, victims):
        values = super()._decide(victims)
        with np.errstate(invalid="ignore"):
            return (values - values.min()) / (values.max() - values.min()) - 0.5


def decides_one_by_one(attack, victims: ModelViews) -> bool:
    together = attack.decision_function(victims)
    alone = np.concatenate([attack.decision_function(victims[k]) for k in range(len(victims))])
    some = attack.decision_function(victims[np.array([4, 0, 2])])
    return bool(np.allclose(together, alone, rtol=1e-9, atol=1e-9) and np.allclose(together[[4, 0, 2]], some, rtol=1e-9, atol=1e-9))


@pytest.fixture
def law(rng):
    return SimulatedModels(rng)


@pytest.mark.parametrize("name", ATTACKS)
def test_one_victim_at_a_time(name, law):
    attack = clone(ATTACKS[name]).fit(law.of(0, 12), law.of(1, 12))
    assert decides_one_by_one(attack, law.of(1, 6))
    assert np.isfinite(attack.decision_function(law.of(0, 1))).all()


def test_an_attack_that_looks_at_all_victims_is_caught(law):
    attack = TransductiveKL().fit(law.of(0, 12), law.of(1, 12))
    assert not decides_one_by_one(attack, law.of(1, 6))
    assert np.isnan(attack.decision_function(law.of(0, 1))).all()


@pytest.mark.parametrize("name", STRONG)
def test_finds_what_is_there(name, rng):
    """Worlds far apart: accuracy above 0.9 where chance has at most 1e-20."""
    law = SimulatedModels(rng, effect=2.0)
    attack = clone(ATTACKS[name]).fit(law.of(0, 40), law.of(1, 40))
    assert attack.score(law.of(0, 60), law.of(1, 60)) > 0.9


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_found_where_nothing_is(name, rng):
    """Worlds alike: the interval at level 1 - 1e-6 contains 1/2; false alarm at most 1e-6 per attack and seed."""
    law = SimulatedModels(rng, effect=0.0)
    attack = clone(ATTACKS[name]).fit(law.of(0, 30), law.of(1, 30))
    low, high = accuracy_interval(attack.counts(law.of(0, 150), law.of(1, 150)), level=1 - 1e-6)
    assert low <= 0.5 <= high


def test_the_interval_can_exclude_a_coin(rng):
    law = SimulatedModels(rng, effect=2.0)
    attack = OutputMetaClassifier().fit(law.of(0, 30), law.of(1, 30))
    assert accuracy_interval(attack.counts(law.of(0, 150), law.of(1, 150)), level=1 - 1e-6)[0] > 0.5


@pytest.mark.parametrize("name", ["per point", "output", "chosen queries", "kl auto"])
def test_held_out_shadows_do_not_promise_what_is_not_there(name, rng):
    """100 held-out models alike in both worlds: within 0.3 (6 sd of independent guesses) of 1/2. Choosing on them all would pass 0.8."""
    law = SimulatedModels(rng, effect=0.0)
    assert shadow_accuracy(ATTACKS[name], law.of(0, 50), law.of(1, 50), rng=rng) == pytest.approx(0.5, abs=0.3)


def vote_cut(attack) -> float:
    """What is taken off the votes; they take few values, so equally wide gaps are frequent and either may be cut."""
    return getattr(getattr(attack, "attack_", attack), "vote_cut_", 0.0)


@pytest.mark.parametrize("name", ATTACKS)
def test_worlds_that_change_names_negate_the_decision(name, law):
    views = law.of(0, 15), law.of(1, 18), law.of(1, 10)
    one = clone(ATTACKS[name]).fit(*views[:2])
    renamed = [with_worlds_renamed(part) if name.startswith("loss") else part for part in views]
    other = clone(ATTACKS[name]).fit(renamed[1], renamed[0])
    values = one.decision_function(views[2]) + vote_cut(one)
    negated = other.decision_function(renamed[2]) + vote_cut(other)
    assert np.allclose(values, -negated, rtol=1e-3, atol=1e-3 * np.abs(values).max() + 1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_three_classes(name, rng):
    law = SimulatedModels(rng, classes=3, effect=1.5)
    attack = clone(ATTACKS[name]).fit(law.of(0, 30), law.of(1, 30))
    counts = attack.counts(law.of(0, 30), law.of(1, 30))
    if name in STRONG:
        assert counts.tpr - counts.fpr > 0.5
    assert decides_one_by_one(attack, law.of(1, 6))


@pytest.mark.parametrize("name", ATTACKS)
def test_fitting_again_gives_the_same(name, law):
    first, second, victims = law.of(0, 12), law.of(1, 12), law.of(1, 5)
    fits = [clone(ATTACKS[name]).fit(first, second).decision_function(victims) for _ in range(2)]
    assert np.array_equal(*fits)
    with pytest.raises(NotFittedError):
        clone(ATTACKS[name]).predict(victims)


@pytest.mark.parametrize("name", ATTACKS)
def test_shadows_all_alike_give_one_answer_and_a_warning(name, law):
    alike = ModelViews(np.zeros((4, 60)), law.queries)
    attack = clone(ATTACKS[name]).fit(alike, alike)
    assert np.isfinite(attack.decision_function(alike)).all()
    with pytest.warns(WeakEvidenceWarning, match="same answer"):
        assert attack.score(alike, alike) == 0.5


@pytest.mark.parametrize("name", ["loss", "threshold"])
def test_queries_of_one_world_are_refused(name, law):
    one_sided = law.of(0, 4).at_queries(law.queries.world)
    with pytest.raises(ValueError, match="both worlds"):
        clone(ATTACKS[name]).fit(one_sided, one_sided)
    with pytest.raises(ValueError, match="metric must be one of"):
        clone(ATTACKS[name]).set_params(metric="loss").fit(law.of(0, 4), law.of(1, 4))
