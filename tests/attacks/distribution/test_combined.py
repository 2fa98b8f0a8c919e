import numpy as np
import pytest

from attacks.distribution.attack import WorldAttack
from attacks.distribution.combined import CombinedAttack
from attacks.distribution.kl_test import KLTest
from attacks.distribution.output_meta_classifier import OutputMetaClassifier
from tests.attacks.distribution.simulated import SimulatedModels


class OneQuery(WorldAttack):
    """Decides by one query's margin, times a factor that a combination must not feel."""

    def __init__(self, place, factor=1.0):
        self.place, self.factor = place, factor

    def _learn(self, shadow_0, shadow_1):
        gap = shadow_1.margins[:, self.place, 0].mean() - shadow_0.margins[:, self.place, 0].mean()
        self.sign_ = 1.0 if gap >= 0 else -1.0

    def _decide(self, victims):
        return self.factor * self.sign_ * victims.margins[:, self.place, 0]


class AlwaysZero(WorldAttack):
    """Decides everything alike."""

    def _learn(self, shadow_0, shadow_1):
        pass

    def _decide(self, victims):
        return np.zeros(len(victims))


def test_scales_of_decisions_do_not_matter(rng):
    law = SimulatedModels(rng)
    shadows, victims = (law.of(0, 20), law.of(1, 20)), law.of(1, 30)
    plain = CombinedAttack([OneQuery(0), OneQuery(7)]).fit(*shadows).decision_function(victims)
    scaled = CombinedAttack([OneQuery(0, factor=1e6), OneQuery(7)]).fit(*shadows).decision_function(victims)
    np.testing.assert_allclose(plain, scaled)


def test_an_attack_without_an_opinion_has_no_voice(rng):
    law = SimulatedModels(rng)
    shadows, victims = (law.of(0, 20), law.of(1, 20)), law.of(0, 30)
    alone = CombinedAttack([KLTest(calibrate=False)]).fit(*shadows).decision_function(victims)
    beside = CombinedAttack([KLTest(calibrate=False), AlwaysZero()]).fit(*shadows).decision_function(victims)
    np.testing.assert_allclose(beside, alone)
    silent = CombinedAttack([AlwaysZero()]).fit(*shadows).decision_function(victims)
    np.testing.assert_array_equal(silent, 0)


def test_many_weak_attacks_together_beat_each(rng):
    """Thirty queries with the same effect and independent noise: together far better than the best one; margin 10 standard errors."""
    law = SimulatedModels(rng, effect=0.0, queries=30, noise=1.0, rank=1)
    law.directions *= 0
    law.effect = np.tile([0.0, 0.8], (30, 1))
    shadows, victims = (law.of(0, 60), law.of(1, 60)), (law.of(0, 400), law.of(1, 400))
    singles = [OneQuery(place).fit(*shadows) for place in range(30)]
    best = max((a.counts(*victims).tpr + 1 - a.counts(*victims).fpr) / 2 for a in singles)
    together = CombinedAttack([OneQuery(place) for place in range(30)]).fit(*shadows).score(*victims)
    assert together > 0.9
    assert best < 0.8


def test_refused(rng):
    law = SimulatedModels(rng)

    class White(OneQuery):
        access = "white box"

    for attacks in ([], [White(0), OutputMetaClassifier()]):
        with pytest.raises(ValueError, match="black-box attacks only"):
            CombinedAttack(attacks).fit(law.of(0, 5), law.of(1, 5))
